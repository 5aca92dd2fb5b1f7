package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/jobs"
)

// out notes what is told.
type out struct {
	mu       sync.Mutex
	statuses []cluster.Status
	tasks    []cluster.TaskConfigReport
	topics   []cluster.TopicReport
	beats    atomic.Int64
}

func (o *out) Status(s cluster.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.statuses = append(o.statuses, s)
}
func (o *out) TaskConfigs(r cluster.TaskConfigReport) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tasks = append(o.tasks, r)
}
func (o *out) Topics(r cluster.TopicReport) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.topics = append(o.topics, r)
}
func (o *out) Beat() { o.beats.Add(1) }

func (o *out) take() []cluster.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.statuses
	o.statuses = nil
	return all
}

// inst is an instance that does as the test says.
type inst struct {
	run func(take, do context.Context, env job.Env) error
}

func (i inst) Run(take, do context.Context, env job.Env) error { return i.run(take, do, env) }

// follow reports the targets until it is told to stop: what a good job does.
func follow(take, _ context.Context, env job.Env) error {
	for {
		select {
		case <-take.Done():
			return nil
		case t := <-env.Target:
			switch t {
			case cluster.Started:
				env.Report.State(cluster.StateRunning)
			case cluster.Paused:
				env.Report.State(cluster.StatePaused)
			case cluster.Stopped:
				env.Report.State(cluster.StateStopped)
			}
		}
	}
}

// world is a supervisor under test; starts notes the specs in the order in which instances started.
type world struct {
	*jobs.Supervisor
	series *connectmetrics.Set
	out    *out
	mu     sync.Mutex
	starts []cluster.JobSpec
	alive  map[cluster.JobID]int
	most   int // most instances of one job that lived at once
}

func newWorld(t *testing.T, run func(take, do context.Context, env job.Env) error) *world {
	w := &world{out: &out{}, alive: map[cluster.JobID]int{}, series: connectmetrics.New(connectmetrics.Options{})}
	w.Supervisor = jobs.New(jobs.Options{WorkerID: "w:1", Out: w.out, Series: w.series, Logger: slog.New(slog.DiscardHandler), Factory: func(spec cluster.JobSpec) (job.Instance, error) {
		return inst{func(take, do context.Context, env job.Env) error {
			w.mu.Lock()
			w.starts = append(w.starts, spec)
			w.alive[spec.Job]++
			w.most = max(w.most, w.alive[spec.Job])
			w.mu.Unlock()
			defer func() { w.mu.Lock(); w.alive[spec.Job]--; w.mu.Unlock() }()
			return run(take, do, env)
		}}, nil
	}})
	w.Begin("s1")
	t.Cleanup(func() { require.NoError(t, w.Close(context.Background())) })
	return w
}

// started lists the specs of the instances that were started.
func (w *world) started() []cluster.JobSpec {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.starts)
}

func (w *world) mostAtOnce() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

// pass lets the simulated clock run for d, and everybody who has something to do then do it.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func spec(epoch cluster.Epoch, rev cluster.Revision, change ...func(*cluster.JobSpec)) cluster.JobSpec {
	s := cluster.JobSpec{Job: cluster.TaskJob("u", 0), Name: "c", Session: "s1", Epoch: epoch, Revision: rev, ConfigVersion: 1, Target: cluster.Started}
	for _, c := range change {
		c(&s)
	}
	return s
}

func states(all []cluster.Status) (s []cluster.State) {
	for _, st := range all {
		s = append(s, st.State)
	}
	return s
}

func TestFault_DC_1_a_spec_told_ten_times_starts_once(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, follow)
		for range 10 {
			w.Apply(spec(3, 5))
			w.Apply(spec(2, 9)) // an older epoch
			w.Apply(spec(3, 4)) // an older revision
			synctest.Wait()
		}
		require.Len(t, w.started(), 1)
		require.Equal(t, []cluster.State{cluster.StateRunning}, states(w.out.take()))
		require.Equal(t, []cluster.HeldJob{{Job: cluster.TaskJob("u", 0), Epoch: 3, Revision: 5}}, w.Holding().Held)
	})
}

