package offsets

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/tests/servers"
)

func TestRecords_are_in_Kafka_Connects_format(t *testing.T) {
	t.Parallel()
	rs, err := Records("t", "local-file-source", []Entry{
		{Partition: data.MapOf("filename", "test.txt"), Offset: data.MapOf("position", int64(22))},
		{Partition: data.MapOf("filename", nil), Offset: data.MapOf("position", nil, "f", 1.0, "b", true, "s", "a<\"b")},
		{Partition: nil},
	})
	require.NoError(t, err)
	require.Equal(t, `["local-file-source",{"filename":"test.txt"}]`, string(rs[0].Key))
	require.Equal(t, `{"position":22}`, string(rs[0].Value))
	require.Equal(t, `{"position":null,"f":1.0,"b":true,"s":"a<\"b"}`, string(rs[1].Value))
	require.Equal(t, `["local-file-source",null]`, string(rs[2].Key))
	require.Nil(t, rs[2].Value)
}

func TestRecords_refuse_what_an_offset_may_not_hold(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]*data.Map{
		"Offsets may only contain primitive types as values, but field k contains MAP":   data.MapOf("k", data.NewMap(0)),
		"Offsets may only contain primitive types as values, but field k contains ARRAY": data.MapOf("k", []any{}),
		"Offsets may only use String keys":                                               data.MapOf(int64(1), "x"),
		"Offsets may only contain numbers that JSON has, but field k contains NaN":       data.MapOf("k", math.NaN()),
	} {
		_, err := Records("t", "c", []Entry{{Partition: m}})
		require.EqualError(t, err, want)
		_, err = Records("t", "c", []Entry{{Offset: m}})
		require.EqualError(t, err, want)
	}
}

func TestIdentity_ignores_order_and_width_and_nothing_else(t *testing.T) {
	t.Parallel()
	same := func(a, b *data.Map) bool {
		x, err := Identity(a)
		require.NoError(t, err)
		y, err := Identity(b)
		require.NoError(t, err)
		return x == y
	}
	require.True(t, same(data.MapOf("a", int32(1), "b", "x"), data.MapOf("b", "x", "a", int64(1))))
	require.False(t, same(data.MapOf("a", int64(1)), data.MapOf("a", "1")))
	require.False(t, same(data.MapOf("a", int64(1)), data.MapOf("a", 1.0)))
	require.False(t, same(data.MapOf("a", nil), data.NewMap(0)))
	require.False(t, same(nil, data.NewMap(0)))
}

func TestStore_waits_for_another_reader_no_longer_than_it_has_time(t *testing.T) {
	t.Parallel()
	s := NewStore(Options{Topic: "o", Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(s.Close)
	s.reads <- struct{}{} // somebody reads, and Kafka does not answer
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, s.Ensure(ctx), "waiting for others that read topic o")
	<-s.reads
}

func TestKnown_counts_what_was_written_last_in_whatever_order_the_partitions_are_read(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// What some writers said one after another, each key always in the same place.
		n := rapid.IntRange(1, 12).Draw(t, "records")
		var places [3][]written
		model := map[string]written{}
		for i := range n {
			key := rapid.IntRange(0, 5).Draw(t, "key")
			w := written{key: fmt.Sprint(key), at: int64(i)}
			if delete(model, w.key); rapid.IntRange(0, 3).Draw(t, "what") > 0 {
				w.Offset = data.MapOf("n", int64(i))
				model[w.key] = w
			}
			places[key%3] = append(places[key%3], w)
		}
		var last written
		for _, w := range model {
			if w.Offset != nil && w.at >= last.at {
				last = w
			}
		}
		var k known
		for left := n; left > 0; {
			p := &places[rapid.IntRange(0, 2).Draw(t, "read")]
			if len(*p) > 0 {
				k, *p, left = k.with((*p)[0]), (*p)[1:], left-1
			}
		}
		require.Len(t, k, len(model))
		require.Equal(t, last.Offset, k.offset())
	})
}

// A batch is taken as if its records had come one by one, also where some can't be read.
func TestStore_takes_a_batch_as_its_records_one_by_one(t *testing.T) {
	t.Parallel()
	keys := []string{`["c",{"a":1,"b":2}]`, `["c",{"b":2,"a":1}]`, `["c",{"f":"x"}]`, `["d",null]`, `no key`}
	rapid.Check(t, func(t *rapid.T) {
		batch := make([]kafkaio.Record, rapid.IntRange(0, 30).Draw(t, "records"))
		one := Table{}
		for i := range batch {
			k := rapid.IntRange(0, len(keys)-1).Draw(t, "key")
			batch[i] = kafkaio.Record{Partition: int32(k % 2), Key: []byte(keys[k]), Timestamp: int64(i), Offset: int64(i)}
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0: // a tombstone
			case 1:
				batch[i].Value = []byte("{broken")
			default:
				batch[i].Value = fmt.Appendf(nil, `{"n":%d}`, i)
			}
			if err := one.Add(batch[i]); err != nil && k != 4 {
				require.Contains(t, string(batch[i].Value), "broken")
			}
		}
		s := NewStore(Options{Logger: slog.New(slog.DiscardHandler)})
		defer s.Close()
		require.NoError(t, s.take(batch))
		for _, c := range []string{"c", "d"} {
			require.Equal(t, one.Entries(c), s.all.Entries(c))
			for id, k := range one[c] {
				require.Equal(t, k, s.all[c][id])
			}
		}
	})
}

