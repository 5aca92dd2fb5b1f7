package offsetservice_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/sinktask"
)

func at(topic string, partition int) string {
	return fmt.Sprintf(`{"kafka_topic":"%s","kafka_partition":%d}`, topic, partition)
}

func to(n int64) string { return fmt.Sprintf(`{"kafka_offset":%d}`, n) }

func (w *world) makeTopic(partitions int) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	a, err := kafkaio.NewAdmin(w.client(), nil)
	require.NoError(w, err)
	made, err := a.CreateTopics(ctx, kafkaio.Topic{Name: w.topic, Partitions: partitions, Replication: 1})
	require.NoError(w, err)
	require.NoError(w, made[w.topic])
	require.NoError(w, a.Close(ctx))
	require.Eventually(w, func() bool {
		a, err := kafkaio.NewAdmin(w.client(), nil)
		require.NoError(w, err)
		defer a.Close(ctx)
		d, err := a.DescribeTopic(ctx, w.topic)
		return err == nil && d.Partitions == partitions
	}, patience, 20*time.Millisecond)
}

// member joins the sink's group.
func (w *world) member(group, instance string) *kafkaio.Consumer {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	h := &joined{}
	c, err := kafkaio.NewConsumer(w.Context(), kafkaio.ConsumerConfig{Client: w.client(), Group: group, InstanceID: instance, Rebalance: h, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(w, err)
	require.NoError(w, c.Subscribe([]string{w.topic}, ""))
	for !h.yes {
		_, err := c.Poll(ctx, 100*time.Millisecond, nil)
		require.NoError(w, err)
	}
	return c
}

type joined struct{ yes bool }

func (j *joined) Assigned([]record.TopicPartition) error { j.yes = true; return nil }
func (j *joined) Revoked([]record.TopicPartition) error  { return nil }
func (j *joined) Lost([]record.TopicPartition) error     { return nil }

func TestSink_committed_offsets_are_set_removed_and_forgotten(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		w.makeTopic(3)
		w.lists(plainSink, []string{})
		require.False(w, w.alter(plainSink, entries(at(w.topic, 2), to(7), at(w.topic, 0), to(1), at(w.topic, 0), to(2))))
		w.lists(plainSink, []string{at(w.topic, 0), to(2), at(w.topic, 2), to(7)})
		require.False(w, w.alter(plainSink, entries(at(w.topic, 0), ``, at(w.topic, 1), to(9223372036854775807), at(w.topic, 2), to(1), at(w.topic, 2), `null`)))
		w.lists(plainSink, []string{at(w.topic, 1), to(9223372036854775807)})
		w.alter(plainSink, entries(at(w.topic, 0), ``)) // nothing to remove, in a group that is there
		for range 2 {
			require.False(w, w.reset(plainSink))
			w.lists(plainSink, []string{})
		}
	})
}

func TestSink_what_Kafka_does_not_have_is_refused_and_changes_nothing(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		w.makeTopic(2)
		text := "Failed to alter consumer group offsets for connector " + w.name
		w.refusedChange(plainSink, entries(at(w.topic, 0), ``), text) // no group whose offset could be removed
		w.alter(plainSink, entries(at(w.topic, 0), to(2)))
		for _, c := range []struct{ partition, offset, want string }{
			{at("none-"+w.topic, 0), to(1), text},
			{at("none-"+w.topic, 0), ``, text},
			{at("", 0), to(1), text},
			{at("a b", 0), to(1), text},
			{at("{a=1}", 0), to(1), text},
			{at(w.topic, 77), to(1), text},
			{at(w.topic, 55), ``, text},
			{at(w.topic, -1), to(1), text},
			{at(w.topic, 0), to(-1), "Failed to modify offsets for sink connector " + w.name},
		} {
			w.refusedChange(plainSink, entries(at(w.topic, 0), to(5), c.partition, c.offset), c.want)
		}
		w.lists(plainSink, []string{at(w.topic, 0), to(2)})
	})
}

