package allinone_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/services/allinone/allinone"
)

// stumbling is a transformation that fails at its first record, for now.
type stumbling struct{ stumbled bool }

func (s *stumbling) Configure(map[string]string) error { return nil }
func (s *stumbling) Close() error                      { return nil }
func (s *stumbling) Apply(*transform.Record) (bool, error) {
	if s.stumbled {
		return true, nil
	}
	s.stumbled = true
	return false, connecterr.New(connecterr.Retriable, "not yet")
}

const textConverter = "org.apache.kafka.connect.storage.StringConverter"

const (
	patience = 3 * time.Minute
	tick     = 10 * time.Millisecond
)

// always is a predicate that holds.
type always struct{}

func (always) Configure(map[string]string) error    { return nil }
func (always) Close() error                         { return nil }
func (always) Test(*transform.Record) (bool, error) { return true, nil }

// series reads a registry: what a metric's values are, by its labels' values.
type series struct {
	*testing.T
	from prometheus.Gatherer
}

func (s series) families() map[string]*dto.MetricFamily {
	s.Helper()
	all, err := s.from.Gather()
	require.NoError(s, err)
	out := map[string]*dto.MetricFamily{}
	for _, f := range all {
		out[f.GetName()] = f
	}
	return out
}

// value is the value of a connector's series; ok is false when there is none.
func (s series) value(name, connector string) (v float64, ok bool) {
	s.Helper()
	for _, m := range s.families()[name].GetMetric() {
		if connector == "" || has(m, "connector", connector) {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue(), true
		}
	}
	return 0, false
}

func has(m *dto.Metric, label, value string) bool {
	return slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == label && l.GetValue() == value })
}

var metricRow = regexp.MustCompile("(?m)^\\| `(kafka_[a-z_]+)` \\| ([a-z_, ]*) \\|")