// A topic that is not compacted yet: 16 source partitions, and many records of each.
func BenchmarkStore_take(b *testing.B) {
	batch := make([]kafkaio.Record, 1000)
	for i := range batch {
		batch[i] = kafkaio.Record{Key: fmt.Appendf(nil, `["source-%d",{"filename":"/some/folder/file-%d"}]`, i%16, i%16), Value: fmt.Appendf(nil, `{"position":%d}`, i)}
	}
	s := NewStore(Options{Logger: slog.New(slog.DiscardHandler)})
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.take(batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch)), "ns/record")
}

func TestRecords_come_back_as_they_were(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) *data.Map {
			m := data.NewMap(2)
			for range rapid.IntRange(0, 3).Draw(t, name) {
				m.Set(rapid.String().Draw(t, "key"), rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }),
					rapid.Map(rapid.Int64(), func(n int64) any { return n }), rapid.Map(rapid.Bool(), func(b bool) any { return b })).Draw(t, "value"))
			}
			return m
		}
		name, e := rapid.String().Draw(t, "name"), Entry{Partition: draw("partition"), Offset: draw("offset")}
		rs, err := Records("t", name, []Entry{e})
		require.NoError(t, err)
		gotName, got, err := parse(rs[0])
		require.NoError(t, err)
		require.Equal(t, name, gotName)
		again, err := Records("t", gotName, []Entry{got})
		require.NoError(t, err)
		require.Equal(t, rs, again)
	})
}

func TestStore_sees_what_was_committed_before_the_question_and_nothing_else(t *testing.T) {
	t.Parallel()
	servers.Brokers(t, storeSees)
}

func storeSees(t *testing.T, bootstrap string) {
	cfg := kafkaio.Config{"bootstrap.servers": bootstrap}
	topic := fmt.Sprintf("offs-%d", time.Now().UnixNano()) // a real broker may have seen other runs
	s := NewStore(Options{Topic: topic, Partitions: 3, Replication: 1, Consumer: cfg, Admin: cfg, Logger: slog.New(slog.DiscardHandler)})
	defer s.Close()
	file := data.MapOf("filename", "a")
	offset, err := s.Reader("c").Offset(t.Context(), file)
	require.NoError(t, err)
	require.Nil(t, offset, "and the topic has been made")

	p, err := kafkaio.NewProducer(t.Context(), kafkaio.ProducerConfig{Client: cfg, TransactionalID: topic})
	require.NoError(t, err)
	defer p.Close(context.Background())
	require.NoError(t, p.InitTransactions(t.Context()))
	write := func(commit bool, connector string, e Entry) {
		rs, err := Records(topic, connector, []Entry{e})
		require.NoError(t, err)
		require.NoError(t, p.Begin())
		_, err = p.Send(t.Context(), rs, func(int, record.Produced, error) {})
		require.NoError(t, err)
		if commit {
			require.NoError(t, p.Commit(t.Context()))
		} else {
			require.NoError(t, p.Abort(t.Context()))
		}
	}
	position := func(connector string) any {
		o, err := s.Reader(connector).Offset(t.Context(), file)
		require.NoError(t, err)
		v, _ := o.Get("position")
		return v
	}
	for i := range int64(5) {
		write(true, "c", Entry{file, data.MapOf("position", i)})
		write(false, "c", Entry{file, data.MapOf("position", int64(99))})
		write(true, "other", Entry{file, data.MapOf("position", int64(77))})
		require.Equal(t, i, position("c"))
	}
	require.Equal(t, int64(77), position("other"))
	write(true, "c", Entry{file, nil})
	require.Nil(t, position("c"))

	fresh := NewStore(s.o)
	defer fresh.Close()
	all, err := fresh.Reader("other").Offsets(t.Context(), []record.SourcePartition{data.MapOf("x", nil), file})
	require.NoError(t, err)
	require.Nil(t, all[0])
	require.NotNil(t, all[1])
}

// Runners that start together beside a new Kafka all find that the topic is missing.
func TestStore_many_at_once_make_the_topic_once(t *testing.T) {
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) {
		cfg := kafkaio.Config{"bootstrap.servers": bootstrap}
		topic := fmt.Sprintf("many-%d", time.Now().UnixNano())
		var g errgroup.Group
		for range 8 {
			s := NewStore(Options{Topic: topic, Partitions: 25, Replication: 1, Consumer: cfg, Admin: cfg, Logger: slog.New(slog.DiscardHandler)})
			defer s.Close()
			g.Go(func() error { return s.Ensure(t.Context()) })
		}
		require.NoError(t, g.Wait())
	})
}
