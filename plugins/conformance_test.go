// Package plugins_test runs every plugin that Millrace comes with through the suite of its kind.
package plugins_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/conformance/connectortest"
	"github.com/millrace/millrace/tests/conformance/convertertest"
	"github.com/millrace/millrace/tests/conformance/transformtest"
)

// suites has the call for each plugin, by kind and class. A plugin without one fails the test.
var suites = map[string]func(t *testing.T, p plugin.Plugin){
	"source org.apache.kafka.connect.file.FileStreamSourceConnector":          fileSource,
	"sink org.apache.kafka.connect.file.FileStreamSinkConnector":              fileSink,
	"source org.apache.kafka.connect.tools.MockSourceConnector":               mockSource,
	"sink org.apache.kafka.connect.tools.MockSinkConnector":                   blackHole,
	"source org.apache.kafka.connect.tools.VerifiableSourceConnector":         verifiableSource,
	"sink org.apache.kafka.connect.tools.VerifiableSinkConnector":             verifiableSink,
	"source org.apache.kafka.connect.tools.SchemaSourceConnector":             schemaSource,
	"source io.confluent.connect.storage.tools.SchemaSourceConnector":         schemaSource,
	"source io.confluent.connect.hdfs.tools.SchemaSourceConnector":            schemaSource,
	"source io.confluent.connect.jdbc.JdbcSourceConnector":                    jdbcSource,
	"source io.aiven.connect.jdbc.JdbcSourceConnector":                        jdbcSource,
	"sink io.confluent.connect.jdbc.JdbcSinkConnector":                        jdbcSink,
	"sink io.aiven.connect.jdbc.JdbcSinkConnector":                            jdbcSink,
	"converter org.apache.kafka.connect.storage.StringConverter":              stringConverter,
	"header_converter org.apache.kafka.connect.storage.StringConverter":       stringConverter,
	"converter org.apache.kafka.connect.converters.ByteArrayConverter":        bytesConverter,
	"header_converter org.apache.kafka.connect.converters.ByteArrayConverter": bytesConverter,
	"converter org.apache.kafka.connect.json.JsonConverter":                   jsonConverter,
	"header_converter org.apache.kafka.connect.json.JsonConverter":            jsonConverter,
	"header_converter org.apache.kafka.connect.storage.SimpleHeaderConverter": simpleHeaderConverter,
	"converter io.confluent.connect.avro.AvroConverter":                       avroConverter,
	"converter io.confluent.connect.json.JsonSchemaConverter":                 jsonSchemaConverter,
	"converter io.confluent.connect.protobuf.ProtobufConverter":               protobufConverter,
	"converter org.apache.kafka.connect.converters.BooleanConverter":          booleanConverter,
	"header_converter org.apache.kafka.connect.converters.BooleanConverter":   booleanConverter,
	"converter org.apache.kafka.connect.converters.ShortConverter":            numberConverter(data.Int16Schema, int16(-2)),
	"header_converter org.apache.kafka.connect.converters.ShortConverter":     numberConverter(data.Int16Schema, int16(-2)),
	"converter org.apache.kafka.connect.converters.IntegerConverter":          numberConverter(data.Int32Schema, int32(-2)),
	"header_converter org.apache.kafka.connect.converters.IntegerConverter":   numberConverter(data.Int32Schema, int32(-2)),
	"converter org.apache.kafka.connect.converters.LongConverter":             numberConverter(data.Int64Schema, int64(-2)),
	"header_converter org.apache.kafka.connect.converters.LongConverter":      numberConverter(data.Int64Schema, int64(-2)),
	"converter org.apache.kafka.connect.converters.FloatConverter":            numberConverter(data.Float32Schema, float32(1.5)),
	"header_converter org.apache.kafka.connect.converters.FloatConverter":     numberConverter(data.Float32Schema, float32(1.5)),
	"converter org.apache.kafka.connect.converters.DoubleConverter":           numberConverter(data.Float64Schema, 1.5),
	"header_converter org.apache.kafka.connect.converters.DoubleConverter":    numberConverter(data.Float64Schema, 1.5),
}

func init() {
	for name, h := range transformations {
		suites[name] = func(t *testing.T, p plugin.Plugin) {
			h.Plugin = p
			transformtest.Run(t, h)
		}
	}
}

// root is the folder that file connectors may use.
var root string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "millrace-plugins-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	root = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func TestConformance_every_plugin_behaves_as_its_kind_does(t *testing.T) {
	all := plugins.All(connectors.Options{FileRoots: []string{root}})
	for _, p := range all {
		id := string(p.Kind) + " " + p.Class
		t.Run(id, func(t *testing.T) { // not in parallel: leaks are counted
			run, ok := suites[id]
			require.True(t, ok, "%s has no suite: add it to suites", id)
			run(t, p)
		})
	}
	require.Len(t, suites, len(all), "no suite without a plugin")
}

