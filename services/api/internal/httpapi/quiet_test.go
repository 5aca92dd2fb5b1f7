package httpapi

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fasthttp takes a connection whose deadline can't be set for a fault of its own, and panics.
func TestQuiet_a_closed_connection_takes_deadlines_and_answers_no_read(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(net.Listener) net.Listener{
		"plain": func(ln net.Listener) net.Listener { return ln },
		"TLS": func(ln net.Listener) net.Listener {
			return tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var q quiet
			inner, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ln := q.watch(wrap(inner))
			t.Cleanup(func() { _ = ln.Close() })
			client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", inner.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { _ = client.Close() })
			c, err := ln.Accept()
			require.NoError(t, err)
			q.end()
			soon := time.Now().Add(time.Minute)
			require.NoError(t, c.SetDeadline(soon))
			require.NoError(t, c.SetReadDeadline(soon))
			require.NoError(t, c.SetWriteDeadline(soon))
			_, err = c.Read(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
		})
	}
}
