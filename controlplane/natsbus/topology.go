package natsbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// Every subject begins with one of these. What follows is the wire.Address.
//
//	millrace.queue.commands        stream COMMANDS   api → any scheduler
//	millrace.queue.reports         stream REPORTS    runner → any scheduler
//	millrace.queue.runner.SESSION  stream RUNNERS    scheduler → that session
//	millrace.aside.FAMILY          stream SET_ASIDE  messages nobody can read, for people
//	millrace.call.ENDPOINT         core NATS, queue group: scheduler, call.SESSION, validate.CLASS, offsets.CLASS
//	millrace.topic.TOPIC           core NATS: events, wakes, loglevels
const (
	queuePrefix = "millrace.queue."
	asidePrefix = "millrace.aside."
	callPrefix  = "millrace.call."
	topicPrefix = "millrace.topic."

	commandsStream = "MILLRACE_COMMANDS"
	reportsStream  = "MILLRACE_REPORTS"
	runnersStream  = "MILLRACE_RUNNERS"
	asideStream    = "MILLRACE_SET_ASIDE"

	// callGroup: one of those that serve an endpoint gets each request.
	callGroup = "servers"
)

const (
	// hintAge is when a waiting message is dropped. Whoever should have had it has polled the truth many times by then
	// (every few seconds), so that after a long outage there is nothing old to replay.
	hintAge = 2 * time.Minute
	// remembered is for how long a repeated message is recognised. The relay repeats within seconds. At most hintAge.
	remembered = time.Minute
	// maxMessage is the server's default limit. It counts after messages are packed.
	maxMessage = 1 << 20

	// ackWait is when a message whose holder died is offered to another; the server takes up to twice as long to notice. A
	// handler that takes longer says so in time.
	ackWait = 10 * time.Second
	// ackPending bounds what all consumers of a queue hold at once.
	ackPending = 512
	// prefetch is what one Consume call holds: enough to not wait for the network, few enough to bound the memory of a
	// stuck one (8 MiB) and what waits behind it while others are idle.
	prefetch = 8
	// sessionGone is when the server drops the consumer of a session that has stopped asking. Its messages have aged out
	// before, so nothing is lost that a late return could use.
	sessionGone = 5 * time.Minute

	// A pull is renewed every pullExpiry; a consumer that vanished silently is noticed after 2 * pullBeat.
	pullExpiry = 30 * time.Second
	pullBeat   = time.Second
)

// streams is every stream. All are on file so that a restarted server still has them, with old messages dropped first
// when full: a newer hint says at least as much. Queues keep a message until it is acknowledged (work queue).
func streams(replicas int) []jetstream.StreamConfig {
	queue := jetstream.StreamConfig{
		Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardOld, Storage: jetstream.FileStorage, Replicas: max(replicas, 1),
		MaxAge: hintAge, Duplicates: remembered, MaxMsgSize: maxMessage, MaxConsumers: -1,
	}
	commands, reports, runners, aside := queue, queue, queue, queue

	commands.Name, commands.Subjects = commandsStream, []string{queuePrefix + string(wire.Commands)}
	commands.Description = "Millrace: wanted states changed, look"
	commands.MaxMsgs, commands.MaxBytes = 20_000, 16<<20 // tiny messages; the scheduler's poll finds what is dropped

	reports.Name, reports.Subjects = reportsStream, []string{queuePrefix + string(wire.Reports)}
	reports.Description = "Millrace: statuses, task configs and used topics from runners"
	reports.MaxMsgs, reports.MaxBytes = 50_000, 128<<20 // traces and task configs; a runner sends again what the store lacks

	runners.Name, runners.Subjects = runnersStream, []string{queuePrefix + "runner.*"}
	runners.Description = "Millrace: assignments and releases, one subject per session"
	runners.MaxMsgs, runners.MaxBytes = 100_000, 256<<20 // a whole fleet's jobs, several times over
	runners.MaxMsgsPerSubject = 5_000                    // one dead session can't push out the others'; a heartbeat heals

	aside.Name, aside.Subjects = asideStream, []string{asidePrefix + "*"}
	aside.Description = "Millrace: messages that can't be read, with the reason, for people"
	aside.Retention = jetstream.LimitsPolicy
	aside.MaxAge, aside.MaxMsgs, aside.MaxBytes = 24*time.Hour, 1_000, 32<<20

	return []jetstream.StreamConfig{commands, reports, runners, aside}
}

