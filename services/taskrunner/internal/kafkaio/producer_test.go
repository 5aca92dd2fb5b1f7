package kafkaio

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

func TestDoneIsCalledOncePerRecordInOrderPerPartition(t *testing.T) {
	bothWays(t, func(t *testing.T, bootstrap string, way way) {
		topic := unique("done")
		createTopic(t, bootstrap, topic, 4)
		p := way.producer(t, bootstrap, "", "delivery.report.only.error", "true") // the user's wish must not silence reports
		const batches, size = 50, 200
		var mu sync.Mutex
		calls := map[int]int{}
		order := map[int32][]int{}
		offsets := map[int32][]int64{}
		for b := range batches {
			batch := make([]Record, size)
			for i := range batch {
				batch[i] = Record{Topic: topic, Partition: int32(i % 4), Value: []byte("x"), Timestamp: record.NoTimestamp}
			}
			n, err := p.Send(within(t), batch, func(i int, w record.Produced, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Errorf("record %d: %v", i, err)
				}
				calls[b*size+i]++
				order[w.Partition] = append(order[w.Partition], b*size+i)
				offsets[w.Partition] = append(offsets[w.Partition], w.Offset)
			})
			require.NoError(t, err)
			require.Equal(t, size, n)
		}
		require.NoError(t, p.Flush(within(t)))
		mu.Lock()
		defer mu.Unlock()
		require.Len(t, calls, batches*size)
		for i, n := range calls {
			require.Equal(t, 1, n, "record %d", i)
		}
		for part, o := range order {
			require.IsIncreasing(t, o, "partition %d", part)
			require.IsIncreasing(t, offsets[part], "partition %d", part)
		}
	})
}

func TestSendWaitsForRoomUntilItsContextEnds(t *testing.T) {
	withoutBroker(t, func(t *testing.T, way way) {
		// No broker: nothing ever leaves the queue.
		p := way.producer(t, "127.0.0.1:1", "", "queue.buffering.max.messages", "10")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		var mu sync.Mutex
		reports := 0
		n, err := p.Send(ctx, numbered("t", 0, 0, 20), func(_ int, _ record.Produced, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				t.Error("stored without a broker")
			}
			reports++
		})
		require.Equal(t, 10, n)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, connecterr.IsRetriable(err))
		require.Contains(t, err.Error(), "127.0.0.1:1", "names the bootstrap servers")
		require.NoError(t, p.Close(within(t)))
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, 10, reports, "every accepted record is reported, also when the producer is closed")
		_, err = p.Send(t.Context(), numbered("t", 0, 0, 1), nil)
		require.ErrorIs(t, err, errClosed)
	})
}

func TestSendReturnsTheRecordThatIsTooLarge(t *testing.T) {
	bothWays(t, func(t *testing.T, bootstrap string, way way) {
		topic := unique("large")
		p := way.producer(t, bootstrap, "", "message.max.bytes", "2000")
		batch := numbered(topic, 0, 0, 3)
		batch[1].Value = make([]byte, 5000)
		n, err := p.Send(within(t), batch, func(int, record.Produced, error) {})
		require.Equal(t, 1, n)
		require.Error(t, err)
		require.False(t, connecterr.IsRetriable(err))
		require.NoError(t, p.Flush(within(t)))
	})
}

func TestUnreachableBrokerIsNamedAndRetriable(t *testing.T) {
	withoutBroker(t, func(t *testing.T, way way) {
		p := way.producer(t, "127.0.0.1:1", "txn")
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		err := p.InitTransactions(ctx)
		require.True(t, connecterr.IsRetriable(err), "%v", err)
		require.Contains(t, err.Error(), "bootstrap.servers=127.0.0.1:1")
	})
}

