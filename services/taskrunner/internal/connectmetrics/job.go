package connectmetrics

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Job counts for one run of a connector instance or task. Its methods are called per batch, not per record, from any
// goroutine. What a run that was replaced still counts is seen by nobody.
type Job struct {
	set       *Set
	connector string
	task      string // "" of an instance
	id        cluster.JobID

	mu    sync.Mutex
	texts map[text]string

	made, since time.Time // when it was made, when its state began
	state       cluster.State
	spent       map[cluster.State]time.Duration
	started     bool // its start is counted

	commits, commitTime, batch, active *window
	activeNow                          int64
	errors                             Errors
	lastError                          time.Time

	source *sourceValues
	sink   *sinkValues

	took, committed, transaction prometheus.Observer
}

// text is a text's attribute, and what it is about: "", or the name of a transformation or a predicate.
type text struct{ group, attribute, about string }

type sourceValues struct {
	poll, write meter
	pollTime    *window
	size        *window // nil: no transactions
	failures    float64
}

type sinkValues struct {
	read, send, completion, skip meter
	putTime                      *window
	partitions, seq              int
	retries, failures            float64
	lagMost, lagSum              int64
}

// Errors are how often something went wrong.
type Errors struct {
	Failures, Records, Skipped, Retries, Logged, Letters, LettersLost int
}

func (s *Set) newJob(connector string, id cluster.JobID, task string) *Job {
	now := s.now()
	w := func() *window { return newWindow(s.o.Windows, now) }
	return &Job{set: s, connector: connector, task: task, id: id, texts: map[text]string{}, made: now, since: now, state: cluster.StateUnassigned,
		spent: map[cluster.State]time.Duration{}, commits: w(), commitTime: w(), batch: w(), active: w()}
}

// do runs f with what is locked, at one time.
func (j *Job) do(f func(now time.Time)) {
	now := j.set.now()
	j.mu.Lock()
	defer j.mu.Unlock()
	f(now)
}

func (j *Job) window(now time.Time) *window { return newWindow(j.set.o.Windows, now) }

// Source says that the job is a source task.
func (j *Job) Source(transactions bool) {
	j.do(func(now time.Time) {
		j.source = &sourceValues{poll: meter{w: j.window(now)}, write: meter{w: j.window(now)}, pollTime: j.window(now)}
		if transactions {
			j.source.size = j.window(now)
		}
	})
	j.took, j.committed, j.transaction = j.set.observers(j, "source")
}

// Sink says that the job is a sink task.
func (j *Job) Sink() {
	j.do(func(now time.Time) {
		m := func() meter { return meter{w: j.window(now)} }
		j.sink = &sinkValues{read: m(), send: m(), completion: m(), skip: m(), putTime: j.window(now)}
	})
	j.took, j.committed, _ = j.set.observers(j, "sink")
}

// State follows the state that is told of the job.
func (j *Job) State(s cluster.State) {
	first := false
	j.do(func(now time.Time) {
		if s != j.state {
			j.spent[j.state] += now.Sub(j.since)
			j.state, j.since = s, now
		}
		if first = s == cluster.StateRunning && !j.started; first {
			j.started = true
		}
	})
	if first {
		j.set.startup(j.id.IsInstance(), true)
	}
}

// Failed says that the job has ended with an error.
func (j *Job) Failed() {
	first := false
	j.do(func(time.Time) {
		if first = !j.started; first {
			j.started = true
		}
		if j.sink != nil {
			j.sink.partitions = 0
		}
	})
	if first {
		j.set.startup(j.id.IsInstance(), false)
	}
}

// Plugin says what a part of the job is: "connector", "task", "key-converter" and so on.
func (j *Job) Plugin(role, class, version string) {
	group := taskGroup
	if j.id.IsInstance() {
		group = connectorGroup
	}
	j.do(func(time.Time) {
		j.texts[text{group, role + "-class", ""}], j.texts[text{group, role + "-version", ""}] = class, version
	})
}

// Type says whether the connector is a source or a sink.
func (j *Job) Type(kind string) {
	group := taskGroup
	if j.id.IsInstance() {
		group = connectorGroup
	}
	j.do(func(time.Time) { j.texts[text{group, "connector-type", ""}] = strings.ToLower(kind) })
}