// queue is where a queued address lives.
type queue struct {
	address wire.Address
	family  string
	stream  string
	subject string
}

func queueOf(a wire.Address) (queue, error) {
	q := queue{address: a, family: a.Family(), subject: queuePrefix + string(a)}
	if a.Role() != wire.Queue {
		return q, cluster.Errorf(cluster.Invalid, "address %q is not a queue", string(a))
	}
	switch a {
	case wire.Commands:
		q.stream = commandsStream
	case wire.Reports:
		q.stream = reportsStream
	default:
		q.stream = runnersStream
	}
	return q, nil
}

// ofSession tells whether the queue belongs to one session and ends with it.
func (q queue) ofSession() bool { return q.stream == runnersStream }

// consumerConfig is the one consumer of a queue, which all who consume it share. It is durable, so that its name says
// whose it is and two who make it at once make the same. There is no limit of deliveries: a message that keeps failing
// waits for growing pauses, and hintAge ends it; a limit would leave it in the stream unseen instead.
func consumerConfig(q queue) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable: q.consumerName(), FilterSubject: q.subject, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait: ackWait, MaxDeliver: -1, MaxAckPending: ackPending,
	}
	if q.ofSession() {
		c.InactiveThreshold = sessionGone
	}
	return c
}

func (q queue) consumerName() string {
	if q.ofSession() {
		return string(q.address[len("runner."):])
	}
	return string(q.address)
}

// keep makes the streams whenever the connection comes up, so that the first message does not have to.
func (b *Bus) keep() {
	for {
		select {
		case <-b.taking.Done():
			return
		case <-b.lookUp:
		}
		for n := 0; ; n++ {
			err := b.makeStreams(b.taking)
			if err == nil || b.taking.Err() != nil {
				break
			}
			if n == 0 {
				b.log.Warn("message streams can't be made yet, will try again", slog.Any("err", err))
			}
			select {
			case <-b.taking.Done():
				return
			case <-b.lookUp:
			case <-time.After(reconnectDelay(n)):
			}
		}
	}
}

func (b *Bus) makeStreams(ctx context.Context) error {
	var errs []error
	for _, cfg := range streams(b.replicas) {
		errs = append(errs, b.makeStream(ctx, cfg.Name))
	}
	return errors.Join(errs...)
}

// makeStream makes a stream, or changes it to what it should be. One at a time per bus; who comes later finds it made.
func (b *Bus) makeStream(ctx context.Context, name string) error {
	ctx, cancel, err := b.linked(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	select {
	case b.making <- struct{}{}:
		defer func() { <-b.making }()
	case <-ctx.Done():
		return errAway()
	}
	var want jetstream.StreamConfig
	for _, cfg := range streams(b.replicas) {
		if cfg.Name == name {
			want = cfg
		}
	}
	_, err = b.js.Stream(ctx, name)
	missing := errors.Is(err, jetstream.ErrStreamNotFound)
	if err != nil && !missing {
		return fmt.Errorf("reading stream %s: %w", name, err)
	}
	made, err := b.js.CreateStream(ctx, want)
	switch {
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return b.changeStream(ctx, want)
	case err != nil:
		return fmt.Errorf("making stream %s: %w", name, err)
	}
	if missing {
		if info := made.CachedInfo(); info.State.LastSeq > 0 && info.State.LastTime.Before(info.Created) {
			// It stands on files of its predecessor, which the server is about to remove.
			if err := b.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				return fmt.Errorf("making stream %s: %w", name, err)
			}
			return fmt.Errorf("making stream %s: %w", name, errStillDeleting)
		}
		b.log.Info("message stream made", slog.String("stream", name))
		b.metrics.streamsMade.WithLabelValues(name).Inc()
		b.consumersLook(name)
	}
	return nil
}

// changeStream brings a stream of another version, or with other replicas, to what this version wants.
func (b *Bus) changeStream(ctx context.Context, want jetstream.StreamConfig) error {
	s, err := b.js.Stream(ctx, want.Name)
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", want.Name, err)
	}
	if b.replicas == 0 {
		want.Replicas = s.CachedInfo().Config.Replicas
	}
	if _, err := b.js.UpdateStream(ctx, want); err != nil {
		return fmt.Errorf("changing stream %s: %w", want.Name, err)
	}
	return nil
}
