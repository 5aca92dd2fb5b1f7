package kafkaio

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// rebalance is the library's callback; it runs inside the library's Poll.
func (c *Consumer) rebalance(ev kafka.Event) {
	if c.isShut() { // Close waits for this Poll: the library only wants its partitions back
		switch e := ev.(type) {
		case kafka.AssignedPartitions, kafka.RevokedPartitions:
			if r, ok := e.(kafka.RevokedPartitions); ok && c.cooperative {
				_ = c.k.IncrementalUnassign(r.Partitions)
			} else {
				_ = c.k.Unassign()
			}
		}
		return
	}
	c.turned = true
	var err error
	switch e := ev.(type) {
	case kafka.AssignedPartitions:
		list := c.assigned(e.Partitions)
		if c.batches != nil {
			for _, k := range list {
				c.batches.attach(fromKafka(k))
			}
		}
		if c.cooperative {
			err = c.k.IncrementalAssign(list)
		} else {
			err = c.k.Assign(list)
		}
		c.started(list)
	case kafka.RevokedPartitions:
		c.revoked(e.Partitions)
		if c.cooperative {
			err = c.k.IncrementalUnassign(e.Partitions)
		} else {
			err = c.k.Unassign()
		}
	}
	if err != nil {
		c.fail(c.classify("taking over an assignment", err))
	}
	if e, ok := ev.(kafka.RevokedPartitions); ok && c.batches != nil {
		for _, k := range e.Partitions {
			c.batches.detach(fromKafka(k))
		}
	}
}

func (c *Consumer) fail(err error) {
	if c.failed == nil && err != nil {
		c.failed = err
	}
}

// assigned finds where each partition starts, tells the handler, and returns what the library is to read. By now the group
// has this member: an older holder's commits are refused, so what is read here can't be overtaken (Invariant 4: take the
// fence, read the position, start).
func (c *Consumer) assigned(list []kafka.TopicPartition) []kafka.TopicPartition {
	ctx := c.polling
	parts := make([]TopicPartition, len(list))
	for i, p := range list {
		parts[i] = fromKafka(p)
		c.parts[parts[i]] = &part{tp: parts[i], next: -1, end: -1}
	}
	c.last = nil
	starts, err := c.starts(ctx, list)
	if err != nil {
		c.fail(err)
	}
	for tp, o := range starts {
		c.parts[tp].next = o
	}
	if c.handler != nil && c.failed == nil {
		c.fail(c.handler.Assigned(parts))
	}
	out := make([]kafka.TopicPartition, len(list))
	for i, tp := range parts {
		out[i] = kafka.TopicPartition{Topic: &tp.Topic, Partition: tp.Partition, Offset: kafka.OffsetInvalid}
		if p := c.parts[tp]; p.next >= 0 {
			out[i].Offset = kafka.Offset(p.next)
		}
	}
	return out
}

// started is called when the library has the assignment.
func (c *Consumer) started(list []kafka.TopicPartition) {
	c.memberID = c.h.member()
	var held []kafka.TopicPartition
	for _, k := range list {
		if p := c.parts[fromKafka(k)]; p != nil {
			p.live = true
			if p.paused || c.failed != nil {
				held = append(held, k)
			}
		}
	}
	if len(held) > 0 {
		c.fail(c.classify("pausing partitions", c.k.Pause(held)))
	}
}

func (c *Consumer) revoked(list []kafka.TopicPartition) {
	parts := make([]TopicPartition, 0, len(list))
	for _, k := range list {
		if tp := fromKafka(k); c.parts[tp] != nil {
			parts = append(parts, tp)
		}
	}
	// What this Poll has taken of them is not handed out: Position must not count it, since handlers may commit that.
	going := make(map[TopicPartition]bool, len(parts))
	for _, tp := range parts {
		going[tp] = true
	}
	for i := len(c.taken) - 1; i >= 0; i-- {
		if tp := c.taken[i].Where(); going[tp] {
			c.parts[tp].next = c.taken[i].Offset
		}
	}
	c.fence(func(tp TopicPartition) bool { return going[tp] })
	if c.handler != nil && len(parts) > 0 {
		if c.k.AssignmentLost() {
			c.fail(c.handler.Lost(parts))
		} else {
			c.fail(c.handler.Revoked(parts))
		}
	}
	for _, tp := range parts {
		delete(c.parts, tp)
	}
	c.last = nil
}

