package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// smt is a transformation made of a function; condition is a predicate made of one.
type smt struct {
	apply  func(r *transform.Record) (bool, error)
	config map[string]string
}

func (s *smt) Configure(c map[string]string) error              { s.config = c; return nil }
func (s *smt) Apply(r *transform.Record) (keep bool, err error) { return s.apply(r) }
func (s *smt) Close() error                                     { return nil }

type condition struct {
	test func(r *transform.Record) bool
}

func (condition) Configure(map[string]string) error        { return nil }
func (c condition) Test(r *transform.Record) (bool, error) { return c.test(r), nil }
func (condition) Close() error                             { return nil }

// letters is a dead letter queue that remembers.
type letters struct {
	sent   []kafkaio.Record
	closed bool
}

func (l *letters) Send(r kafkaio.Record)        { l.sent = append(l.sent, r) }
func (l *letters) Settle(context.Context) error { return nil }
func (l *letters) Rest()                        {}
func (l *letters) Close()                       { l.closed = true }

type setup struct {
	config  map[string]string
	apply   func(r *transform.Record) (bool, error)
	letters *letters
	log     *bytes.Buffer
}

func (s *setup) build(t *testing.T) *pipeline.Pipeline {
	t.Helper()
	if s.apply == nil {
		s.apply = func(*transform.Record) (bool, error) { return true, nil }
	}
	s.letters, s.log = &letters{}, &bytes.Buffer{}
	registry, err := plugin.New(append(converters.All(),
		plugin.Plugin{Class: "x.Smt", Kind: plugin.Transformation, NewTransformation: func() transform.Transformation { return &smt{apply: s.apply} }},
		plugin.Plugin{Class: "x.IsTombstone", Kind: plugin.Predicate, NewPredicate: func() transform.Predicate {
			return condition{func(r *transform.Record) bool { return r.Value == nil }}
		}})...)
	require.NoError(t, err)
	w, err := worker.FromProperties(map[string]string{"key.converter": "StringConverter", "value.converter": "JsonConverter", "value.converter.schemas.enable": "false"})
	require.NoError(t, err)
	p, err := pipeline.New(pipeline.Options{Find: registry.Find, Worker: w, Config: s.config, Connector: "c", Task: 2,
		DeadLetters: func(string, int) (pipeline.DeadLetters, error) { return s.letters, nil }, Logger: slog.New(slog.NewTextHandler(s.log, nil))})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func raw(values ...string) []kafkaio.Record {
	var out []kafkaio.Record
	for i, v := range values {
		out = append(out, kafkaio.Record{Topic: "t", Partition: 1, Offset: int64(10 + i), Key: []byte("k"), Value: []byte(v), Timestamp: 5})
	}
	return out
}

func TestSink_converts_by_the_worker_or_the_connector(t *testing.T) {
	t.Parallel()
	in := raw(`{"a":1}`)
	in[0].Headers = []kafkaio.Header{{Key: "h", Value: []byte("7")}}
	out, err := (&setup{}).build(t).Sink(t.Context(), in, nil)
	require.NoError(t, err)
	require.Len(t, out, 1)
	require.Equal(t, "k", out[0].Key)
	v, _ := out[0].Value.(*data.Map).Get("a")
	require.Equal(t, int64(1), v)
	h, ok := out[0].Headers.Last("h")
	require.True(t, ok)
	require.Equal(t, int8(7), h.Value)
	require.Equal(t, int64(10), out[0].OriginalOffset)
	require.Equal(t, int64(5), out[0].Timestamp)

	out, err = (&setup{config: map[string]string{"value.converter": "org.apache.kafka.connect.storage.StringConverter"}}).build(t).Sink(t.Context(), in, nil)
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, out[0].Value)
}

func TestSink_transformations_change_drop_and_never_touch_the_origin(t *testing.T) {
	t.Parallel()
	s := &setup{config: map[string]string{"transforms": "a", "transforms.a.type": "x.Smt"}, apply: func(r *transform.Record) (bool, error) {
		r.Topic, r.OriginalTopic, r.OriginalOffset = "renamed", "forged", 99
		return r.KafkaOffset != 11, nil
	}}
	out, err := s.build(t).Sink(t.Context(), raw(`1`, `2`, `3`), nil)
	require.NoError(t, err)
	require.Len(t, out, 2)
	require.Equal(t, "renamed", out[1].Topic)
	require.Equal(t, "t", out[1].OriginalTopic)
	require.Equal(t, int64(12), out[1].OriginalOffset)
}

