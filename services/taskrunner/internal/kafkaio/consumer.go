package kafkaio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
)

// Handler is told about partitions as they come and go. It is called inside Poll, on the goroutine that polls, and may call
// every method of the consumer but Poll and Close. An error is returned by that Poll and by every later one.
type Handler interface {
	// Assigned is called before the first record of parts is read: Position tells where each starts, Seek moves that
	// start, Pause holds it.
	Assigned(parts []TopicPartition) error
	// Revoked is called while the partitions are still this member's: offsets can be committed.
	Revoked(parts []TopicPartition) error
	// Lost is called when they are another member's already.
	Lost(parts []TopicPartition) error
}

// ConsumerConfig says how a consumer is made.
type ConsumerConfig struct {
	Client Config
	Group  string
	// InstanceID makes the consumer a static member of its group: it fences an older member with the same id, and does
	// not leave the group when it is closed, so that a takeover moves no other member's partitions. Empty: dynamic.
	InstanceID string
	Rebalance  Handler // may be nil
	// OneByOne takes records out of the library one at a time, by its public interface: three to four times slower, and
	// the yardstick for the other way.
	OneByOne bool
	// MaxBytes ends a batch early: about so many bytes of keys and values are handed out at once; 0 = 16 MiB. With
	// queued.max.messages.kbytes (16 MiB) and what one fetch brings (fetch.max.bytes, 2 MiB, compressed) it bounds what a
	// consumer holds in memory.
	MaxBytes int
	Logger   *slog.Logger // nil: no log
}

// Consumer reads records as a member of a group (classic protocol). It belongs to one goroutine; only Wake and Close may be
// called from others. Calls after Close fail.
//
// Records are handed out in order per partition. After Seek, and after partitions were revoked, no record from before is
// handed out, also none that Poll had already taken.
type Consumer struct {
	*client
	k               *kafka.Consumer
	h               handle
	batches         *reader // nil: records come one by one
	group, instance string
	handler         Handler
	reset           string // auto.offset.reset
	cooperative     bool   // how partitions move
	maxAge          string // metadata.max.age.ms

	parts     map[TopicPartition]*part
	last      *part // the part of the newest record: records come in runs
	failed    error // what every Poll returns from now on
	maxBytes  int
	taken     []Record
	bytes     int // in taken
	stalled   time.Duration
	lastPoll  time.Time // when the last Poll ended
	memberID  string    // as of the last assignment
	maxPoll   time.Duration
	config    Config
	turned    bool            // a rebalance happened during this Poll
	polling   context.Context // of the Poll that runs; for handlers
	following *follower       // of a regex subscription; nil otherwise

	wake chan struct{}

	calls sync.WaitGroup // calls into the library: it must not be freed under them
	// Guarded by client.mu:
	completions []func()
	commits     []commitCall // waiting for their turn
	committing  bool         // a goroutine works on commits
	shutdown    bool

	closed chan struct{}
}

// part is an assigned partition.
type part struct {
	tp     TopicPartition
	next   int64 // the offset after the newest record handed out, or where reading starts; -1 when the library decides
	end    int64 // where reading last found nothing more; -1: not yet
	paused bool
	live   bool // the library knows that it is assigned
}

// reached notes that there was nothing more to read at an offset.
func (p *part) reached(end int64) {
	if p != nil {
		p.end = end
	}
}

// pollSlice is how long one call into the library lasts at most: the most that Wake and the end of a context are late.
const pollSlice = 50 * time.Millisecond

