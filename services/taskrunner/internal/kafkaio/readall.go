package kafkaio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// readAllBatch is how many records ReadAll hands over at once.
const readAllBatch = 1000

// ReadAll reads a topic from its beginning to where it ended when ReadAll was called: a Tail that is read once.
func ReadAll(ctx context.Context, cfg Config, topic string, h func([]Record) error) error {
	t, err := NewTail(cfg, topic)
	if err != nil {
		return err
	}
	defer t.Close()
	return t.Sync(ctx, h)
}

// Tail reads a topic in parts: each Sync goes on where the last one ended. Between them it reads nothing. It belongs to one
// goroutine at a time.
type Tail struct {
	*client
	kc    *kafka.Consumer
	topic string
	next  map[int32]int64 // by partition: where the next Sync begins
}

// NewTail makes a tail that begins at the topic's beginning. It does not wait for a broker. Close it.
func NewTail(cfg Config, topic string) (*Tail, error) {
	c := newClient(cfg, nil)
	kc, err := kafka.NewConsumer(build(c, cfg, kafka.ConfigMap{}, Config{
		"group.id":             "millrace-tail", // the library asks for one; nothing is joined or committed
		"enable.auto.commit":   "false",
		"enable.partition.eof": "true",
		"isolation.level":      "read_committed",
		"auto.offset.reset":    "earliest",
		// A transaction's end marker is no record: only an empty answer tells that nothing stands behind it.
		"fetch.wait.max.ms": "10",

		"allow.auto.create.topics": "false",
	}, sharedDefaults, consumerDefaults))
	if err != nil {
		c.closeLogs()
		return nil, configError("consumer", err)
	}
	return &Tail{client: c, kc: kc, topic: topic, next: map[int32]int64{}}, nil
}

// Close gives the client back.
func (t *Tail) Close() {
	_ = t.kc.Close() // nothing was joined: there is nothing to lose
	t.closeLogs()
}

// Sync reads on to where the topic ends as of the call, and hands over the committed records in batches, in order per
// partition; h must not keep the slice. Records of a transaction that is open at the call are waited for until it ends: a
// transaction that committed after it stands behind it in the log and must not be missed. After an error, also one of h,
// the next Sync begins where this one did.
//
// IsUnknownTopic holds for the error of a topic that is not there.
func (t *Tail) Sync(ctx context.Context, h func([]Record) error) error {
	ends, err := endsOf(ctx, t.client, t.kc, t.topic)
	if err != nil {
		return err
	}
	assign := make([]kafka.TopicPartition, 0, len(ends))
	for p, end := range ends {
		from := t.next[p]
		if from > end {
			from = 0 // the topic was made anew
		}
		if from == 0 {
			from = int64(kafka.OffsetBeginning)
		}
		if from < end {
			assign = append(assign, kafka.TopicPartition{Topic: &t.topic, Partition: p, Offset: kafka.Offset(from)})
		}
	}
	waiting := map[int32]int64{}
	for _, a := range assign {
		waiting[a.Partition] = ends[a.Partition]
	}
	if len(assign) == 0 {
		return nil
	}
	if err := t.kc.Assign(assign); err != nil {
		return t.classify(t.doing(), err)
	}
	err = t.read(ctx, waiting, h)
	if uerr := t.kc.Unassign(); err == nil && uerr != nil {
		err = t.classify(t.doing(), uerr)
	}
	if err == nil {
		for _, a := range assign {
			t.next[a.Partition] = ends[a.Partition]
		}
	}
	return err
}

func (t *Tail) doing() string { return "reading topic " + t.topic }

// read hands over what comes until every partition has reached its end.
func (t *Tail) read(ctx context.Context, ends map[int32]int64, h func([]Record) error) error {
	batch := make([]Record, 0, readAllBatch)
	hand := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := h(batch)
		clear(batch)
		batch = batch[:0]
		return err
	}
	reached := func(part int32, next int64) {
		if end, ok := ends[part]; ok && next >= end {
			delete(ends, part)
		}
	}
	for len(ends) > 0 {
		if ctx.Err() != nil {
			return t.gaveUp(ctx, t.doing())
		}
		switch e := t.kc.Poll(100).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return t.classify(t.doing(), e.TopicPartition.Error)
			}
			r := toRecord(e)
			if end, ok := ends[r.Partition]; !ok || r.Offset >= end {
				reached(r.Partition, r.Offset)
				continue // it came after the call
			}
			batch = append(batch, r)
			if len(batch) == cap(batch) {
				if err := hand(); err != nil {
					return err
				}
			}
			reached(r.Partition, r.Offset+1)
		case kafka.PartitionEOF:
			reached(e.Partition, int64(e.Offset))
		case kafka.Error:
			if err := t.complain(t.doing(), e); err != nil {
				return err
			}
		}
	}
	return hand()
}

// endsOf lists the partitions of a topic that have something to read, with the offset behind the last record, also of open
// transactions.
func endsOf(ctx context.Context, c *client, kc *kafka.Consumer, topic string) (map[int32]int64, error) {
	ka, err := kafka.NewAdminClientFromConsumer(kc)
	if err != nil {
		return nil, c.classify("reading topic "+topic, err)
	}
	defer ka.Close()
	a := &Admin{client: c, a: ka}
	var t Topic
	for {
		// The end must be reachable: the first metadata after a topic was made may lack leaders.
		if t, err = a.DescribeTopic(ctx, topic); err == nil {
			parts := make([]TopicPartition, t.Partitions)
			for i := range parts {
				parts[i] = TopicPartition{Topic: topic, Partition: int32(i)}
			}
			var start, end map[TopicPartition]int64
			if start, err = a.ListStart(ctx, parts); err == nil {
				if end, err = a.ListEnd(ctx, parts); err == nil {
					out := map[int32]int64{}
					for p, e := range end {
						if e > start[p] {
							out[p.Partition] = e
						}
					}
					return out, nil
				}
			}
		}
		ke, ok := errors.AsType[kafka.Error](err)
		if !ok || IsUnknownTopic(err) || verdictOf(ke.Code()) != passing {
			return nil, err
		}
		timer := time.NewTimer(50 * time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, c.gaveUp(ctx, fmt.Sprintf("reading topic %s", topic))
		}
	}
}

func fromKafka(p kafka.TopicPartition) TopicPartition {
	return TopicPartition{Topic: *p.Topic, Partition: p.Partition}
}

func compareParts(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}
