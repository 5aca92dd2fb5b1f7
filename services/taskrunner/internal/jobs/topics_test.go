package jobs_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/jobs"
)

func TestTopics_what_a_task_uses_is_told_once_under_its_epoch_and_again_after_a_clearing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, use := &out{}, make(chan string)
		starts := 0
		s := jobs.New(jobs.Options{WorkerID: "w:1", Out: o, Logger: slog.New(slog.DiscardHandler), TrackTopics: true,
			Factory: func(cluster.JobSpec) (job.Instance, error) {
				starts++
				return inst{func(take, _ context.Context, env job.Env) error {
					env.Report.State(cluster.StateRunning)
					for {
						select {
						case <-take.Done():
							return nil
						case topic := <-use:
							env.Topics.Use(topic)
						}
					}
				}}, nil
			}})
		spec := cluster.JobSpec{Job: cluster.TaskJob("u", 0), Name: "c", Session: "s", Epoch: 1, Revision: 1, Target: cluster.Started}
		s.Begin("s")
		uses := func(topics ...string) (told []cluster.TopicReport) {
			synctest.Wait()
			for _, topic := range topics {
				use <- topic
			}
			synctest.Wait()
			o.mu.Lock()
			defer o.mu.Unlock()
			told, o.topics = o.topics, nil
			return told
		}
		report := func(epoch cluster.Epoch, resets int64, topic string) cluster.TopicReport {
			return cluster.TopicReport{Job: spec.Job, Session: "s", Epoch: epoch, TopicResets: resets, Topics: []string{topic}}
		}
		s.Apply(spec)
		require.Equal(t, []cluster.TopicReport{report(1, 0, "a"), report(1, 0, "b")}, uses("a", "b", "a"))
		require.Empty(t, uses("b", "a"))

		spec.Revision, spec.TopicResets = 2, 1
		s.Apply(spec)
		require.Empty(t, uses())
		require.Equal(t, []cluster.TopicReport{report(1, 1, "a")}, uses("a", "a"))
		require.Equal(t, 1, starts, "a clearing restarts nothing")
		require.Equal(t, cluster.Revision(2), s.Holding().Statuses[0].Revision)

		spec.Revision, spec.Epoch = 3, 2
		s.Apply(spec)
		require.Equal(t, []cluster.TopicReport{report(2, 1, "a")}, uses("a"), "a new holding tells anew")
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestTopics_without_tracking_and_for_instances_nothing_is_noted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for track, id := range map[bool]cluster.JobID{false: cluster.TaskJob("u", 0), true: cluster.InstanceJob("u")} {
			noted := make(chan *job.Topics, 1)
			s := jobs.New(jobs.Options{WorkerID: "w:1", Out: &out{}, Logger: slog.New(slog.DiscardHandler), TrackTopics: track,
				Factory: func(cluster.JobSpec) (job.Instance, error) {
					return inst{func(take, do context.Context, env job.Env) error {
						noted <- env.Topics
						return follow(take, do, env)
					}}, nil
				}})
			s.Begin("s")
			s.Apply(cluster.JobSpec{Job: id, Session: "s", Epoch: 1, Revision: 1, Target: cluster.Started})
			require.Nil(t, <-noted)
			require.NoError(t, s.Close(t.Context()))
		}
	})
}