// NewConsumer makes a consumer; it joins its group when Subscribe was called, inside Poll. It does not wait for a broker. A
// configuration that librdkafka does not understand is a connecterr.Config error. Close it.
func NewConsumer(_ context.Context, cc ConsumerConfig) (*Consumer, error) {
	c := newClient(cc.Client, obs.Named(cc.Logger, obs.LogConsumer))
	special := kafka.ConfigMap{"group.id": cc.Group}
	if cc.InstanceID != "" {
		special["group.instance.id"] = cc.InstanceID
	}
	kc, err := kafka.NewConsumer(build(c, cc.Client, special, consumerForced, sharedDefaults, consumerDefaultsFor(cc.Client)))
	if err != nil {
		c.closeLogs()
		return nil, configError("consumer", cc.Client, err)
	}
	h, err := handleOf(kc)
	var batches *reader
	if err == nil && !cc.OneByOne {
		batches, err = newReader(h)
	}
	if err != nil {
		_ = kc.Close()
		c.closeLogs()
		return nil, err
	}
	maxPoll := 5 * time.Minute // max.poll.interval.ms
	if ms, err := strconv.Atoi(cc.Client["max.poll.interval.ms"]); err == nil {
		maxPoll = time.Duration(ms) * time.Millisecond
	}
	reset := cc.Client["auto.offset.reset"]
	if reset == "" {
		reset = consumerDefaults["auto.offset.reset"]
	}
	strategy := cmp.Or(cc.Client["partition.assignment.strategy"], consumerDefaults["partition.assignment.strategy"])
	return &Consumer{
		cooperative: strings.Contains(strategy, "cooperative"), // the library mixes none
		client:      c, k: kc, h: h, batches: batches, group: cc.Group, instance: cc.InstanceID, handler: cc.Rebalance, reset: reset,
		maxAge: cc.Client["metadata.max.age.ms"], maxBytes: cmp.Or(cc.MaxBytes, 16<<20),
		maxPoll: maxPoll, config: cc.Client,
		parts: map[TopicPartition]*part{}, wake: make(chan struct{}, 1), closed: make(chan struct{}),
	}, nil
}

// Subscribe asks for topics by name, or, when regex is not empty, for all topics whose whole name it matches, now and as
// topics come and go (looked at every metadata.max.age.ms).
func (c *Consumer) Subscribe(topics []string, regex string) error {
	if regex != "" {
		f, err := newFollower(c, regex)
		if err != nil {
			return err
		}
		c.following = f
		return nil
	}
	return c.subscribe(topics)
}

func (c *Consumer) subscribe(topics []string) error {
	if !c.enter() {
		return c.isClosed("subscribing")
	}
	defer c.calls.Done()
	err := c.k.SubscribeTopics(topics, func(_ *kafka.Consumer, ev kafka.Event) error {
		c.rebalance(ev)
		return nil
	})
	if err != nil {
		return c.classify("subscribing", err)
	}
	return nil
}

// Poll hands out records: up to cap(into), overwriting what into holds. It waits for the first one until atMost has passed, ctx
// ends, Wake is called, or partitions came or went; it does not wait for more. An
// empty answer is no error, except when ctx has ended.
//
// Errors: job.ErrFenced when a newer member with the same instance id has joined; connecterr.General when credentials or
// rights are missing; what the Handler returned. A broker that does not answer is no error: reading goes on when it is
// back, and Trouble tells meanwhile.
func (c *Consumer) Poll(ctx context.Context, atMost time.Duration, into []Record) ([]Record, error) {
	if cap(into) == 0 {
		into = make([]Record, 0, 500)
	}
	if !c.enter() {
		return into[:0], c.isClosed("polling")
	}
	defer c.calls.Done()
	c.taken, c.bytes, c.turned, c.polling = into[:0], 0, false, ctx
	defer func() { c.taken, c.polling = nil, nil }()
	if err := c.h.fatal(); err != nil && c.failed == nil {
		c.failed = c.classify("consuming as a member of group "+c.group, err)
	}
	if sure := c.mayPoll(ctx, atMost); !sure && c.failed == nil {
		return c.taken, nil
	}
	defer func() { c.lastPoll = time.Now() }()
	deadline := time.Now().Add(atMost)
	for c.failed == nil && !c.turned && len(c.taken) < cap(c.taken) && c.bytes < c.maxBytes {
		wait := time.Duration(0)
		if len(c.taken) == 0 {
			if c.complete() {
				break
			}
			if c.isShut() {
				return c.taken, c.isClosed("polling")
			}
			if err := c.follow(); err != nil {
				c.failed = err
				break
			}
			select {
			case <-c.wake:
				return c.taken, nil
			case <-ctx.Done():
				return c.taken, context.Cause(ctx)
			default:
			}
			wait = min(time.Until(deadline), pollSlice)
		}
		if !c.step(wait) && (len(c.taken) > 0 || time.Until(deadline) <= 0) {
			break
		}
	}
	return c.taken, c.failed
}

