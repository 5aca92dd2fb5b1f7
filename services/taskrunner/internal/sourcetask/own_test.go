package sourcetask_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
)

// keys lists how often each key was written to a topic.
func (w *world) keys(topic string) map[string]int {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	all := map[string]int{}
	require.NoError(w, kafkaio.ReadAll(ctx, kafkaio.Config{"bootstrap.servers": w.bootstrap}, topic, func(rs []kafkaio.Record) error {
		for _, r := range rs {
			all[string(r.Key)]++
		}
		return nil
	}))
	return all
}

func TestTask_offsets_go_to_the_connectors_own_topic_with_a_copy_in_the_workers(t *testing.T) {
	onBrokers(t, func(w *world) {
		for _, support := range []string{"enabled", "disabled"} {
			w := newWorld(w.T, w.bootstrap)
			own := "own-" + w.topic
			w.limit, w.config = 500, map[string]string{offsets.TopicKey: own}
			w.worker = map[string]string{"exactly.once.source.support": support, "offset.flush.interval.ms": "50"}
			r := w.start(cluster.Started)
			w.eventually("all is written", func() bool { return len(w.stored()) == 500 || len(r.done) > 0 })
			r.take()
			require.NoError(w, w.end(r))
			key := `["` + w.name + `",{"p":"x"}]`
			require.Positive(w, w.keys(own)[key])
			require.Equal(w, w.keys(own), w.keys("offsets-"+w.name))

			w.limit = 700
			r = w.start(cluster.Started)
			w.eventually("it goes on", func() bool { return len(w.stored()) == 700 || len(r.done) > 0 })
			r.take()
			require.NoError(w, w.end(r))
			w.exactly(700)
		}
	})
}

func TestTask_a_topic_is_used_once_a_record_of_it_is_acknowledged(t *testing.T) {
	onBrokers(t, func(w *world) {
		for _, support := range []string{"enabled", "disabled"} {
			w := newWorld(w.T, w.bootstrap)
			w.worker = map[string]string{"exactly.once.source.support": support}
			var mu sync.Mutex
			var used []string
			before := int64(-1)
			topics := job.NewTopics(0, func(topic string, _ int64) {
				mu.Lock()
				defer mu.Unlock()
				if used = append(used, topic); before < 0 {
					before = w.committed.Load() // CommitRecords comes after it, and only for what is durable
				}
			})
			var polls atomic.Int64
			w.onPoll = func(ctx context.Context, n *numbers) ([]record.Source, error, bool) {
				if polls.Add(1) > 3 {
					<-ctx.Done()
					return nil, nil, true
				}
				rs := n.batch(4)
				rs[1].Topic, rs[2].Topic = w.topic+"-b", w.topic+"-b"
				return rs, nil, true
			}
			inst, spec := w.instance()
			take, stop := context.WithCancel(context.Background())
			target := make(chan cluster.TargetState, 1)
			target <- cluster.Started
			done := make(chan error, 1)
			go func() {
				done <- inst.Run(take, context.Background(), job.Env{Spec: spec, Report: report{w}, Target: target, Topics: topics})
			}()
			w.eventually("all is written", func() bool { return polls.Load() > 3 })
			stop()
			select {
			case err := <-done:
				require.NoError(w, err)
			case <-time.After(patience):
				w.Fatal("the run does not end")
			}
			require.Equal(w, []string{w.topic, w.topic + "-b"}, used)
			require.Zero(w, before)
		}
	})
}
