package pipeline_test

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/plugins/transforms"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/pipeline"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// letter is a record on a dead letter topic as a Kafka Connect worker was recorded to write it.
type letter struct {
	ID        string            `json:"id"`
	Connector string            `json:"connector"`
	Config    map[string]string `json:"config"`
	Input     recorded          `json:"input"`
	Output    recorded          `json:"output"`
}

type recorded struct {
	Topic     string           `json:"topic"`
	Partition int32            `json:"partition"`
	Offset    int64            `json:"offset"`
	Timestamp string           `json:"timestamp"`
	Key       *text            `json:"key"`
	Value     *text            `json:"value"`
	Headers   []recordedHeader `json:"headers"`
}

type recordedHeader struct {
	Key   string `json:"key"`
	Value *text  `json:"value"`
}

// text is some bytes; nil is Kafka's null.
type text struct {
	Hex   *string `json:"hex"`
	Text  *string `json:"text"`
	Trace *string `json:"trace"`
}

func (x *text) bytes() []byte {
	switch {
	case x == nil:
		return nil
	case x.Hex != nil:
		b, _ := hex.DecodeString(*x.Hex)
		return append([]byte{}, b...)
	}
	return []byte(*x.Text)
}

func (r *recorded) raw(t *testing.T) kafkaio.Record {
	t.Helper()
	when, err := strconv.ParseInt(r.Timestamp, 10, 64)
	require.NoError(t, err)
	out := kafkaio.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: when, Key: r.Key.bytes(), Value: r.Value.bytes()}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kafkaio.Header{Key: h.Key, Value: h.Value.bytes()})
	}
	return out
}

const contextPrefix = "__connect.errors."

// context are the headers that were added, in order.
func (r *recorded) context() []recordedHeader {
	own := []string{"topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name", "exception.class.name", "exception.message", "exception.stacktrace"}
	return r.Headers[max(0, len(r.Headers)-len(own)):]
}

func (r *recorded) of(name string) *text {
	for _, h := range r.context() {
		if h.Key == contextPrefix+name {
			return h.Value
		}
	}
	return nil
}

// fault makes the error that was recorded.
func (r *recorded) fault() error {
	var err error
	links := strings.Split("\n"+*r.of("exception.stacktrace").Trace, "\nCaused by: ")
	slices.Reverse(links)
	for _, l := range links {
		l, _, _ = strings.Cut(l, "\n\tat <frames>")
		class, message, _ := strings.Cut(strings.TrimPrefix(l, "\n"), ": ")
		err = &connecterr.Error{Kind: kindOf(class), Class: class, Message: message, Cause: err}
	}
	return err
}

// kindOf is the kind that has a class; a class of Java's own is a general error's.
func kindOf(class string) connecterr.Kind {
	for k := connecterr.General; k <= connecterr.TooManyTasks; k++ {
		if (&connecterr.Error{Kind: k}).JavaClass() == class {
			return k
		}
	}
	return connecterr.General
}

// faulty stands for a plugin that is not part of this package: it fails as the recorded one did.
type faulty struct {
	r     *recorded
	class string
}

func (faulty) Configure(map[string]string) error { return nil }
func (faulty) Close() error                      { return nil }
func (f faulty) Apply(*transform.Record) (bool, error) {
	if *f.r.of("class.name").Text != f.class {
		return true, nil // not the one
	}
	return false, f.r.fault()
}
func (f faulty) FromConnect(string, *data.Schema, any) ([]byte, error)       { return nil, f.r.fault() }
func (f faulty) ToConnect(string, []byte) (v data.SchemaAndValue, err error) { return v, f.r.fault() }
func (f faulty) ToConnectHeader(_, _ string, _ []byte) (data.SchemaAndValue, error) {
	return data.SchemaAndValue{}, f.r.fault()
}
func (f faulty) FromConnectHeader(_, _ string, _ *data.Schema, _ any) ([]byte, error) {
	return nil, f.r.fault()
}

// untyped is a faulty converter: their Configure knows what they are for.
type untyped struct{ faulty }

func (untyped) Configure(map[string]string, converter.Use) error { return nil }

