// Package natsbus carries control plane messages over NATS: queues on JetStream, requests and broadcasts on core NATS. It
// is the only package that knows NATS; tests/conformance/bustest says what it promises, membus is its in-memory twin.
//
// Nothing lives only here (Invariant 1): streams are small, forget within minutes, and may be purged, deleted or lost with
// their server at any time. They are made again when the next message needs them, without the caller noticing.
//
// Start reading at Connect, then topology.go (every stream, subject and consumer with its limits and why), publish.go,
// consume.go and request.go.
package natsbus

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Options say where the bus is and who connects. Only URL is required.
type Options struct {
	// URL is one or more nats:// addresses, separated by commas.
	URL string
	// Name shows up in the server's list of connections and as the client label of the connected metric.
	Name string
	// NATSOptions are added to our own, for credentials, TLS, or nats.InProcessServer.
	NATSOptions []nats.Option
	// Creds is a file with credentials; "" for none.
	Creds string
	// Logger; nil logs nowhere.
	Logger *slog.Logger
	// Registerer of metrics; nil registers nowhere. Several buses of one process may share one.
	Registerer prometheus.Registerer
	// Replicas of each stream. 0 leaves existing streams as they are and makes new ones with 1.
	Replicas int
}

const (
	// dialTimeout bounds the first attempt, and so Connect when the server is away.
	dialTimeout = 2 * time.Second
	// A frozen server is noticed after pingEvery * (pingsLost + 1).
	pingEvery = 3 * time.Second
	pingsLost = 2
	// Attempts to reconnect never end. The pause between them grows within these bounds, give or take half, so that a
	// fleet does not come back in one instant.
	reconnectMin = 100 * time.Millisecond
	reconnectMax = 2 * time.Second
	// ackBuffer holds acknowledgements that are given while the connection is down; nothing else is sent then.
	ackBuffer = 256 << 10
	// awayEvery is how often the log says that the bus is still away for the same reason.
	awayEvery = time.Minute
	// apiTimeout bounds calls that manage streams and consumers.
	apiTimeout = 3 * time.Second
	// flushTimeout bounds waiting for the server to have seen a subscription, or the last acknowledgements.
	flushTimeout = time.Second
)

// Bus is a connection. It implements bustest.Bus.
type Bus struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	log      *slog.Logger
	metrics  *metrics
	name     string
	replicas int

	taking context.Context // ends when Close begins: nothing new is taken
	stop   context.CancelFunc
	hard   context.Context // ends when Close's time is over: running handlers are told to give up
	abort  context.CancelFunc

	making chan struct{} // a token: whoever holds it makes streams
	lookUp chan struct{} // wakes keep

	mu       sync.Mutex
	closed   bool
	up       time.Time                // since when connected; zero when down
	link     context.Context          // ends when the connection breaks
	cut      context.CancelFunc       // ends link
	changed  map[string]chan struct{} // by stream; closed when its consumers should look whether theirs still exist
	away     string                   // why the last attempt failed, as last told
	awayTold time.Time
	serving  map[*service]struct{}
	running  sync.WaitGroup // Consume calls and keep
}

// Connect connects to the bus. It does not fail when the server is away: the bus then connects in the background, and
// again whenever the connection is lost, for ever. ctx is only asked whether to begin. Errors are mistakes in Options.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	if err := ctx.Err(); err != nil {
		return nil, cluster.Wrapf(cluster.Unavailable, err, "connecting to the message bus")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	b := &Bus{
		log: o.Logger, metrics: m, name: o.Name, replicas: o.Replicas,
		making: make(chan struct{}, 1), lookUp: make(chan struct{}, 1), changed: map[string]chan struct{}{}, serving: map[*service]struct{}{},
	}
	b.taking, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	b.hard, b.abort = context.WithCancel(context.WithoutCancel(ctx))
	b.link, b.cut = context.WithCancel(b.hard)
	b.cut() // down until proven otherwise
	b.metrics.connected.WithLabelValues(b.name).Set(0)

	opts := append([]nats.Option{
		nats.Name(o.Name), nats.Timeout(dialTimeout), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(reconnectDelay), nats.PingInterval(pingEvery), nats.MaxPingsOutstanding(pingsLost), nats.ReconnectBufSize(ackBuffer),
		nats.ConnectHandler(b.onUp), nats.ReconnectHandler(b.onUp), nats.DisconnectErrHandler(b.onDown), nats.ErrorHandler(b.onError),
		nats.ReconnectErrHandler(b.onRetry),
	}, o.NATSOptions...)
	if o.Creds != "" {
		opts = append(opts, nats.UserCredentials(o.Creds))
	}
	if b.nc, err = nats.Connect(o.URL, opts...); err != nil {
		b.stop()
		b.abort()
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // it shows the whole URL
		}
		return nil, cluster.Wrapf(cluster.Invalid, err, "the message bus can't be used at %q", withoutLogin(o.URL))
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithDefaultTimeout(apiTimeout)); err != nil {
		b.nc.Close()
		return nil, cluster.Wrapf(cluster.Invalid, err, "the message bus can't be used")
	}
	if b.nc.IsConnected() {
		b.onUp(b.nc) // the library says it a little later, too
	} else {
		b.log.Warn("message bus is away, will connect when it is back", slog.Any("err", b.nc.LastError()))
	}
	b.running.Go(b.keep)
	return b, nil
}

