package connectmetrics

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

var began = time.UnixMilli(1_700_000_000_000)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time           { return c.at }
func (c *clock) pass(d time.Duration)     { c.at = c.at.Add(d) }
func at(d time.Duration) time.Time        { return began.Add(d) }
func seconds(n float64) (d time.Duration) { return time.Duration(n * float64(time.Second)) }

// Rates, averages and maxima are over two windows of 30 s, as those of Kafka's Java programs.
func TestWindow(t *testing.T) {
	t.Parallel()
	w := newWindow(Windows{}, began)
	require.Zero(t, w.rate(began))
	require.True(t, math.IsNaN(w.all(began).avg()) && math.IsNaN(w.all(began).max()) && math.IsNaN(w.all(began).low()))
	w.add(at(seconds(1)), 60)
	require.InDelta(t, 60.0/32, w.rate(at(seconds(2))), 1e-9, "at first as if a whole window had gone by before")
	w.add(at(seconds(10)), 30)
	p := w.all(at(seconds(20)))
	require.Equal(t, []float64{45, 60, 30}, []float64{p.avg(), p.max(), p.low()})
	require.InDelta(t, 90.0/40, w.rate(at(seconds(40))), 1e-9, "one full window and a part")
	w.add(at(seconds(40)), 6)
	require.InDelta(t, 96.0/50, w.rate(at(seconds(50))), 1e-9)
	p = w.all(at(seconds(61)))
	require.Equal(t, []float64{6, 6}, []float64{p.avg(), p.max()}, "the first window does not count any more")
	w.add(at(seconds(75)), 4)
	p = w.all(at(seconds(76)))
	require.Equal(t, []float64{5, 6, 4}, []float64{p.avg(), p.max(), p.low()})
	require.True(t, math.IsNaN(w.all(at(seconds(200))).max()), "nothing happened for long")

	long := newWindow(Windows{Samples: 3, Length: time.Second}, began)
	long.add(began, 9)
	require.InDelta(t, 9.0/2, long.rate(at(seconds(1))), 1e-9)
}

func gather(t *testing.T, s *Set) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	require.NoError(t, r.Register(s))
	families, err := r.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName() + "{"
			for _, l := range m.GetLabel() {
				name += l.GetValue() + ","
			}
			v := m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue()
			if h := m.GetHistogram(); h != nil {
				v = float64(h.GetSampleCount())
			}
			out[name[:len(name)-1]+"}"] = v
		}
	}
	return out
}

