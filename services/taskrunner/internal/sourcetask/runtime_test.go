package sourcetask_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/sourcetask"
	"github.com/millrace/millrace/tests/servers"
)

// refusing is a producer to which Kafka refuses the records with some values, after it has taken the others.
type refusing struct {
	sourcetask.Producer
	values []string
}

func (p refusing) Send(ctx context.Context, batch []kafkaio.Record, done func(int, record.Produced, error)) (int, error) {
	var pass []kafkaio.Record
	var at []int
	for i := range batch {
		refused := false
		for _, v := range p.values {
			refused = refused || string(batch[i].Value) == v
		}
		if refused {
			done(i, record.Produced{}, errors.New("the broker refuses this record"))
			continue
		}
		pass, at = append(pass, batch[i]), append(at, i)
	}
	if _, err := p.Producer.Send(ctx, pass, func(i int, where record.Produced, err error) { done(at[i], where, err) }); err != nil {
		return 0, err
	}
	return len(batch), nil
}

func (w *world) counter(name string) (n float64) {
	w.Helper()
	all, err := w.errors.Gather()
	require.NoError(w, err)
	for _, f := range all {
		if f.GetName() == name {
			n += f.GetMetric()[0].GetUntyped().GetValue()
		}
	}
	return n
}

func (w *world) atLeastOnce() {
	w.worker = map[string]string{"exactly.once.source.support": "disabled", "offset.flush.interval.ms": "20"}
}

func TestRuntime_4_1_a_record_that_Kafka_refuses_is_skipped_and_counted_where_errors_are_tolerated(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.atLeastOnce()
		w.limit, w.config = 1000, map[string]string{"errors.tolerance": "all"}
		w.wrap = func(p sourcetask.Producer) sourcetask.Producer { return refusing{p, []string{"250", "251", "999"}} }
		r := w.start(cluster.Started)
		w.eventually("all but three", func() bool { return w.committed.Load() == 997 })
		r.take()
		require.NoError(w, w.end(r))
		require.Len(w, w.stored(), 997)
		require.EqualValues(w, 3, w.dropped.Load(), "the plugin is told of them as of dropped ones")
		require.InDelta(w, 3, w.counter("kafka_connect_task_error_metrics_total_records_skipped"), 0)
		require.InDelta(w, 3, w.counter("kafka_connect_task_error_metrics_total_record_errors"), 0)
		require.Contains(w, w.logs.String(), "records were skipped")
		require.Contains(w, w.logs.String(), "KAFKA_PRODUCE")

		w.limit = 1100
		r = w.start(cluster.Started)
		w.eventually("it goes on after them", func() bool { return w.committed.Load() == 1097 })
		r.take()
		require.NoError(w, w.end(r))
		require.Contains(w, w.noted(), "start 1000")
	})
}

func TestRuntime_4_1_a_record_that_is_too_large_is_one_that_Kafka_refuses(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.atLeastOnce()
		w.limit, w.config = 300, map[string]string{"errors.tolerance": "all"}
		w.onPoll = func(_ context.Context, n *numbers) ([]record.Source, error, bool) {
			if n.next != 100 {
				return nil, nil, false
			}
			rs := n.batch(100)
			rs[50].ValueSchema, rs[50].Value = nil, strings.Repeat("x", 2<<20)
			return rs, nil, true
		}
		r := w.start(cluster.Started)
		w.eventually("all but one", func() bool { return w.committed.Load() == 299 })
		r.take()
		require.NoError(w, w.end(r))
		require.EqualValues(w, 1, w.dropped.Load())
		require.Len(w, w.stored(), 299)
	})
}

