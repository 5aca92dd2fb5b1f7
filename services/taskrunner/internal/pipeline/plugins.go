package pipeline

import (
	"log/slog"
	"strings"

	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// plugins are the instances of a connector's converters and transformations that one goroutine at a time uses.
type plugins struct {
	key, value converter.Converter
	header     converter.HeaderConverter
	read       struct{ key, value decoder }
	classes    struct{ key, value, header string }
	chain      *chain
	pure       bool // all of them are
}

// newPlugins makes a set. Its errors are about the configuration.
func newPlugins(o Options) (p plugins, err error) {
	defer func() {
		if err != nil {
			p.close(o.Logger)
		}
	}()
	key, err := o.converter("key.converter", converter.ForKey, o.Worker.KeyConverter, &p.key)
	if err != nil {
		return p, err
	}
	value, err := o.converter("value.converter", converter.ForValue, o.Worker.ValueConverter, &p.value)
	if err != nil {
		return p, err
	}
	headers, err := o.headerConverter(&p.header)
	if err != nil {
		return p, err
	}
	p.read.key, p.read.value = decoderOf(p.key), decoderOf(p.value)
	p.classes.key, p.classes.value, p.classes.header = key.Class, value.Class, headers.Class
	chain, err := newChain(o)
	if err != nil {
		return p, err // it has closed what it made
	}
	p.chain = chain
	p.pure = key.Pure && value.Pure && headers.Pure && p.chain.pure
	return p, nil
}

func (p *plugins) converters() []any { return []any{p.key, p.value, p.header} }

// close closes what is there of the set.
func (p *plugins) close(log *slog.Logger) {
	for _, c := range p.converters() {
		if closer, ok := c.(converter.Closer); ok {
			if err := closer.Close(); err != nil {
				log.Warn("converter could not be closed", slog.Any("err", err))
			}
		}
	}
	if p.chain != nil {
		p.chain.close(log)
	}
}

// decoder is a converter's way from bytes that nobody changes any more.
type decoder func(topic string, b []byte) (data.SchemaAndValue, error)

// decoderOf takes the way without a copy, where a converter has one: kafkaio does not use a batch's memory again.
func decoderOf(c converter.Converter) decoder {
	if v, ok := c.(converter.Viewer); ok {
		return v.View
	}
	return c.ToConnect
}

// chosen is a converter's class and its own keys: the connector's if it names a class, else the worker's.
func (o *Options) chosen(key string, fallback worker.Plugin) worker.Plugin {
	if class := o.Config[key]; class != "" {
		return worker.Plugin{Class: class, Props: worker.Prefixed(o.Config, key+".")}
	}
	return fallback
}

func (o *Options) converter(key string, use converter.Use, fallback worker.Plugin, into *converter.Converter) (*plugin.Plugin, error) {
	c := o.chosen(key, fallback)
	p, err := o.Find(plugin.Converter, c.Class)
	if err != nil {
		return nil, err
	}
	conv := p.NewConverter()
	if err := conv.Configure(withType(c.Props, use), use); err != nil {
		return nil, err
	}
	o.Metrics.Plugin(strings.ReplaceAll(key, ".", "-"), p.Class, p.Version)
	*into = conv
	return p, nil
}

func (o *Options) headerConverter(into *converter.HeaderConverter) (*plugin.Plugin, error) {
	c := o.chosen("header.converter", o.Worker.HeaderConverter)
	p, err := o.Find(plugin.HeaderConverter, c.Class)
	if err != nil {
		return nil, err
	}
	*into = p.NewHeaderConverter()
	o.Metrics.Plugin("header-converter", p.Class, p.Version)
	return p, (*into).Configure(withType(c.Props, converter.ForHeader))
}

func withType(props map[string]string, use converter.Use) map[string]string {
	out := map[string]string{"converter.type": string(use)}
	for k, v := range props {
		out[k] = v
	}
	return out
}

// consumed is a record as a plugin sees it, yet without headers.
func consumed(raw *kafkaio.Record, key, value data.SchemaAndValue) record.Sink {
	return record.Sink{Topic: raw.Topic, KafkaPartition: raw.Partition, KeySchema: key.Schema, Key: key.Value, ValueSchema: value.Schema, Value: value.Value,
		Timestamp: raw.Timestamp, TimestampType: raw.TimestampType, KafkaOffset: raw.Offset,
		OriginalTopic: raw.Topic, OriginalPartition: raw.Partition, OriginalOffset: raw.Offset}
}

func headersOf(c converter.HeaderConverter, raw *kafkaio.Record) (header.Headers, error) {
	all := make(header.Headers, len(raw.Headers))
	for i, h := range raw.Headers {
		sv, err := c.ToConnectHeader(raw.Topic, h.Key, h.Value)
		if err != nil {
			return nil, err
		}
		all[i] = header.Header{Key: h.Key, Schema: sv.Schema, Value: sv.Value}
	}
	return all, nil
}