func TestJob_a_sink_task(t *testing.T) {
	t.Parallel()
	c := &clock{began}
	s := New(Options{Now: c.now, Aliases: true})
	j := s.Begin("c", cluster.TaskJob("u", 1))
	j.Sink()
	c.pass(10 * time.Second)
	j.State(cluster.StateRunning)
	c.pass(20 * time.Second)
	j.State(cluster.StatePaused)
	c.pass(10 * time.Second)
	j.Read(40)
	j.Put(30, 100*time.Millisecond)
	j.Put(0, 50*time.Millisecond)
	j.Active(40)
	j.Active(10)
	j.Sequence(3)
	j.Partitions(2)
	j.Committed(8 * time.Millisecond)
	j.CommitFailed()
	j.CommitFailed()
	j.Committed(4 * time.Millisecond)
	j.CommitStale()
	j.Refused()
	j.Lag(7, 9)
	j.Wrong(Errors{Failures: 3, Records: 1, Skipped: 1, Retries: 2, Logged: 1, Letters: 1, LettersLost: 1})
	got := gather(t, s)
	for name, want := range map[string]float64{
		"kafka_connect_connector_task_metrics_status{c,paused,1}":                               1,
		"kafka_connect_connector_task_metrics_running_ratio{c,1}":                               0.5,
		"kafka_connect_connector_task_metrics_pause_ratio{c,1}":                                 0.25,
		"kafka_connect_connector_task_metrics_offset_commit_max_time_ms{c,1}":                   8,
		"kafka_connect_connector_task_metrics_offset_commit_avg_time_ms{c,1}":                   6,
		"kafka_connect_connector_task_metrics_offset_commit_success_percentage{c,1}":            0.5,
		"kafka_connect_connector_task_metrics_offset_commit_failure_percentage{c,1}":            0.5,
		"kafka_connect_connector_task_metrics_batch_size_max{c,1}":                              30,
		"kafka_connect_connector_task_metrics_batch_size_avg{c,1}":                              15,
		"kafka_connect_sink_task_metrics_sink_record_read_total{c,1}":                           40,
		"kafka_connect_sink_task_metrics_sink_record_read_rate{c,1}":                            1,
		"kafka_connect_sink_task_metrics_sink_record_send_total{c,1}":                           30,
		"kafka_connect_sink_task_metrics_put_batch_max_time_ms{c,1}":                            100,
		"kafka_connect_sink_task_metrics_put_batch_avg_time_ms{c,1}":                            75,
		"kafka_connect_sink_task_metrics_partition_count{c,1}":                                  2,
		"kafka_connect_sink_task_metrics_offset_commit_seq_no{c,1}":                             3,
		"kafka_connect_sink_task_metrics_offset_commit_completion_total{c,1}":                   2,
		"kafka_connect_sink_task_metrics_offset_commit_skip_total{c,1}":                         1,
		"kafka_connect_sink_task_metrics_sink_record_active_count{c,1}":                         10,
		"kafka_connect_sink_task_metrics_sink_record_active_count_max{c,1}":                     40,
		"kafka_connect_sink_task_metrics_sink_record_active_count_avg{c,1}":                     25,
		"kafka_connect_sink_task_metrics_sink_record_lag_max{c,1}":                              7,
		"kafka_consumer_consumer_fetch_manager_metrics_records_lag_max{connector-consumer-c-1}": 7,
		"kafka_connect_task_error_metrics_total_record_failures{c,1}":                           3,
		"kafka_connect_task_error_metrics_total_record_errors{c,1}":                             1,
		"kafka_connect_task_error_metrics_total_records_skipped{c,1}":                           1,
		"kafka_connect_task_error_metrics_total_retries{c,1}":                                   2,
		"kafka_connect_task_error_metrics_total_errors_logged{c,1}":                             1,
		"kafka_connect_task_error_metrics_deadletterqueue_produce_requests{c,1}":                1,
		"kafka_connect_task_error_metrics_deadletterqueue_produce_failures{c,1}":                1,
		"kafka_connect_task_error_metrics_last_error_timestamp{c,1}":                            float64(c.at.UnixMilli()),
		"kafka_connect_connect_worker_metrics_task_count}":                                      1,
		"kafka_connect_connect_worker_metrics_connector_count}":                                 0,
		"kafka_connect_connect_worker_metrics_connector_paused_task_count{c}":                   1,
		"kafka_connect_connect_worker_metrics_connector_running_task_count{c}":                  0,
		"kafka_connect_connect_worker_metrics_connector_total_task_count{c}":                    1,
		"millrace_sink_task_put_retry_total{c,1}":                                               1,
		"millrace_sink_task_offset_commit_failure_total{c,1}":                                   2,
		"millrace_sink_task_record_lag_sum{c,1}":                                                9,
		"millrace_sink_task_put_seconds{c,1}":                                                   1,
		"kafka_connect_sink_task_sink_record_read_total{c,1}":                                   40,
		"kafka_connect_connector_status{c,paused,1}":                                            1,
		"kafka_connect_worker_task_count}":                                                      1,
	} {
		have, ok := got[name]
		require.True(t, ok, "%s is missing", name)
		require.InDelta(t, want, have, 1e-9, name)
	}
}

