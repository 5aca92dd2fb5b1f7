package workerconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadConnector_takes_the_three_forms(t *testing.T) {
	t.Parallel()
	type m = map[string]string
	for name, c := range map[string]struct {
		in    string
		want  m
		state string
	}{
		"properties":             {"name=c\nconnector.class=X\ntopics=a,b\n", m{"name": "c", "connector.class": "X", "topics": "a,b"}, ""},
		"texts":                  {`{"name":"c","connector.class":"X"}`, m{"name": "c", "connector.class": "X"}, ""},
		"numbers":                {`{"name":"c","tasks.max":2,"a":1.50,"b":true,"n":null}`, m{"name": "c", "tasks.max": "2", "a": "1.50", "b": "true"}, ""},
		"request":                {`{"name":"c","config":{"connector.class":"X"}}`, m{"name": "c", "connector.class": "X"}, ""},
		"request with both":      {`{"name":"c","config":{"name":"c"}}`, m{"name": "c"}, ""},
		"request with a state":   {`{"name":"c","config":{},"initial_state":"stopped"}`, m{"name": "c"}, "STOPPED"},
		"request of the answer":  {`{"name":"c","config":{"a":"b"},"tasks":[{"task":0}],"type":"source"}`, m{"name": "c", "a": "b"}, ""},
		"a byte order mark":      {"\xef\xbb\xbf" + `{"name":"c"}`, m{"name": "c"}, ""},
		"texts that say config":  {`{"name":"c","config":"x"}`, m{"name": "c", "config": "x"}, ""},
		"properties with braces": {"name={c}\n", m{"name": "{c}"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "c")
			require.NoError(t, os.WriteFile(path, []byte(c.in), 0o600))
			got, err := ReadConnector(path)
			require.NoError(t, err)
			require.Equal(t, Connector{File: path, Name: c.want["name"], Config: c.want, InitialState: c.state}, got)
		})
	}
}

func TestReadConnector_says_what_is_wrong_in_Kafkas_words(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"connector.class":"X"}`:            "Connector configuration at 'FILE' is missing the mandatory 'name' configuration",
		`{"config":{"connector.class":"X"}}`: "Connector configuration at 'FILE' is missing the mandatory 'name' configuration",
		"connector.class=X":                  "Connector configuration at 'FILE' is missing the mandatory 'name' configuration",
		"":                                   "Connector configuration at 'FILE' is missing the mandatory 'name' configuration",
		`{"name":"c",`:                       "Connector configuration at 'FILE' is missing the mandatory 'name' configuration",
		`{"name":"c","config":{"name":"d"}}`: "Connector name configuration in 'config' doesn't match the one specified in 'name' at 'FILE'",
		`{"name":"c","config":{},"initial_state":"ASLEEP"}`: "Connector configuration at 'FILE' has the initial_state 'ASLEEP': it must be RUNNING, PAUSED or STOPPED",
		`name=\u12`: "Connector configuration at 'FILE' is neither JSON nor a properties file",
	} {
		path := filepath.Join(t.TempDir(), "c")
		require.NoError(t, os.WriteFile(path, []byte(in), 0o600))
		_, err := ReadConnector(path)
		require.ErrorContains(t, err, strings.ReplaceAll(want, "FILE", path), in)
	}
	_, err := ReadConnector("/none/there")
	require.ErrorContains(t, err, "Connector configuration at '/none/there' can't be read")
}
