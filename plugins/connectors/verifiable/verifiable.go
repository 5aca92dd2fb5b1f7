// Package verifiable holds a source that numbers its records and a sink that checks such numbers, so that an independent
// checker can count what was lost or doubled between them. Class names, keys, records and offsets are those of Kafka's
// own verifiable connectors; lines.go has what they print.
package verifiable

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/sdk/source"
)

// The keys; idKey is set in task configs.
const (
	topicKey      = "topic"
	throughputKey = "throughput"
	completeKey   = "complete.record.data"
	stdoutKey     = "enable.stdout"
	idKey         = "id"

	idField    = "id"
	seqnoField = "seqno"
)

var sourceDef = &config.Def{Keys: []config.Key{
	{Name: topicKey, Type: config.String, Required: true, Importance: config.High, Doc: "Topic that receives the records.", Validators: []config.Rule{config.NonEmpty()}},
	{Name: throughputKey, Type: config.Long, Default: config.Default("-1"), Importance: config.Medium, Doc: "Records a second and task; -1: as many as possible."},
	{Name: completeKey, Type: config.Boolean, Default: config.Default("false"), Importance: config.Low, Doc: "Whether values are structs with name, task, topic, time_ms and seqno, instead of the number alone."},
	{Name: stdoutKey, Type: config.Boolean, Default: config.Default("true"), Importance: config.Low,
		Doc: "Whether a line of JSON is printed for each record, and again when it is committed. An addition: Kafka's own connector always prints."},
}}

// The sink tells no keys, as Kafka's own; it has enable.stdout too.
var sinkDef = &config.Def{}

type verifiableConnector struct {
	def    *config.Def
	config map[string]string
}

