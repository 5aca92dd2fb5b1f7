package secrets

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

// house is a folder with secrets in it, and one that is not allowed.
type house struct {
	dir, outside string
	logs         bytes.Buffer
	*Resolver
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{dir: t.TempDir(), outside: t.TempDir()}
	write := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write(h.dir+"/prov.properties", "good=2\nsecret=hunter2\nempty=\nnested=${file:"+h.dir+"/prov.properties:secret}\na:b=colon\n")
	write(h.dir+"/mounted/..data/password", "pw\n")
	write(h.outside+"/prov.properties", "secret=elsewhere\n")
	write(h.dir+"/broken.properties", `a=\u00`)
	require.NoError(t, os.Symlink("..data/password", h.dir+"/mounted/password"))
	require.NoError(t, os.Symlink(h.outside+"/prov.properties", h.dir+"/link.properties"))
	env := map[string]string{"APP_NUM": "3", "HOME": "/root"}
	var err error
	h.Resolver, err = FromProperties(map[string]string{
		"config.providers": "file, dir,env", "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
		"config.providers.file.param.allowed.paths": h.dir + ", /",
		"config.providers.dir.class":                "org.apache.kafka.common.config.provider.DirectoryConfigProvider",
		"config.providers.dir.param.allowed.paths":  h.dir,
		"config.providers.env.class":                "EnvVarConfigProvider", "config.providers.env.param.allowlist.pattern": "APP_.*",
	}, func(k string) (string, bool) { v, ok := env[k]; return v, ok }, slog.New(slog.NewTextHandler(&h.logs, nil)))
	require.NoError(t, err)
	h.providers["file"] = files{roots{[]string{h.dir}, h.providers["file"].(files).roots.log}} // without /
	return h
}

func (h *house) value(t *testing.T, text string) (string, error) {
	t.Helper()
	out, err := h.Resolve(cluster.Config{"k": &text, "null": nil})
	if err != nil {
		return "", err
	}
	require.Nil(t, out["null"])
	return *out["k"], nil
}

func TestResolve_replaces_what_providers_know_and_leaves_the_rest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	file := "${file:" + h.dir + "/prov.properties:"
	for text, want := range map[string]string{
		"plain":                                 "plain",
		file + "good}":                          "2",
		"a" + file + "secret}b":                 "ahunter2b",
		file + "good}" + file + "good}":         "22",
		"$" + file + "good}":                    "$2",
		file + "empty}":                         "",
		file + "a:b}":                           file + "a:b}", // the key is "a" in the file
		file + "nokey}":                         file + "nokey}",
		file + "}":                              file + "}",
		"${file::x}":                            "${file::x}",
		"${file:x}":                             "${file:x}",
		"${nope:x:y}":                           "${nope:x:y}",
		"${file}":                               "${file}",
		"${}":                                   "${}",
		file + "nested}":                        file + "secret}", // once only
		"${env:APP_NUM}":                        "3",
		"${env:HOME}":                           "${env:HOME}",
		"${env:APP_NOPE}":                       "${env:APP_NOPE}",
		"${dir:" + h.dir + "/mounted:password}": "pw\n",
		"${dir:" + h.dir + "/mounted:..data}":   "${dir:" + h.dir + "/mounted:..data}",
		"${dir:" + h.dir + "/nodir:x}":          "${dir:" + h.dir + "/nodir:x}",
		"${dir:" + h.dir + ":mounted/password}": "${dir:" + h.dir + ":mounted/password}",
	} {
		got, err := h.value(t, text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	require.NotContains(t, h.logs.String(), "hunter2")
}

func TestResolve_reads_only_what_the_operator_allows(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, path := range []string{h.outside + "/prov.properties", h.dir + "/../" + filepath.Base(h.outside) + "/prov.properties", h.dir + "/mounted/../prov.properties", "prov.properties"} {
		ref := "${file:" + path + ":secret}"
		got, err := h.value(t, ref)
		require.NoError(t, err)
		require.Equal(t, ref, got)
		require.Contains(t, h.logs.String(), "The path "+path+" is not allowed to be accessed")
	}
	_, err := h.value(t, "${file:"+h.dir+"/link.properties:secret}")
	require.EqualError(t, err, "Could not read properties from file "+h.dir+"/link.properties", "a link that leads out")
	all := files{roots{[]string{"/"}, slog.New(slog.DiscardHandler)}}
	got, err := all.Get("/proc/self/environ", []string{"HOME"})
	require.NoError(t, err)
	require.Empty(t, got)
	got, err = all.Get(h.outside+"/prov.properties", []string{"secret"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"secret": "elsewhere"}, got)
	one := files{roots{[]string{h.dir + "/prov.properties"}, slog.New(slog.DiscardHandler)}}
	got, err = one.Get(h.dir+"/prov.properties", []string{"good"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"good": "2"}, got)
}

func TestResolve_tells_what_can_not_be_read(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, name := range []string{"nofile", "mounted", "broken.properties"} {
		_, err := h.value(t, "${file:"+h.dir+"/"+name+":x}")
		require.EqualError(t, err, "Could not read properties from file "+h.dir+"/"+name)
	}
	_, err := h.value(t, "${env:path:APP_NUM}")
	require.EqualError(t, err, "Path is not supported for EnvVarConfigProvider, invalid value 'path'")
}

func TestFromProperties_refuses_providers_without_bounds(t *testing.T) {
	t.Parallel()
	const file, env = "org.apache.kafka.common.config.provider.FileConfigProvider", "org.apache.kafka.common.config.provider.EnvVarConfigProvider"
	for want, params := range map[string][]string{
		`Missing required configuration "config.providers.x.class"`:                             {},
		"Invalid value org.example.Vault for configuration config.providers.x.class":            {"class", "org.example.Vault"},
		`Missing required configuration "config.providers.x.param.allowed.paths"`:               {"class", file},
		"Path secrets is not absolute":                                                          {"class", file, "param.allowed.paths", "secrets"},
		"Path /no/such/folder does not exist":                                                   {"class", file, "param.allowed.paths", "/no/such/folder"},
		`Missing required configuration "config.providers.x.param.allowlist.pattern"`:           {"class", env},
		"Invalid value [ for configuration config.providers.x.param.allowlist.pattern: Invalid": {"class", env, "param.allowlist.pattern", "["},
	} {
		props := map[string]string{"config.providers": "x"}
		for i := 0; i < len(params); i += 2 {
			props["config.providers.x."+params[i]] = params[i+1]
		}
		_, err := FromProperties(props, os.LookupEnv, slog.New(slog.DiscardHandler))
		require.ErrorContains(t, err, want)
	}
}

func TestProperties_of_the_worker_may_refer_to_secrets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	out, err := h.Properties(map[string]string{"group.id": "g-${env:APP_NUM}", "config.providers": "${env:APP_NUM}"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"group.id": "g-3", "config.providers": "${env:APP_NUM}"}, out)
}

