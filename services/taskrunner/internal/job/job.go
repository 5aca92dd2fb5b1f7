// Package job is the border between the supervisor (package jobs), which owns the goroutine of every job, and the three
// kinds of job: a connector instance (connectorjob), a sink task (sinktask) and a source task (sourcetask).
package job

import (
	"context"
	"errors"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
)

// Instance is one run of one job under one epoch. The supervisor makes it, calls Run once on the job's own goroutine, and
// throws it away; a restart or new config is a new Instance.
type Instance interface {
	// Run starts the job, works, and returns when it has stopped.
	//
	// take ends when no new work may be taken up: finish what is in hand (a sink: finish the put, commit, close; a
	// source: stop polling, finish the transaction), then return nil. do ends when even that must be given up: return
	// at once, write nothing more. do ends after take, never before it.
	//
	// The target state at any time is what Target delivers (the first value is there before Run). A job whose first
	// target is PAUSED does not start its plugin before it is STARTED.
	//
	// The error of a Run that was not told to stop is a failure: the supervisor reports FAILED with its trace.
	// ErrFenced means that a successor holds the job: the supervisor stands it down quietly. A panic is recovered by
	// the supervisor.
	Run(take, do context.Context, env Env) error
}

// Env is what the supervisor gives a running instance.
type Env struct {
	Spec   cluster.JobSpec
	Report Reporter
	// Target delivers changes of the target state; only the newest value waits. Never closed.
	Target <-chan cluster.TargetState
	// Leaving is closed when the runner is going to leave: a successor may take the job over at any moment, while it runs
	// here, so that little should wait to be committed. Nil: never.
	Leaving <-chan struct{}
	// Topics is told which topics the records are read from or written to. Nil: nobody wants to know.
	Topics *Topics
	// Metrics counts what the job does. Nil: nobody looks; Counting gives one in any case.
	Metrics *connectmetrics.Job
	// Handover asks the former holder, if there is one that still runs the job, to finish what it has in hand and stop, and
	// waits a moment for that. It promises nothing: only the fence makes sure. Called right before the fence is taken it
	// saves the former holder from being cut off in the middle, and records from being written twice. Nil: there is none.
	Handover func(ctx context.Context)
	// Confirm asks the control plane whether the job is still held here, and waits for the answer until ctx ends; true: it is.
	// When it is not, take ends. Nil: nobody knows.
	Confirm func(ctx context.Context) bool
	// Quiet tells that nothing will be written any more and the plugin has let go, so that a successor that waits need not
	// wait for clients to be closed. Nil: nobody waits.
	Quiet func()
}

// Counting is where the job counts what it does.
func (e Env) Counting() *connectmetrics.Job {
	if e.Metrics == nil {
		return connectmetrics.Alone()
	}
	return e.Metrics
}

// AskFormer calls Handover if there is a former holder.
func (e Env) AskFormer(ctx context.Context) {
	if e.Handover != nil {
		e.Handover(ctx)
	}
}

// Confirmed calls Confirm if there is somebody to ask.
func (e Env) Confirmed(ctx context.Context) bool { return e.Confirm != nil && e.Confirm(ctx) }

// FallQuiet calls Quiet if somebody wants to know.
func (e Env) FallQuiet() {
	if e.Quiet != nil {
		e.Quiet()
	}
}

// Reporter tells the control plane about the job. Calls never block and may come from any goroutine; only the newest state
// is kept while the control plane can't be reached. Calls after Run returned, or after the supervisor gave the job up,
// are dropped.
type Reporter interface {
	// State reports RUNNING, PAUSED or STOPPED. FAILED and UNASSIGNED are the supervisor's to report, except for a
	// connector that raised an error while it goes on running: Failed.
	State(s cluster.State)
	// Failed reports FAILED with err's trace while the job goes on.
	Failed(err error)
	// Version tells the plugin's version for all later reports.
	Version(v string)
	// TaskConfigs reports how a connector instance splits its work.
	TaskConfigs(configVersion int64, tasks []cluster.Config, fenceable bool)
}

// ErrFenced says that Kafka refused a write or commit because a newer holder took over.
var ErrFenced = errors.New("fenced by a newer holder of this job")

// Factory makes the instance of a spec. An error means that the job can't even be built (unknown class, say): the
// supervisor reports it as FAILED.
type Factory func(spec cluster.JobSpec) (Instance, error)