// step serves one event, or takes records; false when there was nothing. It waits for the first record only, and notes when
// that took far too long: it looks at the clock once per wait, not once per record.
func (c *Consumer) step(wait time.Duration) bool {
	if len(c.taken) > 0 {
		return c.library(0)
	}
	before := time.Now()
	some := c.library(wait)
	if !c.turned { // handlers take their own time
		c.stalled = max(c.stalled, Elapsed(before, time.Now())-wait)
	}
	return some
}

func (c *Consumer) library(wait time.Duration) bool {
	batched := c.batches != nil && len(c.parts) > 0
	if batched {
		// Events first; records are waited for, since they come more often than rebalances.
		if ev := c.k.Poll(0); ev != nil || c.turned {
			c.event(ev)
			return true
		}
		before := len(c.taken)
		c.batches.read(c, wait, cap(c.taken)-before)
		return len(c.taken) > before
	}
	ev := c.k.Poll(max(0, int(wait.Milliseconds())))
	c.event(ev)
	return ev != nil
}

func (c *Consumer) event(ev kafka.Event) {
	switch e := ev.(type) {
	case *kafka.Message:
		if e.TopicPartition.Error != nil {
			if ke, ok := errors.AsType[kafka.Error](e.TopicPartition.Error); ok {
				c.event(ke)
			}
			return
		}
		c.take(e)
	case kafka.PartitionEOF:
		c.parts[fromKafka(kafka.TopicPartition(e))].reached(int64(e.Offset))
	case kafka.Error:
		if err := c.complain("consuming as a member of group "+c.group, e); err != nil {
			c.failed = err
			return
		}
		if verdictOf(e.Code()) == final && e.Code() != kafka.ErrMaxPollExceeded {
			// For example auto.offset.reset=none without a committed offset.
			c.failed = c.classify("consuming as a member of group "+c.group, e)
			return
		}
		c.log.Warn("the Kafka consumer has trouble and goes on", "group", c.group, "error", e)
	}
}

// take appends a record, unless its partition is not ours.
func (c *Consumer) take(m *kafka.Message) {
	r := toRecord(m)
	p := c.last
	if p == nil || p.tp.Partition != r.Partition || p.tp.Topic != r.Topic {
		if p = c.parts[r.Where()]; p == nil {
			return
		}
		c.last = p
	}
	p.next = r.Offset + 1
	c.bytes += len(r.Key) + len(r.Value)
	r.Topic = p.tp.Topic // one string for all records of a partition
	c.taken = append(c.taken, r)
	c.recovered()
}

// fence drops what this Poll has taken of some partitions.
func (c *Consumer) fence(gone func(TopicPartition) bool) {
	c.taken = slices.DeleteFunc(c.taken, func(r Record) bool { return gone(r.Where()) })
	c.last = nil
}

// enter keeps the library alive until calls.Done; false when the consumer is closed.
func (c *Consumer) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shutdown {
		return false
	}
	c.calls.Add(1)
	return true
}

func (c *Consumer) isShut() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shutdown
}

func (c *Consumer) isClosed(doing string) error {
	return fmt.Errorf("%s as a member of group %s: %w", doing, c.group, errClosed)
}

// Wake makes the Poll that waits, or the next one, return at once. Any goroutine may call it.
func (c *Consumer) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Stalled tells by how much a wait inside Poll has outlasted its time at most since the last call: seconds mean that the
// process was frozen, so that a newer member may have joined unseen.
func (c *Consumer) Stalled() time.Duration {
	d := c.stalled
	c.stalled = 0
	return d
}

