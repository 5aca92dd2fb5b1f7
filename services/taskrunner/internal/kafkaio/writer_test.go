package kafkaio

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/record"
)

// mixed is records of all shapes for some topics: nulls and empty bytes, headers of the same name, timestamps given and not,
// and more bytes than cross into the library at once.
func mixed(rnd *rand.Rand, n int, topics ...string) []Record {
	text := func(longest int) []byte {
		switch rnd.IntN(5) {
		case 0:
			return nil
		case 1:
			return []byte{}
		}
		return bytes.Repeat([]byte{byte('a' + rnd.IntN(26))}, 1+rnd.IntN(longest))
	}
	out := make([]Record, n)
	for i := range out {
		r := Record{Topic: topics[0], Partition: int32(rnd.IntN(3)), Key: text(20), Value: text(1500), Timestamp: int64(1_700_000_000_000 + i)}
		if rnd.IntN(4) == 0 { // runs of one topic are the rule
			r.Topic = topics[rnd.IntN(len(topics))]
		}
		for h := range rnd.IntN(4) {
			r.Headers = append(r.Headers, Header{Key: strconv.Itoa(h / 2), Value: text(10)})
		}
		out[i] = r
	}
	return out
}

// What is read is what was sent, in the same order, whichever way it was sent. Room for few records makes the library refuse
// in the middle of what crosses.
func TestBothWaysSendTheSameRecordsInTheSameOrder(t *testing.T) {
	bothWays(t, func(t *testing.T, bootstrap string, way way) {
		topics := []string{unique("same"), unique("same")}
		for _, topic := range topics {
			createTopic(t, bootstrap, topic, 3)
		}
		batch := mixed(rand.New(rand.NewPCG(7, 7)), 5000, topics...)
		p := way.producer(t, bootstrap, "", "queue.buffering.max.messages", "300")
		for i, w := range sendAll(t, p, batch) {
			require.Equal(t, batch[i].Topic, w.Topic)
			require.Equal(t, batch[i].Partition, w.Partition)
			batch[i].Offset, batch[i].TimestampType = w.Offset, record.CreateTime
		}
		want := map[TopicPartition][]Record{}
		for i := range batch {
			want[batch[i].Where()] = append(want[batch[i].Where()], batch[i])
		}
		got := map[TopicPartition][]Record{}
		for _, topic := range topics {
			for _, r := range readAll(t, bootstrap, topic) {
				got[r.Where()] = append(got[r.Where()], r)
			}
		}
		require.Len(t, want, 6)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("sent (-) and read (+):\n%.3000s", diff)
		}
	})
}

func TestKeysGoToTheSamePartitionBothWays(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("keys")
		createTopic(t, bootstrap, topic, 7)
		batch := make([]Record, 200)
		for i := range batch {
			batch[i] = Record{Topic: topic, Partition: record.AnyPartition, Key: fmt.Appendf(nil, "key-%d", i), Timestamp: record.NoTimestamp}
		}
		var places [2][]int32
		for i, w := range ways {
			for _, stored := range sendAll(t, w.producer(t, bootstrap, ""), batch) {
				places[i] = append(places[i], stored.Partition)
			}
		}
		require.Equal(t, places[1], places[0])
	})
}

func TestTransactionsBothWays(t *testing.T) {
	bothWays(t, func(t *testing.T, bootstrap string, way way) {
		topic := unique("txn")
		createTopic(t, bootstrap, topic, 2)
		p := way.producer(t, bootstrap, unique("id"))
		require.NoError(t, p.InitTransactions(within(t)))
		var want []string
		for i := range 10 {
			require.NoError(t, p.Begin())
			batch := numbered(topic, 0, 100*i, 3)
			if i%3 == 2 { // also with records that no broker has yet
				_, err := p.Send(within(t), batch, func(int, record.Produced, error) {})
				require.NoError(t, err)
				require.NoError(t, p.Abort(within(t)))
				continue
			}
			sendAll(t, p, batch)
			require.NoError(t, p.Commit(within(t)))
			want = append(want, valuesOf(batch)...)
		}
		require.Equal(t, want, valuesOf(readAll(t, bootstrap, topic)))
	})
}

// silent is a broker that takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var conns []net.Conn
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return l.Addr().String()
}

// Close comes from another goroutine. The library's own rule is that nothing may run in a client that is destroyed.
func TestCloseWaitsForCallsThatRun(t *testing.T) {
	withoutBroker(t, func(t *testing.T, way way) {
		bootstrap := silent(t)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				p, err := NewProducer(t.Context(), ProducerConfig{Client: Config{"bootstrap.servers": bootstrap}, TransactionalID: "x", OneByOne: way.oneByOne})
				if err != nil {
					t.Error(err)
					return
				}
				ended := make(chan error, 1)
				go func() { ended <- p.sliced(t.Context(), "taking the fence", p.out.initTransactions) }()
				if err := p.Close(within(t)); err != nil {
					t.Error(err)
				}
				select {
				case err := <-ended:
					if err == nil {
						t.Error("no error without a broker's answer")
					}
				case <-time.After(patience):
					t.Error("the call goes on though the producer is closed")
				}
			})
		}
		wg.Wait()
	})
}

// The partitions that a transaction is to get may not be known to Kafka yet when the producer is closed; its records are never seen.
func TestAProducerThatIsClosedInATransactionAbortsIt(t *testing.T) {
	bothWays(t, func(t *testing.T, bootstrap string, way way) {
		topic := unique("close-open")
		createTopic(t, bootstrap, topic, 1)
		for range 20 {
			p := way.producer(t, bootstrap, unique("id"))
			require.NoError(t, p.InitTransactions(within(t)))
			require.NoError(t, p.Begin())
			_, err := p.Send(within(t), numbered(topic, 0, 0, 10), func(int, record.Produced, error) {})
			require.NoError(t, err)
			require.NoError(t, p.Close(within(t)))
		}
		p := way.producer(t, bootstrap, unique("id"))
		require.NoError(t, p.InitTransactions(within(t)))
		require.NoError(t, p.Begin())
		sendAll(t, p, numbered(topic, 0, 10, 1))
		require.NoError(t, p.Commit(within(t)))
		c := newTestConsumer(t, bootstrap, unique("g"), "", nil, "isolation.level", "read_committed")
		require.NoError(t, c.Subscribe([]string{topic}, ""))
		rs := pollUntil(t, c, atLeast(1)) // a transaction that is left open would hide it for a minute
		require.Len(t, rs, 1)
		require.Equal(t, "10", string(rs[0].Value))
	})
}

// The same where a broker answers: commits meet closes at any moment.
func TestCloseMeetsCommits(t *testing.T) {
	bothWays(t, func(t *testing.T, bootstrap string, way way) {
		topic := unique("close")
		createTopic(t, bootstrap, topic, 1)
		for i := range 8 {
			p := way.producer(t, bootstrap, unique("id"))
			require.NoError(t, p.InitTransactions(within(t)))
			var commits atomic.Int64
			ended := make(chan error, 1)
			go func() {
				for {
					err := p.Begin()
					if err == nil {
						_, err = p.Send(within(t), numbered(topic, 0, 0, 10), func(int, record.Produced, error) {})
					}
					if err == nil {
						err = p.Commit(within(t))
					}
					if err != nil {
						ended <- err
						return
					}
					commits.Add(1)
				}
			}()
			require.Eventually(t, func() bool { return commits.Load() >= int64(i) }, patience, time.Millisecond)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			require.NoError(t, p.Close(ctx))
			cancel()
			require.Error(t, <-ended)
		}
	})
}
