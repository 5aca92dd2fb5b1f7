package kafkaio

import (
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/stretchr/testify/require"
)

// TestNoRecordFetchedBeforeARebalanceIsHandedOutAfterIt lets members come and go while many records wait in the library's
// queues, and checks that every partition is read without a gap from where its new owner began: a record from an old
// queue would be one, and committing behind it would lose what it skipped.
func TestNoRecordFetchedBeforeARebalanceIsHandedOutAfterIt(t *testing.T) {
	for _, strategy := range []string{"range", "cooperative-sticky"} {
		t.Run(strategy, func(t *testing.T) {
			onBrokers(t, func(t *testing.T, bootstrap string) {
				const partitions, each = 4, 30_000
				topic, group := unique("stale"), unique("g")
				createTopic(t, bootstrap, topic, partitions)
				p := newTestProducer(t, bootstrap, "")
				for part := range int32(partitions) {
					sendAll(t, p, numbered(topic, part, 0, each))
				}
				ctx := within(t)
				due := map[*Consumer]map[TopicPartition]int64{} // what each member is to be given next
				seen := map[TopicPartition]map[int64]bool{}
				total := 0
				join := func() *Consumer {
					h := &noting{}
					c := newTestConsumer(t, bootstrap, group, "", h, "partition.assignment.strategy", strategy)
					due[c] = map[TopicPartition]int64{}
					h.onAssigned = func(parts []TopicPartition) error {
						for tp, o := range c.Position(parts) {
							due[c][tp] = o
						}
						return nil
					}
					h.onRevoked = func(parts []TopicPartition) error {
						return c.Commit(ctx, c.Position(parts))
					}
					require.NoError(t, c.Subscribe([]string{topic}, ""))
					return c
				}
				buf := make([]Record, 0, 100) // small: most of what was fetched stays in the queues
				read := func(c *Consumer) {
					recs, err := c.Poll(ctx, 10*time.Millisecond, buf)
					require.NoError(t, err)
					for _, r := range recs {
						require.Equal(t, due[c][r.Where()], r.Offset, "partition %d", r.Partition)
						due[c][r.Where()]++
						if seen[r.Where()] == nil {
							seen[r.Where()] = map[int64]bool{}
						}
						if !seen[r.Where()][r.Offset] {
							seen[r.Where()][r.Offset] = true
							total++
						}
					}
				}
				first := join()
				for range 20 {
					read(first)
				}
				var second *Consumer
				for round := range 3 {
					second = join()
					for until := time.Now().Add(patience); len(second.Assignment()) == 0; {
						read(first)
						read(second)
						require.True(t, time.Now().Before(until), "round %d: nothing was given up", round)
					}
					for range 30 {
						read(first)
						read(second)
					}
					require.NoError(t, second.Commit(ctx, second.Position(second.Assignment())))
					require.NoError(t, second.Close(ctx))
					// Move everything back and forth over what is queued.
					back := first.Position(first.Assignment())
					for tp := range back {
						back[tp] = max(0, back[tp]-50)
						due[first][tp] = back[tp]
					}
					require.NoError(t, first.Seek(back))
				}
				for until := time.Now().Add(patience); total < partitions*each; {
					read(first)
					require.True(t, time.Now().Before(until), "%d of %d records were handed out", total, partitions*each)
				}
			})
		})
	}
}

func TestRecordsTakenByAPollThatIsRevokedInTheMiddleAreNotCounted(t *testing.T) {
	t.Parallel()
	h := &noting{}
	c := newTestConsumer(t, "127.0.0.1:1", "g", "", h)
	topic := "t"
	zero, one := TopicPartition{Topic: topic}, TopicPartition{Topic: topic, Partition: 1}
	c.parts[zero] = &part{tp: zero, next: 13}
	c.parts[one] = &part{tp: one, next: 22}
	c.taken = append(numbered(topic, 0, 0, 3), numbered(topic, 1, 0, 2)...)
	for i, offset := range []int64{10, 11, 12, 20, 21} {
		c.taken[i].Offset = offset
	}
	var at map[TopicPartition]int64
	h.onRevoked = func(parts []TopicPartition) error { at = c.Position(parts); return nil }
	c.revoked([]kafka.TopicPartition{{Topic: &topic, Partition: 0}})
	require.Equal(t, map[TopicPartition]int64{zero: 10}, at, "what the handler may commit")
	require.Len(t, c.taken, 2, "the other partition's records are handed out")
	require.Equal(t, map[TopicPartition]int64{one: 22}, c.Position([]TopicPartition{zero, one}))
}
