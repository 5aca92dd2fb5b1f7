package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/tests/logs"
)

var oneStep = map[string]string{"transforms": "a", "transforms.a.type": "x.Smt"}

func plus(base map[string]string, pairs ...string) map[string]string {
	out := map[string]string{}
	for k, v := range base {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func TestRuntime_7_2_a_panic_in_a_plugin_is_the_failure_of_one_record(t *testing.T) {
	t.Parallel()
	panics := func(r *transform.Record) (bool, error) {
		if r.KafkaOffset == 11 {
			var m map[string]int
			m["x"] = 1 //nolint:staticcheck // the fault
		}
		return true, nil
	}
	s := &setup{config: plus(oneStep, "errors.tolerance", "all", "errors.deadletterqueue.topic.name", "d", "errors.deadletterqueue.context.headers.enable", "true"), apply: panics}
	out, err := s.build(t).Sink(t.Context(), raw(`1`, `2`, `3`), nil)
	require.NoError(t, err)
	require.Len(t, out, 2)
	require.Len(t, s.letters.sent, 1)
	trace := string(s.letters.sent[0].Headers[9].Value)
	require.Contains(t, trace, "panic: assignment to entry in nil map\n\tat ")

	_, err = (&setup{config: oneStep, apply: panics}).build(t).Sink(t.Context(), raw(`1`, `2`, `3`), nil)
	require.ErrorContains(t, err, "Tolerance exceeded in error handler")
}

func TestRuntime_7_2_retries_of_a_source_pause_twice_as_long_each_time_up_to_the_longest_pause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		s := &setup{config: plus(oneStep, "errors.retry.timeout", "-1", "errors.retry.delay.max.ms", "1000"), apply: func(*transform.Record) (bool, error) {
			if at = append(at, time.Since(began)); len(at) < 40 {
				return false, connecterr.New(connecterr.Retriable, "not yet")
			}
			return true, nil
		}}
		_, _, err := s.build(t).Source(t.Context(), []record.Source{{Topic: "t", Timestamp: record.NoTimestamp}}, nil, nil)
		require.NoError(t, err)
		require.Equal(t, []time.Duration{0, 300 * time.Millisecond, 900 * time.Millisecond}, at[:3])
		for i := 3; i < len(at); i++ {
			require.LessOrEqual(t, at[i]-at[i-1], time.Second)
		}
	})
}

func TestRuntime_7_2_a_stop_ends_retries(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &setup{config: plus(oneStep, "errors.retry.timeout", "-1", "errors.tolerance", "all"), apply: func(*transform.Record) (bool, error) {
		cancel()
		return false, connecterr.New(connecterr.Retriable, "not yet")
	}}
	out, err := s.build(t).Sink(ctx, raw(`1`), nil)
	require.ErrorIs(t, err, context.Canceled, "the record is not skipped")
	require.Empty(t, out)
}

func TestRuntime_7_3_the_log_names_the_record_as_Kafka_Connect_does(t *testing.T) {
	t.Parallel()
	fails := func(*transform.Record) (bool, error) { return false, errors.New("no such column") }
	in := raw(`1`)
	in[0].TimestampType = record.CreateTime
	source := []record.Source{{Topic: "t", KafkaPartition: record.AnyPartition, Timestamp: record.NoTimestamp, Key: "k", Value: int64(5),
		Partition: data.MapOf("file", "x"), Offset: data.MapOf("position", int64(7))}}
	const head = "Error encountered in task c-2. Executing stage 'TRANSFORMATION' with class 'x.Smt'"
	for messages, want := range map[string][2]string{
		"true": {head + ", where consumed record is {topic='t', partition=1, offset=10, timestamp=5, timestampType=CreateTime}.",
			head + ", where source record is = SourceRecord{sourcePartition={file=x}, sourceOffset={position=7}} ConnectRecord{topic='t', kafkaPartition=null, key=k, keySchema=null, value=5, valueSchema=null, timestamp=null, headers=ConnectHeaders(headers=)}."},
		"false": {head + ".", head + "."},
	} {
		for i := range want {
			s := &setup{config: plus(oneStep, "errors.tolerance", "all", "errors.log.enable", "true", "errors.log.include.messages", messages), apply: fails}
			p := s.build(t)
			var err error
			if i == 0 {
				_, err = p.Sink(t.Context(), in, nil)
			} else {
				_, _, err = p.Source(t.Context(), source, nil, nil)
			}
			require.NoError(t, err)
			require.Contains(t, s.log.String(), "level=ERROR")
			require.Contains(t, s.log.String(), want[i])
			require.NotContains(t, s.log.String(), "records were skipped", "each was told of")
		}
	}
}

