package kafkaio

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/servers"
)

// patience is generous: the machine may be busy.
const patience = 60 * time.Second

// onBrokers runs a test against the embedded broker and a real one.
func onBrokers(t *testing.T, test func(t *testing.T, bootstrap string)) {
	t.Helper()
	t.Parallel()
	servers.Brokers(t, test)
}

var names atomic.Int64

// unique makes a name for a topic, group or transactional id of this run.
func unique(what string) string {
	return fmt.Sprintf("%s-%d-%d", what, time.Now().UnixNano(), names.Add(1))
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// way is how a producer hands records to the library: in batches, or one by one, which is the yardstick.
type way struct{ oneByOne bool }

func (w way) String() string {
	if w.oneByOne {
		return "one by one"
	}
	return "batches"
}

var ways = []way{{oneByOne: false}, {oneByOne: true}}

// bothWays runs a test of producers with each kind, against each broker.
func bothWays(t *testing.T, test func(t *testing.T, bootstrap string, way way)) {
	t.Helper()
	onBrokers(t, func(t *testing.T, bootstrap string) {
		for _, w := range ways {
			t.Run(w.String(), func(t *testing.T) { test(t, bootstrap, w) })
		}
	})
}

func withoutBroker(t *testing.T, test func(t *testing.T, way way)) {
	t.Helper()
	t.Parallel()
	for _, w := range ways {
		t.Run(w.String(), func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

func newTestProducer(t *testing.T, bootstrap, txn string, more ...string) *Producer {
	t.Helper()
	return way{}.producer(t, bootstrap, txn, more...)
}

func (w way) producer(t *testing.T, bootstrap, txn string, more ...string) *Producer {
	t.Helper()
	cfg := Config{"bootstrap.servers": bootstrap}
	for i := 0; i < len(more); i += 2 {
		cfg[more[i]] = more[i+1]
	}
	p, err := NewProducer(within(t), ProducerConfig{Client: cfg, TransactionalID: txn, OneByOne: w.oneByOne})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, p.Close(ctx))
	})
	return p
}

func numbered(topic string, partition int32, from, n int) []Record {
	out := make([]Record, n)
	for i := range out {
		out[i] = Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, "%d", from+i), Timestamp: record.NoTimestamp}
	}
	return out
}

// sendAll sends a batch and waits until all is stored.
func sendAll(t *testing.T, p *Producer, batch []Record) []record.Produced {
	t.Helper()
	out := make([]record.Produced, len(batch))
	var failed atomic.Pointer[error]
	n, err := p.Send(within(t), batch, func(i int, w record.Produced, err error) {
		if err != nil {
			failed.Store(&err)
		}
		out[i] = w
	})
	require.NoError(t, err)
	require.Equal(t, len(batch), n)
	require.NoError(t, p.Flush(within(t)))
	if e := failed.Load(); e != nil {
		require.NoError(t, *e)
	}
	return out
}

func newTestAdmin(t *testing.T, bootstrap string) *Admin {
	t.Helper()
	a, err := NewAdmin(Config{"bootstrap.servers": bootstrap}, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, a.Close(ctx))
	})
	return a
}

func createTopic(t *testing.T, bootstrap, topic string, partitions int) {
	t.Helper()
	res, err := newTestAdmin(t, bootstrap).CreateTopics(within(t), Topic{Name: topic, Partitions: partitions, Replication: 1})
	require.NoError(t, err)
	require.NoError(t, res[topic])
}

func readAll(t *testing.T, bootstrap, topic string) []Record {
	t.Helper()
	var out []Record
	require.NoError(t, ReadAll(within(t), Config{"bootstrap.servers": bootstrap}, topic, func(b []Record) error {
		out = append(out, b...)
		return nil
	}))
	return out
}

func valuesOf(rs []Record) []string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = string(r.Value)
	}
	return out
}
