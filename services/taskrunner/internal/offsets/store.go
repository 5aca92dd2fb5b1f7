// Package offsets keeps the positions of source tasks in a Kafka topic, in Kafka Connect's format, so that a cluster can be
// taken over with its offsets.
//
// The topic is the truth; a Store is a copy of it that is brought up to date whenever somebody asks. Writing is the source
// tasks' own business: the records (format.go) go into their transactions.
//
// A connector may name a topic of its own: then that is where its offsets are, and the worker's topic holds a copy.
//
// Start reading at Store.Reader, then home.go: where a connector's offsets are.
package offsets

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// Options say where offsets are.
type Options struct {
	Topic                   string
	Partitions, Replication int // of the topic, should it have to be made; -1: the broker's default
	Consumer, Admin         kafkaio.Config
	Logger                  *slog.Logger
}

// Store is safe for concurrent use. It connects when it is first asked.
type Store struct {
	o Options

	begun atomic.Int64  // reads of the topic
	reads chan struct{} // a token: whoever holds it reads the topic and may use what follows
	tail  *kafkaio.Tail
	all   Table
	upTo  int64 // the last read that came to its end

	newest map[place]int // of take

	watches watches

	ended   context.Context // by Close
	end     context.CancelFunc
	follows sync.WaitGroup
}

// NewStore makes a store. Close it.
func NewStore(o Options) *Store {
	s := &Store{o: o, reads: make(chan struct{}, 1), all: Table{}, newest: map[place]int{}, watches: watches{all: map[string][]*Watch{}}}
	s.ended, s.end = context.WithCancel(context.Background()) // it lives as long as the store
	return s
}

// Close gives the client back.
func (s *Store) Close() {
	s.end()
	s.follows.Wait()
	s.reads <- struct{}{}
	defer func() { <-s.reads }()
	if s.tail != nil {
		s.tail.Close()
		s.tail = nil
	}
}

// sync reads on to the end of the topic as it is now, and calls f before anybody else can read on. Those who come while the topic is
// read share the next read: it begins after all of them have asked.
func (s *Store) sync(ctx context.Context, f func()) error {
	enough := s.begun.Load() + 1
	select {
	case s.reads <- struct{}{}:
		defer func() { <-s.reads }()
	case <-ctx.Done():
		return connecterr.Wrap(connecterr.Retriable, context.Cause(ctx), "waiting for others that read topic %s", s.o.Topic)
	}
	if s.upTo >= enough {
		f()
		return nil
	}
	if s.tail == nil {
		tail, err := kafkaio.NewTail(s.o.Consumer, s.o.Topic)
		if err != nil {
			return err
		}
		s.tail = tail
		if s.ended.Err() == nil {
			s.follows.Go(s.follow)
		}
	}
	err := s.read(ctx)
	if kafkaio.IsUnknownTopic(err) {
		if err = s.makeTopic(ctx); err == nil {
			err = s.firstSync(ctx)
		}
	}
	if err == nil {
		f()
	}
	return err
}

// read reads on to the end of the topic; its caller holds the token.
func (s *Store) read(ctx context.Context) error {
	n := s.begun.Add(1)
	err := s.tail.Sync(ctx, s.take)
	if err == nil {
		s.upTo = n
	}
	return err
}

// follow reads on once a second, so that a task that takes over finds little left to read. What fails is tried again, and
// told to whoever asks.
func (s *Store) follow() {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ended.Done():
			return
		case <-tick.C:
		}
		select {
		case s.reads <- struct{}{}:
			if s.tail != nil {
				ctx, cancel := context.WithTimeout(s.ended, followWithin)
				_ = s.read(ctx)
				cancel()
			}
			<-s.reads
		default: // somebody reads on just now
		}
	}
}

const (
	followEvery  = time.Second
	followWithin = 5 * time.Second // a task that wants to start waits meanwhile
)

// firstSync reads a topic that was made just now, by us or by another: brokers learn of it a while after it was made.
func (s *Store) firstSync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, madeWithin)
	defer cancel()
	for {
		err := s.read(ctx)
		if !kafkaio.IsUnknownTopic(err) {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

const madeWithin = 30 * time.Second

// take notes what records say; one that can't be read is told of and left out. Of a key's records in a batch only the last is
// read, if it can be: a topic that was not compacted yet has few keys and many records of each.
func (s *Store) take(batch []kafkaio.Record) error {
	clear(s.newest)
	for i, r := range batch {
		s.newest[place{r.Partition, string(r.Key)}] = i
	}
	for i, r := range batch {
		if s.newest[place{r.Partition, string(r.Key)}] != i || s.add(r) {
			continue
		}
		for _, old := range batch[:i] {
			if old.Partition == r.Partition && string(old.Key) == string(r.Key) {
				s.add(old)
			}
		}
	}
	return nil
}

// place tells records apart of which only the last counts.
type place struct {
	partition int32
	key       string
}

// add is false when a record can't be read.
func (s *Store) add(r kafkaio.Record) bool {
	connector, id, err := s.all.add(r)
	if err == nil {
		s.watches.noted(connector, id)
	} else {
		s.o.Logger.Error("CRITICAL: Failed to deserialize offset data when getting offsets; the record is left out",
			slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset), slog.Any("err", err))
	}
	return err == nil
}

// of is what is known of a connector's source partitions, by identity.
func (s *Store) of(ctx context.Context, connector string) (all map[string]known, err error) {
	err = s.sync(ctx, func() {
		all = make(map[string]known, len(s.all[connector]))
		for id, k := range s.all[connector] {
			all[id] = slices.Clone(k) // taking more records changes the original in place
		}
	})
	return all, err
}

// makeTopic makes the offsets topic.
func (s *Store) makeTopic(ctx context.Context) error {
	a, err := kafkaio.NewAdmin(s.o.Admin, s.o.Logger)
	if err != nil {
		return err
	}
	made, err := a.CreateTopics(ctx, kafkaio.Topic{Name: s.o.Topic, Partitions: s.o.Partitions, Replication: s.o.Replication,
		Config: map[string]string{"cleanup.policy": "compact"}})
	if err == nil {
		if err = made[s.o.Topic]; errors.Is(err, kafkaio.ErrTopicExists) {
			err = nil
		}
	}
	return errors.Join(err, a.Close(ctx))
}

// Ensure makes sure that the topic is there, so that a transaction can write to it.
func (s *Store) Ensure(ctx context.Context) error { return s.sync(ctx, func() {}) }

// Reader reads the offsets of one connector. Each call sees everything that was committed before it.
func (s *Store) Reader(connector string) source.OffsetReader { return reader{s, connector} }

type reader struct {
	s         *Store
	connector string
}

// Offset implements source.OffsetReader.
func (r reader) Offset(ctx context.Context, p record.SourcePartition) (record.SourceOffset, error) {
	all, err := r.Offsets(ctx, []record.SourcePartition{p})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// Offsets implements source.OffsetReader.
func (r reader) Offsets(ctx context.Context, ps []record.SourcePartition) ([]record.SourceOffset, error) {
	ids := make([]string, len(ps))
	for i, p := range ps {
		var err error
		if ids[i], err = Identity(p); err != nil {
			return nil, err
		}
	}
	out := make([]record.SourceOffset, len(ps))
	err := r.s.sync(ctx, func() {
		for i, id := range ids {
			out[i] = r.s.all[r.connector][id].offset().Clone()
		}
	})
	if err != nil && ctx.Err() == nil && connecterr.KindOf(err) == connecterr.General {
		err = connecterr.Wrap(connecterr.General, err, "reading the offsets of %s from topic %s", r.connector, r.s.o.Topic)
	}
	return out, err
}
