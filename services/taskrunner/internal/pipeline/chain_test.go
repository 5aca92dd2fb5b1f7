package pipeline_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/plugins/transforms"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// chained makes a pipeline with the transformations that Kafka comes with, and further ones.
func chained(t testing.TB, config map[string]string, further ...plugin.Plugin) (*pipeline.Pipeline, error) {
	t.Helper()
	registry, err := plugin.New(append(append(converters.All(), transforms.All()...), further...)...)
	require.NoError(t, err)
	w, err := worker.FromProperties(map[string]string{"key.converter": "StringConverter", "value.converter": "JsonConverter", "value.converter.schemas.enable": "false"})
	require.NoError(t, err)
	p, err := pipeline.New(pipeline.Options{Find: registry.Find, Worker: w, Config: config, Connector: "c", Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Cleanup(p.Close)
	}
	return p, err
}

const smts = "org.apache.kafka.connect.transforms."

func TestChain_applies_transformations_in_order_and_by_their_predicates(t *testing.T) {
	t.Parallel()
	p, err := chained(t, map[string]string{
		"transforms": "route, mark,unmarked, key,cast", "predicates": "odd,dead",
		"transforms.route.type": "RegexRouter", "transforms.route.regex": "(.*)-(.*)", "transforms.route.replacement": "$2.$1",
		"transforms.mark.type": "InsertHeader", "transforms.mark.header": "mark", "transforms.mark.value.literal": "true", "transforms.mark.predicate": "odd",
		"transforms.unmarked.type": smts + "HoistField$Value", "transforms.unmarked.field": "whole", "transforms.unmarked.predicate": "dead", "transforms.unmarked.negate": "true",
		"transforms.key.type": "ValueToKey", "transforms.key.fields": "whole", "transforms.key.predicate": "dead", "transforms.key.negate": "TRUE",
		"transforms.cast.type": smts + "Cast$Key", "transforms.cast.spec": "whole:string", "transforms.cast.predicate": "dead", "transforms.cast.negate": "true",
		"predicates.odd.type": "TopicNameMatches", "predicates.odd.pattern": "odd\\..*", // the topic as the one before it left it
		"predicates.dead.type": "RecordIsTombstone",
	})
	require.NoError(t, err)
	in := raw(`1`, `2`, ``)
	in[0].Topic, in[1].Topic, in[2].Topic, in[2].Value = "t-odd", "t-even", "t-odd", nil
	out, err := p.Sink(t.Context(), in, nil)
	require.NoError(t, err)
	require.Len(t, out, 3)
	require.Equal(t, "odd.t", out[0].Topic)
	require.Equal(t, "even.t", out[1].Topic)
	require.Len(t, out[0].Headers, 1)
	require.Empty(t, out[1].Headers)
	require.True(t, data.Equal(data.MapOf("whole", int64(1)), out[0].Value), "%v", out[0].Value)
	require.True(t, data.Equal(data.MapOf("whole", "1"), out[0].Key), "%v", out[0].Key)
	require.Nil(t, out[2].Value)
	require.Equal(t, "k", out[2].Key)
	require.Equal(t, "t-odd", out[2].OriginalTopic)
}

func TestChain_failures_of_transformations_and_predicates_are_judged_as_the_transformations(t *testing.T) {
	t.Parallel()
	angry := plugin.Plugin{Class: "x.Angry", Kind: plugin.Predicate, NewPredicate: func() transform.Predicate { return failing{} }}
	panicking := plugin.Plugin{Class: "x.Panics", Kind: plugin.Transformation, NewTransformation: func() transform.Transformation {
		return &smt{apply: func(r *transform.Record) (bool, error) { panic("oh") }}
	}}
	for name, c := range map[string]struct {
		config      map[string]string
		class, want string
	}{
		"a transformation that can't": {map[string]string{"transforms.a.type": smts + "ExtractField$Value", "transforms.a.field": "x"}, smts + "ExtractField$Value",
			"org.apache.kafka.connect.errors.DataException: Only Map objects supported in absence of schema for [field extraction], found: java.lang.Long"},
		"its predicate can't": {map[string]string{"transforms.a.type": "Filter", "transforms.a.predicate": "p", "predicates": "p", "predicates.p.type": "x.Angry"}, smts + "Filter",
			"org.apache.kafka.connect.errors.DataException: angry"},
		"it panics": {map[string]string{"transforms.a.type": "x.Panics"}, "x.Panics", "org.apache.kafka.connect.errors.ConnectException: panic: oh"},
	} {
		c.config["transforms"] = "a"
		p, err := chained(t, c.config, angry, panicking)
		require.NoError(t, err, name)
		_, err = p.Sink(t.Context(), raw(`1`), nil)
		require.ErrorContains(t, err, "Tolerance exceeded in error handler", name)
		trace := connecterr.Trace(err)
		require.Contains(t, trace, "Stage TRANSFORMATION with class "+c.class+" failed", name)
		require.Contains(t, trace, "Caused by: "+c.want, name)

		c.config["errors.tolerance"] = "all"
		p, err = chained(t, c.config, angry, panicking)
		require.NoError(t, err, name)
		out, err := p.Sink(t.Context(), raw(`1`, `2`), nil)
		require.NoError(t, err, name)
		require.Empty(t, out, name)
	}
}

// failing is a predicate that fails.
type failing struct{ condition }

func (failing) Test(*transform.Record) (bool, error) {
	return false, connecterr.New(connecterr.Data, "angry")
}

func TestChain_a_source_record_is_seen_as_one(t *testing.T) {
	t.Parallel()
	in := []record.Source{{Partition: data.MapOf("f", "x"), Offset: data.MapOf("n", int64(1)), Topic: "t", KafkaPartition: record.AnyPartition, Value: data.MapOf("a", int64(1)),
		Timestamp: record.NoTimestamp}}
	p, err := chained(t, map[string]string{"transforms": "a", "transforms.a.type": smts + "InsertField$Value", "transforms.a.offset.field": "o"})
	require.NoError(t, err)
	_, _, err = p.Source(t.Context(), in, nil, nil)
	require.ErrorContains(t, err, "Only SinkRecord supported for [field insertion], found: org.apache.kafka.connect.source.SourceRecord")

	p, err = chained(t, map[string]string{"transforms": "a", "transforms.a.type": "TimestampRouter"})
	require.NoError(t, err)
	_, _, err = p.Source(t.Context(), in, nil, nil)
	require.ErrorContains(t, err, "Timestamp missing on record: SourceRecord{sourcePartition={f=x}, sourceOffset={n=1}} ConnectRecord{topic='t', kafkaPartition=null, key=null, "+
		"keySchema=null, value={a=1}, valueSchema=null, timestamp=null, headers=ConnectHeaders(headers=)}")

	p, err = chained(t, map[string]string{"transforms": "a", "transforms.a.type": smts + "InsertField$Value", "transforms.a.topic.field": "t"})
	require.NoError(t, err)
	out, idx, err := p.Source(t.Context(), in, nil, nil)
	require.NoError(t, err)
	require.Equal(t, []int{0}, idx)
	require.JSONEq(t, `{"a":1,"t":"t"}`, string(out[0].Value))
}

func TestChain_says_what_is_wrong_with_the_configuration_as_Kafka_Connect_does(t *testing.T) {
	t.Parallel()
	const cause = "\nCaused by: org.apache.kafka.common.config.ConfigException: "
	for want, config := range map[string]map[string]string{
		cause + "No field insertion configured":                                                           {"transforms.a.type": smts + "InsertField$Key"},
		cause + "Unknown configuration 'predicates.nope.plugin.version'":                                  {"transforms.a.type": "Filter", "transforms.a.predicate": "nope"},
		cause + "Missing required configuration \"pattern\" which has no default value.":                  {"transforms.a.type": "Filter", "transforms.a.predicate": "p", "predicates.p.type": "TopicNameMatches"},
		"not found that matches the version range [9,), available versions: [" + transforms.Version + "]": {"transforms.a.type": "Filter", "transforms.a.plugin.version": "[9,)"},
		"Failed to find any class that implements Transformation and which name matches " + smts + "Cast": {"transforms.a.type": smts + "Cast"},
	} {
		config["transforms"] = "a"
		_, err := chained(t, config)
		require.Error(t, err, want)
		require.Contains(t, connecterr.Trace(err), want)
	}
}

// closing is a transformation that counts how often it was closed.
type closing struct {
	smt
	closed *int
	err    error
}

func (c *closing) Close() error { *c.closed++; return c.err }

func TestChain_closes_all_that_it_made_also_when_the_rest_can_not_be_made(t *testing.T) {
	t.Parallel()
	closed := 0
	counted := plugin.Plugin{Class: "x.Counted", Kind: plugin.Transformation, NewTransformation: func() transform.Transformation {
		return &closing{closed: &closed, err: errors.New("no")}
	}}
	_, err := chained(t, map[string]string{"transforms": "a,b,c", "transforms.a.type": "x.Counted", "transforms.b.type": "x.Counted", "transforms.c.type": "x.Missing"}, counted)
	require.Error(t, err)
	require.Equal(t, 2, closed)
	_, err = chained(t, map[string]string{"transforms": "a", "transforms.a.type": "x.Counted", "errors.tolerance": "some"}, counted)
	require.Error(t, err)
	require.Equal(t, 3, closed)
}

func BenchmarkSink_three_transformations(b *testing.B) {
	p, err := chained(b, map[string]string{
		"transforms": "route,cast,insert", "transforms.route.type": "RegexRouter", "transforms.route.regex": "(.*)", "transforms.route.replacement": "x-$1",
		"transforms.cast.type": smts + "Cast$Value", "transforms.cast.spec": "a:string", "transforms.insert.type": smts + "InsertField$Value", "transforms.insert.offset.field": "o",
		"transforms.insert.predicate": "t", "predicates.t.type": "TopicNameMatches", "predicates.t.pattern": "x-.*",
	})
	require.NoError(b, err)
	in := raw()
	for range 1000 {
		in = append(in, raw(`{"a":1,"b":"text"}`)...)
	}
	var out []record.Sink
	b.ReportAllocs()
	for b.Loop() {
		if out, err = p.Sink(b.Context(), in, out[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