// Elapsed is the time from a to b by the clock that saw more of it: the monotonic one does not count a suspended machine, the
// other one can be set.
func Elapsed(a, b time.Time) time.Duration {
	return max(b.Sub(a), b.Round(0).Sub(a.Round(0)))
}

// Trouble is what the client last complained about without giving up, a broker that can't be reached for example; nil since
// a record came.
func (c *Consumer) Trouble() error { return c.lastTrouble() }

// Unreachable asks whether any broker answers if the client has complained that one does not; it waits for the answer for at
// most d. The error names the brokers.
func (c *Consumer) Unreachable(d time.Duration) error {
	doing := "joining group " + c.group
	ke, ok := errors.AsType[kafka.Error](c.lastTrouble())
	if !ok || verdictOf(ke.Code()) != unreachable || !c.enter() {
		return nil
	}
	defer c.calls.Done()
	if _, err := c.k.GetMetadata(nil, false, int(d.Milliseconds())); err != nil {
		return c.classify(doing, ke) // what it complained of says more than that there was no answer
	}
	return nil
}

// Lag tells for each assigned partition how many offsets lie between what was handed out and its end, as of the last fetch.
// Partitions of which nothing was fetched yet are left out.
func (c *Consumer) Lag() map[TopicPartition]int64 {
	out := make(map[TopicPartition]int64, len(c.parts))
	if !c.enter() {
		return out
	}
	defer c.calls.Done()
	for tp, p := range c.parts {
		_, high, err := c.k.GetWatermarkOffsets(tp.Topic, tp.Partition)
		if err == nil && high >= 0 && p.next >= 0 && p.live {
			out[tp] = max(0, high-p.next)
		}
	}
	return out
}

// TopicID is the identity of a topic, which one that is made anew under its name does not share; "" if Kafka knows none.
func (c *Consumer) TopicID(ctx context.Context, topic string) (string, error) {
	if !c.enter() {
		return "", c.isClosed("describing topic " + topic)
	}
	defer c.calls.Done()
	ka, err := kafka.NewAdminClientFromConsumer(c.k)
	if err != nil {
		return "", c.classify("describing topic "+topic, err)
	}
	defer ka.Close() // the consumer stays open
	d, err := (&Admin{client: c.client, a: ka}).describe(ctx, topic)
	if id := d.TopicID; err == nil && (id.GetMostSignificantBits() != 0 || id.GetLeastSignificantBits() != 0) {
		return id.String(), nil
	}
	return "", err
}

// Ends tells for each assigned partition of which everything was handed out where its end was then. That is beyond the newest
// record where markers of transactions, or records that were aborted or compacted away, stand behind it.
func (c *Consumer) Ends() map[TopicPartition]int64 {
	out := make(map[TopicPartition]int64, len(c.parts))
	for tp, p := range c.parts {
		if p.end >= 0 && p.end >= p.next {
			out[tp] = p.end
		}
	}
	return out
}

// MemberID is this member's id in the group as of the last assignment; "" before the first.
func (c *Consumer) MemberID() string { return c.memberID }

// Assignment lists the partitions of this member, in order.
func (c *Consumer) Assignment() []TopicPartition {
	out := make([]TopicPartition, 0, len(c.parts))
	for tp := range c.parts {
		out = append(out, tp)
	}
	slices.SortFunc(out, compareParts)
	return out
}

// Position tells the offset that comes next for each of parts that is assigned and whose offset is known.
func (c *Consumer) Position(parts []TopicPartition) map[TopicPartition]int64 {
	out := make(map[TopicPartition]int64, len(parts))
	for _, tp := range parts {
		if p := c.parts[tp]; p != nil && p.next >= 0 {
			out[tp] = p.next
		}
	}
	return out
}

