package kafkaio

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
)

func TestAdminMakesAndDescribesTopics(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		a := newTestAdmin(t, bootstrap)
		id, err := a.ClusterID(within(t))
		require.NoError(t, err)
		require.NotEmpty(t, id)
		name := unique("admin")
		_, err = a.DescribeTopic(within(t), name)
		require.True(t, IsUnknownTopic(err), "%v", err)
		res, err := a.CreateTopics(within(t), Topic{Name: name, Partitions: 3, Replication: 1,
			Config: map[string]string{"retention.ms": "3600000"}})
		require.NoError(t, err)
		require.NoError(t, res[name])
		res, err = a.CreateTopics(within(t), Topic{Name: name, Partitions: 3, Replication: 1})
		require.NoError(t, err)
		require.ErrorIs(t, res[name], ErrTopicExists)
		got, err := a.DescribeTopic(within(t), name)
		require.NoError(t, err)
		require.Equal(t, Topic{Name: name, Partitions: 3, Replication: 1}, got)
		cfg, err := a.TopicConfig(within(t), name)
		require.NoError(t, err)
		require.Equal(t, "3600000", cfg["retention.ms"])
		sendAll(t, newTestProducer(t, bootstrap, ""), numbered(name, 1, 0, 5))
		end, err := a.ListEnd(within(t), []TopicPartition{{Topic: name}, {Topic: name, Partition: 1}})
		require.NoError(t, err)
		require.Equal(t, map[TopicPartition]int64{{Topic: name}: 0, {Topic: name, Partition: 1}: 5}, end)
	})
}

func TestAdminChangesOffsetsOfAGroupWithoutMembersOnly(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		a := newTestAdmin(t, bootstrap)
		topic, group := unique("offsets"), unique("g")
		createTopic(t, bootstrap, topic, 2)
		zero, one := TopicPartition{Topic: topic}, TopicPartition{Topic: topic, Partition: 1}
		got, err := a.ListGroupOffsets(within(t), group)
		require.NoError(t, err)
		require.Empty(t, got)
		require.NoError(t, a.AlterGroupOffsets(within(t), group, map[TopicPartition]int64{zero: 3, one: 4}))
		got, err = a.ListGroupOffsets(within(t), group)
		require.NoError(t, err)
		require.Equal(t, map[TopicPartition]int64{zero: 3, one: 4}, got)

		c := newTestConsumer(t, bootstrap, group, "task-0", nil)
		require.NoError(t, c.Subscribe([]string{topic}, ""))
		pollUntil(t, c, func([]Record) bool { return len(c.Assignment()) == 2 })
		require.ErrorIs(t, a.AlterGroupOffsets(within(t), group, map[TopicPartition]int64{zero: 9}), ErrGroupInUse)
		require.ErrorIs(t, a.DeleteGroup(within(t), group), ErrGroupInUse)
		require.ErrorIs(t, a.DeleteGroupOffsets(within(t), group, []TopicPartition{zero}), ErrGroupInUse)
		inUse := func(group string) bool {
			used, err := a.GroupInUse(within(t), group, TopicPartition{Topic: topic, Partition: 1})
			require.NoError(t, err)
			return used
		}
		require.True(t, inUse(group))
		require.False(t, inUse(unique("nobody")))
		require.NoError(t, c.Leave(within(t)))
		require.NoError(t, a.DeleteGroupOffsets(within(t), group, nil))
		for range 2 { // the second time there is nothing to remove
			require.NoError(t, a.DeleteGroupOffsets(within(t), group, []TopicPartition{zero}))
			got, err = a.ListGroupOffsets(within(t), group)
			require.NoError(t, err)
			require.Equal(t, map[TopicPartition]int64{one: 4}, got)
		}
		require.False(t, inUse(group))
		require.NoError(t, a.DeleteGroup(within(t), group))
		require.ErrorContains(t, a.DeleteGroupOffsets(within(t), group, []TopicPartition{zero}), "removing offsets of group "+group)
		require.NoError(t, a.DeleteGroup(within(t), group), "no such group is no error")
	})
}

