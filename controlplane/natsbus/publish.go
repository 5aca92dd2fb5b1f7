package natsbus

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/sleep"
)

// idHeader carries the publisher's id; Nats-Msg-Id is made of it.
const idHeader = "Millrace-Id"

// Publish puts a message into a queue and returns once the bus stored it. Errors have code Unavailable when ctx ends or
// the bus is away, which it tells at once; Invalid when the address is no queue or the message too large.
//
// A repetition is dropped for a minute. It is recognised by address, id and content: ids of two senders may meet, and a
// database that was restored may count the same ids again for other messages.
func (b *Bus) Publish(ctx context.Context, to wire.Address, id string, msg []byte) error {
	q, err := queueOf(to)
	if err != nil {
		return err
	}
	if err := b.publish(ctx, q, id, msg); err != nil {
		b.metrics.publishErrors.WithLabelValues(q.family).Inc()
		return err
	}
	b.metrics.published.WithLabelValues(q.family).Inc()
	return nil
}

func (b *Bus) publish(ctx context.Context, q queue, id string, msg []byte) error {
	packed := wire.Pack(msg)
	if len(packed) > maxMessage-(4<<10) { // headers count, too
		return cluster.Errorf(cluster.Invalid, "message for %s has %d bytes, more than the bus takes", q.address, len(packed))
	}
	ctx, cancel, err := b.linked(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	m := &nats.Msg{Subject: q.subject, Data: packed}
	if id != "" {
		m.Header = nats.Header{idHeader: {id}, jetstream.MsgIDHeader: {repetitionID(q.address, id, msg)}}
	}
	err = b.store(ctx, q.stream, m)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return cluster.Wrapf(cluster.Invalid, err, "message for %s has %d bytes, more than the bus takes", q.address, len(msg))
	case b.nc.IsClosed():
		return errClosed()
	}
	return cluster.Wrapf(cluster.Unavailable, err, "the message bus did not take a message for %s", q.address)
}

// ackWithin bounds waiting for one acknowledgement: a stream that is deleted while it takes a message never answers. A
// repetition is recognised, so asking again is harmless.
const ackWithin = time.Second

// store puts a message into a stream, again for up to apiTimeout when no answer comes. When the stream is gone, or
// JetStream is, it tries once to have it again; when it is deaf, it is replaced.
func (b *Bus) store(ctx context.Context, stream string, m *nats.Msg) error {
	ctx, cancelAll := context.WithTimeout(ctx, apiTimeout)
	defer cancelAll()
	for silent := 0; ; {
		err := b.ask(ctx, m)
		if errors.Is(err, jetstream.ErrNoStreamResponse) {
			// Making it may take longer than an acknowledgement.
			if err := b.makeStream(ctx, stream); err != nil {
				if beingDeleted(err) && sleep.For(ctx, stillDeleting) {
					continue
				}
				return err
			}
			err = b.ask(ctx, m)
		}
		if !errors.Is(err, errSilent) {
			return err
		}
		if silent++; silent%deafAfter == 0 {
			b.replaceDeaf(ctx, stream)
		}
	}
}

// errSilent: a stream did not answer though there was time left.
var errSilent = errors.New("no acknowledgement came")

// ask sends a message once and waits for the acknowledgement.
func (b *Bus) ask(ctx context.Context, m *nats.Msg) error {
	attempt, cancel := context.WithTimeout(ctx, ackWithin)
	defer cancel()
	_, err := b.js.PublishMsg(attempt, m, jetstream.WithRetryAttempts(0))
	if err != nil && attempt.Err() != nil && ctx.Err() == nil {
		return errSilent
	}
	return err
}

// deafAfter is how many messages in a row a stream may leave without an answer before it is looked at.
const deafAfter = 2

// replaceDeaf deletes a stream that exists and takes no messages, so that the next message makes it anew. The server can leave one behind when a stream is made
// while the last of that name is being deleted: the files of the new one are removed with the old one's. A server that is
// merely slow does not answer the question either, and a stream that another has just replaced is young. What the stream
// still holds is lost, which is no worse than what lost its predecessor.
func (b *Bus) replaceDeaf(ctx context.Context, stream string) {
	quick, cancel := context.WithTimeout(ctx, ackWithin/2)
	defer cancel()
	s, err := b.js.Stream(quick, stream)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound): // somebody else hears the subject
		_ = b.makeStream(ctx, stream) // the next message finds out why not
		return
	case err != nil:
		return
	}
	if info := s.CachedInfo(); info.TimeStamp.Sub(info.Created) < deafAfter*ackWithin {
		return
	}
	b.log.Warn("message stream takes no messages, will be made anew", slog.String("stream", stream))
	if err := b.js.DeleteStream(ctx, stream); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		b.log.Warn("message stream can't be deleted", slog.String("stream", stream), slog.Any("err", err))
	}
}

// stillDeleting is the pause before a stream is made again while the server has not finished deleting the old one.
const stillDeleting = 50 * time.Millisecond

var errStillDeleting = errors.New("the server still removes the last one of this name")

// beingDeleted tells whether a stream can't be made yet because the server still removes the files of the old one.
func beingDeleted(err error) bool {
	const storeFailed = 10049
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && e.ErrorCode == storeFailed || errors.Is(err, errStillDeleting)
}

// repetitionID is equal for two messages exactly when one repeats the other.
func repetitionID(a wire.Address, id string, msg []byte) string {
	h := fnv.New64a()
	_, _ = h.Write(msg) // a hash takes everything
	return fmt.Sprintf("%s/%s/%x", a, id, h.Sum64())
}

// Forget ends the queue of a session that nobody will consume any more: its messages and its consumer go. Unknown ones
// are no error. Shared queues are refused.
func (b *Bus) Forget(ctx context.Context, a wire.Address) error {
	q, err := queueOf(a)
	if err != nil {
		return err
	}
	if !q.ofSession() {
		return cluster.Errorf(cluster.Invalid, "queue %q is shared and can't be forgotten", string(a))
	}
	ctx, cancel, err := b.linked(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	gone := func(err error) bool {
		return err == nil || errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound)
	}
	if err := b.js.DeleteConsumer(ctx, q.stream, q.consumerName()); !gone(err) {
		return cluster.Wrapf(cluster.Unavailable, err, "forgetting queue %s", a)
	}
	s, err := b.js.Stream(ctx, q.stream)
	if err == nil {
		err = s.Purge(ctx, jetstream.WithPurgeSubject(q.subject))
	}
	if !gone(err) {
		return cluster.Wrapf(cluster.Unavailable, err, "forgetting queue %s", a)
	}
	return nil
}

// Broadcast tells whoever listens now; best effort. Unavailable when the bus is away.
func (b *Bus) Broadcast(topic wire.Address, msg []byte) error {
	if topic.Role() != wire.Topic {
		return cluster.Errorf(cluster.Invalid, "address %q is not a topic", string(topic))
	}
	_, cancel, err := b.linked(context.Background())
	if err == nil {
		cancel()
		if err = b.nc.Publish(topicPrefix+string(topic), wire.Pack(msg)); err != nil {
			err = cluster.Wrapf(cluster.Unavailable, err, "broadcasting to %s", topic)
		}
	}
	if err != nil {
		b.metrics.publishErrors.WithLabelValues(topic.Family()).Inc()
		return err
	}
	b.metrics.published.WithLabelValues(topic.Family()).Inc()
	return nil
}