// withoutLogin is a list of URLs as people may see it.
func withoutLogin(urls string) string {
	all := strings.Split(urls, ",")
	for i, u := range all {
		if at := strings.LastIndex(u, "@"); at >= 0 {
			scheme, _, found := strings.Cut(u[:at], "://")
			if all[i] = u[at+1:]; found {
				all[i] = strings.TrimSpace(scheme) + "://" + u[at+1:]
			}
		}
	}
	return strings.Join(all, ",")
}

// reconnectDelay is the pause after the n-th round over all servers failed.
func reconnectDelay(n int) time.Duration {
	d := reconnectMin << min(n, 10)
	return min(d, reconnectMax)/2 + rand.N(min(d, reconnectMax))
}

// onUp begins a new link. It is also called twice for the first one.
func (b *Bus) onUp(*nats.Conn) {
	b.mu.Lock()
	begins := b.link.Err() != nil && !b.closed
	if begins {
		b.up = time.Now()
		b.link, b.cut = context.WithCancel(b.hard)
		b.log.Info("message bus connected")
	}
	b.mu.Unlock()
	if !begins {
		return
	}
	b.metrics.connected.WithLabelValues(b.name).Set(1)
	select {
	case b.lookUp <- struct{}{}:
	default:
	}
	for _, s := range streams(b.replicas) { // behind the same address may be another server
		b.consumersLook(s.Name)
	}
}

func (b *Bus) onDown(_ *nats.Conn, err error) {
	b.metrics.connected.WithLabelValues(b.name).Set(0)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut()
	if up := b.up; !up.IsZero() && !b.closed {
		b.log.Warn("message bus connection lost, will reconnect", slog.Any("err", err), slog.Int64("dur_ms", time.Since(up).Milliseconds()))
	}
	b.up = time.Time{}
}

// onRetry hears why an attempt to reconnect failed; it is told when it is another reason than before, and now and then.
func (b *Bus) onRetry(_ *nats.Conn, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if why := err.Error(); why != b.away || time.Since(b.awayTold) > awayEvery {
		b.away, b.awayTold = why, time.Now()
		b.log.Warn("message bus is still away", slog.Any("err", err))
	}
}

// onError hears what has no caller to tell, such as a subscription that fell behind.
func (b *Bus) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	if errors.Is(err, nats.ErrSlowConsumer) {
		b.metrics.fellBehind.Inc()
	}
	b.log.Warn("message bus error", slog.Any("err", err), slog.String("subject", subject))
}

// consumersLook makes every Consume of a stream look whether its consumer still exists.
func (b *Bus) consumersLook(stream string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.changed[stream]; c != nil {
		close(c)
		delete(b.changed, stream)
	}
}

// changes is closed by the next consumersLook.
func (b *Bus) changes(stream string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.changed[stream]
	if c == nil {
		c = make(chan struct{})
		b.changed[stream] = c
	}
	return c
}

// linked gives a child of ctx that also ends when the connection breaks, so that nobody waits for an answer that can't
// come; or an Unavailable error when it is down now.
func (b *Bus) linked(ctx context.Context) (context.Context, context.CancelFunc, error) {
	b.mu.Lock()
	link := b.link
	b.mu.Unlock()
	switch {
	case b.nc.IsClosed():
		return nil, nil, errClosed()
	case ctx.Err() != nil:
		return nil, nil, cluster.Wrapf(cluster.Unavailable, ctx.Err(), "no time left for the message bus")
	case link.Err() != nil || !b.nc.IsConnected():
		return nil, nil, errAway()
	}
	both, cancel := join(ctx, link)
	return both, cancel, nil
}

// join gives a child of ctx that also ends with other.
func join(ctx, other context.Context) (context.Context, context.CancelFunc) {
	both, cancel := context.WithCancel(ctx)
	unhook := context.AfterFunc(other, cancel)
	return both, func() { unhook(); cancel() }
}

func errAway() error { return cluster.Errorf(cluster.Unavailable, "the message bus is away") }

func errClosed() error {
	return cluster.Errorf(cluster.Unavailable, "the message bus connection is closed")
}

// Connected tells for how long the connection has been up without a break; 0 when it is down.
func (b *Bus) Connected() time.Duration {
	if !b.nc.IsConnected() {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.up.IsZero() {
		return 0
	}
	return max(time.Since(b.up), 1) // up in this very instant is not down
}

// Close ends the connection: first nothing new is taken, then running handlers finish and their answers are sent. When
// ctx ends before that, handlers are told to give up, and its error is returned. Safe to call twice.
func (b *Bus) Close(ctx context.Context) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	var services []*service
	for s := range b.serving {
		services = append(services, s)
	}
	b.mu.Unlock()

	b.stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var stopping sync.WaitGroup
		for _, s := range services {
			stopping.Go(s.stop)
		}
		stopping.Wait()
		b.running.Wait()
	}()
	var err error
	select {
	case <-done:
		flush, cancel := context.WithTimeout(ctx, flushTimeout)
		defer cancel()
		if b.nc.IsConnected() {
			if e := b.nc.FlushWithContext(flush); e != nil {
				b.log.Warn("last messages may not have reached the message bus", slog.Any("err", e))
			}
		}
	case <-ctx.Done():
		err = cluster.Wrapf(cluster.Timeout, ctx.Err(), "message handlers did not end in time")
	}
	b.abort()
	b.nc.Close()
	return err
}

// enter counts a running Consume in; false when the bus is closed.
func (b *Bus) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.running.Add(1)
	return true
}