func TestFault_DA_4_the_older_epoch_stops_before_the_newer_starts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			<-take.Done()
			<-time.After(2 * time.Second) // a slow stop
			return nil
		})
		w.Apply(spec(1, 1))
		synctest.Wait()
		w.Apply(spec(2, 1))
		pass(3 * time.Second)
		require.Len(t, w.started(), 2)
		require.Equal(t, cluster.Epoch(2), w.started()[1].Epoch)
		require.Equal(t, 1, w.mostAtOnce())
	})
}

func TestSupervisor_a_target_reaches_the_running_instance_without_a_restart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, follow)
		w.Apply(spec(1, 1))
		synctest.Wait()
		w.Apply(spec(1, 2, func(s *cluster.JobSpec) { s.Target = cluster.Paused }))
		synctest.Wait()
		w.Apply(spec(1, 3))
		synctest.Wait()
		w.Apply(spec(1, 4)) // only the revision moved on
		synctest.Wait()
		require.Len(t, w.started(), 1)
		all := w.out.take()
		require.Equal(t, []cluster.State{cluster.StateRunning, cluster.StatePaused, cluster.StateRunning, cluster.StateRunning}, states(all))
		require.Equal(t, cluster.Revision(4), all[3].Revision)
	})
}

func TestSupervisor_restarts_for_a_restart_request_a_new_config_or_new_task_config(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*cluster.JobSpec){
		"restart request":  func(s *cluster.JobSpec) { s.RestartSeq = 1 },
		"connector config": func(s *cluster.JobSpec) { s.ConfigVersion = 2 },
		"task config":      func(s *cluster.JobSpec) { s.TaskConfig = cluster.ConfigOf(map[string]string{"a": "b"}) },
		"size of the set":  func(s *cluster.JobSpec) { s.TaskCount = 7 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, follow)
				w.Apply(spec(1, 1))
				synctest.Wait()
				w.Apply(spec(1, 2, change))
				synctest.Wait()
				require.Len(t, w.started(), 2)
				require.Equal(t, 1, w.mostAtOnce())
				all := w.out.take()
				require.Equal(t, cluster.Revision(2), all[len(all)-1].Revision)
			})
		})
	}
}

func TestSupervisor_says_of_a_connector_with_too_many_tasks_that_it_had_started(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(context.Context, context.Context, job.Env) error {
			return connecterr.New(connecterr.TooManyTasks, "2")
		})
		w.Apply(spec(1, 1))
		synctest.Wait()
		all := w.out.take()
		require.Equal(t, []cluster.State{cluster.StateFailed}, states(all))
		require.Equal(t, cluster.ReasonTooManyTasks, all[0].Reason)
	})
}

func TestSupervisor_a_failure_stays_failed_with_its_trace_until_a_restart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Bool
		fail.Store(true)
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			if fail.Load() {
				return errors.New("the disk is full")
			}
			return follow(take, do, env)
		})
		w.Apply(spec(1, 1))
		synctest.Wait()
		w.Apply(spec(1, 2, func(s *cluster.JobSpec) { s.Target = cluster.Paused })) // a failed task can't be paused
		synctest.Wait()
		all := w.out.take()
		require.Equal(t, []cluster.State{cluster.StateFailed, cluster.StateFailed}, states(all))
		require.Equal(t, cluster.Revision(2), all[1].Revision)
		require.Contains(t, all[1].Trace, "org.apache.kafka.connect.errors.ConnectException: the disk is full")
		require.Len(t, w.started(), 1)

		fail.Store(false)
		w.Apply(spec(1, 3, func(s *cluster.JobSpec) { s.RestartSeq = 1 }))
		synctest.Wait()
		all = w.out.take()
		require.Equal(t, []cluster.State{cluster.StateRunning}, states(all))
		require.Empty(t, all[0].Trace)
		require.Equal(t, int64(1), all[0].RestartSeq)
	})
}