func path(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(root, "")
	require.NoError(t, err)
	return filepath.Join(dir, "file")
}

func fileSource(t *testing.T, p plugin.Plugin) {
	connectortest.RunSource(t, connectortest.Source{Plugin: p, New: func(t *testing.T) connectortest.SourcePlace {
		file, n := path(t), 0
		return connectortest.SourcePlace{Config: map[string]string{"file": file, "topic": "t"}, Feed: func(more int) {
			f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			require.NoError(t, err)
			for range more {
				_, err := fmt.Fprintf(f, "line %d\n", n)
				require.NoError(t, err)
				n++
			}
			require.NoError(t, f.Close())
		}}
	}})
}

func fileSink(t *testing.T, p plugin.Plugin) {
	connectortest.RunSink(t, connectortest.Sink{Plugin: p, New: func(t *testing.T) connectortest.SinkPlace {
		file := path(t)
		return connectortest.SinkPlace{Config: map[string]string{"file": file, "topics": "t"}, Read: func() []string {
			b, err := os.ReadFile(file)
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			require.NoError(t, err)
			if len(b) == 0 {
				return nil
			}
			return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
		}}
	}})
}

// jdbcSource reads a table of SQLite; its own tests read the others.
func jdbcSource(t *testing.T, p plugin.Plugin) {
	connectortest.RunSource(t, connectortest.Source{Plugin: p, New: func(t *testing.T) connectortest.SourcePlace {
		file := path(t)
		run := func(statement string) {
			db, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)")
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), statement)
			require.NoError(t, err)
			require.NoError(t, db.Close())
		}
		run("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
		config := map[string]string{"connection.url": "jdbc:sqlite:" + file, "mode": "incrementing", "topic.prefix": "p-", "poll.interval.ms": "5"}
		return connectortest.SourcePlace{Config: config, Feed: func(more int) {
			run("INSERT INTO t (v) VALUES " + strings.TrimSuffix(strings.Repeat("('x'),", more), ","))
		}}
	}})
}

func mockSource(t *testing.T, p plugin.Plugin) {
	connectortest.RunSource(t, connectortest.Source{Plugin: p, Silent: true, New: func(*testing.T) connectortest.SourcePlace {
		return connectortest.SourcePlace{Config: map[string]string{}, Feed: func(int) {}}
	}})
}

func blackHole(t *testing.T, p plugin.Plugin) {
	connectortest.RunSink(t, connectortest.Sink{Plugin: p, New: func(*testing.T) connectortest.SinkPlace {
		return connectortest.SinkPlace{Config: map[string]string{"topics": "t"}}
	}})
}

func verifiableSource(t *testing.T, p plugin.Plugin) {
	connectortest.RunSource(t, connectortest.Source{Plugin: p, Endless: true, New: func(*testing.T) connectortest.SourcePlace {
		return connectortest.SourcePlace{Config: map[string]string{"topic": "t"}}
	}})
}

func schemaSource(t *testing.T, p plugin.Plugin) {
	connectortest.RunSource(t, connectortest.Source{Plugin: p, Endless: true, New: func(*testing.T) connectortest.SourcePlace {
		return connectortest.SourcePlace{Config: map[string]string{"topic": "t", "num.messages": "1000000", "throughput": "-1"}}
	}})
}

func verifiableSink(t *testing.T, p plugin.Plugin) {
	connectortest.RunSink(t, connectortest.Sink{Plugin: p,
		New: func(*testing.T) connectortest.SinkPlace {
			return connectortest.SinkPlace{Config: map[string]string{"topics": "t"}}
		},
		Record: func(n int) record.Sink {
			return record.Sink{KeySchema: data.Int32Schema, Key: int32(0), ValueSchema: data.Int64Schema, Value: int64(n)}
		}})
}

func sv(s *data.Schema, v any) data.SchemaAndValue { return data.SchemaAndValue{Schema: s, Value: v} }

func stringConverter(t *testing.T, p plugin.Plugin) {
	convertertest.Run(t, convertertest.Harness{Plugin: p, Lenient: true, Config: []map[string]string{{}, {"converter.encoding": "UTF-16"}},
		Samples: []data.SchemaAndValue{sv(data.StringSchema, "ä\x00\n"), sv(data.StringSchema, ""), sv(nil, "text")}})
}

func booleanConverter(t *testing.T, p plugin.Plugin) {
	bad := sv(nil, "true")
	convertertest.Run(t, convertertest.Harness{Plugin: p, Refuses: &bad,
		Samples: []data.SchemaAndValue{sv(data.BooleanSchema, true), sv(nil, false)}})
}

func numberConverter(s *data.Schema, v any) func(*testing.T, plugin.Plugin) {
	return func(t *testing.T, p plugin.Plugin) {
		bad := sv(nil, "1")
		convertertest.Run(t, convertertest.Harness{Plugin: p, Refuses: &bad, Samples: []data.SchemaAndValue{sv(s, v), sv(nil, v)}})
	}
}

