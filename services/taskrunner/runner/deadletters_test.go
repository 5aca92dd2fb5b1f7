package runner

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
	"github.com/millrace/millrace/tests/logs"
	"github.com/millrace/millrace/tests/servers"
)

const patience = 90 * time.Second

// tallying is a sink that counts, and notes when the first records came.
type tallying struct {
	n     *atomic.Int64
	first func()
}

func (tallying) Start(context.Context, sink.Context) error { return nil }
func (tallying) Stop(context.Context) error                { return nil }
func (s tallying) Put(_ context.Context, batch []record.Sink) error {
	if len(batch) > 0 {
		s.first()
	}
	s.n.Add(int64(len(batch)))
	return nil
}

// letterWorld is a topic with JSON records of which some are none, and a sink task that reads it as a runner would run it.
type letterWorld struct {
	testing.TB
	bootstrap, topic, name string
	logs                   *logs.Buffer
	worker                 map[string]string // more properties
	delivered, first       atomic.Int64
	reg                    *prometheus.Registry
	took, cpu              time.Duration // of the last run, from the first records to the last
	cpuAtFirst             atomic.Int64
}

var worlds atomic.Int64

func newLetterWorld(tb testing.TB, bootstrap string) *letterWorld {
	tb.Helper()
	n := fmt.Sprintf("%d-%d", time.Now().UnixNano(), worlds.Add(1))
	w := &letterWorld{TB: tb, bootstrap: bootstrap, topic: "letters-" + n, name: "c-" + n, logs: &logs.Buffer{}, reg: prometheus.NewRegistry()}
	a, err := kafkaio.NewAdmin(w.client(), nil)
	require.NoError(tb, err)
	defer a.Close(tb.Context())
	made, err := a.CreateTopics(tb.Context(), kafkaio.Topic{Name: w.topic, Partitions: letterPartitions, Replication: 1})
	require.NoError(tb, err)
	require.NoError(tb, made[w.topic])
	return w
}

const letterPartitions = 4

func (w *letterWorld) client() kafkaio.Config {
	return kafkaio.Config{"bootstrap.servers": w.bootstrap}
}

// fill writes n records; those whose number bad has are no JSON.
func (w *letterWorld) fill(n int, bad ...int) {
	w.Helper()
	p, err := kafkaio.NewProducer(w.Context(), kafkaio.ProducerConfig{Client: w.client()})
	require.NoError(w, err)
	batch := make([]kafkaio.Record, n)
	for i := range batch {
		batch[i] = kafkaio.Record{Topic: w.topic, Partition: int32(i % letterPartitions), Key: fmt.Appendf(nil, "k%d", i), Timestamp: int64(1_700_000_000_000 + i),
			Value:   fmt.Appendf(nil, `{"n":%d,"name":"somebody","street":"a street with a name","city":"a city","note":"padding to about 100 bytes"}`, i),
			Headers: []kafkaio.Header{{Key: "h", Value: []byte("own")}}}
		if slices.Contains(bad, i) {
			batch[i].Value = fmt.Appendf(nil, `{"n":%d,`, i)
		}
	}
	var failed atomic.Int64
	_, err = p.Send(w.Context(), batch, func(_ int, _ record.Produced, err error) {
		if err != nil {
			failed.Add(1)
		}
	})
	require.NoError(w, err)
	require.NoError(w, p.Flush(w.Context()))
	require.NoError(w, p.Close(w.Context()))
	require.Zero(w, failed.Load())
}

func (w *letterWorld) letters() string { return w.topic + "-dlq" }