func TestAPartitionThatTheTopicDoesNotHaveIsFinalUntilTheTopicGrows(t *testing.T) {
	bothWays(t, func(t *testing.T, bootstrap string, way way) {
		topic := unique("narrow")
		createTopic(t, bootstrap, topic, 1)
		p := way.producer(t, bootstrap, "")
		send := func(partition int32) error {
			reported := make(chan error, 1)
			_, err := p.Send(within(t), []Record{{Topic: topic, Partition: partition, Value: []byte("x"), Timestamp: record.NoTimestamp}},
				func(_ int, _ record.Produced, err error) { reported <- err })
			if err != nil {
				return err
			}
			return <-reported
		}
		for range 2 { // before the library knows the topic, and after
			err := send(1)
			require.ErrorContains(t, err, "topic "+topic+": it has no partition 1")
			require.False(t, connecterr.IsRetriable(err))
			require.NoError(t, send(0))
		}
		a := newTestAdmin(t, bootstrap)
		res, err := a.a.CreatePartitions(within(t), []kafka.PartitionsSpecification{{Topic: topic, IncreaseTo: 2}})
		require.NoError(t, err)
		require.Equal(t, kafka.ErrNoError, res[0].Error.Code())
		require.Eventually(t, func() bool { // the broker itself learns of it a little later
			m, err := a.a.GetMetadata(&topic, false, 5000)
			return err == nil && len(m.Topics[topic].Partitions) == 2
		}, time.Minute, 10*time.Millisecond)
		require.Eventually(t, func() bool {
			err := send(1)
			require.True(t, err == nil || connecterr.IsRetriable(err), "%v", err)
			return err == nil
		}, time.Minute, 10*time.Millisecond)
	})
}

func TestUnknownPropertyIsAConfigError(t *testing.T) {
	withoutBroker(t, func(t *testing.T, way way) {
		_, err := NewProducer(t.Context(), ProducerConfig{Client: Config{"no.such.property": "1"}, OneByOne: way.oneByOne})
		require.Equal(t, connecterr.Config, connecterr.KindOf(err))
		require.Contains(t, err.Error(), "no.such.property")

		_, err = NewProducer(t.Context(), ProducerConfig{Client: Config{"linger.ms": "soon", "sasl.password": "hush"}, OneByOne: way.oneByOne})
		require.ErrorContains(t, err, `linger.ms is set to "soon"`)
		require.NotContains(t, err.Error(), "hush")
	})
}

func TestFault_ZT_1_TransactionalIDFencesTheOlderProducer(t *testing.T) {
	bothWays(t, func(t *testing.T, bootstrap string, way way) {
		topic, id := unique("zt1"), unique("txn")
		createTopic(t, bootstrap, topic, 1)
		zombie := way.producer(t, bootstrap, id)
		require.NoError(t, zombie.InitTransactions(within(t)))
		require.NoError(t, zombie.Begin())
		sendAll(t, zombie, numbered(topic, 0, 0, 3))
		require.NoError(t, zombie.Commit(within(t)))
		require.NoError(t, zombie.Begin()) // frozen here, in the middle of a transaction
		sendAll(t, zombie, numbered(topic, 0, 100, 2))

		heir := way.producer(t, bootstrap, id)
		require.NoError(t, heir.InitTransactions(within(t)))
		require.NoError(t, heir.Begin())
		sendAll(t, heir, numbered(topic, 0, 3, 3))
		require.NoError(t, heir.Commit(within(t)))

		var mu sync.Mutex
		var report error
		_, err := zombie.Send(within(t), numbered(topic, 0, 102, 1), func(_ int, _ record.Produced, err error) {
			mu.Lock()
			defer mu.Unlock()
			report = err
		})
		if err == nil {
			err = zombie.Commit(within(t))
			mu.Lock()
			require.Error(t, report, "the zombie's record is refused")
			mu.Unlock()
		}
		require.ErrorIs(t, err, job.ErrFenced)
		require.Equal(t, []string{"0", "1", "2", "3", "4", "5"}, valuesOf(readAll(t, bootstrap, topic)))
	})
}
