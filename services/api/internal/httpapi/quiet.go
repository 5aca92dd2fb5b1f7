package httpapi

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// quiet knows the connections over which nothing has come yet: clients open some in reserve. fasthttp takes them for busy,
// and would wait for them at the end as for a request.
type quiet struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	over  bool
}

// watch returns a listener whose connections are known until the first byte comes.
func (q *quiet) watch(ln net.Listener) net.Listener { return &quietListener{ln, q} }

// end closes those that are known, and all that come later.
func (q *quiet) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	for c := range q.conns {
		_ = c.Close() // nobody waits for it
	}
	q.conns = nil
}

func (q *quiet) add(c net.Conn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over {
		_ = c.Close() // nobody is let in any more
		return
	}
	if q.conns == nil {
		q.conns = map[net.Conn]struct{}{}
	}
	q.conns[c] = struct{}{}
}

func (q *quiet) remove(c net.Conn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.conns, c)
}

type quietListener struct {
	net.Listener
	q *quiet
}

func (l *quietListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.q.add(c)
	if t, ok := c.(*tls.Conn); ok { // fasthttp finds its methods
		return &quietTLS{Conn: t, first: first{q: l.q, c: c}}, nil
	}
	return &quietConn{Conn: c, first: first{q: l.q, c: c}}, nil
}

// first notices the first byte.
type first struct {
	q    *quiet
	c    net.Conn
	came atomic.Bool
}

func (f *first) note(came bool) {
	if came && !f.came.Swap(true) {
		f.q.remove(f.c)
	}
}

// heard is err but for a connection that is closed, by end or by the client: fasthttp panics when a deadline can't be set.
// Whoever reads or writes next learns of it.
func heard(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

type quietConn struct {
	net.Conn
	first first
}

func (c *quietConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.first.note(n > 0)
	return n, err
}

func (c *quietConn) SetDeadline(t time.Time) error      { return heard(c.Conn.SetDeadline(t)) }
func (c *quietConn) SetReadDeadline(t time.Time) error  { return heard(c.Conn.SetReadDeadline(t)) }
func (c *quietConn) SetWriteDeadline(t time.Time) error { return heard(c.Conn.SetWriteDeadline(t)) }

func (c *quietConn) Close() error {
	c.first.note(true)
	return c.Conn.Close()
}

type quietTLS struct {
	*tls.Conn
	first first
}

func (c *quietTLS) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.first.note(n > 0)
	return n, err
}

func (c *quietTLS) SetDeadline(t time.Time) error      { return heard(c.Conn.SetDeadline(t)) }
func (c *quietTLS) SetReadDeadline(t time.Time) error  { return heard(c.Conn.SetReadDeadline(t)) }
func (c *quietTLS) SetWriteDeadline(t time.Time) error { return heard(c.Conn.SetWriteDeadline(t)) }

func (c *quietTLS) Close() error {
	c.first.note(true)
	return c.Conn.Close()
}
