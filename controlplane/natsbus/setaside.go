package natsbus

import (
	"context"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers of a message that was set aside.
const (
	reasonHeader  = "Millrace-Reason"
	addressHeader = "Millrace-Address"
)

// setAside keeps a message that nobody can read where a person can look at it, and counts and logs it (Invariant 10).
// The log names id and reason, never the content, which may hold what logs must not. If even keeping it fails, the
// message is dropped: it must not block those behind it.
func (b *Bus) setAside(q queue, msg jetstream.Msg, reason string) {
	b.metrics.setAside.WithLabelValues(q.family).Inc()
	id := msg.Headers().Get(idHeader)
	short, _, _ := strings.Cut(reason, "\n")
	b.log.Error("message set aside", slog.String("queue", string(q.address)), slog.String("id", id), slog.String("reason", reason))

	m := &nats.Msg{Subject: asidePrefix + q.family, Data: msg.Data(),
		Header: nats.Header{reasonHeader: {short}, addressHeader: {string(q.address)}, idHeader: {id}}}
	ctx, cancel := context.WithTimeout(b.hard, apiTimeout)
	defer cancel()
	if err := b.store(ctx, asideStream, m); err != nil {
		b.log.Warn("message that was set aside is not kept", slog.String("queue", string(q.address)), slog.String("id", id), slog.Any("err", err))
	}
}
