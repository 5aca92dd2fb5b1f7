package adopt

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/exitcode"
)

// The files were written by Java's ObjectOutputStream, as FileOffsetBackingStore uses it.
func TestReadJavaMap(t *testing.T) {
	t.Parallel()
	all, err := readJavaMap("testdata/standalone/connect.offsets")
	require.NoError(t, err)
	got := map[string]string{}
	for _, e := range all {
		got[string(e.key)] = string(e.value)
		require.Equal(t, strings.Contains(string(e.key), "gone"), e.value == nil)
	}
	require.Equal(t, map[string]string{
		`["files",{"filename":"/data/in.txt"}]`:    `{"position":20}`,
		`["files",{"filename":"/data/other.txt"}]`: `{"position":7}`,
		`["more",{"filename":"a"}]`:                `{"position":1}`, // the same array for both
		`["more",{"filename":"b"}]`:                `{"position":1}`,
		`["more",{"filename":"gone"}]`:             "",
	}, got)
	all, err = readJavaMap("testdata/standalone/empty.offsets")
	require.NoError(t, err)
	require.Empty(t, all)
}

func TestReadJavaMap_refuses_what_is_no_such_file(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile("testdata/standalone/connect.offsets")
	require.NoError(t, err)
	for n := range whole { // cut off anywhere
		_, err := parseJavaMap(bytes.NewReader(whole[:n]))
		require.ErrorContains(t, err, "byte ", n)
	}
	_, err = parseJavaMap(bytes.NewReader(append(whole, 0)))
	require.ErrorContains(t, err, "something follows")
	other := bytes.Replace(whole, []byte("java.util.HashMap"), []byte("java.util.HashSet"), 1)
	_, err = parseJavaMap(bytes.NewReader(other))
	require.ErrorContains(t, err, `an object of the class "java.util.HashSet", want java.util.HashMap`)
}

func FuzzParseJavaMap(f *testing.F) {
	for _, name := range []string{"connect", "empty"} {
		b, err := os.ReadFile("testdata/standalone/" + name + ".offsets")
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if all, err := parseJavaMap(bytes.NewReader(b)); err == nil {
			require.LessOrEqual(t, len(all), len(b)/2)
		}
	})
}

func standalone(t *testing.T, offsets string, files map[string]string) (Options, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	o := Options{Worker: map[string]string{offsetFileKey: offsets}, Out: &out}
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		o.Files = append(o.Files, path)
	}
	return o, &out
}

func TestStandalone_reads_the_files_and_the_offsets(t *testing.T) {
	t.Parallel()
	o, _ := standalone(t, "testdata/standalone/connect.offsets", map[string]string{
		"files.properties": "name=files\nconnector.class=FileStreamSource\n",
		"more.json":        `{"name":"more","config":{"connector.class":"FileStreamSource"},"initial_state":"PAUSED"}`,
		"sink.properties":  "name=sink\nconnector.class=FileStreamSink\n",
	})
	_, topics, err := o.read(t.Context())
	require.NoError(t, err)
	all := topics.Connectors()
	require.Len(t, all, 3)
	require.Equal(t, "files", all[0].Name)
	require.Equal(t, cluster.Started, all[0].Target)
	require.Len(t, all[0].Offsets, 2)
	require.Equal(t, cluster.Paused, all[1].Target)
	require.Len(t, all[1].Offsets, 2, "one is deleted")
	require.Empty(t, all[2].Offsets)
}

func TestStandalone_says_what_is_wrong(t *testing.T) {
	t.Parallel()
	files := map[string]string{"a.properties": "name=a\nconnector.class=X\n"}
	wrong := filepath.Join(t.TempDir(), "wrong")
	require.NoError(t, os.WriteFile(wrong, []byte("position=3"), 0o600))
	for name, c := range map[string]struct {
		offsets string
		files   map[string]string
		want    []string
	}{
		"no offsets file named": {"", files, []string{offsetFileKey}},
		"not such a file":       {wrong, files, []string{wrong, "does not begin as a serialized Java object does"}},
		"a name twice":          {wrong, map[string]string{"a.properties": "name=a\n", "b.properties": "name=a\n"}, []string{"connector a", "two of the files"}},
		"a file without a name": {wrong, map[string]string{"a.properties": "x=y\n"}, []string{"a.properties", "name"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, _ := standalone(t, c.offsets, c.files)
			_, _, err := o.read(t.Context())
			require.Equal(t, exitcode.BadInput, exitcode.Of(err))
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	o, out := standalone(t, filepath.Join(t.TempDir(), "none"), files)
	_, topics, err := o.read(t.Context())
	require.NoError(t, err, "a worker that has never kept an offset")
	require.Len(t, topics.Connectors(), 1)
	require.Contains(t, out.String(), "sources begin at their beginning")
}
