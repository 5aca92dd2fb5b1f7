package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/services/api/internal/herder"
	"github.com/millrace/millrace/services/api/internal/restconfig"
)

const (
	maxBody        = 16 << 20
	maxHeader      = 64 << 10         // request line and headers: names may be long
	requestTimeout = 90 * time.Second // as in Kafka Connect
	readTimeout    = 30 * time.Second
	idleTimeout    = 2 * time.Minute
)

// Options are what a Server is made of.
type Options struct {
	Herder  *herder.Herder // nil: the server says that it is starting, until Start
	Logger  *slog.Logger
	Metrics *Metrics // nil = none

	Serves  Serves
	CORS    *restconfig.CORS        // nil: off
	Headers []restconfig.HeaderRule // of every answer
	Users   *restconfig.Users       // nil: nobody has to log in

	Heartbeat time.Duration // of streams that have nothing to tell; 15 s when 0
	WriteTime time.Duration // within which a client must take what is streamed; 20 s when 0
}

// Server serves the routes.
type Server struct {
	app        *fiber.App
	inner      *server
	quiet      quiet
	endStreams context.CancelFunc
}

// server is what handlers see.
type server struct {
	herder  *herder.Herder // there once started is true
	started atomic.Bool
	log     *slog.Logger
	metrics *Metrics
	table   table
	cors    *restconfig.CORS
	headers []restconfig.HeaderRule
	users   *restconfig.Users

	document func() ([]byte, error) // in the OpenAPI form

	streaming            context.Context //nolint:containedctx // ends with the server, and all streams with it
	heartbeat, writeTime time.Duration
}

// handler answers one route. Its error becomes the answer.
type handler func(s *server, r *request) error

// New makes a server; Serve starts it.
func New(o Options) *Server {
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	s := &server{document: sync.OnceValues(func() ([]byte, error) { return document(Routes()) }), log: o.Logger, metrics: o.Metrics, table: newTable(o.Serves.routes()),
		cors: o.CORS, headers: o.Headers, users: o.Users, heartbeat: cmp.Or(o.Heartbeat, heartbeat), writeTime: cmp.Or(o.WriteTime, writeTime)}
	var endStreams context.CancelFunc
	s.streaming, endStreams = context.WithCancel(context.Background())
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		Immutable:             true, // strings outlive the request's buffers
		BodyLimit:             maxBody,
		CaseSensitive:         true,
		StrictRouting:         true,
		ReadTimeout:           readTimeout,
		IdleTimeout:           idleTimeout,
		ReadBufferSize:        maxHeader,

		DisablePreParseMultipartForm: true, // refused by its media type
		ServerHeader:                 "",
		RequestMethods: append(fiber.DefaultMethods[:len(fiber.DefaultMethods):len(fiber.DefaultMethods)],
			"get", "post", "put", "delete", "PROPFIND", "LINK", "UNLINK", "PURGE"), // so that refusing them is ours
		ErrorHandler: func(c *fiber.Ctx, err error) error { // what Fiber itself refuses
			code := http.StatusInternalServerError
			if fe, ok := err.(*fiber.Error); ok { //nolint:errorlint // Fiber's own, never wrapped
				code = fe.Code
			}
			return write(c, code, envelope{code, statusError(code).Error()})
		},
	})
	app.Use(s.serve)
	server := &Server{app: app, inner: s, endStreams: endStreams}
	if o.Herder != nil {
		server.Start(o.Herder)
	}
	return server
}

// Start lets requests through to the herder. It is called once.
func (s *Server) Start(h *herder.Herder) {
	s.inner.herder = h
	s.inner.started.Store(true)
}

// Serve serves on a listener until Shutdown; then it returns nil. It may be called for several.
func (s *Server) Serve(ln net.Listener) error { return s.app.Listener(s.quiet.watch(ln)) }

// Shutdown stops taking requests and waits for those that are running, until ctx ends. Streams end at once.
func (s *Server) Shutdown(ctx context.Context) error {
	s.endStreams()
	s.quiet.end()
	return s.app.ShutdownWithContext(ctx)
}

// request is one request on its way through a handler.
type request struct {
	*fiber.Ctx
	ctx    context.Context //nolint:containedctx // the request's own deadline
	id     string
	params []string
	user   string // who has logged in; "" without a login

	condition cluster.Precondition // of a write
	key       *keyed               // nil without a key, or where none is looked at
	sent      cluster.Answer       // what was last sent
}