func TestSupervisor_renews_what_runs_and_what_has_failed_but_not_what_is_another_epochs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Bool
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			if fail.Load() {
				return errors.New("the password is wrong")
			}
			return follow(take, do, env)
		})
		s := spec(1, 1)
		w.Renew(s.Job, s.Epoch) // not here yet
		w.Apply(s)
		synctest.Wait()
		require.Len(t, w.started(), 1)
		w.Renew(s.Job, s.Epoch+1)
		synctest.Wait()
		require.Len(t, w.started(), 1)
		fail.Store(true)
		w.Renew(s.Job, s.Epoch)
		synctest.Wait()
		require.Len(t, w.started(), 2)
		fail.Store(false)
		w.Renew(s.Job, s.Epoch)
		synctest.Wait()
		require.Len(t, w.started(), 3)
		require.Equal(t, 1, w.mostAtOnce())
		require.Equal(t, []cluster.State{cluster.StateRunning, cluster.StateFailed, cluster.StateRunning}, states(w.out.take()))
	})
}

func TestSupervisor_a_panic_fails_its_own_job_with_the_stack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			if env.Spec.Job.Task == 1 {
				panic("boom")
			}
			return follow(take, do, env)
		})
		w.Apply(spec(1, 1))
		w.Apply(spec(1, 1, func(s *cluster.JobSpec) { s.Job.Task = 1 }))
		synctest.Wait()
		require.Equal(t, map[string]int{"RUNNING": 1, "FAILED": 1}, w.States())
		for _, st := range w.out.take() {
			if st.State == cluster.StateFailed {
				require.Regexp(t, `^org\.apache\.kafka\.connect\.errors\.ConnectException: panic: boom\n\tat \S+\(jobs_test\.go:\d+\)\n`, st.Trace)
			}
		}
	})
}

func TestSupervisor_a_release_stops_the_job_and_says_so_once(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, follow)
		w.Apply(spec(4, 1))
		synctest.Wait()
		w.Release(cluster.TaskJob("u", 0), "s1", 3) // an older one
		w.Release(cluster.TaskJob("u", 0), "s0", 4) // of another session
		synctest.Wait()
		require.Len(t, w.Holding().Held, 1)
		w.Release(cluster.TaskJob("u", 0), "s1", 4)
		require.Empty(t, w.Holding().Held, "it counts as gone from the moment it is let go")
		synctest.Wait()
		all := w.out.take()
		last := all[len(all)-1]
		require.True(t, last.Released)
		require.Equal(t, cluster.StateUnassigned, last.State)
		require.Equal(t, cluster.Epoch(4), last.Epoch)

		w.Apply(spec(4, 2)) // a message that comes late
		synctest.Wait()
		require.Len(t, w.started(), 1)
		require.Empty(t, w.out.take())
		w.Apply(spec(5, 2))
		synctest.Wait()
		require.Len(t, w.started(), 2)
	})
}

func TestSupervisor_Correct_lets_go_of_what_is_not_ours_and_asks_for_what_is(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, follow)
		task := func(n int) func(*cluster.JobSpec) { return func(s *cluster.JobSpec) { s.Job.Task = n } }
		w.Apply(spec(1, 1, task(0)))
		w.Apply(spec(1, 1, task(1)))
		h := w.Holding()
		w.Apply(spec(1, 1, task(2))) // came after the heartbeat was sent: its answer can't know
		reply := cluster.HeartbeatReply{Differs: true, Held: []cluster.HeldJob{
			{Job: cluster.TaskJob("u", 1), Epoch: 1, Revision: 2}, {Job: cluster.TaskJob("u", 3), Epoch: 8, Revision: 1},
		}}
		missing := w.Correct(h, reply)
		require.Equal(t, []cluster.JobID{cluster.TaskJob("u", 1), cluster.TaskJob("u", 3)}, missing)
		synctest.Wait()
		var held []int
		for _, j := range w.Holding().Held {
			held = append(held, j.Job.Task)
		}
		require.Equal(t, []int{1, 2}, held)
	})
}