// Transform and Predicate say what the transformations and predicates of the job are, by their names in the configuration.
func (j *Job) Transform(name, class, version string) {
	j.do(func(time.Time) {
		j.texts[text{transformGroup, "transform-class", name}], j.texts[text{transformGroup, "transform-version", name}] = class, version
	})
}

// Predicate is like Transform.
func (j *Job) Predicate(name, class, version string) {
	j.do(func(time.Time) {
		j.texts[text{predicateGroup, "predicate-class", name}], j.texts[text{predicateGroup, "predicate-version", name}] = class, version
	})
}

// Polled counts a poll of a source that returned records.
func (j *Job) Polled(n int, took time.Duration) {
	j.do(func(now time.Time) {
		j.source.poll.add(now, n)
		j.source.pollTime.add(now, ms(took))
		j.batch.add(now, float64(n))
		j.setActive(now, j.activeNow+int64(n))
	})
	j.took.Observe(took.Seconds())
}

// Written counts records that are durable, and how many the polls returned for them.
func (j *Job) Written(written, polled int) {
	j.do(func(now time.Time) {
		j.source.write.add(now, written)
		j.setActive(now, j.activeNow-int64(polled))
	})
}

// Transaction counts a committed transaction.
func (j *Job) Transaction(records int) {
	j.do(func(now time.Time) {
		if j.source.size != nil {
			j.source.size.add(now, float64(records))
		}
	})
	j.transaction.Observe(float64(records))
}

// Read counts records that a sink consumed.
func (j *Job) Read(n int) { j.do(func(now time.Time) { j.sink.read.add(now, n) }) }

// Put counts a put that the sink accepted.
func (j *Job) Put(n int, took time.Duration) {
	j.do(func(now time.Time) {
		j.sink.send.add(now, n)
		j.sink.putTime.add(now, ms(took))
		j.batch.add(now, float64(n))
	})
	if n > 0 {
		j.took.Observe(took.Seconds())
	}
}

// Refused counts a batch that the sink refused for now.
func (j *Job) Refused() { j.do(func(time.Time) { j.sink.retries++ }) }

// Active is how many records a sink has consumed and not committed.
func (j *Job) Active(n int64) { j.do(func(now time.Time) { j.setActive(now, n) }) }

func (j *Job) setActive(now time.Time, n int64) {
	j.activeNow = n
	j.active.add(now, float64(n))
}

// Partitions is how many partitions a sink has.
func (j *Job) Partitions(n int) { j.do(func(time.Time) { j.sink.partitions = n }) }

// Sequence is the number of a sink's newest commit.
func (j *Job) Sequence(n int) { j.do(func(time.Time) { j.sink.seq = n }) }

// Lag is how far a sink is behind: the partition that is furthest, and all together.
func (j *Job) Lag(most, sum int64) {
	j.do(func(time.Time) { j.sink.lagMost, j.sink.lagSum = most, sum })
}

// Committed counts a successful commit.
func (j *Job) Committed(took time.Duration) {
	j.do(func(now time.Time) {
		j.commits.add(now, 1)
		j.commitTime.add(now, ms(took))
		if j.sink != nil {
			j.sink.completion.add(now, 1)
		}
	})
	j.committed.Observe(took.Seconds())
}

// CommitFailed counts a commit that failed.
func (j *Job) CommitFailed() {
	j.do(func(now time.Time) {
		j.commits.add(now, 0)
		if j.sink != nil {
			j.sink.failures++
		} else {
			j.source.failures++
		}
	})
}

// CommitStale counts an answer to a sink's commit that came too late.
func (j *Job) CommitStale() { j.do(func(now time.Time) { j.sink.skip.add(now, 1) }) }

// Wrong adds to what went wrong.
func (j *Job) Wrong(e Errors) {
	j.do(func(now time.Time) {
		t := &j.errors
		t.Failures += e.Failures
		t.Records += e.Records
		t.Skipped += e.Skipped
		t.Retries += e.Retries
		t.Logged += e.Logged
		t.Letters += e.Letters
		t.LettersLost += e.LettersLost
		if e.Failures > 0 || e.Records > 0 {
			j.lastError = now
		}
	})
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
