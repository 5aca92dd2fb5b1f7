package workerconfig

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What java.util.Properties does with the same text.
func TestParse_reads_properties_as_Java_does(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   string
		want map[string]string
	}{
		"plain":                 {"a=b\nc = d\n", map[string]string{"a": "b", "c": "d"}},
		"colon and blank":       {"a: b\nc d e\n", map[string]string{"a": "b", "c": "d e"}},
		"comments":              {"# a=b\n! c=d\n  # e=f\ng=h # no comment\n", map[string]string{"g": "h # no comment"}},
		"no value":              {"a=\nb\n", map[string]string{"a": "", "b": ""}},
		"trailing blanks stay":  {"a=b  \n", map[string]string{"a": "b  "}},
		"leading blanks go":     {"  a=   b\n", map[string]string{"a": "b"}},
		"continued":             {"a=b,\\\n   c,\\\n   d\n", map[string]string{"a": "b,c,d"}},
		"escapes":               {`a=\t\n\\\u00fc\q` + "\n" + `b\=c\ d\:e=f`, map[string]string{"a": "\t\n\\üq", "b=c d:e": "f"}},
		"Latin-1":               {"a=\xfc", map[string]string{"a": "ü"}},
		"carriage returns":      {"a=b\r\nc=d\r\n", map[string]string{"a": "b", "c": "d"}},
		"the last one counts":   {"a=b\na=c\n", map[string]string{"a": "c"}},
		"references stay":       {"a=${file:/x:y}\nb=${a}\nc=${c}\n", map[string]string{"a": "${file:/x:y}", "b": "${a}", "c": "${c}"}},
		"equal sign in a value": {`s=org.x.Module required username="a=b" password="c";`, map[string]string{"s": `org.x.Module required username="a=b" password="c";`}},
		"no end of line":        {"a=b", map[string]string{"a": "b"}},
		"nothing":               {"", map[string]string{}},
		"Windows path":          {`a=C:\\x\\y`, map[string]string{"a": `C:\x\y`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parse([]byte(c.in))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestLoad_lays_single_properties_over_the_file_and_says_what_is_wrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "worker.properties")
	require.NoError(t, os.WriteFile(path, []byte("group.id=a\nbootstrap.servers=b:9092\n"), 0o600))
	got, err := Load(path, map[string]string{"group.id": "c"})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"group.id": "c", "bootstrap.servers": "b:9092"}, got)
	_, err = Load(filepath.Join(dir, "none"), nil)
	require.ErrorContains(t, err, "is not there")
	_, err = Load(dir, nil)
	require.ErrorContains(t, err, "is a folder")
	bad := filepath.Join(dir, "bad.properties")
	require.NoError(t, os.WriteFile(bad, []byte(`a=\u12`), 0o600))
	_, err = Load(bad, nil)
	require.ErrorContains(t, err, "it is no properties file")
	require.NotPanics(t, func() { _, _ = parse([]byte{0xff, '\\'}) })
}
