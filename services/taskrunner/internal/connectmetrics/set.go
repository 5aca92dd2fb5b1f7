// Package connectmetrics exports the metrics of connectors, tasks and workers under the names that Kafka Connect's have
// behind a JMX exporter, with their meaning, so that dashboards and alarms go on working.
//
// Start reading at Table, the list of all names; Set holds the jobs of a runner, Job counts for one, collect.go reads them.
package connectmetrics

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Options are what a Set is made of; all may be left out.
type Options struct {
	Windows Windows
	Aliases bool // each metric also under the name that the exporter's sample rules give it
	Now     func() time.Time
}

// Set holds the metrics of a runner. It is a prometheus.Collector.
type Set struct {
	o     Options
	now   func() time.Time
	descs map[string][]*prometheus.Desc // by group and attribute

	took, committed map[string]*prometheus.HistogramVec // by kind of task
	transaction     *prometheus.HistogramVec

	mu                        sync.Mutex
	jobs                      map[key]*Job
	connectorStart, taskStart startups
}

// key is what a job's series are called: a connector that was made anew takes the place of the former one.
type key struct{ connector, task string }

type startups struct {
	recent       *window
	tries, works float64
}

// New makes a set.
func New(o Options) *Set {
	s := &Set{o: o, now: o.Now, jobs: map[key]*Job{}, descs: map[string][]*prometheus.Desc{}}
	if s.now == nil {
		s.now = time.Now
	}
	for _, m := range Table() {
		k := m.key()
		s.descs[k] = append(s.descs[k], prometheus.NewDesc(m.Name(), m.Help, m.labels(), nil))
		if alias := m.Alias(); o.Aliases && alias != "" && alias != m.Name() {
			s.descs[k] = append(s.descs[k], prometheus.NewDesc(alias, "The same as "+m.Name()+".", m.labels(), nil))
		}
	}
	seconds := prometheus.ExponentialBuckets(0.001, 4, 8)
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"connector", "task"})
	}
	s.took = map[string]*prometheus.HistogramVec{
		"source": histogram("millrace_source_task_poll_seconds", "Duration of polls that returned records.", seconds),
		"sink":   histogram("millrace_sink_task_put_seconds", "Duration of successful puts.", seconds),
	}
	s.committed = map[string]*prometheus.HistogramVec{
		"source": histogram("millrace_source_task_offset_commit_seconds", "Duration of successful commits.", seconds),
		"sink":   histogram("millrace_sink_task_offset_commit_seconds", "Duration of successful offset commits.", seconds),
	}
	s.transaction = histogram("millrace_source_task_transaction_records", "Records per committed transaction.", prometheus.ExponentialBuckets(1, 10, 6))
	s.connectorStart.recent, s.taskStart.recent = newWindow(o.Windows, s.now()), newWindow(o.Windows, s.now())
	return s
}

// Alone is a job that belongs to no set, for those who count and are not asked.
func Alone() *Job { return New(Options{}).newJob("", cluster.JobID{}, "0") }

// Begin takes up a run of a job; it replaces the one before.
func (s *Set) Begin(connector string, id cluster.JobID) *Job {
	k := key{connector: connector}
	if !id.IsInstance() {
		k.task = strconv.Itoa(id.Task)
	}
	j := s.newJob(connector, id, k.task)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(k)
	s.jobs[k] = j
	return j
}

// End drops a job's series, unless another run has taken them over.
func (j *Job) End() {
	if j == nil {
		return
	}
	s, k := j.set, key{j.connector, j.task}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs[k] == j {
		s.forget(k)
	}
}

// forget is called with mu held.
func (s *Set) forget(k key) {
	delete(s.jobs, k)
	for _, v := range s.histograms() {
		v.DeleteLabelValues(k.connector, k.task)
	}
}

func (s *Set) histograms() []*prometheus.HistogramVec {
	return []*prometheus.HistogramVec{s.took["source"], s.took["sink"], s.committed["source"], s.committed["sink"], s.transaction}
}

// observers are a task's histograms; those of a run that was replaced are seen by nobody.
func (s *Set) observers(j *Job, kind string) (took, committed, transaction prometheus.Observer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.jobs[key{j.connector, j.task}] != j {
		nowhere := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "nowhere"})
		return nowhere, nowhere, nowhere
	}
	took, committed = s.took[kind].WithLabelValues(j.connector, j.task), s.committed[kind].WithLabelValues(j.connector, j.task)
	if kind == "source" && j.source.size != nil {
		transaction = s.transaction.WithLabelValues(j.connector, j.task)
	}
	return took, committed, transaction
}

// startup counts a start.
func (s *Set) startup(instance, worked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := &s.taskStart
	if instance {
		n = &s.connectorStart
	}
	n.tries++
	if worked {
		n.works++
		n.recent.add(s.now(), 1)
		return
	}
	n.recent.add(s.now(), 0)
}