// Seek makes reading go on at these offsets; partitions that are not assigned are left out.
func (c *Consumer) Seek(offsets map[TopicPartition]int64) error {
	live := map[TopicPartition]int64{}
	for tp, o := range offsets {
		p := c.parts[tp]
		if p == nil {
			continue
		}
		p.next, p.end = o, -1
		if p.live {
			live[tp] = o
		}
	}
	c.fence(func(tp TopicPartition) bool { _, sought := offsets[tp]; return sought })
	if !c.enter() {
		return c.isClosed("seeking")
	}
	defer c.calls.Done()
	giveUp := time.Now().Add(10 * time.Second)
	for len(live) > 0 {
		res, err := c.k.SeekPartitions(toKafka(live))
		if err != nil {
			return c.classify("seeking", err)
		}
		for _, r := range res {
			ke, bad := errors.AsType[kafka.Error](r.Error)
			switch {
			case !bad || ke.Code() == kafka.ErrNoError:
				delete(live, fromKafka(r))
			case ke.Code() == kafka.ErrState && time.Now().Before(giveUp):
				// The library has only begun to read this partition.
			default:
				return c.classify(fmt.Sprintf("seeking %s-%d to %d", *r.Topic, r.Partition, r.Offset), ke)
			}
		}
		if len(live) > 0 {
			time.Sleep(5 * time.Millisecond) //nolint:forbidigo // the library tells no condition to wait for
		}
	}
	return nil
}

// Pause holds reading from parts; Resume goes on where it stopped. Records that Poll has handed out are not taken back.
// Partitions that are not assigned are left out; an assignment begins unpaused.
func (c *Consumer) Pause(parts []TopicPartition) error { return c.hold(parts, true) }

// Resume undoes Pause.
func (c *Consumer) Resume(parts []TopicPartition) error { return c.hold(parts, false) }

func (c *Consumer) hold(parts []TopicPartition, pause bool) error {
	var live []kafka.TopicPartition
	for _, tp := range parts {
		p := c.parts[tp]
		if p == nil || p.paused == pause {
			continue
		}
		p.paused = pause
		if p.live {
			live = append(live, kafka.TopicPartition{Topic: &p.tp.Topic, Partition: tp.Partition})
		}
	}
	if len(live) == 0 {
		return nil
	}
	if !c.enter() {
		return c.isClosed("pausing or resuming")
	}
	defer c.calls.Done()
	if pause {
		return c.classify("pausing partitions", c.k.Pause(live))
	}
	return c.classify("resuming partitions", c.k.Resume(live))
}

// Close gives the client back; a static member stays in its group until its session times out or a successor takes its
// place, a dynamic one leaves. The Handler is not called. When the library does not let go until ctx ends, Close returns
// an error and the rest happens in the background. Safe to call twice.
func (c *Consumer) Close(ctx context.Context) error {
	c.mu.Lock()
	first := !c.shutdown
	c.shutdown = true
	c.mu.Unlock()
	if first {
		go func() {
			defer close(c.closed)
			c.calls.Wait()
			if c.batches != nil {
				c.batches.close()
			}
			c.h.leave(c.cooperative)
			_ = c.k.Close() // a fenced member's close says so once more
			c.closeLogs()
		}()
	}
	select {
	case <-c.closed:
		return nil
	case <-ctx.Done():
		return connecterr.Wrap(connecterr.Retriable, context.Cause(ctx), "closing the consumer of group %s at %s", c.group, c.bootstrap)
	}
}

// Leave is Close for a member that will not come back: also a static one leaves its group, and the others get its
// partitions at once.
func (c *Consumer) Leave(ctx context.Context) error {
	if c.enter() {
		c.handler, c.following, c.polling = nil, nil, ctx
		if err := c.k.Unsubscribe(); err == nil {
			// The library forgets its member id when it says goodbye. Closed before that, a static member would say none.
			for (len(c.parts) > 0 || c.h.member() != "") && ctx.Err() == nil {
				c.k.Poll(int(pollSlice.Milliseconds()))
			}
		}
		c.calls.Done()
	}
	return c.Close(ctx)
}
