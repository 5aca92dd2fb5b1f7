package offsets

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// TopicKey is the key by which a connector names an offsets topic of its own.
const TopicKey = "offsets.storage.topic"

// Set is all stores of a runner: the worker's, and those that connectors have of their own while somebody uses them.
type Set struct {
	worker *Store
	// exactlyOnce: tasks write offsets with their own producers, and therefore to the cluster that those speak to.
	exactlyOnce bool

	mu  sync.Mutex
	own map[string]*shared
}

type shared struct {
	*Store
	users int
}

// NewSet makes a set; o is about the worker's topic. Close it.
func NewSet(o Options, exactlyOnce bool) *Set {
	return &Set{worker: NewStore(o), exactlyOnce: exactlyOnce, own: map[string]*shared{}}
}

// Close gives the clients back.
func (s *Set) Close() {
	s.worker.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, own := range s.own {
		own.Close()
	}
	s.own = map[string]*shared{}
}

// Clients are a connector's own client configurations, overrides applied.
type Clients struct{ Consumer, Admin kafkaio.Config }

// Home is where one connector's offsets are. Close it.
type Home struct {
	set       *Set
	connector string
	topic     string // where its tasks write; of the connector's own Kafka cluster
	key       string // of own in the set
	own       *Store // nil: the worker's topic is all there is
	near      bool   // the worker's topic is in the same Kafka cluster as own
	closed    sync.Once
}

// Home finds where a connector's offsets are: in the topic that its configuration names, with a copy in the worker's topic, or
// in the latter alone.
func (s *Set) Home(connector string, config map[string]string, c Clients) *Home {
	h := &Home{set: s, connector: connector, topic: config[TopicKey]}
	h.near = sameServers(c.Consumer["bootstrap.servers"], s.worker.o.Consumer["bootstrap.servers"])
	if h.topic == "" {
		h.topic = s.worker.o.Topic
		if h.near || !s.exactlyOnce {
			return h
		}
	} else if h.near && h.topic == s.worker.o.Topic {
		return h
	}
	h.key = h.topic + "\n" + fingerprint(c.Consumer)
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.own[h.key]
	if own == nil {
		o := s.worker.o
		o.Topic, o.Consumer, o.Admin = h.topic, c.Consumer, c.Admin
		own = &shared{Store: NewStore(o)}
		s.own[h.key] = own
	}
	own.users++
	h.own = own.Store
	return h
}

// sameServers compares two lists of bootstrap servers as sets.
func sameServers(a, b string) bool {
	set := func(s string) []string {
		all := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(all)
		return slices.Compact(all)
	}
	return slices.Equal(set(a), set(b))
}

// fingerprint tells configurations apart that read differently.
func fingerprint(c kafkaio.Config) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(c)) {
		if k != "client.id" && k != "group.id" {
			b.WriteString(k + "=" + c[k] + "\n")
		}
	}
	return b.String()
}

// Close says that the home is no longer needed.
func (h *Home) Close() {
	h.closed.Do(func() {
		if h.own == nil {
			return
		}
		h.set.mu.Lock()
		defer h.set.mu.Unlock()
		if own := h.set.own[h.key]; own != nil && own.Store == h.own {
			if own.users--; own.users == 0 {
				delete(h.set.own, h.key)
				own.Close()
			}
		}
	})
}

// Topics are where a task writes offsets with its own producer: the topic that counts and, where the same Kafka cluster has
// it, the worker's, whose copy is used should the connector no longer name a topic of its own.
func (h *Home) Topics() []string {
	if h.own != nil && h.near {
		return []string{h.topic, h.set.worker.o.Topic}
	}
	return []string{h.topic}
}

// Ensure makes sure that the topics are there, so that a transaction can write to them.
func (h *Home) Ensure(ctx context.Context) error {
	if h.own != nil {
		if err := h.own.Ensure(ctx); err != nil {
			return err
		}
	}
	return h.set.worker.Ensure(ctx)
}

// Reader reads the connector's offsets. Each call sees everything that was committed before it.
func (h *Home) Reader() source.OffsetReader {
	if h.own == nil {
		return h.set.worker.Reader(h.connector)
	}
	return merged{h.own.Reader(h.connector), h.set.worker.Reader(h.connector)}
}

// merged reads from the first where it has something, else from the second.
type merged struct{ first, second source.OffsetReader }

