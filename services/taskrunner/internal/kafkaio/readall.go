package kafkaio

import (
	"cmp"
	"context"
	"errors"
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
	ends  *Admin
	cfg   Config
	topic string
	stale bool             // the client failed us: the next Sync takes another
	parts []TopicPartition // as of the last Sync that asked; nil: ask
	next  map[int32]int64  // by partition: where the next Sync begins
}

// NewTail makes a tail that begins at the topic's beginning. It does not wait for a broker. Close it.
func NewTail(cfg Config, topic string) (*Tail, error) {
	t := &Tail{cfg: cfg, topic: topic, next: map[int32]int64{}}
	return t, t.open()
}

// open takes a client.
func (t *Tail) open() error {
	cfg := t.cfg
	c := newClient(cfg, nil)
	kc, err := kafka.NewConsumer(build(c, cfg, kafka.ConfigMap{}, Config{
		"group.id":             "millrace-tail", // the library asks for one; nothing is joined or committed
		"enable.auto.commit":   "false",
		"enable.partition.eof": "true",
		"isolation.level":      "read_committed",
		"auto.offset.reset":    "earliest",
		// A transaction's end marker is no record: only an empty answer tells that nothing stands behind it.
		"fetch.wait.max.ms": "3",

		"allow.auto.create.topics": "false",
	}, sharedDefaults, consumerDefaultsFor(cfg)))
	if err != nil {
		c.closeLogs()
		return configError("consumer", cfg, err)
	}
	ka, err := kafka.NewAdminClientFromConsumer(kc)
	if err != nil {
		_ = kc.Close() // it has done nothing
		c.closeLogs()
		return configError("consumer", cfg, err)
	}
	t.client, t.kc, t.ends, t.stale = c, kc, &Admin{client: c, a: ka}, false
	return nil
}

// Close gives the client back.
func (t *Tail) Close() { closeTail(t.client, t.kc, t.ends) }

func closeTail(c *client, kc *kafka.Consumer, ends *Admin) {
	ends.a.Close()
	_ = kc.Close() // nothing was joined: there is nothing to lose
	c.closeLogs()
}

// renew takes another client. The library loses requests to a broker that vanished from the cluster for a while, and may
// answer none from then on.
func (t *Tail) renew() error {
	c, kc, ends := t.client, t.kc, t.ends
	if err := t.open(); err != nil {
		return err
	}
	go closeTail(c, kc, ends) // it may take its time
	return nil
}

// Sync reads on to where the topic ends as of the call, and hands over the committed records in batches, in order per
// partition; h must not keep the slice. Records of a transaction that is open at the call are waited for until it ends: a
// transaction that committed after it stands behind it in the log and must not be missed. After an error, also one of h,
// the next Sync begins behind what h has taken: however little time each has, all of a long topic is read at last.
//
// IsUnknownTopic holds for the error of a topic that is not there.
func (t *Tail) Sync(ctx context.Context, h func([]Record) error) (err error) {
	if t.stale {
		if err := t.renew(); err != nil {
			return err
		}
	}
	defer func() { t.stale = err != nil && !IsUnknownTopic(err) }()
	ends, err := t.findEnds(ctx)
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
		if err == nil {
			for i := range batch {
				t.next[batch[i].Partition] = batch[i].Offset + 1
			}
		}
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
			if err := hand(); err != nil {
				return err
			}
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

// findEnds tells for each partition the offset behind the last record, also of open transactions. Partitions without
// anything to read are left out.
func (t *Tail) findEnds(ctx context.Context) (map[int32]int64, error) {
	for {
		ends, err := t.askEnds(ctx)
		if err == nil {
			return ends, nil
		}
		t.parts = nil
		ke, ok := errors.AsType[kafka.Error](err)
		if !ok || IsUnknownTopic(err) || verdictOf(ke.Code()) != passing {
			return nil, err
		}
		timer := time.NewTimer(50 * time.Millisecond) // the first metadata after a topic was made may lack leaders
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, t.gaveUp(ctx, t.doing())
		}
	}
}

// askEnds takes one round trip when nothing is new about the topic.
func (t *Tail) askEnds(ctx context.Context) (map[int32]int64, error) {
	first := t.parts == nil
	if first {
		d, err := t.ends.DescribeTopic(ctx, t.topic)
		if err != nil {
			return nil, err
		}
		t.parts = make([]TopicPartition, d.Partitions)
		for i := range t.parts {
			t.parts[i] = TopicPartition{Topic: t.topic, Partition: int32(i)}
		}
	}
	end, err := t.ends.ListEnd(ctx, t.parts)
	if err != nil {
		if IsUnknownTopic(err) && !first {
			t.parts = nil // made anew with fewer partitions, or gone: the description tells
			return t.askEnds(ctx)
		}
		return nil, err
	}
	var unread []TopicPartition // whose beginning may be their end: what stood there was deleted
	for _, p := range t.parts {
		if n := t.next[p.Partition]; end[p] > 0 && (n == 0 || n > end[p]) {
			unread = append(unread, p)
		}
	}
	start, err := t.ends.ListStart(ctx, unread)
	if err != nil {
		return nil, err
	}
	out := map[int32]int64{}
	for p, e := range end {
		if from, ok := start[p]; e > 0 && (!ok || e > from) {
			out[p.Partition] = e
		}
	}
	return out, nil
}

func fromKafka(p kafka.TopicPartition) TopicPartition {
	return TopicPartition{Topic: *p.Topic, Partition: p.Partition}
}

func compareParts(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}