// starts asks for the committed offsets, and where there are none for what auto.offset.reset means now: a task that knows
// its start can commit it. Partitions missing in the answer are the library's to decide.
func (c *Consumer) starts(ctx context.Context, list []kafka.TopicPartition) (map[TopicPartition]int64, error) {
	out := make(map[TopicPartition]int64, len(list))
	known, err := c.committed(ctx, list)
	if err != nil {
		return nil, err
	}
	var fresh []TopicPartition
	for _, k := range known {
		if k.Offset >= 0 {
			out[fromKafka(k)] = int64(k.Offset)
		} else {
			fresh = append(fresh, fromKafka(k))
		}
	}
	var end bool
	switch c.reset {
	case "earliest", "smallest", "beginning":
	case "latest", "largest", "end":
		end = true
	default:
		return out, nil // "error": the library raises it
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	turns := make(chan struct{}, 16)
	for _, tp := range fresh {
		wg.Add(1)
		turns <- struct{}{}
		go func() {
			defer func() { <-turns; wg.Done() }()
			low, high, err := c.k.QueryWatermarkOffsets(tp.Topic, tp.Partition, 5000)
			if err != nil {
				return // the library finds out by itself
			}
			mu.Lock()
			defer mu.Unlock()
			out[tp] = low
			if end {
				out[tp] = high
			}
		}()
	}
	wg.Wait()
	return out, nil
}

// committed asks until there is an answer or ctx ends.
func (c *Consumer) committed(ctx context.Context, list []kafka.TopicPartition) ([]kafka.TopicPartition, error) {
	doing := "reading the committed offsets of group " + c.group
	if !c.enter() {
		return nil, c.isClosed(doing)
	}
	defer c.calls.Done()
	for !c.isShut() {
		res, err := c.k.Committed(list, int(slice.Milliseconds()))
		if err == nil {
			for _, r := range res {
				if r.Error != nil {
					err = r.Error
				}
			}
		}
		if err == nil {
			return res, nil
		}
		ke, ok := errors.AsType[kafka.Error](err)
		if !ok {
			return nil, c.classify(doing, err)
		}
		if v := verdictOf(ke.Code()); v != passing && v != unreachable {
			return nil, c.classify(doing, ke)
		}
		t := time.NewTimer(20 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, c.gaveUp(ctx, doing)
		}
	}
	return nil, c.isClosed(doing)
}

// Committed reads the group's committed offsets; partitions without one are left out.
func (c *Consumer) Committed(ctx context.Context, parts []TopicPartition) (map[TopicPartition]int64, error) {
	list := make([]kafka.TopicPartition, len(parts))
	for i := range parts {
		list[i] = kafka.TopicPartition{Topic: &parts[i].Topic, Partition: parts[i].Partition}
	}
	res, err := c.committed(ctx, list)
	if err != nil {
		return nil, err
	}
	out := make(map[TopicPartition]int64, len(parts))
	for _, r := range res {
		if r.Offset >= 0 {
			out[fromKafka(r)] = int64(r.Offset)
		}
	}
	return out, nil
}

// Commit commits next offsets and waits for Kafka's answer. job.ErrFenced: a newer member has taken over and nothing was
// committed. connecterr.Retriable: it may not have been committed (also when ctx ended).
func (c *Consumer) Commit(ctx context.Context, offsets map[TopicPartition]int64) error {
	if len(offsets) == 0 {
		return nil
	}
	answer := make(chan error, 1)
	c.call(offsets, func(err error) { answer <- err })
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return c.gaveUp(ctx, "committing offsets of group "+c.group)
	}
}

// CommitAsync commits next offsets; done is called with what Commit would return, inside a later Poll, on its goroutine. A
// Poll that waits ends for it. done is not called when the consumer is closed first.
func (c *Consumer) CommitAsync(offsets map[TopicPartition]int64, done func(error)) {
	if len(offsets) == 0 {
		c.completed(func() { done(nil) })
		return
	}
	c.call(offsets, func(err error) { c.completed(func() { done(err) }) })
}

type commitCall struct {
	offsets []kafka.TopicPartition
	done    func(error)
}

// call commits on a goroutine of its own, since the library has no way to stop waiting. One after the other: an older commit
// must not overtake a newer one.
func (c *Consumer) call(offsets map[TopicPartition]int64, done func(error)) {
	c.mu.Lock()
	shut := c.shutdown
	if !shut {
		c.commits = append(c.commits, commitCall{offsets: toKafka(offsets), done: done})
		if !c.committing {
			c.committing = true
			c.calls.Add(1)
			go c.commitAll()
		}
	}
	c.mu.Unlock()
	if shut {
		done(c.isClosed("committing offsets"))
	}
}

func (c *Consumer) commitAll() {
	defer c.calls.Done()
	for {
		c.mu.Lock()
		if len(c.commits) == 0 {
			c.committing = false
			c.mu.Unlock()
			return
		}
		next := c.commits[0]
		c.commits = c.commits[1:]
		c.mu.Unlock()
		next.done(c.commitNow(next.offsets))
	}
}

func (c *Consumer) commitNow(list []kafka.TopicPartition) error {
	res, err := c.k.CommitOffsets(list)
	if err == nil {
		for _, r := range res {
			if r.Error != nil {
				err = r.Error
			}
		}
	}
	if ke, ok := errors.AsType[kafka.Error](err); ok && ke.Code() == kafka.ErrNoOffset {
		err = nil
	}
	if fatal := c.h.fatal(); err != nil && fatal != nil {
		err = fatal
	}
	return c.classify("committing offsets of group "+c.group, err)
}

func (c *Consumer) completed(f func()) {
	c.mu.Lock()
	c.completions = append(c.completions, f)
	c.mu.Unlock()
}

// complete runs what CommitAsync left to say.
func (c *Consumer) complete() bool {
	c.mu.Lock()
	todo := c.completions
	c.completions = nil
	c.mu.Unlock()
	for _, f := range todo {
		f()
	}
	return len(todo) > 0
}
