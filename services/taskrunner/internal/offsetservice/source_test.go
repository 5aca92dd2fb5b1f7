package offsetservice_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
)

// both runs a test with exactly-once sources and without.
func both(t *testing.T, test func(w *world)) {
	t.Helper()
	t.Parallel()
	for _, support := range []string{"enabled", "disabled"} {
		t.Run("exactly once "+support, func(t *testing.T) {
			onBrokers(t, map[string]string{"exactly.once.source.support": support}, test)
		})
	}
}

// put writes records to an offsets topic as somebody else might have.
func (w *world) put(topic string, pairs ...string) {
	w.Helper()
	require.NoError(w, w.set.Home(w.name, nil, offsets.Clients{Consumer: w.client(), Admin: w.client()}).Ensure(w.Context()))
	p, err := kafkaio.NewProducer(w.Context(), kafkaio.ProducerConfig{Client: w.client()})
	require.NoError(w, err)
	var rs []kafkaio.Record
	now := time.Now().UnixMilli()
	for i := 0; i < len(pairs); i += 2 {
		r := kafkaio.Record{Topic: topic, Partition: record.AnyPartition, Key: fmt.Appendf(nil, `["%s",%s]`, w.name, pairs[i]), Timestamp: now + int64(i)}
		if pairs[i+1] != "" {
			r.Value = []byte(pairs[i+1])
		}
		rs = append(rs, r)
	}
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	for _, r := range rs { // one after another: keys may lie in different partitions
		require.NoError(w, offsets.Write(ctx, p, []kafkaio.Record{r}))
		p, err = kafkaio.NewProducer(w.Context(), kafkaio.ProducerConfig{Client: w.client()})
		require.NoError(w, err)
	}
	require.NoError(w, p.Close(ctx))
}

// stored reads the last value of every key of a topic, as compaction leaves it.
func (w *world) stored(topic string) map[string]string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	all := map[string]string{}
	require.NoError(w, kafkaio.ReadAll(ctx, w.client(), topic, func(rs []kafkaio.Record) error {
		for _, r := range rs {
			if all[string(r.Key)] = string(r.Value); r.Value == nil {
				delete(all, string(r.Key))
			}
		}
		return nil
	}))
	return all
}

func (w *world) key(partition string) string { return fmt.Sprintf(`["%s",%s]`, w.name, partition) }

func TestSource_offsets_are_set_replaced_and_removed_in_Kafka_Connects_format(t *testing.T) {
	both(t, func(w *world) {
		w.lists(plainSource, []string{})
		require.False(w, w.alter(plainSource, entries(
			`{"id":1}`, `{"seq":7,"s":"x","d":1.5,"b":true,"n":null}`,
			`{"b":"x","a":9}`, `{"o":1}`,
			`{"id":1}`, `{"seq":8}`, // the last counts
			`{}`, `{}`,
			`null`, `{"hidden":1}`,
			`{"never":1}`, ``)))
		w.lists(plainSource, []string{`{"b":"x","a":9}`, `{"o":1}`, `{"id":1}`, `{"seq":8}`, `{}`, `{}`})
		require.Equal(w, map[string]string{w.key(`{"id":1}`): `{"seq":8}`, w.key(`{"b":"x","a":9}`): `{"o":1}`, w.key(`{}`): `{}`, w.key(`null`): `{"hidden":1}`},
			w.stored(w.worker.OffsetsTopic))

		require.False(w, w.alter(plainSource, entries(`{"a":9,"b":"x"}`, `{"o":2}`, `{"id":1}`, `null`)))
		w.lists(plainSource, []string{`{"b":"x","a":9}`, `{"o":2}`, `{}`, `{}`})
		require.Equal(w, `{"o":2}`, w.stored(w.worker.OffsetsTopic)[w.key(`{"b":"x","a":9}`)], "the key that is there is used again")

		for range 2 {
			require.False(w, w.reset(plainSource))
			w.lists(plainSource, []string{})
			require.Empty(w, w.stored(w.worker.OffsetsTopic), "the hidden one as well")
		}
	})
}