// run runs the task until so many records were delivered, and ends it.
func (w *letterWorld) run(want int64, config map[string]string) error {
	w.Helper()
	plugins, err := plugin.New(append(converters.All(), plugin.Plugin{Class: "x.Tally", Kind: plugin.Sink, Version: "1", TaskClass: "x.Task",
		NewConnector: func() connector.Connector { return nil }, NewSinkTask: func() sink.Task { return tallying{&w.delivered, w.begun} }})...)
	require.NoError(w, err)
	props := map[string]string{"bootstrap.servers": w.bootstrap, "key.converter": "StringConverter", "value.converter.schemas.enable": "false"}
	maps.Copy(props, w.worker)
	refs, err := secrets.FromProperties(props, os.LookupEnv, w.logs.Logger())
	require.NoError(w, err)
	worker, err := worker.Resolved(props, refs)
	require.NoError(w, err)
	f, err := newFactories(Config{Plugins: plugins, Registerer: w.reg}, worker, factsOf(worker, refs, plugins), refs, w.logs.Logger())
	require.NoError(w, err)
	defer f.close(w.Context())
	conn := map[string]string{"connector.class": "x.Tally", "topics": w.topic}
	for k, v := range config {
		conn[k] = v
	}
	spec := cluster.JobSpec{Job: cluster.TaskJob("u-"+cluster.UID(w.name), 0), Name: w.name, Class: "x.Tally", Target: cluster.Started, TaskCount: 1, Config: cluster.ConfigOf(conn)}
	series := connectmetrics.New(connectmetrics.Options{})
	w.reg.MustRegister(series)
	in, err := f.factory(spec)
	require.NoError(w, err)
	take, stop := context.WithCancel(w.Context())
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- in.Run(take, w.Context(), job.Env{Spec: spec, Report: silent{}, Metrics: series.Begin(spec.Name, spec.Job), Target: make(chan cluster.TargetState)})
	}()
	deadline := time.After(patience)
	for w.delivered.Load() < want {
		select {
		case err := <-done:
			return err
		case <-deadline:
			w.Fatalf("only %d of %d records were delivered\n%s", w.delivered.Load(), want, w.logs.String())
		case <-time.After(time.Millisecond):
		}
	}
	w.took, w.cpu = time.Since(time.Unix(0, w.first.Load())), cpuTime()-time.Duration(w.cpuAtFirst.Load())
	stop()
	select {
	case err := <-done:
		return err
	case <-deadline:
		w.Fatal("the task does not end")
		return nil
	}
}

// begun notes when the first records of a run came.
func (w *letterWorld) begun() {
	if w.first.CompareAndSwap(0, time.Now().UnixNano()) {
		w.cpuAtFirst.Store(int64(cpuTime()))
	}
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // there is nothing that could be wrong
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

type silent struct{}

func (silent) State(cluster.State)                       {}
func (silent) Failed(error)                              {}
func (silent) Version(string)                            {}
func (silent) TaskConfigs(int64, []cluster.Config, bool) {}

// set reads what was set aside.
func (w *letterWorld) set() (all []kafkaio.Record) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	require.NoError(w, kafkaio.ReadAll(ctx, w.client(), w.letters(), func(rs []kafkaio.Record) error {
		all = append(all, rs...)
		return nil
	}))
	return all
}

func (w *letterWorld) count(name string) (n float64) {
	w.Helper()
	families, err := w.reg.Gather()
	require.NoError(w, err)
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				n += m.GetCounter().GetValue() + m.GetUntyped().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return n
}

func (w *letterWorld) config() map[string]string {
	return map[string]string{"errors.tolerance": "all", "errors.deadletterqueue.topic.name": w.letters(), "errors.deadletterqueue.topic.replication.factor": "1",
		"errors.deadletterqueue.context.headers.enable": "true"}
}

func TestRuntime_7_4_of_100_000_records_the_bad_one_is_set_aside_and_the_others_are_delivered(t *testing.T) {
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) {
		const n, bad = 100_000, 54_321
		w := newLetterWorld(t, bootstrap)
		w.fill(n, bad)
		require.NoError(t, w.run(n-1, w.config()))
		require.EqualValues(t, n-1, w.delivered.Load())
		all := w.set()
		require.Len(t, all, 1)
		got := all[0]
		require.Equal(t, fmt.Sprintf(`{"n":%d,`, bad), string(got.Value))
		require.Equal(t, fmt.Sprintf("k%d", bad), string(got.Key))
		require.EqualValues(t, 1_700_000_000_000+bad, got.Timestamp)
		require.Len(t, got.Headers, 11)
		require.Equal(t, kafkaio.Header{Key: "h", Value: []byte("own")}, got.Headers[0])
		want := []string{w.topic, fmt.Sprint(bad % letterPartitions), fmt.Sprint(bad / letterPartitions), w.name, "0", "VALUE_CONVERTER", "org.apache.kafka.connect.json.JsonConverter",
			"org.apache.kafka.connect.errors.DataException", "Converting byte[] to Kafka Connect data failed due to serialization error: "}
		for i, name := range []string{"topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name", "exception.class.name", "exception.message"} {
			require.Equal(t, kafkaio.Header{Key: "__connect.errors." + name, Value: []byte(want[i])}, got.Headers[i+1])
		}
		require.Equal(t, "__connect.errors.exception.stacktrace", got.Headers[10].Key)
		require.True(t, strings.HasPrefix(string(got.Headers[10].Value), "org.apache.kafka.connect.errors.DataException: Converting byte[]"))

		// It was not dropped in silence: there is a line, and there are counters.
		require.Contains(t, w.logs.String(), "records were skipped")
		for name, want := range map[string]float64{"task_error_metrics_total_records_skipped": 1, "task_error_metrics_total_record_errors": 1, "task_error_metrics_total_record_failures": 1,
			"task_error_metrics_deadletterqueue_produce_requests": 1, "task_error_metrics_deadletterqueue_produce_failures": 0, "sink_task_metrics_sink_record_send_total": n - 1} {
			require.InDelta(t, want, w.count("kafka_connect_"+name), 0, name)
		}

		// The task made the topic itself, with one partition.
		a, err := kafkaio.NewAdmin(w.client(), nil)
		require.NoError(t, err)
		defer a.Close(context.WithoutCancel(t.Context()))
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			d, err := a.DescribeTopic(t.Context(), w.letters())
			require.NoError(c, err)
			require.Equal(c, 1, d.Partitions)
		}, patience, 20*time.Millisecond)
		require.Contains(t, w.logs.String(), "Topic "+w.letters()+" doesn't exist. Will attempt to create topic.")
	})
}

