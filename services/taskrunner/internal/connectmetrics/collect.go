package connectmetrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/controlplane/cluster"
)

func (m Metric) key() string { return m.Group + "/" + m.Attribute }

// Describe implements prometheus.Collector.
func (s *Set) Describe(ch chan<- *prometheus.Desc) {
	for _, all := range s.descs {
		for _, d := range all {
			ch <- d
		}
	}
	for _, v := range s.histograms() {
		v.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *Set) Collect(ch chan<- prometheus.Metric) {
	out := emitter{s, ch}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	tasks := map[string]map[cluster.State]int{}
	var connectors, total int
	for _, j := range s.jobs {
		state := j.collect(out, now)
		if j.id.IsInstance() {
			connectors++
			continue
		}
		total++
		if tasks[j.connector] == nil {
			tasks[j.connector] = map[cluster.State]int{}
		}
		tasks[j.connector][state]++
	}
	out.put(workerGroup, "connector-count", float64(connectors))
	out.put(workerGroup, "task-count", float64(total))
	for name, n := range map[string]*startups{"connector": &s.connectorStart, "task": &s.taskStart} {
		worked, failed := n.recent.all(now).share()
		out.put(workerGroup, name+"-startup-attempts-total", n.tries)
		out.put(workerGroup, name+"-startup-success-total", n.works)
		out.put(workerGroup, name+"-startup-failure-total", n.tries-n.works)
		out.put(workerGroup, name+"-startup-success-percentage", worked)
		out.put(workerGroup, name+"-startup-failure-percentage", failed)
	}
	for connector, by := range tasks {
		sum := 0
		for _, n := range by {
			sum += n
		}
		out.put(workerGroup, "connector-total-task-count", float64(sum), connector)
		for _, state := range []cluster.State{cluster.StateRunning, cluster.StatePaused, cluster.StateFailed, cluster.StateUnassigned, cluster.StateRestarting, "DESTROYED"} {
			out.put(workerGroup, "connector-"+strings.ToLower(string(state))+"-task-count", float64(by[state]), connector)
		}
	}
	for _, v := range s.histograms() {
		v.Collect(ch)
	}
}

// emitter turns values into metrics of the table.
type emitter struct {
	s  *Set
	ch chan<- prometheus.Metric
}

func (e emitter) put(group, attribute string, v float64, labels ...string) {
	kind := prometheus.GaugeValue
	switch {
	case strings.HasSuffix(attribute, "total"):
		kind = prometheus.CounterValue
	case group == errorGroup: // they count, but a counter's name has to end in _total
		kind = prometheus.UntypedValue
	}
	for _, d := range e.s.descs[group+"/"+attribute] {
		e.ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
}

// text is a value that is a label.
func (e emitter) text(group, attribute, v string, labels ...string) {
	e.put(group, attribute, 1, append(append([]string{}, labels...), v)...)
}

// collect writes a job's values and tells its state.
func (j *Job) collect(out emitter, now time.Time) cluster.State {
	j.mu.Lock()
	defer j.mu.Unlock()
	labels := []string{j.connector, j.task}
	own := labels
	group := taskGroup
	if j.id.IsInstance() {
		group, own = connectorGroup, labels[:1]
	}
	out.text(group, "status", strings.ToLower(string(j.state)), own...)
	for t, v := range j.texts {
		l := append([]string{}, own...)
		if t.about != "" {
			l = append(l, t.about)
		}
		out.text(t.group, t.attribute, v, l...)
	}
	if j.id.IsInstance() {
		return j.state
	}
	out.put(group, "running-ratio", j.ratio(now, cluster.StateRunning), labels...)
	out.put(group, "pause-ratio", j.ratio(now, cluster.StatePaused), labels...)
	if j.sink == nil && j.source == nil {
		return j.state // it could not be made
	}
	commit, batch := j.commitTime.all(now), j.batch.all(now)
	worked, failed := j.commits.all(now).share()
	out.put(group, "offset-commit-max-time-ms", commit.max(), labels...)
	out.put(group, "offset-commit-avg-time-ms", commit.avg(), labels...)
	out.put(group, "batch-size-max", batch.max(), labels...)
	out.put(group, "batch-size-avg", batch.avg(), labels...)
	out.put(group, "offset-commit-failure-percentage", failed, labels...)
	out.put(group, "offset-commit-success-percentage", worked, labels...)
	j.collectErrors(out, labels)
	active := j.active.all(now)
	if j.sink != nil {
		j.collectSink(out, now, active, labels)
	} else {
		j.collectSource(out, now, active, labels)
	}
	return j.state
}

func (j *Job) ratio(now time.Time, state cluster.State) float64 {
	whole := now.Sub(j.made)
	if whole <= 0 {
		return 0
	}
	spent := j.spent[state]
	if j.state == state {
		spent += now.Sub(j.since)
	}
	return float64(spent) / float64(whole)
}

func (j *Job) collectErrors(out emitter, labels []string) {
	e := j.errors
	last := int64(0)
	if !j.lastError.IsZero() {
		last = j.lastError.UnixMilli()
	}
	for _, v := range []struct {
		attribute string
		n         float64
	}{
		{"total-record-failures", float64(e.Failures)}, {"total-record-errors", float64(e.Records)}, {"total-records-skipped", float64(e.Skipped)},
		{"total-retries", float64(e.Retries)}, {"total-errors-logged", float64(e.Logged)}, {"deadletterqueue-produce-requests", float64(e.Letters)},
		{"deadletterqueue-produce-failures", float64(e.LettersLost)}, {"last-error-timestamp", float64(last)},
	} {
		out.put(errorGroup, v.attribute, v.n, labels...)
	}
}

func (out emitter) meter(group, name string, m meter, now time.Time, labels []string) {
	out.put(group, name+"-rate", m.w.rate(now), labels...)
	out.put(group, name+"-total", m.total, labels...)
}

func (j *Job) collectSource(out emitter, now time.Time, active piece, labels []string) {
	s := j.source
	out.meter(sourceGroup, "source-record-poll", s.poll, now, labels)
	out.meter(sourceGroup, "source-record-write", s.write, now, labels)
	poll := s.pollTime.all(now)
	out.put(sourceGroup, "poll-batch-max-time-ms", poll.max(), labels...)
	out.put(sourceGroup, "poll-batch-avg-time-ms", poll.avg(), labels...)
	out.put(sourceGroup, "source-record-active-count", float64(j.activeNow), labels...)
	out.put(sourceGroup, "source-record-active-count-max", active.max(), labels...)
	out.put(sourceGroup, "source-record-active-count-avg", active.avg(), labels...)
	if s.size != nil {
		size := s.size.all(now)
		out.put(sourceGroup, "transaction-size-min", size.low(), labels...)
		out.put(sourceGroup, "transaction-size-max", size.max(), labels...)
		out.put(sourceGroup, "transaction-size-avg", size.avg(), labels...)
	}
	out.put("", sourceFailures, s.failures, labels...)
}

func (j *Job) collectSink(out emitter, now time.Time, active piece, labels []string) {
	s := j.sink
	out.meter(sinkGroup, "sink-record-read", s.read, now, labels)
	out.meter(sinkGroup, "sink-record-send", s.send, now, labels)
	out.meter(sinkGroup, "offset-commit-completion", s.completion, now, labels)
	out.meter(sinkGroup, "offset-commit-skip", s.skip, now, labels)
	out.put(sinkGroup, "partition-count", float64(s.partitions), labels...)
	out.put(sinkGroup, "offset-commit-seq-no", float64(s.seq), labels...)
	put := s.putTime.all(now)
	out.put(sinkGroup, "put-batch-max-time-ms", put.max(), labels...)
	out.put(sinkGroup, "put-batch-avg-time-ms", put.avg(), labels...)
	out.put(sinkGroup, "sink-record-active-count", float64(j.activeNow), labels...)
	out.put(sinkGroup, "sink-record-active-count-max", active.max(), labels...)
	out.put(sinkGroup, "sink-record-active-count-avg", active.avg(), labels...)
	out.put(sinkGroup, "sink-record-lag-max", float64(s.lagMost), labels...)
	out.put(consumerGroup, "records-lag-max", float64(s.lagMost), "connector-consumer-"+j.connector+"-"+j.task)
	out.put("", putRetries, s.retries, labels...)
	out.put("", sinkFailures, s.failures, labels...)
	out.put("", lagSum, float64(s.lagSum), labels...)
}

var _ prometheus.Collector = (*Set)(nil)