func bytesConverter(t *testing.T, p plugin.Plugin) {
	bad := sv(data.Int32Schema, int32(1))
	convertertest.Run(t, convertertest.Harness{Plugin: p, Lenient: true, Refuses: &bad,
		Samples: []data.SchemaAndValue{sv(data.BytesSchema, []byte{0, 255, 7}), sv(data.OptionalBytesSchema, []byte{1})}})
}

func jsonConverter(t *testing.T, p plugin.Plugin) {
	bad := sv(data.StringSchema, int32(7))
	convertertest.Run(t, convertertest.Harness{Plugin: p, Refuses: &bad, Config: []map[string]string{{"schemas.enable": "true"}, {"schemas.enable": "false"}},
		Samples: []data.SchemaAndValue{sv(data.StringSchema, "ä\"\n"), sv(data.Int64Schema, int64(9007199254740993)), sv(data.BooleanSchema, true),
			sv(data.Float64Schema, 1.5), sv(data.ArrayOf(data.StringSchema), []any{"a", "b"})}})
	convertertest.Run(t, convertertest.Harness{Plugin: p, Samples: []data.SchemaAndValue{sv(data.BytesSchema, []byte{0, 255}), sv(data.DecimalSchema(2), data.NewDecimal(-150, 2)),
		sv(data.TimestampSchema(), data.Instant(1700000000123)), sv(data.MapSchema(data.Int32Schema, data.OptionalStringSchema), data.MapOf(int32(1), nil))}})
}

// ofRegistry are samples that every converter over a registry writes and reads.
func ofRegistry() []data.SchemaAndValue {
	inner := data.StructOf([]data.Field{{Name: "n", Schema: data.OptionalInt64Schema}}, data.Name("in.Inner"))
	row := data.StructOf([]data.Field{{Name: "s", Schema: data.StringSchema}, {Name: "b", Schema: data.OptionalBytesSchema}, {Name: "l", Schema: data.ArrayOf(data.Int32Schema)},
		{Name: "m", Schema: data.MapSchema(data.StringSchema, data.Int64Schema)}, {Name: "i", Schema: inner}, {Name: "d", Schema: data.DecimalSchema(2)}, {Name: "t", Schema: data.TimestampSchema()}}, data.Name("out.Row"))
	in := data.NewStruct(inner)
	in.SetAt(0, int64(-5))
	st := data.NewStruct(row)
	for i, v := range []any{"ä", []byte{0, 255}, []any{int32(1), int32(-2)}, data.MapOf("k", int64(3)), in, data.NewDecimal(-150, 2), data.Instant(1700000000123)} {
		st.SetAt(i, v)
	}
	return []data.SchemaAndValue{sv(data.StringSchema, "text"), sv(data.Int64Schema, int64(9007199254740993)), sv(data.BooleanSchema, true), sv(data.Float64Schema, 1.5), sv(row, st)}
}

func avroConverter(t *testing.T, p plugin.Plugin) {
	bad := sv(data.StringSchema, int32(7))
	convertertest.Run(t, convertertest.Harness{Plugin: p, Refuses: &bad, Config: []map[string]string{{"schema.registry.url": "mock://conformance-avro"},
		{"schema.registry.url": "mock://conformance-avro", "enhanced.avro.schema.support": "true", "connect.meta.data": "false"}}, Samples: ofRegistry()})
}

func jsonSchemaConverter(t *testing.T, p plugin.Plugin) {
	bad := sv(data.StringSchema, int32(7))
	const url = "mock://conformance-json"
	convertertest.Run(t, convertertest.Harness{Plugin: p, Refuses: &bad, Config: []map[string]string{{"schema.registry.url": url},
		{"schema.registry.url": url, "decimal.format": "numeric", "object.additional.properties": "false"}}, Samples: ofRegistry()})
}

func protobufConverter(t *testing.T, p plugin.Plugin) {
	bad := sv(data.StringSchema, int32(7))
	const url = "mock://conformance-protobuf"
	convertertest.Run(t, convertertest.Harness{Plugin: p, Refuses: &bad, Config: []map[string]string{{"schema.registry.url": url},
		{"schema.registry.url": url, "enhanced.protobuf.schema.support": "true", "wrapper.for.nullables": "true"}, {"schema.registry.url": url, "optional.for.nullables": "true"}}, Samples: ofRegistry()})
}

func simpleHeaderConverter(t *testing.T, p plugin.Plugin) {
	convertertest.Run(t, convertertest.Harness{Plugin: p, Lenient: true,
		Samples: []data.SchemaAndValue{sv(data.StringSchema, "some text"), sv(data.NewSchema(data.Int8), int8(5)), sv(data.BooleanSchema, true), sv(data.Float32Schema, float32(1.5)),
			sv(data.DateSchema(), data.Instant(data.Day)), sv(nil, []any{int8(1), int8(2)}), sv(nil, data.MapOf("a", "b"))}})
}