// registry has the converters, and stand-ins for the other plugins that a configuration names.
func (l *letter) registry(t *testing.T) *plugin.Registry {
	t.Helper()
	all := append(converters.All(), transforms.All()...)
	known, err := plugin.New(all...)
	require.NoError(t, err)
	for key, class := range l.Config {
		var p plugin.Plugin
		switch {
		case strings.HasPrefix(key, "transforms.") && strings.HasSuffix(key, ".type"):
			p = plugin.Plugin{Class: class, Kind: plugin.Transformation, NewTransformation: func() transform.Transformation { return faulty{&l.Output, class} }}
		case key == "header.converter":
			p = plugin.Plugin{Class: class, Kind: plugin.HeaderConverter, NewHeaderConverter: func() converter.HeaderConverter { return faulty{&l.Output, class} }}
		case strings.HasSuffix(key, ".converter"):
			p = plugin.Plugin{Class: class, Kind: plugin.Converter, NewConverter: func() converter.Converter { return untyped{faulty{&l.Output, class}} }}
		default:
			continue
		}
		if _, err := known.Find(p.Kind, class); err != nil && !slices.ContainsFunc(all, func(q plugin.Plugin) bool { return q.Class == class && q.Kind == p.Kind }) {
			all = append(all, p)
		}
	}
	r, err := plugin.New(all...)
	require.NoError(t, err)
	return r
}

// Every record that a Kafka Connect worker wrote to a dead letter topic is written here byte for byte: key, value, timestamp,
// headers of its own and the ten that tell of the failure.
//
// What may differ: the text of a cause that comes from a JSON parser, and frames, which only panics have.
func TestGolden_dead_letters(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/dlq-headers.jsonl.gz")
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	w, err := worker.FromProperties(nil)
	require.NoError(t, err)
	ran := 0
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l letter
		require.NoError(t, json.Unmarshal(lines.Bytes(), &l))
		ran++
		got := &letters{}
		p, err := pipeline.New(pipeline.Options{Find: l.registry(t).Find, Worker: w, Config: l.Config, Connector: l.Connector,
			DeadLetters: func(topic string, replication int) (pipeline.DeadLetters, error) {
				require.Equal(t, l.Output.Topic, topic, l.ID)
				require.Equal(t, 1, replication, l.ID)
				return got, nil
			}})
		require.NoError(t, err, l.ID)
		out, err := p.Sink(t.Context(), []kafkaio.Record{l.Input.raw(t)}, nil)
		if stage := l.Output.of("stage"); stage != nil && *stage.Text == "TASK_PUT" {
			require.NoError(t, err, l.ID)
			require.Len(t, out, 1, l.ID)
			err = p.ErrantRecords().Report(t.Context(), &out[0], l.Output.fault())
		} else {
			require.Empty(t, out, l.ID)
		}
		require.Equal(t, l.Config["errors.tolerance"] != "all", err != nil, "%s: %v", l.ID, err)
		p.Close()
		require.Len(t, got.sent, 1, l.ID)
		l.compare(t, got.sent[0])
	}
	require.NoError(t, lines.Err())
	require.Equal(t, 31, ran)
}

var frames = regexp.MustCompile(`\n\tat <frames>`)

func (l *letter) compare(t *testing.T, got kafkaio.Record) {
	t.Helper()
	want := l.Output.written(t)
	require.Equal(t, want.Key, got.Key, l.ID)
	require.Equal(t, want.Value, got.Value, l.ID)
	require.Equal(t, want.Timestamp, got.Timestamp, l.ID)
	require.Len(t, got.Headers, len(want.Headers), l.ID)
	for i, h := range want.Headers {
		g := got.Headers[i]
		require.Equal(t, h.Key, g.Key, l.ID)
		switch h.Key {
		case contextPrefix + "exception.stacktrace":
			wantTrace := frames.ReplaceAllString(string(h.Value), "")
			if at := strings.Index(wantTrace, "com.fasterxml.jackson"); at >= 0 { // a parser's own words
				wantTrace = wantTrace[:at]
				require.True(t, strings.HasPrefix(string(g.Value), wantTrace), "%s: %s", l.ID, g.Value)
				break
			}
			require.Equal(t, wantTrace, string(g.Value), l.ID)
		default:
			require.Equal(t, h.Value, g.Value, "%s: %s", l.ID, h.Key)
		}
	}
}

// written is raw with the trace as text.
func (r *recorded) written(t *testing.T) kafkaio.Record {
	t.Helper()
	for i, h := range r.Headers {
		if h.Value != nil && h.Value.Trace != nil {
			r.Headers[i].Value = &text{Text: h.Value.Trace, Trace: h.Value.Trace}
		}
	}
	return r.raw(t)
}