func TestAdminNamesTheBrokerItWaitedFor(t *testing.T) {
	t.Parallel()
	a := newTestAdmin(t, "127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := a.DescribeTopic(ctx, "t")
	require.True(t, connecterr.IsRetriable(err))
	require.Contains(t, err.Error(), "bootstrap.servers=127.0.0.1:1")
}

func TestReadAllSeesCommittedRecordsOnlyAndWaitsForOpenTransactions(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("readall")
		createTopic(t, bootstrap, topic, 2)
		cfg := Config{"bootstrap.servers": bootstrap}
		require.NoError(t, ReadAll(within(t), cfg, topic, func([]Record) error { return errors.New("there is nothing") }))
		require.True(t, IsUnknownTopic(ReadAll(within(t), cfg, unique("none"), nil)))

		a, b := newTestProducer(t, bootstrap, unique("a")), newTestProducer(t, bootstrap, unique("b"))
		for _, p := range []*Producer{a, b} {
			require.NoError(t, p.InitTransactions(within(t)))
		}
		round := func(p *Producer, from int, commit bool) {
			require.NoError(t, p.Begin())
			sendAll(t, p, numbered(topic, 0, from, 2))
			sendAll(t, p, numbered(topic, 1, from, 2))
			if commit {
				require.NoError(t, p.Commit(within(t)))
			} else {
				require.NoError(t, p.Abort(within(t)))
			}
		}
		round(a, 0, true)
		round(a, 100, false)
		require.NoError(t, b.Begin()) // open while ReadAll is called
		sendAll(t, b, numbered(topic, 0, 50, 1))
		round(a, 2, true) // committed behind b's open transaction
		round(a, 200, false)

		got := make(chan []Record, 1)
		started := make(chan struct{})
		go func() {
			close(started)
			got <- readAll(t, bootstrap, topic)
		}()
		<-started
		require.NoError(t, b.Commit(within(t)))
		by := map[int32][]string{}
		for _, r := range <-got {
			by[r.Partition] = append(by[r.Partition], string(r.Value))
		}
		require.Equal(t, []string{"0", "1", "50", "2", "3"}, by[0])
		require.Equal(t, []string{"0", "1", "2", "3"}, by[1])
		stop := errors.New("stop")
		require.Equal(t, stop, ReadAll(within(t), cfg, topic, func([]Record) error { return stop }))
	})
}

func TestReadAllHandsOverManyBatchesInOrder(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("many")
		createTopic(t, bootstrap, topic, 2)
		p := newTestProducer(t, bootstrap, "")
		for part := range int32(2) {
			sendAll(t, p, numbered(topic, part, 0, 3*readAllBatch/2))
		}
		next := map[int32]int{}
		for _, r := range readAll(t, bootstrap, topic) {
			require.Equal(t, fmt.Sprint(next[r.Partition]), string(r.Value))
			require.NotEqual(t, record.NoTimestamp, r.Timestamp)
			next[r.Partition]++
		}
		require.Equal(t, map[int32]int{0: 1500, 1: 1500}, next)
	})
}

func TestATailThatIsGivenLittleTimeGetsToTheEndAllTheSame(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("long")
		createTopic(t, bootstrap, topic, 2)
		p := newTestProducer(t, bootstrap, "")
		const each = 3 * readAllBatch
		sendAll(t, p, numbered(topic, 0, 0, each))
		sendAll(t, p, numbered(topic, 1, 0, each))
		tail, err := NewTail(Config{"bootstrap.servers": bootstrap}, topic)
		require.NoError(t, err)
		defer tail.Close()
		next := map[int32]int64{}
		for tries := 1; ; tries++ {
			ctx, cancel := context.WithCancel(within(t))
			err := tail.Sync(ctx, func(rs []Record) error {
				for _, r := range rs {
					require.Equal(t, next[r.Partition], r.Offset, "nothing twice, and nothing left out")
					next[r.Partition]++
				}
				cancel() // its time is over after a batch
				return nil
			})
			cancel()
			if err == nil {
				require.Greater(t, tries, 2)
				break
			}
			require.True(t, connecterr.IsRetriable(err), "%v", err)
		}
		require.Equal(t, map[int32]int64{0: each, 1: each}, next)
	})
}
