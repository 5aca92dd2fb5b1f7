package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/services/api/internal/feed"
)

const (
	mediaEvents = "text/event-stream"
	lastEventID = "Last-Event-ID" // sent by clients that come back
	fromNow     = "now"

	heartbeat     = 15 * time.Second
	writeTime     = 20 * time.Second // within which a client must take what is sent; then it is cut off, and may come back
	lastWriteTime = time.Second      // the same when the server stops
	storeRest     = time.Second      // after a read that failed
)

// events answers with a stream of what changes (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (s *server) events(r *request) error {
	after, err := r.eventToken()
	if err != nil {
		return err
	}
	var only []string
	for _, v := range r.Request().URI().QueryArgs().PeekMulti("connector") {
		if !utf8.Valid(v) {
			return badValue("connector", string(v), "the name of a connector")
		}
		only = append(only, string(v))
	}
	stream, err := s.herder.Watch(r.ctx, after)
	if err != nil {
		if cluster.Is(err, cluster.Busy) {
			r.Set(fiber.HeaderRetryAfter, "10")
		}
		return err
	}
	r.Set(fiber.HeaderContentType, mediaEvents)
	r.Set(fiber.HeaderCacheControl, "no-cache")
	r.Set("X-Accel-Buffering", "no") // proxies must pass on what comes
	if r.Method() == http.MethodHead {
		stream.Close()
		return nil
	}
	r.Context().SetConnectionClose() // it ends with the server, or not at all
	w := &eventWriter{server: s, stream: stream, conn: r.Context().Conn(), only: only, id: r.id}
	r.Context().SetBodyStreamWriter(w.run)
	return nil
}

// eventToken is where a client wants to begin; nil for now.
func (r *request) eventToken() (*cluster.EventToken, error) {
	name, text := lastEventID, r.Get(lastEventID)
	if text == "" {
		if name, text = "after", r.argument("after", fromNow); text == fromNow {
			return nil, nil
		}
	}
	t, err := cluster.ParseEventToken(text)
	if err != nil {
		return nil, badValue(name, text, `"now", or the id of an event as it was sent`)
	}
	return &t, nil
}

// eventWriter writes a stream until the client leaves, can't follow, or the server stops. It runs after its request has been
// handled, in a goroutine of its own.
type eventWriter struct {
	server *server
	stream *feed.Stream
	conn   net.Conn
	only   []string // connectors; none = all
	id     string   // of the request
}

func (e *eventWriter) run(w *bufio.Writer) {
	m := e.server.metrics
	m.streams.Inc()
	defer m.streams.Dec()
	defer e.stream.Close()
	defer func() { // it must not take the process with it
		if p := recover(); p != nil {
			e.server.log.Error("panic while streaming events", slog.String(obs.KeyRequestID, e.id), slog.Any("panic", p))
		}
	}()
	defer context.AfterFunc(e.server.streaming, func() { _ = e.hurry() })() // also if a write is under way
	// At once, so that a client has a place to come back to before anything has happened.
	_, _ = fmt.Fprintf(w, "retry: 1000\nid: %s\n\n", e.stream.At()) // send tells of errors
	var events []cluster.Event
	for e.send(w, events) == nil {
		var err error
		events, err = e.next()
		switch {
		case e.server.streaming.Err() != nil:
			return
		case cluster.Is(err, cluster.Timeout):
			// With the place that was reached: who watches a quiet connector must not fall behind the rest.
			_, _ = fmt.Fprintf(w, ": nothing new\nid: %s\n\n", e.stream.At())
		case cluster.Is(err, cluster.Gone):
			m.cut.WithLabelValues("behind").Inc() // it is told so when it comes back
			return
		case err != nil: // the database is away: the client waits as if nothing happened
			e.server.log.Debug("events can't be read", slog.String(obs.KeyRequestID, e.id), slog.Any(obs.KeyErr, err))
			sleep.For(e.server.streaming, storeRest)
		}
	}
	if e.server.streaming.Err() == nil {
		m.cut.WithLabelValues("left").Inc()
	}
}

// hurry says until when what is being written must have been taken.
func (e *eventWriter) hurry() error {
	d := e.server.writeTime
	if e.server.streaming.Err() != nil {
		d = min(d, lastWriteTime)
	}
	return e.conn.SetWriteDeadline(time.Now().Add(d))
}

// send writes events and what else waits to be sent. A client that does not take it in time is cut off: what waits here is
// bounded.
func (e *eventWriter) send(w *bufio.Writer, events []cluster.Event) error {
	if err := e.hurry(); err != nil {
		return err
	}
	for _, ev := range events {
		if len(e.only) > 0 && !slices.Contains(e.only, ev.Connector) {
			continue
		}
		if err := writeEvent(w, ev); err != nil {
			return err
		}
		e.server.metrics.events.Inc()
	}
	if w.Buffered() == 0 {
		return nil
	}
	return w.Flush()
}

// next waits for events, until it is time for a sign of life.
func (e *eventWriter) next() ([]cluster.Event, error) {
	ctx, cancel := context.WithTimeout(e.server.streaming, e.server.heartbeat)
	defer cancel()
	return e.stream.Next(ctx)
}

// eventView is the data of an event.
type eventView struct {
	cluster.Event
	Time time.Time `json:"time"`
}

func writeEvent(w *bufio.Writer, ev cluster.Event) error {
	data, err := json.Marshal(eventView{ev, ev.At.UTC()})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "id: %s\nevent: %s\ndata: %s\n\n", ev.Token(), ev.Type, data)
	return err
}