func (c *verifiableConnector) Start(_ context.Context, cc connector.Context) error {
	c.config = cc.Config()
	if _, problems := c.def.Parse(c.config); len(problems) > 0 {
		return connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	return nil
}

// TaskConfigs gives each task its number.
func (c *verifiableConnector) TaskConfigs(_ context.Context, maxTasks int) ([]map[string]string, error) {
	configs := make([]map[string]string, maxTasks)
	for i := range configs {
		configs[i] = map[string]string{idKey: strconv.Itoa(i)}
		for k, v := range c.config {
			if k != idKey {
				configs[i][k] = v
			}
		}
	}
	return configs, nil
}

func (c *verifiableConnector) Stop(context.Context) error { return nil }

// ExactlyOnceSupport implements connector.ExactlyOnce.
func (c *verifiableConnector) ExactlyOnceSupport(map[string]string) (connector.Support, error) {
	return connector.Supported, nil
}

// atOnce is the most records of a poll.
const atOnce = 1000

// sourceTask numbers its records from 0.
type sourceTask struct {
	topic      string
	id         int32
	throughput int64
	next       int64
	partition  record.SourcePartition
	began      time.Time
	sent       int64 // since began
	complete   bool  // values are structs
	lines      lines
	name       string
}

// completeSchema is that of values with complete.record.data.
var completeSchema = data.StructOf([]data.Field{
	{Name: "name", Schema: data.StringSchema}, {Name: "task", Schema: data.Int32Schema}, {Name: "topic", Schema: data.StringSchema},
	{Name: "time_ms", Schema: data.Int64Schema}, {Name: seqnoField, Schema: data.Int64Schema},
})

func (t *sourceTask) Start(ctx context.Context, tc source.Context) error {
	props := tc.Config()
	v, problems := sourceDef.Parse(props)
	if len(problems) > 0 {
		return connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	id, err := strconv.ParseInt(props[idKey], 10, 32)
	if err != nil {
		return connecterr.New(connecterr.Config, "Invalid value %s for configuration %s: Not a number of type INT", props[idKey], idKey)
	}
	t.topic, t.throughput, t.id = v.String(topicKey), v.Int(throughputKey), int32(id)
	t.complete, t.name = v.Bool(completeKey), props["name"]
	if !v.Bool(stdoutKey) {
		t.lines = lines{}
	}
	t.partition = data.MapOf(idField, id)
	offset, err := tc.Offsets().Offset(ctx, t.partition)
	if err != nil {
		return err
	}
	if seqno, ok := offset.Get(seqnoField); ok {
		n, whole := seqno.(int64)
		if !whole {
			return connecterr.New(connecterr.General, "The stored offset's %s is no whole number: %v", seqnoField, seqno)
		}
		t.next = n + 1
	}
	t.began = time.Now()
	tc.Logger().Info("numbering records", slog.Int64("from", t.next))
	return nil
}

func (t *sourceTask) Poll(ctx context.Context) ([]record.Source, error) {
	n := int64(atOnce)
	if t.throughput > 0 {
		if n = t.due(); n == 0 {
			timer := time.NewTimer(max(time.Second/time.Duration(t.throughput), 5*time.Millisecond))
			defer timer.Stop()
			select {
			case <-ctx.Done():
				return nil, nil
			case <-timer.C:
			}
			n = t.due()
		}
	} else if t.throughput == 0 {
		<-ctx.Done()
		return nil, nil
	}
	now := time.Now().UnixMilli()
	batch := make([]record.Source, n)
	for i := range batch {
		batch[i] = record.Source{Partition: t.partition, Offset: data.MapOf(seqnoField, t.next), Topic: t.topic, KafkaPartition: record.AnyPartition,
			KeySchema: data.Int32Schema, Key: t.id, ValueSchema: data.Int64Schema, Value: t.next, Timestamp: now}
		if t.complete {
			whole := data.NewStruct(completeSchema)
			for at, v := range []any{t.name, t.id, t.topic, now, t.next} {
				whole.SetAt(at, v)
			}
			batch[i].ValueSchema, batch[i].Value = completeSchema, whole
		}
		t.lines.print(line{Name: t.name, Task: int64(t.id), Topic: t.topic, TimeMS: now, Seqno: t.next})
		t.next++
	}
	t.sent += n
	return batch, nil
}

// CommitRecords implements source.RecordCommitter.
func (t *sourceTask) CommitRecords(_ context.Context, done []source.Committed) error {
	if t.lines.w == nil {
		return nil
	}
	now := time.Now().UnixMilli()
	for _, c := range done {
		n, _ := number(c.Record.Value)
		t.lines.print(line{Committed: true, Name: t.name, Task: int64(t.id), Topic: t.topic, TimeMS: now, Seqno: n})
	}
	return nil
}

// due is how many records the throughput allows now.
func (t *sourceTask) due() int64 {
	return min(max(int64(time.Since(t.began).Seconds()*float64(t.throughput))-t.sent, 0), atOnce)
}

func (t *sourceTask) Stop(context.Context) error { return nil }

// sinkTask checks that the numbers of each source task follow each other. Repetitions are what at-least-once allows; a gap
// is an error in whatever lies before.
type sinkTask struct {
	log      *slog.Logger
	next     map[int64]int64 // by id
	repeated int64

	lines     lines
	name      string
	id        int32
	unflushed map[record.TopicPartition][]line
}

func (t *sinkTask) Start(_ context.Context, tc sink.Context) error {
	t.log, t.next, t.unflushed = tc.Logger(), map[int64]int64{}, map[record.TopicPartition][]line{}
	props := tc.Config()
	id, err := strconv.ParseInt(props[idKey], 10, 32)
	if err != nil {
		return connecterr.New(connecterr.Config, "Invalid value %s for configuration %s: Not a number of type INT", props[idKey], idKey)
	}
	if t.name, t.id = props["name"], int32(id); strings.EqualFold(props[stdoutKey], "false") {
		t.lines = lines{}
	}
	return nil
}

func (t *sinkTask) Put(_ context.Context, batch []record.Sink) error {
	now := time.Now().UnixMilli()
	for i := range batch {
		r := &batch[i]
		id, okID := number(r.Key)
		seqno, ok := number(r.Value)
		if !ok || !okID {
			return connecterr.New(connecterr.Data, "record at %s-%d offset %d has no numbers as key and value: is it from a verifiable source, with converters that keep numbers?",
				r.OriginalTopic, r.OriginalPartition, r.OriginalOffset)
		}
		want, seen := t.next[id]
		switch {
		case !seen || seqno == want:
			t.next[id] = seqno + 1
		case seqno < want:
			t.repeated++
			t.log.Info("record repeated", slog.Int64("id", id), slog.Int64("seqno", seqno), slog.Int64("expected", want))
		default:
			return connecterr.New(connecterr.Data, "records %d to %d of source task %d are missing before %s-%d offset %d",
				want, seqno-1, id, r.OriginalTopic, r.OriginalPartition, r.OriginalOffset)
		}
		if t.lines.w != nil {
			one := line{Name: t.name, Task: id, SinkTask: &t.id, Topic: r.Topic, TimeMS: now, Seqno: seqno, Offset: &r.OriginalOffset}
			t.lines.print(one)
			at := record.TopicPartition{Topic: r.OriginalTopic, Partition: r.OriginalPartition}
			offset := r.OriginalOffset // the batch is reused
			one.Offset = &offset
			t.unflushed[at] = append(t.unflushed[at], one)
		}
	}
	return nil
}

// Flush implements sink.Flusher: what is committed is printed again.
func (t *sinkTask) Flush(_ context.Context, current sink.Offsets) error {
	now := time.Now().UnixMilli()
	for at := range current {
		for _, one := range t.unflushed[at] {
			one.Flushed, one.TimeMS = true, now
			t.lines.print(one)
		}
		delete(t.unflushed, at)
	}
	return nil
}

// Open implements sink.PartitionAware.
func (t *sinkTask) Open(context.Context, []record.TopicPartition) error { return nil }

// Close implements sink.PartitionAware: who gets the partitions is given what was not committed again.
func (t *sinkTask) Close(_ context.Context, parts []record.TopicPartition) error {
	for _, at := range parts {
		delete(t.unflushed, at)
	}
	return nil
}

// number reads a number as converters deliver it, or a struct's seqno.
func number(v any) (int64, bool) {
	switch n := v.(type) {
	case *data.Struct:
		seqno, _ := n.Get(seqnoField)
		return number(seqno)
	case *data.Map: // of JSON without a schema
		seqno, _ := n.Get(seqnoField)
		return number(seqno)
	case int64:
		return n, true
	case int32:
		return int64(n), true
	case string:
		i, err := strconv.ParseInt(n, 10, 64)
		return i, err == nil
	}
	return 0, false
}

func (t *sinkTask) Stop(context.Context) error { return nil }

// Plugins are the source and the sink. Lines about records go to stdout, each in one call, which tasks make at the same time.
func Plugins(version string, stdout io.Writer) []plugin.Plugin {
	return []plugin.Plugin{
		{Class: "org.apache.kafka.connect.tools.VerifiableSourceConnector", Kind: plugin.Source, Version: version,
			TaskClass: "org.apache.kafka.connect.tools.VerifiableSourceTask", Def: sourceDef, Doc: "Numbers its records.",
			NewConnector:  func() connector.Connector { return &verifiableConnector{def: sourceDef} },
			NewSourceTask: func() source.Task { return &sourceTask{lines: lines{stdout}} }},
		{Class: "org.apache.kafka.connect.tools.VerifiableSinkConnector", Kind: plugin.Sink, Version: version,
			TaskClass: "org.apache.kafka.connect.tools.VerifiableSinkTask", Def: sinkDef, Doc: "Checks that numbered records are complete.",
			NewConnector: func() connector.Connector { return &verifiableConnector{def: sinkDef} },
			NewSinkTask:  func() sink.Task { return &sinkTask{lines: lines{stdout}} }},
	}
}
