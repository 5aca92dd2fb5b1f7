package session

import (
	"maps"
	"slices"
	"sync"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Outbox keeps what is to be told until it was told: of each job only the newest status and the newest task configs, but
// every release, and the topics that it uses. It is bounded by the number of jobs, however long the control plane is away. It implements
// jobs.Outgoing.
type Outbox struct {
	wake chan struct{} // cap 1: there is something to send
	beat chan struct{} // cap 1: a heartbeat is wanted now

	mu       sync.Mutex
	statuses map[cluster.JobID]cluster.Status
	releases []cluster.Status
	tasks    map[cluster.JobID]cluster.TaskConfigReport
	newest   map[cluster.JobID]cluster.TaskConfigReport // of what is held, also those that were told
	topics   map[cluster.JobID]cluster.TopicReport
}

// NewOutbox makes an empty one.
func NewOutbox() *Outbox {
	o := &Outbox{wake: make(chan struct{}, 1), beat: make(chan struct{}, 1)}
	o.reset()
	return o
}

func (o *Outbox) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.statuses, o.releases = map[cluster.JobID]cluster.Status{}, nil
	o.tasks, o.newest = map[cluster.JobID]cluster.TaskConfigReport{}, map[cluster.JobID]cluster.TaskConfigReport{}
	o.topics = map[cluster.JobID]cluster.TopicReport{}
}

// Status implements jobs.Outgoing.
func (o *Outbox) Status(st cluster.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if st.Released {
		delete(o.statuses, st.Job) // the release says it all
		delete(o.tasks, st.Job)
		delete(o.newest, st.Job)
		o.releases = append(o.releases, st)
	} else {
		o.statuses[st.Job] = st
	}
	poke(o.wake)
}

// TaskConfigs implements jobs.Outgoing.
func (o *Outbox) TaskConfigs(r cluster.TaskConfigReport) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tasks[r.Job], o.newest[r.Job] = r, r
	poke(o.wake)
}

// Topics implements jobs.Outgoing.
func (o *Outbox) Topics(r cluster.TopicReport) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.add(r)
	poke(o.wake)
}

// add keeps a report together with what waits already; what was used under an older epoch or before a clearing counts no
// more. Called with mu held.
func (o *Outbox) add(r cluster.TopicReport) {
	have, waits := o.topics[r.Job]
	switch {
	case !waits, have.Epoch < r.Epoch, have.Epoch == r.Epoch && have.TopicResets < r.TopicResets:
		o.topics[r.Job] = r
	case have.Epoch == r.Epoch && have.TopicResets == r.TopicResets:
		have.Topics = append(slices.Clone(have.Topics), r.Topics...)
		o.topics[r.Job] = have
	}
}

// resync tells the newest task configs once more. No digest covers them, and a copy of an older report that took a longer
// way may have come after the newer one and won (Invariant 1).
func (o *Outbox) resync() {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.Copy(o.tasks, o.newest) // what waits is never newer than the newest
	poke(o.wake)
}

// Beat implements jobs.Outgoing.
func (o *Outbox) Beat() { poke(o.beat) }

// again puts the current statuses in once more, because the store asked for them.
func (o *Outbox) again(statuses []cluster.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, st := range statuses {
		if _, newer := o.statuses[st.Job]; !newer {
			o.statuses[st.Job] = st
		}
	}
	poke(o.wake)
}

// batch is what is sent at once. Statuses are hints that a heartbeat's digest makes up for; releases, task configs and used
// topics are covered by no digest, so they are sent until they are known to be stored.
type batch struct {
	statuses []cluster.Status
	releases []cluster.Status
	tasks    []cluster.TaskConfigReport
	topics   []cluster.TopicReport
}

func (b batch) empty() bool { return len(b.statuses)+len(b.releases)+len(b.tasks)+len(b.topics) == 0 }

// The bounds of a batch keep its message below the bus's limit of 1 MiB: traces are long.
const (
	maxStatuses   = 64
	maxBatchBytes = 512 << 10
)

// take removes the next batch.
func (o *Outbox) take() (b batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	size := 0
	room := func(n int) bool {
		fits := size == 0 || size+n <= maxBatchBytes
		if fits {
			size += n
		}
		return fits
	}
	for id, r := range o.topics { // before the release after which nothing of the job is taken any more
		n := 256
		for _, topic := range r.Topics {
			n += len(topic) + 8
		}
		if !room(n) {
			break
		}
		b.topics = append(b.topics, r)
		delete(o.topics, id)
	}
	for id, r := range o.tasks {
		n := 0
		for _, c := range r.Tasks {
			for k, v := range c {
				n += len(k) + 8
				if v != nil {
					n += len(*v)
				}
			}
		}
		if !room(n + 256) {
			break
		}
		b.tasks = append(b.tasks, r)
		delete(o.tasks, id)
	}
	n := min(len(o.releases), maxStatuses)
	if len(o.topics) > 0 {
		n = 0 // they may be about what is released
	}
	b.releases, o.releases = slices.Clone(o.releases[:n]), o.releases[n:]
	for id, st := range o.statuses {
		if len(b.statuses) == maxStatuses || !room(len(st.Trace)+256) {
			break
		}
		b.statuses = append(b.statuses, st)
		delete(o.statuses, id)
	}
	if len(o.statuses)+len(o.releases)+len(o.tasks)+len(o.topics) > 0 {
		poke(o.wake)
	}
	return b
}

// putBack returns what could not be sent, unless something newer is there.
func (o *Outbox) putBack(b batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, st := range b.statuses {
		if _, newer := o.statuses[st.Job]; !newer {
			o.statuses[st.Job] = st
		}
	}
	for _, r := range b.tasks {
		if _, newer := o.tasks[r.Job]; !newer {
			o.tasks[r.Job] = r
		}
	}
	for _, r := range b.topics {
		o.add(r)
	}
	o.releases = append(b.releases, o.releases...)
}

// pending tells whether something waits that no digest covers.
func (o *Outbox) pending() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.releases)+len(o.tasks)+len(o.topics) > 0
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