// requestID is unlike any other. Nothing rests on that nobody can guess it, so that the fast generator will do.
func requestID() string {
	var id uuid.UUID
	binary.LittleEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // see above
	binary.LittleEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // see above
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80      // of version 4
	return id.String()
}

// serve finds the route, negotiates, and calls the handler, in the order of Kafka Connect's checks.
func (s *server) serve(c *fiber.Ctx) (err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	r := &request{Ctx: c, ctx: ctx, id: requestID()}
	c.Set("X-Request-Id", r.id)
	s.decorate(r)
	pattern := "unknown"
	defer func() {
		if p := recover(); p != nil { // one bad request must not take the process with it
			s.log.Error("panic while answering", slog.String(obs.KeyRequestID, r.id), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = s.fail(r, fmt.Errorf("panic: %v", p))
		}
		s.metrics.answered(c.Method(), pattern, c.Response().StatusCode(), time.Since(began))
	}()
	m, err := s.route(r)
	if m.route != nil {
		pattern = m.route.Pattern
	}
	if err != nil {
		return s.fail(r, err)
	}
	if !s.admit(r, m.route) {
		return r.unauthorized()
	}
	if m.route == nil { // OPTIONS
		r.Set(fiber.HeaderContentType, "text/plain")
		return r.SendString(strings.Join(m.allowed, ", "))
	}
	if taskBad(m.route, m.params) {
		return s.fail(r, statusError(http.StatusNotFound))
	}
	r.params = m.params
	if !s.started.Load() {
		return s.starting(r, m.route)
	}
	if err := s.handle(r, m.route); err != nil {
		return s.fail(r, err)
	}
	if c.Method() == http.MethodHead {
		c.Response().SkipBody = true
	}
	return nil
}

// matched is what a request asks for.
type matched struct {
	route   *tableRoute // nil for OPTIONS
	params  []string
	allowed []string // methods of the path
}

// route finds the route of a request.
func (s *server) route(r *request) (m matched, err error) {
	found, params, bad := s.table.find(string(r.Request().URI().PathOriginal()))
	if bad || len(r.Request().Host()) == 0 {
		return m, statusError(http.StatusBadRequest)
	}
	if found == nil {
		return m, statusError(http.StatusNotFound)
	}
	m.params = params
	m.route, m.allowed = found.pick(r.Method()), found.allowed
	if r.Method() == http.MethodOptions || m.route == nil {
		r.Set(fiber.HeaderAllow, strings.Join(m.allowed, ","))
	}
	if r.Method() == http.MethodOptions {
		return m, nil
	}
	if m.route == nil {
		return m, statusError(http.StatusMethodNotAllowed)
	}
	contentType := r.Request().Header.ContentType()
	given := len(contentType) > 0 || hasEmptyContentType(r.Request().Header.RawHeaders())
	refused, bad := unsupported(m.route, string(contentType), given, len(r.BodyRaw()) > 0)
	switch {
	case bad:
		return m, statusError(http.StatusBadRequest)
	case refused:
		return m, statusError(http.StatusUnsupportedMediaType)
	case !acceptable(r.Get(fiber.HeaderAccept), m.route.media):
		return m, statusError(http.StatusNotAcceptable)
	}
	return m, nil
}

// hasEmptyContentType looks for the header that the framework takes for none. It counts.
func hasEmptyContentType(raw []byte) bool {
	name := []byte("content-type:")
	for line := range bytes.Lines(raw) {
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], name) {
			return true
		}
	}
	return false
}

// handle calls a route's handler, with the terms of the request.
func (s *server) handle(r *request, route *tableRoute) (err error) {
	if route.Method != http.MethodGet {
		if r.condition, err = precondition(r.header(fiber.HeaderIfMatch), r.header(fiber.HeaderIfNoneMatch)); err != nil {
			return err
		}
	}
	if route.keyed {
		return s.once(r, route.handle)
	}
	return route.handle(s, r)
}

// fail answers with an error.
func (s *server) fail(r *request, err error) error {
	if err := r.send(s.refusal(r, err)); err != nil {
		return err
	}
	if r.Method() == http.MethodHead {
		r.Response().SkipBody = true
	}
	return nil
}

// encode writes JSON, without escaping <, > and &.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// write answers with JSON.
func write(c *fiber.Ctx, status int, v any) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return c.Status(status).Send(b)
}

func (r *request) json(v any) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	return r.send(cluster.Answer{Status: http.StatusOK, Body: b})
}

// delivery tells a client that its change takes effect a little later than usual.
func (r *request) delivery(delivered bool) {
	if !delivered {
		r.Set("Millrace-Delivery", "polling")
	}
}