func TestProperties_files_are_read_as_Java_does(t *testing.T) {
	t.Parallel()
	got, err := parse([]byte("# c\n! c\n\n a = 1\r\nb:2\nc 3\nd\ne=x\\\n   y\nf\\ g=h\\=i\ntab=\\t|\\u00e4|\\\\\ng==\nlast="))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"a": "1", "b": "2", "c": "3", "d": "", "e": "xy", "f g": "h=i", "tab": "\t|ä|\\", "g": "=", "last": ""}, got)
	for _, bad := range []string{"a=\xff", `a=\u12`, `a=\uzzzz`} {
		_, err := parse([]byte(bad))
		require.Error(t, err, bad)
	}
}

func TestRuntime_9_a_digest_tells_whether_the_values_are_the_same_and_not_which_they_are(t *testing.T) {
	t.Parallel()
	values := mutable{"a": "one", "b": "two", "unused": "x"}
	r := New(map[string]Provider{"p": values})
	cfg := cluster.ConfigOf(map[string]string{"k": "${p:a} and ${p:path:b}", "plain": "x", "unknown": "${q:a}"})
	first, err := r.Digest(cfg, nil)
	require.NoError(t, err)
	require.NotEmpty(t, first)
	require.NotContains(t, first, "one")
	values["unused"] = "y"
	same, err := r.Digest(cfg, nil)
	require.NoError(t, err)
	require.Equal(t, first, same)
	for key, value := range map[string]string{"a": "One", "b": ""} {
		was := values[key]
		values[key] = value
		other, err := r.Digest(cfg, nil)
		require.NoError(t, err)
		require.NotEqual(t, first, other, key)
		values[key] = was
	}
	delete(values, "b")
	other, err := r.Digest(cfg, nil)
	require.NoError(t, err)
	require.NotEqual(t, first, other, "a key that is gone")
	none, err := r.Digest(cluster.ConfigOf(map[string]string{"plain": "x", "unknown": "${q:a}"}), nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

// mutable is a provider whose values a test changes.
type mutable map[string]string

func (m mutable) Get(_ string, keys []string) (map[string]string, error) {
	out := map[string]string{}
	for _, k := range keys {
		if v, ok := m[k]; ok {
			out[k] = v
		}
	}
	return out, nil
}