func TestSink_a_predicate_decides_and_can_be_negated(t *testing.T) {
	t.Parallel()
	for negate, want := range map[string]int{"false": 1, "true": 1} {
		s := &setup{config: map[string]string{"transforms": "a", "transforms.a.type": "x.Smt", "transforms.a.predicate": "dead", "transforms.a.negate": negate,
			"predicates": "dead", "predicates.dead.type": "x.IsTombstone"}, apply: func(*transform.Record) (bool, error) { return false, nil }}
		in := raw(`1`, ``)
		in[1].Value = nil
		out, err := s.build(t).Sink(t.Context(), in, nil)
		require.NoError(t, err)
		require.Len(t, out, want)
		require.Equal(t, negate == "true", out[0].Value == nil)
	}
}

func TestSink_a_bad_record_fails_the_task_unless_errors_are_tolerated(t *testing.T) {
	t.Parallel()
	in := raw(`{"a":1}`, `{oops`, `2`)
	_, err := (&setup{}).build(t).Sink(t.Context(), in, nil)
	require.ErrorContains(t, err, "Tolerance exceeded in error handler")
	require.Regexp(t, `^org\.apache\.kafka\.connect\.errors\.ConnectException: Tolerance exceeded in error handler
Caused by: org\.apache\.kafka\.connect\.errors\.ConnectException: Stage VALUE_CONVERTER with class \S+ failed, where consumed record is \{topic='\S+', partition=\d+, offset=\d+\}. To go on .*errors.deadletterqueue.topic.name keeps them
Caused by: org\.apache\.kafka\.connect\.errors\.DataException: `, connecterr.Trace(err))

	s := &setup{config: map[string]string{"errors.tolerance": "all", "errors.log.enable": "true", "errors.log.include.messages": "true"}}
	out, err := s.build(t).Sink(t.Context(), in, nil)
	require.NoError(t, err)
	require.Len(t, out, 2)
	require.Contains(t, s.log.String(), "Error encountered in task c-2. Executing stage 'VALUE_CONVERTER' with class 'org.apache.kafka.connect.json.JsonConverter', where consumed record is {topic='t', partition=1, offset=11")
}

func TestSink_dead_letters_carry_the_record_and_why(t *testing.T) {
	t.Parallel()
	s := &setup{config: map[string]string{"errors.tolerance": "all", "errors.deadletterqueue.topic.name": " dlq ", "errors.deadletterqueue.context.headers.enable": "true"}}
	p := s.build(t)
	out, err := p.Sink(t.Context(), raw(`{oops`, `5`), nil)
	require.NoError(t, err)
	require.Len(t, out, 1)
	require.NoError(t, p.ErrantRecords().Report(t.Context(), &out[0], errors.New("no such column")))
	require.Len(t, s.letters.sent, 2)
	require.Equal(t, "{oops", string(s.letters.sent[0].Value))
	require.Equal(t, "5", string(s.letters.sent[1].Value), "the consumed bytes")
	headers := func(r kafkaio.Record) map[string]string {
		m := map[string]string{}
		for _, h := range r.Headers {
			m[strings.TrimPrefix(h.Key, "__connect.errors.")] = string(h.Value)
		}
		return m
	}
	h := headers(s.letters.sent[1])
	require.Contains(t, h["exception.stacktrace"], "no such column")
	delete(h, "exception.stacktrace")
	require.Equal(t, map[string]string{"topic": "t", "partition": "1", "offset": "11", "connector.name": "c", "task.id": "2", "stage": "TASK_PUT",
		"class.name": "org.apache.kafka.connect.sink.SinkTask", "exception.class.name": "org.apache.kafka.connect.errors.ConnectException", "exception.message": "no such column"}, h)
	require.Equal(t, "org.apache.kafka.connect.errors.DataException", headers(s.letters.sent[0])["exception.class.name"])
}

func TestErrantRecords_without_tolerance_fail_the_task_even_if_the_plugin_swallows_it(t *testing.T) {
	t.Parallel()
	s := &setup{config: map[string]string{"errors.log.enable": "true"}}
	p := s.build(t)
	out, err := p.Sink(t.Context(), raw(`5`), nil)
	require.NoError(t, err)
	require.NoError(t, p.Exceeded())
	require.ErrorContains(t, p.ErrantRecords().Report(t.Context(), &out[0], errors.New("bad")), "Tolerance exceeded")
	require.Error(t, p.Exceeded())
	require.Nil(t, (&setup{}).build(t).ErrantRecords(), "nowhere to report to")
}

func TestSink_retriable_failures_are_repeated_for_as_long_as_allowed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		timeout string
		fails   int
		ok      bool
		took    time.Duration
	}{
		"it works in time":      {"10000", 3, true, 300*time.Millisecond + 600*time.Millisecond + 1200*time.Millisecond},
		"its time is over":      {"1000", 9, false, time.Second},
		"no repetition allowed": {"0", 1, false, 0},
		"for ever":              {"-1", 6, true, 300 * 63 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				s := &setup{config: map[string]string{"transforms": "a", "transforms.a.type": "x.Smt", "errors.retry.timeout": c.timeout}, apply: func(*transform.Record) (bool, error) {
					if n++; n <= c.fails {
						return false, connecterr.New(connecterr.Retriable, "not yet")
					}
					return true, nil
				}}
				p, began := s.build(t), time.Now()
				out, err := p.Sink(t.Context(), raw(`1`), nil)
				require.Equal(t, c.ok, err == nil, "%v", err)
				require.Equal(t, c.ok, len(out) == 1)
				require.Equal(t, c.took, time.Since(began))
			})
		})
	}
}

