package dataoracle

import (
	"bytes"
	"context"
	"encoding/json"
	"os"

	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

const (
	scriptedClass = "scripted.ScriptedSource"
	jsonClass     = "org.apache.kafka.connect.json.JsonConverter"
)

// Scripted is the source that produces what a file lists: a JSON object a line, with envelopes of schema and payload for key,
// value and header values. ScriptedSource.java is the same for Kafka Connect.
func Scripted() plugin.Plugin {
	return plugin.Plugin{Class: scriptedClass, Kind: plugin.Source, Version: "1", TaskClass: scriptedClass + "$ScriptedTask", Doc: "Produces the records of a script.",
		Def: &config.Def{Keys: []config.Key{
			{Name: "file", Type: config.String, Importance: config.High, Doc: "the script"},
			{Name: "topic", Type: config.String, Importance: config.High, Doc: "where to"},
		}},
		NewConnector: func() connector.Connector { return &scripted{} }, NewSourceTask: func() source.Task { return &scriptedTask{} }}
}

type scripted struct{ props map[string]string }

func (s *scripted) Start(_ context.Context, cc connector.Context) error {
	s.props = cc.Config()
	return nil
}
func (s *scripted) TaskConfigs(context.Context, int) ([]map[string]string, error) {
	return []map[string]string{s.props}, nil
}
func (s *scripted) Stop(context.Context) error { return nil }

type scriptedTask struct {
	json  converter.Converter
	topic string
	lines [][]byte
	at    int
}

func (t *scriptedTask) Start(_ context.Context, tc source.Context) error {
	for _, p := range converters.All() {
		if p.Class == jsonClass && p.Kind == plugin.Converter {
			t.json = p.NewConverter()
		}
	}
	t.topic = tc.Config()["topic"]
	text, err := os.ReadFile(tc.Config()["file"])
	if err != nil {
		return err
	}
	t.lines = bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	return t.json.Configure(map[string]string{"schemas.enable": "true"}, converter.ForValue)
}

func (t *scriptedTask) Poll(ctx context.Context) (out []record.Source, err error) {
	if t.at == len(t.lines) {
		<-ctx.Done()
		return nil, nil
	}
	for t.at < len(t.lines) && len(out) < 100 {
		var line struct {
			Key, Value json.RawMessage
			Headers    []struct {
				Key   string
				Value json.RawMessage
			}
			Timestamp int64
		}
		if err := json.Unmarshal(t.lines[t.at], &line); err != nil {
			return nil, err
		}
		t.at++
		key, err := t.of(line.Key)
		if err != nil {
			return nil, err
		}
		value, err := t.of(line.Value)
		if err != nil {
			return nil, err
		}
		r := record.Source{Partition: data.MapOf("script", "1"), Offset: data.MapOf("line", int64(t.at)), Topic: t.topic, KafkaPartition: record.AnyPartition,
			KeySchema: key.Schema, Key: key.Value, ValueSchema: value.Schema, Value: value.Value, Timestamp: line.Timestamp}
		for _, h := range line.Headers {
			v, err := t.of(h.Value)
			if err != nil {
				return nil, err
			}
			r.Headers = r.Headers.Add(h.Key, v.Schema, v.Value)
		}
		out = append(out, r)
	}
	return out, nil
}

func (t *scriptedTask) of(envelope json.RawMessage) (data.SchemaAndValue, error) {
	if string(envelope) == "null" {
		return data.SchemaAndValue{}, nil
	}
	return t.json.ToConnect(t.topic, envelope)
}

func (t *scriptedTask) Stop(context.Context) error { return nil }