// A source and a sink together export every metric of the page, with the values of what they did, and nothing once they are
// deleted.
func TestMetrics_of_Kafka_Connect_are_exported_with_their_values_and_vanish(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	registry := prometheus.NewRegistry()
	all, stop := startIn(t, dir, []plugin.Plugin{
		{Class: "x.Stumbling", Kind: plugin.Transformation, Version: "3", Def: &config.Def{}, NewTransformation: func() transform.Transformation { return &stumbling{} }},
		{Class: "x.Always", Kind: plugin.Predicate, Version: "4", Def: &config.Def{}, NewPredicate: func() transform.Predicate { return always{} }},
	}, func(c *allinone.Config) {
		c.Registerer = registry
		maps.Copy(c.Worker, map[string]string{"offset.flush.interval.ms": "100", "key.converter": textConverter, "value.converter": textConverter})
	})
	t.Cleanup(stop)
	s := series{t, registry}

	require.NoError(t, os.WriteFile(filepath.Join(dir, "in"), []byte("1\n2\n3\n{bad\n4\n"), 0o600))
	create := func(name string, config map[string]string) {
		body, err := json.Marshal(config)
		require.NoError(t, err)
		status, _, answer := exchange(t, http.MethodPut, "http://"+all.API+"/connectors/"+name+"/config", string(body))
		require.Equal(t, http.StatusCreated, status, answer)
	}
	create("src", map[string]string{"connector.class": "FileStreamSource", "topic": "lines", "file": filepath.Join(dir, "in")})
	create("snk", map[string]string{"connector.class": "FileStreamSink", "topics": "lines", "file": filepath.Join(dir, "out"),
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
		"errors.tolerance": "all", "errors.log.enable": "true", "errors.deadletterqueue.topic.name": "dead", "errors.deadletterqueue.topic.replication.factor": "1",
		"errors.retry.timeout": "60000", "transforms": "s", "transforms.s.type": "x.Stumbling", "transforms.s.predicate": "p",
		"predicates": "p", "predicates.p.type": "x.Always"})

	const sinkM, sourceM, taskM, errM = "kafka_connect_sink_task_metrics_", "kafka_connect_source_task_metrics_", "kafka_connect_connector_task_metrics_", "kafka_connect_task_error_metrics_"
	eventually := func(name, connector string, want float64) {
		t.Helper()
		require.Eventually(t, func() bool { v, ok := s.value(name, connector); return ok && v == want }, patience, tick, "%s of %s", name, connector)
	}
	eventually(sinkM+"sink_record_send_total", "snk", 4)
	eventually(sinkM+"sink_record_active_count", "snk", 0) // all is committed
	eventually(sinkM+"sink_record_read_total", "snk", 5)
	eventually(sinkM+"partition_count", "snk", 1)
	eventually(sourceM+"source_record_poll_total", "src", 5)
	eventually(sourceM+"source_record_write_total", "src", 5)
	eventually(sourceM+"source_record_active_count", "src", 0)
	eventually(errM+"total_record_errors", "snk", 1)
	eventually(errM+"total_record_failures", "snk", 2) // the bad record, and the stumble
	eventually(errM+"total_records_skipped", "snk", 1)
	eventually(errM+"total_retries", "snk", 1)
	eventually(errM+"total_errors_logged", "snk", 1)
	eventually(errM+"deadletterqueue_produce_requests", "snk", 1)
	eventually(errM+"deadletterqueue_produce_failures", "snk", 0)
	eventually(errM+"total_record_errors", "src", 0)
	eventually("kafka_connect_connect_worker_metrics_connector_count", "", 2)
	eventually("kafka_connect_connect_worker_metrics_task_count", "", 2)
	eventually("kafka_connect_connect_worker_metrics_connector_running_task_count", "snk", 1)
	for _, name := range []string{taskM + "offset_commit_avg_time_ms", taskM + "offset_commit_max_time_ms", taskM + "offset_commit_success_percentage",
		taskM + "batch_size_max", taskM + "batch_size_avg", taskM + "running_ratio", errM + "last_error_timestamp", sinkM + "put_batch_max_time_ms", sinkM + "offset_commit_completion_total"} {
		v, ok := s.value(name, "snk")
		require.True(t, ok && v > 0, "%s: %v", name, v)
	}
	for _, name := range []string{taskM + "offset_commit_max_time_ms", taskM + "batch_size_max", sourceM + "poll_batch_max_time_ms", sourceM + "transaction_size_max"} {
		v, ok := s.value(name, "src")
		require.True(t, ok && v > 0, "%s: %v", name, v)
	}

	// Every metric of the page, with its labels, and none beside it.
	page, err := os.ReadFile("../../../docs/reference/metrics.md")
	require.NoError(t, err)
	want := map[string]string{}
	for _, m := range metricRow.FindAllStringSubmatch(string(page), -1) {
		want[m[1]] = m[2]
	}
	require.Greater(t, len(want), 80)
	got := map[string]string{}
	for name, f := range s.families() {
		if strings.HasPrefix(name, "kafka_") {
			labels := map[string]bool{}
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels[l.GetName()] = true
			}
			var in []string
			for _, l := range strings.Split(want[name], ", ") {
				if labels[l] {
					in = append(in, l)
				}
			}
			got[name] = strings.Join(in, ", ")
		}
	}
	require.Equal(t, want, got)
	text := func(name, label, connector string) string {
		for _, m := range s.families()[name].GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && has(m, "connector", connector) {
					return l.GetValue()
				}
			}
		}
		return ""
	}
	require.Equal(t, "running", text("kafka_connect_connector_metrics_status", "status", "src"))
	require.Equal(t, "source", text("kafka_connect_connector_metrics_connector_type", "connector_type", "src"))
	require.Equal(t, "org.apache.kafka.connect.file.FileStreamSinkTask", text(taskM+"task_class", "task_class", "snk"))
	require.Equal(t, "org.apache.kafka.connect.json.JsonConverter", text(taskM+"value_converter_class", "value_converter_class", "snk"))
	require.Equal(t, "x.Stumbling", text("kafka_connect_connector_transform_metrics_transform_class", "transform_class", "snk"))
	require.Equal(t, "4", text("kafka_connect_connector_predicate_metrics_predicate_version", "predicate_version", "snk"))

	status, _, answer := exchange(t, http.MethodPut, "http://"+all.API+"/connectors/src/pause", "")
	require.Equal(t, http.StatusAccepted, status, answer)
	require.Eventually(t, func() bool {
		return text("kafka_connect_connector_metrics_status", "status", "src") == "paused" && text(taskM+"status", "status", "src") == "paused"
	}, patience, tick)

	for _, name := range []string{"src", "snk"} {
		status, _, answer := exchange(t, http.MethodDelete, "http://"+all.API+"/connectors/"+name, "")
		require.Equal(t, http.StatusNoContent, status, answer)
	}
	require.Eventually(t, func() bool {
		for _, f := range s.families() {
			for _, m := range f.GetMetric() {
				if has(m, "connector", "src") || has(m, "connector", "snk") || has(m, "client_id", "connector-consumer-snk-0") {
					return false
				}
			}
		}
		return true
	}, patience, tick, "the series of deleted connectors vanish")
	eventually("kafka_connect_connect_worker_metrics_task_count", "", 0)
}