func TestSource_keys_that_only_differ_in_their_order_are_one_partition_and_go_together(t *testing.T) {
	both(t, func(w *world) {
		w.put(w.worker.OffsetsTopic, `{"a":1,"b":2}`, `{"o":1}`, `{"b":2,"a":1}`, `{"o":2}`)
		w.lists(plainSource, []string{`{"b":2,"a":1}`, `{"o":2}`})
		w.alter(plainSource, entries(`{"a":1,"b":2}`, `{"o":3}`))
		w.lists(plainSource, []string{`{"b":2,"a":1}`, `{"o":3}`})
		require.Equal(w, map[string]string{w.key(`{"b":2,"a":1}`): `{"o":3}`}, w.stored(w.worker.OffsetsTopic), "nothing is left that compaction could bring back")
		w.put(w.worker.OffsetsTopic, `{"a":1,"b":2}`, `{"o":4}`)
		w.reset(plainSource)
		require.Empty(w, w.stored(w.worker.OffsetsTopic))
	})
}

func TestSource_what_no_offset_can_hold_is_refused_before_the_connector_is_asked(t *testing.T) {
	both(t, func(w *world) {
		w.onSource = func(map[string]string, []connector.SourceOffsetEntry) (bool, error) { panic("asked") }
		const only = "Offsets may only contain primitive types as values, but field "
		for _, c := range [][3]string{
			{`{"id":{"a":1}}`, `{"o":1}`, only + "id contains MAP"},
			{`{"id":{"a":1}}`, ``, only + "id contains MAP"},
			{`{"id":1}`, `{"o":[1]}`, only + "o contains ARRAY"},
			{`{"id":1}`, `{"o":9223372036854775808}`, only + "o contains class java.math.BigInteger"},
			{`{"id":1}`, `{"o":1e999}`, "Offsets may only contain numbers that a 64-bit floating point number can hold, but field o contains 1e999"},
		} {
			w.refusedChange(mindedSource, entries(`{"fine":1}`, `{"o":1}`, c[0], c[1]), c[2])
		}
		w.lists(mindedSource, []string{})
	})
}

func TestSource_the_connector_judges_what_is_asked_and_its_veto_changes_nothing(t *testing.T) {
	both(t, func(w *world) {
		var asked []connector.SourceOffsetEntry
		w.onSource = func(config map[string]string, e []connector.SourceOffsetEntry) (bool, error) {
			asked = e
			require.Equal(w, mindedSource, config["connector.class"])
			return true, nil
		}
		require.True(w, w.alter(mindedSource, entries(`{"id":1}`, `{"o":1,"f":1.0}`, ``, `{"o":2}`)))
		require.Len(w, asked, 2)
		n, _ := asked[0].Offset.Get("o")
		require.Equal(w, int64(1), n)
		f, _ := asked[0].Offset.Get("f")
		require.InEpsilon(w, 1.0, f, 0)
		require.Nil(w, asked[1].Partition)
		require.True(w, w.reset(mindedSource))
		require.Len(w, asked, 1, "the null partition is nobody's business but ours")
		require.Nil(w, asked[0].Offset)
		require.True(w, w.reset(mindedSource))
		require.Empty(w, asked)

		w.alter(mindedSource, entries(`{"id":1}`, `{"o":1}`))
		w.onSource = func(map[string]string, []connector.SourceOffsetEntry) (bool, error) {
			return false, errors.New("not today")
		}
		w.refusedChange(mindedSource, entries(`{"id":1}`, `{"o":2}`), "not today")
		w.refused(w.request(wire.ResetOffsets, mindedSource), "not today")
		w.lists(mindedSource, []string{`{"id":1}`, `{"o":1}`})
	})
}