func TestSupervisor_a_fenced_job_waits_for_word_and_starts_again_only_if_it_is_still_ours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fenced atomic.Bool
		fenced.Store(true)
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			if fenced.Load() {
				return job.ErrFenced
			}
			return follow(take, do, env)
		})
		w.Apply(spec(1, 1))
		pass(time.Minute)
		require.Len(t, w.started(), 1)
		require.Empty(t, w.out.take(), "it stands down quietly")
		require.Equal(t, int64(1), w.out.beats.Load(), "and asks at once")

		fenced.Store(false)
		w.Correct(w.Holding(), cluster.HeartbeatReply{}) // nothing differs: it is ours
		pass(time.Second)
		require.Len(t, w.started(), 2)
		require.Equal(t, []cluster.State{cluster.StateRunning}, states(w.out.take()))
	})
}

func TestFault_ZT_4_a_job_that_ignores_everything_is_abandoned_and_says_nothing_more(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			env.Report.State(cluster.StateRunning)
			<-release
			env.Report.State(cluster.StateRunning) // a zombie's last words
			return errors.New("late")
		})
		w.Apply(spec(1, 1))
		synctest.Wait()
		w.out.take()
		w.Release(cluster.TaskJob("u", 0), "s1", 1)
		pass(11 * time.Second)
		all := w.out.take()
		require.Len(t, all, 1)
		require.True(t, all[0].Released)
		require.Equal(t, jobs.ReasonStuck, all[0].Reason)
		close(release)
		synctest.Wait()
		require.Empty(t, w.out.take())
	})
}

func TestSupervisor_a_new_session_stops_everything_of_the_old_one_silently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, follow)
		w.Apply(spec(1, 1))
		synctest.Wait()
		w.out.take()
		w.Begin("s2")
		synctest.Wait()
		require.Empty(t, w.Holding().Held)
		require.Empty(t, w.out.take())
		w.Apply(spec(1, 1)) // of the old session
		w.Apply(spec(2, 1, func(s *cluster.JobSpec) { s.Session = "s2" }))
		synctest.Wait()
		require.Len(t, w.started(), 2)
		require.Equal(t, cluster.SessionID("s2"), w.started()[1].Session)
	})
}

func TestSupervisor_stopping_a_failed_connector_clears_the_failure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			if env.Spec.Target == cluster.Started {
				return errors.New("no")
			}
			return follow(take, do, env)
		})
		w.Apply(spec(1, 1))
		synctest.Wait()
		w.Apply(spec(1, 2, func(s *cluster.JobSpec) { s.Target = cluster.Stopped }))
		synctest.Wait()
		require.Equal(t, []cluster.State{cluster.StateFailed, cluster.StateStopped}, states(w.out.take()))
	})
}

func TestSupervisor_a_release_of_what_never_came_is_answered_at_once(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, follow)
		unknown := cluster.HeldJob{Job: cluster.TaskJob("u", 0), Epoch: 7, Revision: 1}
		w.Correct(w.Holding(), cluster.HeartbeatReply{LetGo: []cluster.HeldJob{unknown}})
		all := w.out.take()
		require.Len(t, all, 1)
		require.True(t, all[0].Released)
		require.Equal(t, cluster.Epoch(7), all[0].Epoch)
		w.Apply(spec(7, 1)) // the assignment comes late
		synctest.Wait()
		require.Empty(t, w.started())
		w.Release(cluster.TaskJob("u", 0), "s0", 7) // of another session
		require.Empty(t, w.out.take())
	})
}

// Between two specs a connector may have been stopped and resumed, which dropped its task configs in the store, or its
// report may have come while it was paused, and was refused. The instance must say them again (LC-2).
func TestFault_LC_2_an_instance_splits_again_when_its_target_comes_back_unseen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		splits := 0
		w := newWorld(t, func(take, _ context.Context, env job.Env) error {
			for {
				select {
				case <-take.Done():
					return nil
				case <-env.Target:
					splits++
					env.Report.State(cluster.StateRunning)
					env.Report.TaskConfigs(env.Spec.ConfigVersion, nil, true)
				}
			}
		})
		instance := func(s *cluster.JobSpec) { s.Job = cluster.InstanceJob("u") }
		w.Apply(spec(1, 1, instance))
		synctest.Wait()
		w.Apply(spec(1, 3, instance)) // revision 2, STOPPED, was never seen
		synctest.Wait()
		require.Len(t, w.started(), 1, "no restart for it")
		require.Equal(t, 2, splits)
		all := w.out.take()
		require.Equal(t, cluster.Revision(3), all[len(all)-1].Revision)
	})
}