func TestJob_a_source_task(t *testing.T) {
	t.Parallel()
	c := &clock{began}
	s := New(Options{Now: c.now})
	j := s.Begin("c", cluster.TaskJob("u", 0))
	j.Source(true)
	c.pass(30 * time.Second)
	j.Polled(10, 4*time.Millisecond)
	j.Polled(20, 2*time.Millisecond)
	j.Written(9, 10)
	j.Transaction(9)
	j.Transaction(3)
	j.CommitFailed()
	got := gather(t, s)
	for name, want := range map[string]float64{
		"kafka_connect_source_task_metrics_source_record_poll_total{c,0}":       30,
		"kafka_connect_source_task_metrics_source_record_poll_rate{c,0}":        1,
		"kafka_connect_source_task_metrics_source_record_write_total{c,0}":      9,
		"kafka_connect_source_task_metrics_poll_batch_max_time_ms{c,0}":         4,
		"kafka_connect_source_task_metrics_poll_batch_avg_time_ms{c,0}":         3,
		"kafka_connect_source_task_metrics_source_record_active_count{c,0}":     20,
		"kafka_connect_source_task_metrics_source_record_active_count_max{c,0}": 30,
		"kafka_connect_source_task_metrics_transaction_size_min{c,0}":           3,
		"kafka_connect_source_task_metrics_transaction_size_max{c,0}":           9,
		"kafka_connect_source_task_metrics_transaction_size_avg{c,0}":           6,
		"millrace_source_task_offset_commit_failure_total{c,0}":                 1,
	} {
		require.Contains(t, got, name)
		require.InDelta(t, want, got[name], 1e-9, name)
	}
	plain := s.Begin("d", cluster.TaskJob("v", 0))
	plain.Source(false)
	plain.Polled(1, time.Millisecond)
	got = gather(t, s)
	require.NotContains(t, got, "kafka_connect_source_task_metrics_transaction_size_max{d,0}", "it has no transactions")
	require.Contains(t, got, "kafka_connect_source_task_metrics_source_record_poll_total{d,0}")
}

func TestSet_counts_starts_once_for_each_run(t *testing.T) {
	t.Parallel()
	s := New(Options{})
	a := s.Begin("c", cluster.JobID{UID: "u", Task: cluster.InstanceTask})
	a.State(cluster.StateRunning)
	a.State(cluster.StatePaused)
	a.State(cluster.StateRunning)
	a.Failed() // later
	b := s.Begin("c", cluster.TaskJob("u", 0))
	b.Failed()
	got := gather(t, s)
	const w = "kafka_connect_connect_worker_metrics_"
	for name, want := range map[string]float64{"connector_startup_attempts_total": 1, "connector_startup_success_total": 1, "connector_startup_failure_total": 0,
		"connector_startup_success_percentage": 1, "connector_startup_failure_percentage": 0,
		"task_startup_attempts_total": 1, "task_startup_success_total": 0, "task_startup_failure_total": 1, "task_startup_failure_percentage": 1} {
		require.InDelta(t, want, got[w+name+"}"], 1e-9, name)
	}
}

// A connector that was deleted, or a task that went elsewhere, leaves nothing; and what an older run still says does not
// touch its successor's series.
func TestSet_series_end_with_their_job(t *testing.T) {
	t.Parallel()
	s := New(Options{Aliases: true})
	none := len(gather(t, s))
	old := s.Begin("c", cluster.TaskJob("u", 0))
	old.Sink()
	old.Put(1, time.Second)
	young := s.Begin("c", cluster.TaskJob("u2", 0)) // made anew under its name
	young.Sink()
	old.Put(5, time.Second)
	old.End()
	got := gather(t, s)
	require.Contains(t, got, "kafka_connect_sink_task_metrics_sink_record_send_total{c,0}")
	require.Zero(t, got["kafka_connect_sink_task_metrics_sink_record_send_total{c,0}"])
	require.Zero(t, got["millrace_sink_task_put_seconds{c,0}"])
	young.End()
	young.Put(1, time.Second)
	require.Len(t, gather(t, s), none)
}

func TestTable_names(t *testing.T) {
	t.Parallel()
	var names []string
	for _, m := range Table() {
		require.NotEmpty(t, m.Help)
		names = append(names, m.Name())
	}
	slices.Sort(names)
	require.Equal(t, names, slices.Compact(slices.Clone(names)), "each name once")
	for _, name := range []string{"kafka_connect_connect_worker_metrics_connector_count", "kafka_connect_sink_task_metrics_sink_record_read_total",
		"kafka_connect_connector_metrics_status", "kafka_connect_task_error_metrics_deadletterqueue_produce_requests"} {
		require.Contains(t, names, name)
	}
}