func TestRuntime_7_2_no_record_is_skipped_in_silence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &setup{config: plus(oneStep, "errors.tolerance", "all"), apply: func(*transform.Record) (bool, error) { return false, errors.New("no such column") }}
		p := s.build(t)
		lines := func() int { return strings.Count(s.log.String(), "records were skipped") }
		for range 5 {
			_, err := p.Sink(t.Context(), raw(`1`, `2`, `3`), nil)
			require.NoError(t, err)
		}
		require.Equal(t, 1, lines(), "not a line for each")
		require.Contains(t, s.log.String(), "records=3")
		require.Contains(t, s.log.String(), "no such column")
		require.Contains(t, s.log.String(), "consumed record is {topic='t', partition=1, offset=10}")
		<-time.After(2 * time.Second) // of the bubble
		_, err := p.Sink(t.Context(), raw(`1`), nil)
		require.NoError(t, err)
		require.Contains(t, s.log.String(), "records=13")
		_, err = p.Sink(t.Context(), raw(`1`, `2`), nil)
		require.NoError(t, err)
		p.Close()
		require.Contains(t, s.log.String(), "records=2", "what is left is told at the end")
		require.Equal(t, 3, lines())
	})
}

func TestRuntime_3_2_4_a_negative_timestamp_fails_the_task_and_none_is_none(t *testing.T) {
	t.Parallel()
	in := raw(`1`)
	in[0].Timestamp = record.NoTimestamp
	out, err := (&setup{}).build(t).Sink(t.Context(), in, nil)
	require.NoError(t, err)
	require.Equal(t, record.NoTimestamp, out[0].Timestamp)
	in[0].Timestamp = -2
	_, err = (&setup{}).build(t).Sink(t.Context(), in, nil)
	require.ErrorContains(t, err, "Invalid record timestamp -2")
}

func TestRuntime_7_5_a_record_can_be_reported_later_and_the_memory_for_that_is_bounded(t *testing.T) {
	t.Parallel()
	s := &setup{config: map[string]string{"value.converter": "StringConverter", "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "d"}}
	p := s.build(t)
	var batches [][]record.Sink
	for i := range 20 {
		in := raw(fmt.Sprint(i), strings.Repeat("x", 6<<20))
		for k := range in {
			in[k].Offset += int64(100 * i)
			in[k].Value = append([]byte(nil), in[k].Value...)
		}
		out, err := p.Sink(t.Context(), in, nil)
		require.NoError(t, err)
		batches = append(batches, out)
		require.LessOrEqual(t, p.KeptBytes(), 25<<20)
	}
	for _, i := range []int{19, 18, 0} { // the last is converted back
		require.NoError(t, p.ErrantRecords().Report(t.Context(), &batches[i][0], errors.New("bad")))
		require.Equal(t, fmt.Sprint(i), string(s.letters.sent[len(s.letters.sent)-1].Value))
	}
}

// refusingTopics is a broker's answers.
type refusingTopics struct {
	describe, create error
	made             []kafkaio.Topic
}

func (a *refusingTopics) DescribeTopic(context.Context, string) (kafkaio.Topic, error) {
	return kafkaio.Topic{}, a.describe
}
func (a *refusingTopics) CreateTopics(_ context.Context, ts ...kafkaio.Topic) (map[string]error, error) {
	a.made = append(a.made, ts...)
	return map[string]error{ts[0].Name: a.create}, nil
}

func TestRuntime_7_4_a_topic_that_is_there_is_not_made(t *testing.T) {
	t.Parallel()
	var log logs.Buffer
	a := &refusingTopics{}
	require.NoError(t, pipeline.EnsureTopic(t.Context(), a, kafkaio.Topic{Name: "d", Partitions: 1, Replication: 3}, log.Logger()))
	require.Empty(t, a.made)
	a.describe = errors.New("not authorized")
	require.ErrorContains(t, pipeline.EnsureTopic(t.Context(), a, kafkaio.Topic{Name: "d"}, slog.New(slog.DiscardHandler)), "not authorized")
	require.Empty(t, a.made)
}