// The store may have taken the job away and want it again meanwhile: without a word under the newer epoch it would wait for
// this runner, which will not start it any more, for ever (DA-4, EX-9).
func TestFault_DA_4_a_newer_grant_that_ends_before_the_older_copy_has_stopped_is_released_too(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			err := follow(take, do, env)
			<-time.After(time.Second) // takes its time to stop
			return err
		})
		w.Apply(spec(1, 1))
		synctest.Wait()
		w.Release(cluster.TaskJob("u", 0), "s1", 1)
		synctest.Wait()
		w.Apply(spec(2, 2))
		synctest.Wait()
		w.Correct(w.Holding(), cluster.HeartbeatReply{Differs: true}) // it is not ours any more
		w.out.take()
		pass(2 * time.Second)
		all := w.out.take()
		require.Len(t, all, 1)
		require.True(t, all[0].Released)
		require.Equal(t, cluster.Epoch(2), all[0].Epoch)
		require.Len(t, w.started(), 1)
	})
}

// A successor waits until nothing is written here any more, not until all is closed, and no longer than it wants to.
func TestSupervisor_hands_a_job_over_to_a_successor_that_waits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(take, do context.Context, env job.Env) error {
			err := follow(take, do, env)
			<-time.After(100 * time.Millisecond) // finishes what it has in hand
			env.FallQuiet()
			<-time.After(time.Second) // closes
			return err
		})
		handOver := func(session cluster.SessionID, epoch cluster.Epoch, patience time.Duration) time.Duration {
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			w.HandOver(ctx, cluster.TaskJob("u", 0), session, epoch)
			return time.Since(began)
		}
		w.Apply(spec(2, 1))
		synctest.Wait()
		require.Zero(t, handOver("s0", 2, time.Minute), "another session's")
		require.Zero(t, handOver("s1", 1, time.Minute), "an older holding's")
		require.Len(t, w.Holding().Held, 1)
		require.Equal(t, 30*time.Millisecond, handOver("s1", 2, 30*time.Millisecond))
		require.Empty(t, w.Holding().Held, "it stops all the same")
		require.Equal(t, 70*time.Millisecond, handOver("s1", 2, time.Minute))
		pass(2 * time.Second)
		require.Zero(t, handOver("s1", 2, time.Minute), "it has gone")
		all := w.out.take()
		require.True(t, all[len(all)-1].Released)
	})
}

// The specs that heartbeats bring name no former holder; whoever was named at the start is asked all the same.
func TestSupervisor_an_instance_can_ask_the_former_holder_only_when_there_is_one(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked []cluster.Former
		sup := jobs.New(jobs.Options{WorkerID: "w:1", Out: &out{}, Logger: slog.New(slog.DiscardHandler),
			Handover: func(_ context.Context, _ cluster.JobID, f cluster.Former) { asked = append(asked, f) },
			Factory: func(cluster.JobSpec) (job.Instance, error) {
				return inst{func(take, do context.Context, env job.Env) error {
					<-time.After(time.Second)
					env.AskFormer(take)
					return follow(take, do, env)
				}}, nil
			}})
		sup.Begin("s1")
		sup.Apply(spec(1, 1))
		moved := func(s *cluster.JobSpec) { s.Job = cluster.TaskJob("u", 1) }
		sup.Apply(spec(4, 1, moved, func(s *cluster.JobSpec) { s.Former = &cluster.Former{Session: "s0", Epoch: 3} }))
		synctest.Wait()
		sup.Apply(spec(4, 2, moved))
		pass(2 * time.Second)
		require.NoError(t, sup.Close(t.Context()))
		require.Equal(t, []cluster.Former{{Session: "s0", Epoch: 3}}, asked)
	})
}
