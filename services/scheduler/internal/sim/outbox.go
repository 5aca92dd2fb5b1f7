package sim

import (
	"maps"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// outbox models what a runner has to tell, as services/taskrunner/internal/session does: statuses are hints that a
// digest makes up for; releases and task configs are told until they are known to be stored.
type outbox struct {
	r        *runner
	statuses map[cluster.JobID]cluster.Status
	releases []cluster.Status
	tasks    map[cluster.JobID]cluster.TaskConfigReport
	newest   map[cluster.JobID]cluster.TaskConfigReport // of what is held
	sending  bool
	planned  bool
	try      int
}

func (o *outbox) reset() {
	o.sent()
	o.newest = map[cluster.JobID]cluster.TaskConfigReport{}
}

// sent forgets what waited.
func (o *outbox) sent() {
	o.statuses, o.releases, o.tasks = map[cluster.JobID]cluster.Status{}, nil, map[cluster.JobID]cluster.TaskConfigReport{}
}

// resync tells the newest task configs once more, about once a minute.
func (o *outbox) resync() {
	o.r.later(o.r.w.between(48*time.Second, 72*time.Second), o.resync)
	if !o.r.w.broken.NoResync {
		maps.Copy(o.tasks, o.newest)
		o.plan(100 * time.Microsecond)
	}
}

func (o *outbox) status(st cluster.Status) {
	if st.Released {
		delete(o.statuses, st.Job)
		delete(o.tasks, st.Job)
		delete(o.newest, st.Job)
		o.releases = append(o.releases, st)
	} else {
		o.statuses[st.Job] = st
	}
	o.plan(100 * time.Microsecond)
}

func (o *outbox) taskConfigs(t cluster.TaskConfigReport) {
	o.tasks[t.Job], o.newest[t.Job] = t, t
	o.r.w.trace("%s splits %v into %d", o.r.session, t.Job, len(t.Tasks))
	o.plan(100 * time.Microsecond)
}

// again puts statuses in once more, because the store asked for them.
func (o *outbox) again(statuses []cluster.Status) {
	o.keep(statuses)
	o.plan(100 * time.Microsecond)
}

func (o *outbox) keep(statuses []cluster.Status) {
	for _, st := range statuses {
		if _, newer := o.statuses[st.Job]; !newer {
			o.statuses[st.Job] = st
		}
	}
}

// pending tells whether something waits that no digest covers.
func (o *outbox) pending() bool { return o.sending || len(o.releases)+len(o.tasks) > 0 }

func (o *outbox) plan(d time.Duration) {
	if o.planned || o.sending {
		return
	}
	o.planned = true
	o.r.later(d, func() {
		o.planned = false
		o.send()
	})
}

func (o *outbox) send() {
	if o.sending || len(o.statuses)+len(o.releases)+len(o.tasks) == 0 {
		return
	}
	rep := wire.Report{Session: o.r.session}
	for _, id := range sortedJobs(o.statuses) {
		rep.Statuses = append(rep.Statuses, o.statuses[id])
	}
	for _, id := range sortedJobs(o.tasks) {
		rep.TaskConfigs = append(rep.TaskConfigs, o.tasks[id])
	}
	statuses, releases, tasks := o.statuses, o.releases, o.tasks
	rep.Statuses = append(rep.Statuses, releases...)
	w := o.r.w
	o.sent()
	msg := w.encode(wire.KindReport, rep)
	if len(releases)+len(tasks) == 0 && !o.r.cut && w.net.up {
		w.net.note(message{to: wire.Reports, id: string(o.r.session), body: msg})
		return
	}
	o.sending = true
	done := func(failed bool) {
		o.sending = false
		if !failed {
			o.try = 0
			o.plan(0)
			return
		}
		o.keep(sortedValues(statuses))
		for id, t := range tasks {
			if _, newer := o.tasks[id]; !newer {
				o.tasks[id] = t
			}
		}
		o.releases = append(releases, o.releases...)
		o.try++
		pause := min(100*time.Millisecond<<min(o.try, 10), 2*time.Second)
		o.plan(pause/2 + w.upTo(pause))
	}
	o.r.ask(msg, func(wire.Envelope) { done(false) }, func() { done(true) })
}

func sortedValues[V any](m map[cluster.JobID]V) (all []V) {
	for _, id := range sortedJobs(m) {
		all = append(all, m[id])
	}
	return all
}
