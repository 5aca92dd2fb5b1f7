// Package restdoor makes a runner's address a way to the whole REST API, so that a client that knows any member of the
// cluster, such as the address in a status' worker_id, works. Each connection is joined with one to an api process and carries
// the same bytes in both directions, TLS included: no request can be answered in another way than there.
package restdoor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/loopback"
	"github.com/millrace/millrace/internal/obs"
)

const (
	dialTime   = 2 * time.Second // for one api process
	answerTime = 5 * time.Second // for a client that is told that there is none
	maxConns   = 1024
)

// Options say where clients come in and where they are led.
type Options struct {
	Listen string   // host:port
	APIs   []string // host:port of the api processes; a name may stand for several
	Logger *slog.Logger
	// AllowAnonymous lets Listen be an address that other machines reach.
	AllowAnonymous bool
}

// Door is an open door. Close it.
type Door struct {
	o     Options
	ln    net.Listener
	next  atomic.Uint64 // api process that the next client is led to
	slots chan struct{} // one for each connection

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]struct{} // of clients
	wg     sync.WaitGroup
}

// Open listens and leads clients to the api processes until Close. Its errors carry an exit code.
func Open(ctx context.Context, o Options) (*Door, error) {
	if err := o.check(); err != nil {
		return nil, exitcode.Input(err)
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, exitcode.Missing(fmt.Errorf("listening for REST requests: %w", err))
	}
	d := &Door{o: o, ln: ln, slots: make(chan struct{}, maxConns), conns: map[net.Conn]struct{}{}}
	d.wg.Go(d.accept)
	return d, nil
}

func (o Options) check() error {
	host, _, err := net.SplitHostPort(o.Listen)
	switch {
	case err != nil:
		return fmt.Errorf("the address %q of the REST listener must be host:port: %w", o.Listen, err)
	case !o.AllowAnonymous && !loopback.Is(host):
		return fmt.Errorf("refusing to listen on %s: whoever reaches it may use the REST API as far as the api processes let anybody; "+
			"listen on 127.0.0.1, or say that this is wanted with -allow-anonymous", o.Listen)
	case len(o.APIs) == 0:
		return errors.New("a REST listener needs to know where the api processes are: -api-addresses")
	}
	for _, a := range o.APIs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("the address %q of an api process must be host:port: %w", a, err)
		}
	}
	return nil
}

// Addr is where it listens.
func (d *Door) Addr() string { return d.ln.Addr().String() }

// Close lets nobody in any more, waits until the clients have left or ctx ends, and shows out who is still there.
func (d *Door) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	err := d.ln.Close()
	done := make(chan struct{})
	go func() { d.wg.Wait(); close(done) }()
	select {
	case <-done:
		return err
	case <-ctx.Done():
	}
	d.mu.Lock()
	for c := range d.conns {
		_ = c.Close()
	}
	d.mu.Unlock()
	<-done
	return err
}

func (d *Door) accept() {
	pause := 5 * time.Millisecond
	for {
		conn, err := d.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, say; that passes
			d.o.Logger.Warn("a REST client could not be let in", slog.Any(obs.KeyErr, err))
			<-time.After(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			_ = conn.Close()
			return
		}
		d.conns[conn] = struct{}{}
		d.wg.Go(func() {
			d.serve(conn)
			d.mu.Lock()
			delete(d.conns, conn)
			d.mu.Unlock()
		})
		d.mu.Unlock()
	}
}

// serve leads one client to an api process.
func (d *Door) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	default:
		refuse(client, fmt.Sprintf("The REST API can't be reached from here: this runner leads %d clients already", maxConns))
		return
	}
	api, err := d.dial()
	if err != nil {
		d.o.Logger.Warn("no api process can be reached for a REST client", slog.Any(obs.KeyErr, err))
		refuse(client, "The REST API can't be reached from here: no api process answers at "+strings.Join(d.o.APIs, ", "))
		return
	}
	defer func() { _ = api.Close() }()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		pass(api, client)
	}()
	pass(client, api)
	// The api process has said its last word: what the client still sends, nobody would read.
	_ = client.Close()
	<-sent
}

// pass copies until the source ends, and lets the destination know.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if half, ok := to.(interface{ CloseWrite() error }); ok && err == nil {
		_ = half.CloseWrite()
		return
	}
	_ = to.Close()
}

// dial connects with the next api process that takes a connection.
func (d *Door) dial() (net.Conn, error) {
	var failed []error
	first := d.next.Add(1)
	dialer := net.Dialer{Timeout: dialTime}
	for i := range d.o.APIs {
		c, err := dialer.DialContext(context.Background(), "tcp", d.o.APIs[(int(first%uint64(len(d.o.APIs)))+i)%len(d.o.APIs)])
		if err == nil {
			return c, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// refuse answers a request with an error of the REST API's form.
func refuse(client net.Conn, message string) {
	_ = client.SetDeadline(time.Now().Add(answerTime))
	req, err := http.ReadRequest(bufio.NewReader(client))
	if err != nil {
		return // no HTTP, or nothing at all
	}
	body, err := json.Marshal(map[string]any{"error_code": http.StatusServiceUnavailable, "message": message})
	if err != nil {
		return
	}
	resp := http.Response{StatusCode: http.StatusServiceUnavailable, ProtoMajor: 1, ProtoMinor: 1, Request: req, Close: true, ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {"1"}}, Body: io.NopCloser(strings.NewReader(string(body)))}
	if resp.Write(client) != nil {
		return
	}
	if half, ok := client.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_, _ = io.CopyN(io.Discard, client, 32<<20) // what is still being sent would reset the connection before the answer is read
}
