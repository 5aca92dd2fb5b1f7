// Package verifiable holds a source that numbers its records and a sink that checks such numbers, so that an independent
// checker can count what was lost or doubled between them. Class names, keys, records and offsets are those of Kafka's
// own verifiable connectors.
package verifiable

import (
	"context"
	"log/slog"
	"strconv"
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
	idKey         = "id"

	idField    = "id"
	seqnoField = "seqno"
)

var sourceDef = &config.Def{Keys: []config.Key{
	{Name: topicKey, Type: config.String, Required: true, Importance: config.High, Doc: "Topic that receives the records.", Validators: []config.Rule{config.NonEmpty()}},
	{Name: throughputKey, Type: config.Long, Default: config.Default("-1"), Importance: config.Medium, Doc: "Records a second and task; -1: as many as possible."},
}}

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
}

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
		t.next++
	}
	t.sent += n
	return batch, nil
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
}

func (t *sinkTask) Start(_ context.Context, tc sink.Context) error {
	t.log, t.next = tc.Logger(), map[int64]int64{}
	return nil
}

func (t *sinkTask) Put(_ context.Context, batch []record.Sink) error {
	for i := range batch {
		r := &batch[i]
		id, okID := whole(r.Key)
		seqno, ok := whole(r.Value)
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
	}
	return nil
}

// whole reads a number as converters deliver it.
func whole(v any) (int64, bool) {
	switch n := v.(type) {
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

// Plugins are the source and the sink.
func Plugins(version string) []plugin.Plugin {
	return []plugin.Plugin{
		{Class: "org.apache.kafka.connect.tools.VerifiableSourceConnector", Kind: plugin.Source, Version: version,
			TaskClass: "org.apache.kafka.connect.tools.VerifiableSourceTask", Def: sourceDef, Doc: "Numbers its records.",
			NewConnector:  func() connector.Connector { return &verifiableConnector{def: sourceDef} },
			NewSourceTask: func() source.Task { return &sourceTask{} }},
		{Class: "org.apache.kafka.connect.tools.VerifiableSinkConnector", Kind: plugin.Sink, Version: version,
			TaskClass: "org.apache.kafka.connect.tools.VerifiableSinkTask", Def: sinkDef, Doc: "Checks that numbered records are complete.",
			NewConnector: func() connector.Connector { return &verifiableConnector{def: sinkDef} },
			NewSinkTask:  func() sink.Task { return &sinkTask{} }},
	}
}