func TestRuntime_4_2_after_a_failure_what_had_landed_is_committed_and_nothing_behind_it(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.atLeastOnce()
		w.worker["offset.flush.interval.ms"] = "3600000"
		w.limit = 1000
		w.wrap = func(p sourcetask.Producer) sourcetask.Producer { return refusing{p, []string{"555"}} }
		err := w.end(w.start(cluster.Started))
		require.ErrorContains(w, err, "Unrecoverable exception from producer send callback")
		require.ErrorContains(w, err, "the broker refuses this record")
		require.Contains(w, w.logs.String(), "failed to send record to "+w.topic)
		w.wrap = nil
		r := w.start(cluster.Started)
		w.eventually("it starts", func() bool { return strings.HasPrefix(w.noted()[len(w.noted())-2], "start") })
		require.Equal(w, "start 555", w.noted()[len(w.noted())-2])
		w.eventually("all", func() bool { s := w.stored(); return s[len(s)-1] == 999 })
		r.take()
		require.NoError(w, w.end(r))
		seen := map[int64]bool{}
		for _, n := range w.stored() {
			seen[n] = true
		}
		require.Len(w, seen, 1000, "nothing is lost")
	})
}

func TestRuntime_4_2_offsets_are_committed_while_a_poll_waits(t *testing.T) {
	for _, config := range []map[string]string{{"at least once": ""}, {"transaction.boundary": "interval", "transaction.boundary.interval.ms": "50"}} {
		t.Run(fmt.Sprint(config), func(t *testing.T) {
			onBrokers(t, func(w *world) {
				w.limit, w.config = 500, config
				if _, alo := config["at least once"]; alo {
					w.atLeastOnce()
				}
				r := w.start(cluster.Started)
				w.eventually("all is there", func() bool { return len(w.stored()) == 500 })
				w.eventually("and the offset of the last", func() bool {
					return w.offset() == `{"n":499}`
				})
				r.do() // no graceful end wrote it
				r.take()
				_ = w.end(r) // a killed run may say what it likes
			})
		})
	}
}

// offset is the newest value in the offsets topic.
func (w *world) offset() (value string) {
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	err := kafkaio.ReadAll(ctx, kafkaio.Config{"bootstrap.servers": w.bootstrap}, "offsets-"+w.name, func(rs []kafkaio.Record) error {
		for _, r := range rs {
			value = string(r.Value)
		}
		return nil
	})
	require.NoError(w, err)
	return value
}

func TestRuntime_5_a_poll_that_brings_nothing_ends_the_transaction_that_the_connector_wants_to_end(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit, w.size, w.config = 1<<40, 10, map[string]string{"transaction.boundary": "connector"}
		var polls atomic.Int64
		w.onPoll = func(ctx context.Context, n *numbers) ([]record.Source, error, bool) {
			switch polls.Add(1) {
			case 1, 2:
				return nil, nil, false
			case 3:
				n.tc.Transactions().Commit()
				return nil, nil, true
			}
			<-ctx.Done()
			return nil, nil, true
		}
		r := w.start(cluster.Started)
		w.eventually("20 are committed", func() bool { return w.committed.Load() == 20 })
		r.take()
		require.NoError(w, w.end(r))
		w.exactly(20)
	})
}

func TestRuntime_5_a_task_may_not_write_among_its_own_offsets(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.topic = "offsets-" + w.name
		err := w.end(w.start(cluster.Started))
		require.EqualError(w, err, "Source tasks may not produce to their own offsets topics when exactly-once support is enabled")
	})
}

func TestRuntime_5_settings_that_would_break_transactions_are_told_of_and_not_used(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit = 100
		w.config = map[string]string{"producer.override.enable.idempotence": "false", "producer.override.transactional.id": "mine"}
		r := w.start(cluster.Started)
		w.eventually("all", func() bool { return w.committed.Load() == 100 })
		r.take()
		require.NoError(w, w.end(r))
		for _, want := range []string{"The value 'false' for the 'enable.idempotence' property will be ignored", "The value 'mine' for the 'transactional.id' property will be ignored",
			"The value 'g-" + w.name + "-0' will be used instead."} {
			require.Contains(w, w.logs.String(), want)
		}
	})
}