func TestSource_transforms_then_converts_and_tells_what_became_of_each(t *testing.T) {
	t.Parallel()
	s := &setup{config: map[string]string{"transforms": "a", "transforms.a.type": "x.Smt"}, apply: func(r *transform.Record) (bool, error) {
		if r.Value == "drop" {
			return false, nil
		}
		r.Topic = "to-" + r.Topic
		return true, nil
	}}
	in := []record.Source{
		{Topic: "t", KafkaPartition: record.AnyPartition, Value: "drop", Timestamp: record.NoTimestamp},
		{Topic: "t", KafkaPartition: 3, Key: "k", Value: data.MapOf("a", int64(1)), Headers: header.Headers{}.Add("h", nil, int64(4)), Timestamp: 9},
	}
	out, idx, err := s.build(t).Source(t.Context(), in, nil, nil)
	require.NoError(t, err)
	require.Equal(t, []int{1}, idx)
	require.Equal(t, []kafkaio.Record{{Topic: "to-t", Partition: 3, Key: []byte("k"), Value: []byte(`{"a":1}`), Headers: []kafkaio.Header{{Key: "h", Value: []byte("4")}}, Timestamp: 9}}, out)
	require.Equal(t, "t", in[1].Topic, "the plugin's record stays as it is")

	in[1].Timestamp = -7
	_, _, err = s.build(t).Source(t.Context(), in, nil, nil)
	require.ErrorContains(t, err, "Invalid record timestamp -7")
}

func TestNew_says_what_is_wrong_with_the_configuration(t *testing.T) {
	t.Parallel()
	registry, err := plugin.New(converters.All()...)
	require.NoError(t, err)
	w, err := worker.FromProperties(nil)
	require.NoError(t, err)
	for want, config := range map[string]map[string]string{
		"which name matches NoSuch":        {"value.converter": "NoSuch"},
		"Expected value to be either true": {"value.converter": "JsonConverter", "value.converter.schemas.enable": "maybe"},
		"String must be one of: none, all": {"errors.tolerance": "some"},
		"which name matches x.Missing":     {"transforms": "a", "transforms.a.type": "x.Missing"},
	} {
		_, err := pipeline.New(pipeline.Options{Find: registry.Find, Worker: w, Config: config})
		require.ErrorContains(t, err, want)
	}
}

func BenchmarkSink_strings(b *testing.B) {
	registry, err := plugin.New(converters.All()...)
	if err != nil {
		b.Fatal(err)
	}
	w, err := worker.FromProperties(map[string]string{"key.converter": "StringConverter", "value.converter": "StringConverter"})
	if err != nil {
		b.Fatal(err)
	}
	p, err := pipeline.New(pipeline.Options{Find: registry.Find, Worker: w})
	if err != nil {
		b.Fatal(err)
	}
	in := raw()
	for range 1000 {
		in = append(in, raw(strings.Repeat("x", 100))...)
	}
	var out []record.Sink
	n := 0
	began := time.Now()
	for b.Loop() {
		if out, err = p.Sink(b.Context(), in, out[:0]); err != nil {
			b.Fatal(err)
		}
		n += len(out)
	}
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "records/s")
}

func TestSink_topics_are_used_once_a_record_of_them_is_converted_whatever_becomes_of_it_later(t *testing.T) {
	t.Parallel()
	registry, err := plugin.New(append(converters.All(), plugin.Plugin{Class: "x.Smt", Kind: plugin.Transformation, NewTransformation: func() transform.Transformation {
		return &smt{apply: func(r *transform.Record) (bool, error) { r.Topic = "renamed"; return false, nil }}
	}})...)
	require.NoError(t, err)
	w, err := worker.FromProperties(map[string]string{"key.converter": "StringConverter", "value.converter": "JsonConverter", "value.converter.schemas.enable": "false"})
	require.NoError(t, err)
	var used []string
	p, err := pipeline.New(pipeline.Options{Find: registry.Find, Worker: w, Connector: "c", Used: func(topic string) { used = append(used, topic) },
		Config: map[string]string{"errors.tolerance": "all", "transforms": "drop", "transforms.drop.type": "x.Smt"}})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	bad, good := raw(`{`), raw(`1`)
	bad[0].Topic = "unreadable"
	out, err := p.Sink(t.Context(), append(bad, good...), nil)
	require.NoError(t, err)
	require.Empty(t, out)
	require.Equal(t, []string{"t"}, used)
}