func TestSink_the_connector_judges_what_is_asked(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		w.makeTopic(2)
		var asked map[record.TopicPartition]int64
		w.onSink = func(_ map[string]string, o map[record.TopicPartition]int64) (bool, error) {
			asked = o
			return true, nil
		}
		zero, one := record.TopicPartition{Topic: w.topic}, record.TopicPartition{Topic: w.topic, Partition: 1}
		require.True(w, w.alter(mindedSink, entries(at(w.topic, 0), to(3))))
		require.Equal(w, map[record.TopicPartition]int64{zero: 3}, asked)
		require.True(w, w.alter(mindedSink, entries(at(w.topic, 1), to(4), at(w.topic, 0), `null`)))
		require.Equal(w, map[record.TopicPartition]int64{zero: -1, one: 4}, asked)
		require.True(w, w.reset(mindedSink))
		require.Equal(w, map[record.TopicPartition]int64{one: -1}, asked)
	})
}

func TestSink_a_group_with_members_of_others_is_left_alone(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		w.makeTopic(1)
		group := "chosen-" + w.name
		own := []string{"consumer.override.group.id", group}
		w.alter(plainSink, entries(at(w.topic, 0), to(3)), own...)
		w.lists(plainSink, []string{})
		w.lists(plainSink, []string{at(w.topic, 0), to(3)}, own...)
		c := w.member(group, "somebody")
		text := func(verb string) string {
			return fmt.Sprintf("Failed to %s consumer group offsets for connector %s either because its tasks haven't stopped completely yet or the connector was resumed before the "+
				"request to %s its offsets could be successfully completed. If the connector is in a stopped state, this operation can be safely retried. If it doesn't "+
				"eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink tasks.", verb, w.name, verb)
		}
		q := w.request(wire.AlterOffsets, plainSink, own...)
		q.Changes = entries(at(w.topic, 0), to(4))
		w.refused(q, text("alter"))
		q.Changes = entries(at(w.topic, 0), ``)
		w.refused(q, text("alter"))
		w.refused(w.request(wire.ResetOffsets, plainSink, own...), text("reset"))
		w.lists(plainSink, []string{at(w.topic, 0), to(3)}, own...)
		require.NoError(w, c.Leave(w.Context()))
		w.reset(plainSink, own...)
		w.lists(plainSink, []string{}, own...)
	})
}

func TestSink_members_that_stopped_tasks_left_behind_do_not_stand_in_the_way(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		w.makeTopic(3)
		group := "connect-" + w.name
		ctx, cancel := context.WithTimeout(w.Context(), patience)
		defer cancel()
		var all errgroup.Group
		var in atomic.Int64
		for task := range 3 {
			all.Go(func() error {
				c := w.member(group, sinktask.InstanceID(group, cluster.TaskJob("uid", task)))
				in.Add(1)
				for in.Load() < 3 { // each takes part in the rebalances of the others
					if _, err := c.Poll(ctx, 10*time.Millisecond, nil); err != nil {
						return err
					}
				}
				return c.Close(ctx) // as a stopped task does: it keeps its place
			})
		}
		require.NoError(w, all.Wait())
		began := time.Now()
		w.alter(plainSink, entries(at(w.topic, 1), to(5)))
		w.lists(plainSink, []string{at(w.topic, 1), to(5)})
		w.reset(plainSink)
		require.Less(w, time.Since(began), 20*time.Second, "nobody waited for their sessions to time out")
	})
}

// Positions that a connector keeps itself are forgotten at a reset whatever Kafka knows, and are not moved when Kafka's can't be.
func TestSink_a_connector_with_positions_of_its_own(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		w.makeTopic(1)
		asked, resets := 0, 0
		w.onSink = func(map[string]string, map[record.TopicPartition]int64) (bool, error) {
			asked++
			return true, nil
		}
		w.onReset = func(c map[string]string) (bool, error) {
			resets++
			require.Equal(w, w.topic, c["topics"])
			return true, nil
		}
		require.True(w, w.reset(ownSink))
		require.True(w, w.alter(ownSink, entries(at(w.topic, 0), to(3))))
		require.Equal(w, []int{1, 1}, []int{asked, resets})
		w.refusedChange(ownSink, entries(at(w.topic, 0), to(5), at(w.topic, 77), to(1)), "Failed to alter consumer group offsets for connector "+w.name)
		require.Equal(w, 1, asked)
		w.onReset = func(map[string]string) (bool, error) { return false, errors.New("the database is down") }
		w.refused(w.request(wire.ResetOffsets, ownSink), "the database is down")
		w.lists(ownSink, []string{at(w.topic, 0), to(3)})
	})
}
