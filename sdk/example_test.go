package sdk_test

import (
	"context"
	"fmt"
	"log/slog"
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

// The definition of the keys: validation, defaults and the reference page come from it.
var def = &config.Def{Keys: []config.Key{
	{Name: "topic", Type: config.String, Required: true, Importance: config.High, Doc: "Where the ticks go.", Validators: []config.Rule{config.NonEmpty()}},
	{Name: "every.ms", Type: config.Long, Default: config.Default("1000"), Importance: config.Medium, Doc: "Pause between two ticks."},
}}

// clock is a connector that has one task.
type clock struct{ config map[string]string }

func (c *clock) Start(_ context.Context, cc connector.Context) error {
	c.config = cc.Config()
	return nil
}

func (c *clock) TaskConfigs(context.Context, int) ([]map[string]string, error) {
	return []map[string]string{c.config}, nil
}

func (c *clock) Stop(context.Context) error { return nil }

// ticks is its task: it numbers ticks, and goes on behind the last number that is in Kafka.
type ticks struct {
	topic string
	every time.Duration
	next  int64
}

var partition = data.MapOf("clock", "main")

func (t *ticks) Start(ctx context.Context, tc source.Context) error {
	v, problems := def.Parse(tc.Config())
	if len(problems) > 0 {
		return connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	t.topic, t.every = v.String("topic"), time.Duration(v.Int("every.ms"))*time.Millisecond
	offset, err := tc.Offsets().Offset(ctx, partition)
	if err != nil {
		return err
	}
	if n, ok := offset.Get("n"); ok {
		t.next = n.(int64) + 1
	}
	return nil
}

func (t *ticks) Poll(ctx context.Context) ([]record.Source, error) {
	select {
	case <-time.After(t.every):
	case <-ctx.Done():
		return nil, nil
	}
	r := record.Source{Partition: partition, Offset: data.MapOf("n", t.next), Topic: t.topic, KafkaPartition: record.AnyPartition,
		ValueSchema: data.Int64Schema, Value: t.next}
	t.next++
	return []record.Source{r}, nil
}

func (t *ticks) Stop(context.Context) error { return nil }

// printer is the task of a sink.
type printer struct{}

func (printer) Start(context.Context, sink.Context) error { return nil }

func (printer) Put(_ context.Context, batch []record.Sink) error {
	for i := range batch {
		fmt.Println(batch[i].Value)
	}
	return nil
}

func (printer) Stop(context.Context) error { return nil }

// A plugin describes a connector by the names that users know and makes its instances.
var clockPlugin = plugin.Plugin{Class: "org.example.ClockSourceConnector", Kind: plugin.Source, Version: "1.0", TaskClass: "org.example.ClockSourceTask",
	Def: def, Doc: "Ticks.", NewConnector: func() connector.Connector { return &clock{} }, NewSourceTask: func() source.Task { return &ticks{} }}

// runtime is what the framework gives a task, as far as this example needs it.
type runtime struct {
	source.Context
	config map[string]string
	stored record.SourceOffset
}

func (r runtime) Config() map[string]string    { return r.config }
func (r runtime) Logger() *slog.Logger         { return slog.New(slog.DiscardHandler) }
func (r runtime) Offsets() source.OffsetReader { return stored{r.stored} }

type stored struct{ offset record.SourceOffset }

func (s stored) Offset(context.Context, record.SourcePartition) (record.SourceOffset, error) {
	return s.offset, nil
}

func (s stored) Offsets(context.Context, []record.SourcePartition) ([]record.SourceOffset, error) {
	return []record.SourceOffset{s.offset}, nil
}

// Users find a plugin by its class name, or by its short forms.
func Example_findByName() {
	registry, err := plugin.New(clockPlugin)
	if err != nil {
		panic(err)
	}
	p, err := registry.Connector("ClockSource")
	fmt.Println(p.Class, err)
	_, err = registry.Connector("Clok")
	fmt.Println(err != nil)
	// Output:
	// org.example.ClockSourceConnector <nil>
	// true
}

// A definition says what is wrong in the words that users of Kafka Connect know.
func Example_definition() {
	_, problems := def.Parse(map[string]string{"every.ms": "soon"})
	for _, p := range problems {
		fmt.Println(p.Message)
	}
	// Output:
	// Missing required configuration "topic" which has no default value.
	// Invalid value soon for configuration every.ms: Not a number of type LONG
}

// A source goes on behind what is stored; a sink is given batches.
func Example_sourceAndSink() {
	ctx, task := context.Background(), clockPlugin.NewSourceTask()
	if err := task.Start(ctx, runtime{config: map[string]string{"topic": "t", "every.ms": "1"}, stored: data.MapOf("n", int64(41))}); err != nil {
		panic(err)
	}
	for range 2 {
		batch, err := task.Poll(ctx)
		if err != nil {
			panic(err)
		}
		out := make([]record.Sink, len(batch))
		for i, r := range batch {
			out[i] = record.Sink{Value: r.Value, ValueSchema: r.ValueSchema}
		}
		if err := (printer{}).Put(ctx, out); err != nil {
			panic(err)
		}
	}
	// Output:
	// 42
	// 43
}
