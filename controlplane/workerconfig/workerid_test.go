package workerconfig

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorkerID_is_what_is_advertised_else_a_listener(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, port, listener, listeners string
		want                            string
		given                           bool
	}{
		{"", "", "", "", "box:8083", false},
		{"w1", "", "", "", "w1:8083", true},
		{"w1", "80", "", "http://:9", "w1:80", true},
		{"", "", "", "http://:9", "box:9", true},
		{"", "", "", "http://0.0.0.0:9,https://h:10", "box:9", true},
		{"", "", "https", "http://0.0.0.0:9, https://h:10", "h:10", true},
		{"", "", "http", "https://h:10", "box:8083", false},
		{"", "", "", "http://[::1]:9", "[::1]:9", true},
		{"", "", "", "http://127.0.0.1:0", "127.0.0.1:8083", true},
		{"", "", "", "nonsense,http://h:1", "h:1", true},
	} {
		got, given, err := WorkerID(map[string]string{"rest.advertised.host.name": c.name, "rest.advertised.port": c.port, "rest.advertised.listener": c.listener, "listeners": c.listeners}, "box")
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%+v", c)
		require.Equal(t, c.given, given, "%+v", c)
	}
	_, _, err := WorkerID(map[string]string{"rest.advertised.listener": "ftp"}, "box")
	require.ErrorContains(t, err, "rest.advertised.listener")
}