// A task that is parked has no producer for its dead letters, and takes one again for the next.
func TestDeadLetters_after_the_task_was_parked(t *testing.T) {
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) {
		w := newLetterWorld(t, bootstrap)
		w.worker = map[string]string{"millrace.parking.idle.ms": "100", "consumer.fetch.max.wait.ms": "50"}
		w.fill(40, 7)
		done := make(chan error, 1)
		go func() { done <- w.run(3*39, w.config()) }()
		for n := range 2 {
			require.Eventually(t, func() bool {
				return w.delivered.Load() == int64(n+1)*39 && w.count("millrace_runner_tasks_parked") == 1
			}, patience, 10*time.Millisecond)
			require.Len(t, w.set(), n+1)
			w.fill(40, 9)
		}
		require.NoError(t, <-done)
		require.Len(t, w.set(), 3)
		require.GreaterOrEqual(t, w.count("millrace_runner_task_wakes_total"), 2.0)
	})
}

func TestRuntime_7_4_a_topic_that_can_not_be_made_fails_the_task_at_its_start(t *testing.T) {
	t.Parallel()
	bootstrap := servers.Kafka(t)
	w := newLetterWorld(t, bootstrap)
	w.fill(1)
	config := w.config()
	config["errors.deadletterqueue.topic.replication.factor"] = "3" // there is one broker
	require.ErrorContains(t, w.run(1, config), "Could not initialize dead letter queue with topic="+w.letters())
	require.Zero(t, w.delivered.Load())
}

func TestRuntime_7_2_a_bad_record_fails_the_task_after_it_was_set_aside_where_nothing_is_tolerated(t *testing.T) {
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) {
		w := newLetterWorld(t, bootstrap)
		w.fill(10, 3)
		config := w.config()
		config["errors.tolerance"] = "none"
		require.ErrorContains(t, w.run(10, config), "Tolerance exceeded in error handler")
		require.Len(t, w.set(), 1)
	})
}

// BenchmarkDeadLetters measures what one bad record in 100,000 costs: runs of the same task over a clean topic, over another clean
// one and over one with bad records take turns. ratio is how fast the last is beside the first, by the clock and by the CPU time of
// the process (the broker is in it); noise is the same for the two clean ones: differences below it are none.
func BenchmarkDeadLetters(b *testing.B) {
	const n, bad = 200_000, 100_000
	bootstrap := servers.EmbeddedKafka(b)
	arms := make([]*letterWorld, 3)
	for i := range arms {
		arms[i] = newLetterWorld(b, bootstrap)
	}
	arms[0].fill(n)
	arms[1].fill(n)
	arms[2].fill(n, bad/2, bad*3/2)
	run := func(i int) {
		w := arms[i]
		w.name = fmt.Sprintf("bench-%d", worlds.Add(1)) // a group of its own reads from the start
		w.reg = prometheus.NewRegistry()
		w.delivered.Store(0)
		w.first.Store(0)
		want := int64(n)
		if i == 2 {
			want -= n / bad
		}
		require.NoError(b, w.run(want, w.config()))
	}
	for i := range arms {
		run(i)
	}
	beside := map[string][]float64{}
	for round := 0; b.Loop(); round++ {
		for k := range arms { // each is the first as often as the others
			run((round + k) % len(arms))
		}
		clean, same, dirty := arms[0], arms[1], arms[2]
		for name, of := range map[string][2]time.Duration{"ratio": {clean.took, dirty.took}, "noise": {clean.took, same.took},
			"cpu_ratio": {clean.cpu, dirty.cpu}, "cpu_noise": {clean.cpu, same.cpu}} {
			beside[name] = append(beside[name], of[0].Seconds()/of[1].Seconds())
		}
		beside["records/s"] = append(beside["records/s"], n/dirty.took.Seconds())
	}
	for name, all := range beside {
		slices.Sort(all)
		b.ReportMetric(all[len(all)/2], name)
	}
}