func TestSource_a_topic_of_the_connectors_own_wins_and_the_copy_goes_with_it(t *testing.T) {
	both(t, func(w *world) {
		own := "own-" + w.topic
		with := []string{offsets.TopicKey, own}
		w.put(w.worker.OffsetsTopic, `{"id":1}`, `{"o":1}`, `{"id":2}`, `{"o":1}`)
		w.lists(plainSource, []string{`{"id":1}`, `{"o":1}`, `{"id":2}`, `{"o":1}`}, with...)
		w.alter(plainSource, entries(`{"id":1}`, `{"o":2}`), with...)
		require.Equal(w, map[string]string{w.key(`{"id":1}`): `{"o":2}`}, w.stored(own))
		require.Equal(w, `{"o":2}`, w.stored(w.worker.OffsetsTopic)[w.key(`{"id":1}`)], "a copy, should the connector give its topic up")
		w.put(w.worker.OffsetsTopic, `{"id":1}`, `{"o":9}`)
		w.lists(plainSource, []string{`{"id":1}`, `{"o":2}`, `{"id":2}`, `{"o":1}`}, with...)
		w.alter(plainSource, entries(`{"id":2}`, ``), with...)
		w.lists(plainSource, []string{`{"id":1}`, `{"o":2}`}, with...)
		w.reset(plainSource, with...)
		w.lists(plainSource, []string{}, with...)
		require.Empty(w, w.stored(own))
		require.Empty(w, w.stored(w.worker.OffsetsTopic))
	})
}

func TestSource_long_lists_come_in_parts(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		w.page = 200
		w.open()
		var all []string
		for i := range 20 {
			all = append(all, fmt.Sprintf(`{"id":%d}`, 10+i), fmt.Sprintf(`{"o":%d}`, i))
		}
		w.alter(plainSource, entries(all...))
		var got []string
		q := w.request(wire.ListOffsets, plainSource)
		parts := 0
		for {
			reply, err := w.answer(q)
			require.NoError(w, err)
			for _, e := range reply.Offsets {
				got = append(got, string(e.Partition), string(e.Offset))
			}
			parts++
			if q.After = reply.Next; q.After == "" {
				break
			}
		}
		require.Equal(w, all, got)
		require.Greater(w, parts, 3)
	})
}

func TestSource_tasks_that_are_left_somewhere_are_fenced_before_the_change(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), patience)
		defer cancel()
		require.NoError(w, w.set.Home(w.name, nil, offsets.Clients{Consumer: w.client(), Admin: w.client()}).Ensure(ctx))
		var zombies []*kafkaio.Producer
		for task := range 3 {
			p, err := kafkaio.NewProducer(ctx, kafkaio.ProducerConfig{Client: w.client(), TransactionalID: w.worker.TransactionalID(w.name, task)})
			require.NoError(w, err)
			w.Cleanup(func() { _ = p.Close(context.Background()) })
			require.NoError(w, p.InitTransactions(ctx))
			require.NoError(w, p.Begin())
			rs := []kafkaio.Record{{Topic: w.worker.OffsetsTopic, Partition: record.AnyPartition, Key: []byte(w.key(fmt.Sprintf(`{"id":%d}`, task))), Value: []byte(`{"o":99}`),
				Timestamp: record.NoTimestamp}}
			_, err = p.Send(ctx, rs, func(int, record.Produced, error) {})
			require.NoError(w, err)
			require.NoError(w, p.Flush(ctx))
			zombies = append(zombies, p)
		}
		q := w.request(wire.AlterOffsets, plainSource)
		q.Changes, q.FormerTasks = entries(`{"id":0}`, `{"o":1}`, `{"id":1}`, `{"o":1}`), 3
		_, err := w.answer(q)
		require.NoError(w, err)
		for _, p := range zombies {
			require.ErrorIs(w, p.Commit(ctx), job.ErrFenced)
		}
		w.lists(plainSource, []string{`{"id":0}`, `{"o":1}`, `{"id":1}`, `{"o":1}`})
	})
}

func TestSource_a_task_that_starts_before_the_change_is_made_keeps_it_from_being_made(t *testing.T) {
	onBrokers(t, nil, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), patience)
		defer cancel()
		w.onSource = func(map[string]string, []connector.SourceOffsetEntry) (bool, error) { // between the fence and the change
			p, err := kafkaio.NewProducer(ctx, kafkaio.ProducerConfig{Client: w.client(), TransactionalID: w.worker.TransactionalID(w.name, 0)})
			require.NoError(w, err)
			w.Cleanup(func() { _ = p.Close(context.Background()) })
			return true, p.InitTransactions(ctx)
		}
		w.refusedChange(mindedSource, entries(`{"id":0}`, `{"o":1}`), "Failed to modify offsets for source connector "+w.name)
		w.lists(mindedSource, []string{})
	})
}
