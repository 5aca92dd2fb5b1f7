// Package proxy stands between a test's client and its server, and can stop moving bytes without closing anything.
package proxy

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Proxy passes bytes on, unless it is frozen.
type Proxy struct {
	ln   net.Listener
	mu   sync.Mutex
	flow chan struct{} // closed while bytes move
}

// New passes on to a server, host:port, until the test ends.
func New(t testing.TB, to string) *Proxy {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &Proxy{ln: ln, flow: make(chan struct{})}
	close(p.flow)
	t.Cleanup(func() { p.Freeze(false); require.NoError(t, ln.Close()) })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = c.Close() // the client hears of it by this
				continue
			}
			go p.copy(c, s)
			go p.copy(s, c)
		}
	}()
	return p
}

// Addr is where it listens, host:port.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Freeze stops or goes on.
func (p *Proxy) Freeze(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.flow:
		if on {
			p.flow = make(chan struct{})
		}
	default:
		if !on {
			close(p.flow)
		}
	}
}

func (p *Proxy) copy(to, from net.Conn) {
	defer to.Close()   //nolint:errcheck // the connection's end is all that counts
	defer from.Close() //nolint:errcheck // the same
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		flow := p.flow
		p.mu.Unlock()
		<-flow
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