func (m merged) Offset(ctx context.Context, p record.SourcePartition) (record.SourceOffset, error) {
	all, err := m.Offsets(ctx, []record.SourcePartition{p})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (m merged) Offsets(ctx context.Context, ps []record.SourcePartition) ([]record.SourceOffset, error) {
	out, err := m.first.Offsets(ctx, ps)
	if err != nil || !slices.Contains(out, nil) {
		return out, err
	}
	other, err := m.second.Offsets(ctx, ps)
	for i := range other {
		if out[i] == nil {
			out[i] = other[i]
		}
	}
	return out, err
}

// Listed is an entry with what tells its partition from others.
type Listed struct {
	ID string
	Entry
}

// List lists all offsets of the connector in the order of their ids. A null partition, which some connectors write, is not in
// it.
func (h *Home) List(ctx context.Context) ([]Listed, error) {
	own, copies, err := h.known(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]known, len(own)+len(copies))
	maps.Copy(all, copies)
	maps.Copy(all, own)
	var out []Listed
	for id, k := range all {
		if e := k[len(k)-1].Entry; e.Partition != nil {
			out = append(out, Listed{id, e})
		}
	}
	slices.SortFunc(out, func(a, b Listed) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// known reads the topic that counts and, for a connector with a topic of its own, the copies in the worker's.
func (h *Home) known(ctx context.Context) (own, copies map[string]known, err error) {
	first := h.set.worker
	if h.own != nil {
		first = h.own
		if copies, err = h.set.worker.of(ctx, h.connector); err != nil {
			return nil, nil, err
		}
	}
	own, err = first.of(ctx, h.connector)
	return own, copies, err
}

// Change is a change of offsets as records.
type Change struct {
	// Records are written by a producer of the connector's, together.
	Records []kafkaio.Record
	// Before are written before them with the worker's clients: what is to be removed from the worker's topic where it is in
	// another Kafka cluster. In the other order a failure between the two would bring an old offset back.
	Before []kafkaio.Record
}

// Change makes the records that set and remove offsets; of entries for one partition the last counts. A partition that is
// there already is written under the keys that it has.
func (h *Home) Change(ctx context.Context, entries []Entry) (Change, error) {
	byID := map[string]Entry{}
	var order []string
	for _, e := range entries {
		id, err := Identity(e.Partition)
		if err != nil {
			return Change{}, err
		}
		if _, again := byID[id]; !again {
			order = append(order, id)
		}
		byID[id] = e
	}
	own, copies, err := h.known(ctx)
	if err != nil {
		return Change{}, err
	}
	var c Change
	for _, id := range order {
		rs, err := h.records(h.topic, byID[id], own[id])
		if err != nil {
			return Change{}, err
		}
		c.Records = append(c.Records, rs...)
		if h.own == nil {
			continue
		}
		if rs, err = h.records(h.set.worker.o.Topic, byID[id], copies[id]); err != nil {
			return Change{}, err
		}
		if h.near {
			c.Records = append(c.Records, rs...)
			continue
		}
		c.Before = append(c.Before, slices.DeleteFunc(rs, func(r kafkaio.Record) bool { return r.Value != nil })...)
	}
	return c, nil
}

// RemoveAll makes the records that remove every offset of the connector, and tells which those are.
func (h *Home) RemoveAll(ctx context.Context) (Change, error) {
	own, copies, err := h.known(ctx)
	if err != nil {
		return Change{}, err
	}
	var entries []Entry
	for _, all := range []map[string]known{own, copies} {
		for _, id := range slices.Sorted(maps.Keys(all)) {
			entries = append(entries, Entry{Partition: all[id][0].Partition})
		}
	}
	return h.Change(ctx, entries)
}

// records write an entry under the key that counts, and remove what is there under others.
func (h *Home) records(topic string, e Entry, k known) ([]kafkaio.Record, error) {
	rs, err := Records(topic, h.connector, []Entry{e})
	if err != nil {
		return nil, err
	}
	if len(k) > 0 {
		rs[0].Key = []byte(k[len(k)-1].key)
		for _, w := range k[:len(k)-1] {
			rs = append(rs, kafkaio.Record{Topic: topic, Partition: record.AnyPartition, Key: []byte(w.key), Timestamp: record.NoTimestamp})
		}
	}
	return rs, nil
}

// Lazy reads a connector's offsets with a home that is made for each question: for those who seldom ask.
func Lazy(home func() (*Home, error)) source.OffsetReader { return lazy(home) }

type lazy func() (*Home, error)

func (l lazy) Offset(ctx context.Context, p record.SourcePartition) (record.SourceOffset, error) {
	h, err := l()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Reader().Offset(ctx, p)
}

func (l lazy) Offsets(ctx context.Context, ps []record.SourcePartition) ([]record.SourceOffset, error) {
	h, err := l()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return h.Reader().Offsets(ctx, ps)
}

// WriteBefore writes what a change wants written with the worker's clients first.
func (h *Home) WriteBefore(ctx context.Context, c Change, producer kafkaio.Config) error {
	if len(c.Before) == 0 {
		return nil
	}
	p, err := kafkaio.NewProducer(ctx, kafkaio.ProducerConfig{Client: producer, Logger: h.set.worker.o.Logger})
	if err != nil {
		return err
	}
	return Write(ctx, p, c.Before)
}

// Write writes records outside of transactions, waits until they are durable, and closes the producer.
func Write(ctx context.Context, p *kafkaio.Producer, rs []kafkaio.Record) (err error) {
	defer func() {
		if cerr := p.Close(ctx); err == nil {
			err = cerr
		}
	}()
	results := make(chan error, len(rs))
	if _, err := p.Send(ctx, rs, func(_ int, _ record.Produced, err error) { results <- err }); err != nil {
		return err
	}
	for range rs {
		select {
		case err := <-results:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return connecterr.Wrap(connecterr.Retriable, context.Cause(ctx), "waiting for written offsets to be acknowledged")
		}
	}
	return nil
}
