package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
)

const (
	headerKey      = "Idempotency-Key"
	headerReplayed = "Idempotent-Replayed"

	maxKey     = 255
	recordTime = 5 * time.Second // for what is recorded after the change
)

// keyed is a request with an Idempotency-Key on a route that knows it.
//
// The answer to a change is stored with the change (cluster.Once has the why), so that wherever a process dies, a repetition
// either finds the answer or finds that nothing was done. What is recorded here, behind the change, are answers that a crash
// may lose without harm: refusals, which a repetition finds again; the end of a restart, until which a preliminary answer
// stands; and the list of a bulk request, whose items have keys of their own.
type keyed struct {
	cluster.Once
	answer     *cluster.Answer // as it was last worded for a transaction
	unfinished bool            // a repetition has something left to do
}

// parseKey reads the key; "" when the request has none.
func (r *request) parseKey() (string, error) {
	value := r.header(headerKey)
	if value == nil {
		return "", nil
	}
	ok := len(*value) > 0 && len(*value) <= maxKey
	for _, c := range []byte(*value) {
		ok = ok && c >= ' ' && c <= '~'
	}
	if !ok {
		return "", cluster.Errorf(cluster.Invalid, "%s has the value %.100q, and must have 1 to %d printable ASCII characters; a UUID is a good key", headerKey, *value, maxKey)
	}
	return *value, nil
}

// digest is of everything that makes a request the one it is.
func (r *request) digest() [sha256.Size]byte {
	h := sha256.New()
	field := func(b []byte) {
		h.Write(binary.AppendUvarint(nil, uint64(len(b))))
		h.Write(b)
	}
	field([]byte(r.user))
	field([]byte(r.Method()))
	field(r.Request().URI().PathOriginal())
	field(r.Request().URI().QueryString())
	for _, name := range []string{fiber.HeaderIfMatch, fiber.HeaderIfNoneMatch} {
		if value := r.header(name); value != nil {
			field([]byte(*value))
		} else {
			field(nil)
		}
	}
	field(r.BodyRaw())
	return [sha256.Size]byte(h.Sum(nil))
}

// once calls a handler, unless the request was answered before; then that answer comes again.
func (s *server) once(r *request, handle handler) error {
	key, err := r.parseKey()
	if err != nil {
		return err
	}
	if key == "" {
		return handle(s, r)
	}
	r.key = &keyed{Once: cluster.Once{Key: key, Digest: r.digest()}}
	if err := s.herder.CheckKey(r.ctx, r.key.Once); err != nil {
		return r.replay(err)
	}
	err = handle(s, r)
	final, record := s.final(r, err)
	if !record {
		return r.replay(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), recordTime)
	defer cancel()
	o := r.key.Once
	o.Pending = o.Pending && r.key.answer != nil
	switch other := s.herder.RecordAnswer(ctx, o, final); {
	case other == nil:
		return err
	case sameAnswer(other, final): // stored with the change
		return err
	case isRecorded(other): // one that came at the same time was first
		return r.replay(other)
	default:
		s.log.Warn("the answer to a request with a key was not recorded: repeated, it may be answered otherwise", slog.String(obs.KeyRequestID, r.id), slog.Any(obs.KeyErr, other))
		return err
	}
}

// final is the answer that is to be recorded after the handler has ended, if there is one. What may pass by itself is not
// recorded: the request is there to be repeated.
func (s *server) final(r *request, err error) (a cluster.Answer, record bool) {
	if err == nil {
		return r.sent, (r.key.answer == nil || r.key.Pending) && !r.key.unfinished
	}
	// With Failed after a change, a restart was made and did not help.
	if lasting(err) || cluster.Is(err, cluster.Failed) && r.key.answer != nil {
		return s.refusal(r, err), true
	}
	return a, false
}

// lasting tells whether a request failed for a reason that lies in the request and in what it met, and not in how things are
// going at the moment.
func lasting(err error) bool {
	switch cluster.CodeOf(err) {
	case cluster.NotFound, cluster.AlreadyExists, cluster.Invalid, cluster.Forbidden, cluster.PreconditionFailed:
		return true
	default:
		return false
	}
}

func isRecorded(err error) bool {
	_, ok := errors.AsType[*cluster.Recorded](err)
	return ok
}

func sameAnswer(err error, a cluster.Answer) bool {
	was, ok := errors.AsType[*cluster.Recorded](err)
	return ok && was.Answer.Status == a.Status && bytes.Equal(was.Answer.Body, a.Body)
}

// replay answers with what was recorded; other errors are given back.
func (r *request) replay(err error) error {
	was, ok := errors.AsType[*cluster.Recorded](err)
	if !ok {
		return err
	}
	r.Response().Header.Del("Millrace-Delivery") // of an attempt that came second
	r.Set(headerReplayed, "true")
	return r.send(was.Answer)
}

// by is who asks for a change, and on which terms. answer words the answer to the change, to be stored with it if the request
// has a key; nil for changes that can be repeated without harm.
func (r *request) by(answer func(cluster.Outcome) cluster.Answer) cluster.Author {
	by := cluster.Author{Actor: r.user, RequestID: r.id, Terms: cluster.Terms{If: r.condition}}
	if r.key != nil && answer != nil {
		o := r.key.Once
		o.Answer = func(out cluster.Outcome) cluster.Answer {
			a := answer(out)
			r.key.answer = &a
			return a
		}
		by.Once = &o
	}
	return by
}

// done answers a change: with what was stored with it, if it was. delivered tells that the schedulers were told; if not they
// find out by looking (NO-2).
func (r *request) done(a cluster.Answer, delivered bool) error {
	if r.key != nil && r.key.answer != nil && !r.key.Pending {
		a = *r.key.answer
	}
	r.delivery(delivered)
	return r.send(a)
}

// send writes an answer.
func (r *request) send(a cluster.Answer) error {
	r.sent = a
	for name, value := range a.Header {
		r.Set(name, value)
	}
	r.Status(a.Status)
	if len(a.Body) == 0 {
		r.Response().Header.SetNoDefaultContentType(true)
		r.Response().Header.Del(fiber.HeaderContentType)
		r.Response().ResetBody()
		return nil
	}
	r.Set(fiber.HeaderContentType, fiber.MIMEApplicationJSON)
	return r.Send(a.Body)
}

// always is an answer that does not depend on what was done.
func always(status int) func(cluster.Outcome) cluster.Answer {
	return func(cluster.Outcome) cluster.Answer { return cluster.Answer{Status: status} }
}

// retryAfter is what a client waits before it repeats a request whose first answer is not there yet.
const retryAfter = "1"

// refusal words an error.
func (s *server) refusal(r *request, err error) cluster.Answer {
	e, logged := answer(err, r.id)
	if logged {
		s.log.Error("request failed", slog.String(obs.KeyRequestID, r.id), slog.String("method", r.Method()), slog.Any(obs.KeyErr, err))
	}
	a := worded(e.Code, e)
	if cluster.Is(err, cluster.InProgress) {
		a.Header = map[string]string{fiber.HeaderRetryAfter: retryAfter}
	}
	return a
}

// worded is an answer with JSON.
func worded(status int, v any) cluster.Answer {
	body, err := encode(v)
	if err != nil { // our own structs of strings and numbers always encode
		return cluster.Answer{Status: http.StatusInternalServerError, Body: []byte(`{"error_code":500,"message":"Internal error"}`)}
	}
	return cluster.Answer{Status: status, Body: body}
}