func TestRuntime_5_a_transaction_that_may_end_at_any_time_ends_before_it_is_too_large_to_be_kept(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit, w.size = 200, 10
		w.config = map[string]string{"transaction.boundary": "interval", "transaction.boundary.interval.ms": "3600000", "producer.override.transaction.timeout.ms": "600000"}
		w.onPoll = func(ctx context.Context, n *numbers) ([]record.Source, error, bool) {
			if n.next >= n.w.limit {
				<-ctx.Done()
				return nil, nil, true
			}
			rs := n.batch(10)
			for i := range rs {
				rs[i].ValueSchema, rs[i].Value = nil, strings.Repeat("x", 500_000)
			}
			return rs, nil, true
		}
		r := w.start(cluster.Started)
		w.eventually("some are committed although the interval is not over", func() bool { return w.committed.Load() >= 60 })
		r.take()
		require.NoError(w, w.end(r))
	})
}

func TestRuntime_5_an_interval_ends_before_Kafka_aborts_the_transaction(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit = 100
		w.config = map[string]string{"transaction.boundary": "interval", "transaction.boundary.interval.ms": "3600000", "producer.override.transaction.timeout.ms": "1500"}
		r := w.start(cluster.Started)
		w.eventually("all", func() bool { return w.committed.Load() == 100 })
		r.take()
		require.NoError(w, w.end(r))
		w.exactly(100)
	})
}

// unsure is what makes topics and does not get an answer at first.
type unsure struct{ asked, fails int }

func (u *unsure) Ensure(context.Context, string) error {
	if u.asked++; u.asked <= u.fails {
		return connecterr.New(connecterr.Retriable, "Timed out while describing topics 't'")
	}
	return nil
}
func (u *unsure) Close(context.Context) error { return nil }

func TestRuntime_6_a_topic_of_which_nothing_is_known_is_asked_for_again(t *testing.T) {
	onBrokers(t, func(w *world) {
		w.limit = 200
		u := &unsure{fails: 3}
		w.topics = u
		r := w.start(cluster.Started)
		w.eventually("all", func() bool { return w.committed.Load() == 200 })
		r.take()
		require.NoError(w, w.end(r))
		w.exactly(200)
		require.Equal(w, 4, u.asked, "and once more is enough for all records")
		require.Contains(w, w.logs.String(), "Backing off before retrying")
	})
}

func TestRuntime_6_why_a_topic_can_not_be_made(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servers.Kafka(t))
	for why, c := range map[string]struct {
		config map[string]string
		want   string
	}{
		"a setting that no topic has": {map[string]string{"cleanup.policy": "sometimes"}, "Unable to create topic(s) '" + w.topic + "'"},
		"more replicas than brokers":  {map[string]string{"replication.factor": "3"}, "Error while attempting to create/find topic(s) '" + w.topic + "'"},
	} {
		t.Run(why, func(t *testing.T) {
			props := map[string]string{"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1"}
			for k, v := range c.config {
				props["topic.creation.default."+k] = v
			}
			groups, err := sourcetask.TopicGroups(props)
			require.NoError(t, err)
			a, err := kafkaio.NewAdmin(kafkaio.Config{"bootstrap.servers": w.bootstrap}, nil)
			require.NoError(t, err)
			topics := topicsBy(t, groups, a, w.bootstrap, w.logs.Logger())
			defer topics.Close(context.WithoutCancel(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err = topics.Ensure(ctx, w.topic)
			require.ErrorContains(t, err, c.want)
			require.False(t, connecterr.IsRetriable(err))
		})
	}
}

func TestRuntime_6_a_broker_that_does_not_answer_is_asked_again(t *testing.T) {
	t.Parallel()
	groups, err := sourcetask.TopicGroups(map[string]string{"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1"})
	require.NoError(t, err)
	w := newWorld(t, "b:1")
	err = topicsBy(t, groups, &admin{describe: connecterr.New(connecterr.Retriable, "no answer")}, "b:1", w.logs.Logger()).Ensure(t.Context(), "t")
	require.ErrorContains(t, err, "Timed out while describing topics 't'")
	require.True(t, connecterr.IsRetriable(err))
	require.Contains(t, w.logs.String(), "The task will send records to topic 't' for the first time. Checking whether topic exists")
}
