package schemasource

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/plugins/converters"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

const (
	kafka   = "org.apache.kafka.connect.tools.SchemaSourceConnector"
	storage = "io.confluent.connect.storage.tools.SchemaSourceConnector"
	hdfs    = "io.confluent.connect.hdfs.tools.SchemaSourceConnector"
)

type taskContext struct {
	source.Context
	config map[string]string
	offset record.SourceOffset
	log    *slog.Logger
}

func (c taskContext) Config() map[string]string    { return c.config }
func (c taskContext) Offsets() source.OffsetReader { return stored{c.offset} }
func (c taskContext) Logger() *slog.Logger {
	if c.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.log
}

type stored struct{ offset record.SourceOffset }

func (s stored) Offset(context.Context, record.SourcePartition) (record.SourceOffset, error) {
	return s.offset, nil
}

func (s stored) Offsets(context.Context, []record.SourcePartition) ([]record.SourceOffset, error) {
	return []record.SourceOffset{s.offset}, nil
}

// run is a task of a class with the keys that matter, and what it prints.
type run struct {
	source.Task
	out bytes.Buffer
}

func start(t *testing.T, class string, offset record.SourceOffset, config map[string]string) (*run, error) {
	t.Helper()
	r := &run{}
	for _, p := range Plugins("1", &r.out) {
		if p.Class == class {
			r.Task = p.NewSourceTask()
		}
	}
	all := map[string]string{nameKey: "c", idKey: "0", topicKey: "t", messagesKey: "100", throughputKey: "-1"}
	for k, v := range config {
		if all[k] = v; v == "absent" {
			delete(all, k)
		}
	}
	return r, r.Start(t.Context(), taskContext{config: all, offset: offset})
}

func started(t *testing.T, class string, offset record.SourceOffset, config map[string]string) *run {
	t.Helper()
	r, err := start(t, class, offset, config)
	require.NoError(t, err)
	return r
}

func (r *run) take(t *testing.T, n int) (all []record.Source) {
	t.Helper()
	for range n {
		batch, err := r.Poll(t.Context())
		require.NoError(t, err)
		require.Len(t, batch, 1, "one record a poll")
		all = append(all, batch...)
	}
	return all
}

func field(t *testing.T, r record.Source, name string) any {
	t.Helper()
	v, err := r.Value.(*data.Struct).Get(name)
	require.NoError(t, err)
	return v
}

func fields(t *testing.T, all []record.Source, name string) (values []any) {
	t.Helper()
	for _, r := range all {
		values = append(values, field(t, r, name))
	}
	return values
}

// silent requires that a poll returns nothing, and not before it is told to stop.
func silent(t *testing.T, r *run) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	began := time.Now()
	batch, err := r.Poll(ctx)
	require.NoError(t, err)
	require.Empty(t, batch)
	require.Equal(t, time.Hour, time.Since(began))
}

func TestCase_01_and_02_as_many_records_as_asked_for_then_silence_and_more_at_each_start(t *testing.T) {
	t.Parallel()
	for _, class := range []string{kafka, storage, hdfs} {
		synctest.Test(t, func(t *testing.T) {
			r := started(t, class, nil, map[string]string{messagesKey: "3"})
			all := r.take(t, 3)
			require.Equal(t, []any{int64(0), int64(1), int64(2)}, fields(t, all, "seqno"))
			for _, one := range all {
				require.NoError(t, one.Value.(*data.Struct).Validate())
				require.Equal(t, "key", one.Key)
				require.Equal(t, data.StringSchema, one.KeySchema)
				require.Zero(t, one.KafkaPartition)
				require.Equal(t, record.NoTimestamp, one.Timestamp)
				require.Empty(t, one.Headers)
			}
			silent(t, r)
			require.Equal(t, "{\"task\": 0, \"seqno\": 0}\n{\"task\": 0, \"seqno\": 1}\n{\"task\": 0, \"seqno\": 2}\n", r.out.String())

			again := started(t, class, all[2].Offset, map[string]string{messagesKey: "3"}).take(t, 3)
			require.Equal(t, []any{int64(3), int64(4), int64(5)}, fields(t, again, "seqno"))
			require.Equal(t, `{seqno=5}`, data.Text(again[2].Offset))
			require.Equal(t, `{id=0}`, data.Text(again[2].Partition))
		})
	}
}

func TestCase_03_each_task_has_its_number_partition_and_position(t *testing.T) {
	t.Parallel()
	c := &schemaConnector{config: map[string]string{topicKey: "t", idKey: "the user's"}}
	configs, err := c.TaskConfigs(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, []map[string]string{{topicKey: "t", idKey: "0"}, {topicKey: "t", idKey: "1"}}, configs)
	for id, config := range configs {
		one := started(t, kafka, nil, config).take(t, 1)[0]
		require.EqualValues(t, id, one.KafkaPartition)
		require.EqualValues(t, id, field(t, one, "id"))
		got, _ := one.Partition.Get("id")
		require.EqualValues(t, id, got)
	}
}

func TestCase_05_partitioning_is_the_number_modulo_the_count(t *testing.T) {
	t.Parallel()
	all := started(t, hdfs, nil, map[string]string{partitionsKey: "4"}).take(t, 5)
	require.Equal(t, []any{int32(0), int32(1), int32(2), int32(3), int32(0)}, fields(t, all, "partitioning"))
}

func TestCase_06_and_08_schemas_alternate_anew_at_each_start(t *testing.T) {
	t.Parallel()
	versions := func(all []record.Source) (v []int32) {
		for _, r := range all {
			n, _ := r.ValueSchema.Version()
			v = append(v, n)
			require.Equal(t, "record", r.ValueSchema.Name())
			require.NoError(t, r.Value.(*data.Struct).Validate())
		}
		return v
	}
	both := map[string]string{multipleKey: "TRUE"}
	all := started(t, storage, nil, both).take(t, 4)
	require.Equal(t, []int32{1, 2, 1, 2}, versions(all))
	require.Equal(t, "def", field(t, all[1], "string"))
	require.Equal(t, []int32{1, 2}, versions(started(t, storage, all[2].Offset, both).take(t, 2)), "behind an odd count")
	require.Equal(t, []int32{1, 1}, versions(started(t, storage, nil, map[string]string{multipleKey: "yes"}).take(t, 2)), "only true is true")
}

func TestCase_07_the_second_schema_reads_records_of_the_first(t *testing.T) {
	t.Parallel()
	first := started(t, kafka, nil, map[string]string{multipleKey: "true"}).take(t, 1)[0]
	v, err := data.Project(firstSchema, first.Value, secondSchema)
	require.NoError(t, err)
	text, err := v.(*data.Struct).Get("string")
	require.NoError(t, err)
	require.Equal(t, "abc", text)
}

func TestRecord_in_JSON(t *testing.T) {
	t.Parallel()
	one := started(t, kafka, nil, nil).take(t, 1)[0]
	r, err := plugin.New(converters.All()...)
	require.NoError(t, err)
	p, err := r.Find(plugin.Converter, "JsonConverter")
	require.NoError(t, err)
	c := p.NewConverter()
	require.NoError(t, c.Configure(map[string]string{"schemas.enable": "false"}, converter.ForValue))
	b, err := c.FromConnect(one.Topic, one.ValueSchema, one.Value)
	require.NoError(t, err)
	require.Equal(t, `{"boolean":true,"int":12,"long":12,"float":12.2,"double":12.2,"partitioning":0,"id":0,"seqno":0}`, string(b))
}

func TestCase_09_the_rate_is_kept(t *testing.T) {
	t.Parallel()
	for class, want := range map[string][2]time.Duration{
		kafka:   {4900 * time.Millisecond, 5 * time.Second}, // it makes up for the work between
		storage: {5200 * time.Millisecond, 5500 * time.Millisecond},
		hdfs:    {5200 * time.Millisecond, 5500 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			r := started(t, class, nil, map[string]string{messagesKey: "50", throughputKey: "10"})
			for range 50 {
				r.take(t, 1)
				require.True(t, sleep.For(t.Context(), 5*time.Millisecond)) // the work between
			}
			took := time.Since(began)
			require.GreaterOrEqual(t, took, want[0], class)
			require.LessOrEqual(t, took, want[1], class)
			silent(t, r)
		})
	}
}

func TestThroughput_of_0_lets_Kafkas_flavour_make_one_record(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := started(t, kafka, nil, map[string]string{throughputKey: "0"})
		r.take(t, 1)
		require.True(t, sleep.For(t.Context(), time.Millisecond)) // the rate of no time at all is not known
		silent(t, r)
	})
}

func TestCase_10_and_13_wrong_numbers_fail_the_task_and_name_the_key(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		class  string
		config map[string]string
		want   string
	}{
		{kafka, map[string]string{throughputKey: "absent"}, "Invalid SchemaSourceTask configuration: throughput is missing"},
		{storage, map[string]string{throughputKey: "absent"}, ""},
		{hdfs, map[string]string{throughputKey: "absent"}, ""},
		{storage, map[string]string{throughputKey: "0"}, "Invalid SchemaSourceTask configuration: throughput must not be 0"},
		{hdfs, map[string]string{throughputKey: "0"}, "Invalid SchemaSourceTask configuration: throughput must not be 0"},
		{hdfs, map[string]string{throughputKey: "-7"}, ""},
		{kafka, map[string]string{messagesKey: "abc"}, `Invalid SchemaSourceTask configuration: num.messages: Not a number: "abc"`},
		{kafka, map[string]string{messagesKey: " 1"}, `Invalid SchemaSourceTask configuration: num.messages: Not a number: " 1"`},
		{kafka, map[string]string{messagesKey: "absent"}, "Invalid SchemaSourceTask configuration: num.messages is missing"},
		{kafka, map[string]string{messagesKey: "+5"}, ""},
		{kafka, map[string]string{partitionsKey: "0"}, "Invalid SchemaSourceTask configuration: partition.count must not be 0"},
		{kafka, map[string]string{partitionsKey: "3000000000"}, `Invalid SchemaSourceTask configuration: partition.count: Not a number: "3000000000"`},
		{kafka, map[string]string{idKey: "x"}, `Invalid SchemaSourceTask configuration: id: Not a number: "x"`},
		{kafka, map[string]string{partitionsKey: "-3"}, ""},
	} {
		_, err := start(t, one.class, nil, one.config)
		if one.want == "" {
			require.NoError(t, err, one.config)
		} else {
			require.EqualError(t, err, one.want)
		}
	}
	for _, p := range Plugins("1", nil) {
		require.Empty(t, p.Def.Keys, "no value is judged before")
		c := p.NewConnector()
		_, judges := c.(connector.Validator)
		require.False(t, judges)
		_, promises := c.(connector.ExactlyOnce)
		require.False(t, promises, "it gives no answer")
	}
	_, err := start(t, kafka, data.MapOf(seqnoField, "7"), nil)
	require.ErrorContains(t, err, "seqno")
}

func TestCase_11_only_the_storage_flavour_can_be_quiet(t *testing.T) {
	t.Parallel()
	for class, lines := range map[string]string{storage: "", kafka: "{\"task\": 0, \"seqno\": 0}\n", hdfs: "{\"task\": 0, \"seqno\": 0}\n"} {
		r := started(t, class, nil, map[string]string{stdoutKey: "false"})
		r.take(t, 1)
		require.Equal(t, lines, r.out.String(), class)
	}
}

func TestCase_12_struct_keys_and_headers(t *testing.T) {
	t.Parallel()
	config := map[string]string{complexKey: "true"}
	one := started(t, storage, nil, config).take(t, 1)[0]
	require.Equal(t, "complexkeyschema", one.KeySchema.Name())
	_, numbered := one.KeySchema.Version()
	require.False(t, numbered)
	require.Equal(t, "Struct{boolean=false,long=8,float=8.8,string=complex-key-struct}", data.Text(one.Key))
	require.NoError(t, one.Key.(*data.Struct).Validate())
	f, _ := one.KeySchema.Field("string")
	require.Equal(t, "key", f.Schema.Default())
	require.Equal(t, complexHeaders, one.Headers)
	require.NotSame(t, &complexHeaders[0], &one.Headers[0], "what one record's headers become is its own matter")
	for _, class := range []string{kafka, hdfs} {
		one := started(t, class, nil, config).take(t, 1)[0]
		require.Equal(t, "key", one.Key, class)
	}
}

func TestCase_20_goes_on_behind_the_offset_that_was_set(t *testing.T) {
	t.Parallel()
	one := started(t, kafka, data.MapOf(seqnoField, int64(99)), nil).take(t, 1)[0]
	require.EqualValues(t, 100, field(t, one, "seqno"))
}

func TestStart_says_where_it_resumes(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	config := map[string]string{nameKey: "my", idKey: "3", topicKey: "top", messagesKey: "1", throughputKey: "-1"}
	before := maps.Clone(config)
	task := Plugins("1", &bytes.Buffer{})[0].NewSourceTask()
	require.NoError(t, task.Start(t.Context(), taskContext{config: config, offset: data.MapOf(seqnoField, int64(41)), log: slog.New(slog.NewTextHandler(&log, nil))}))
	require.Contains(t, log.String(), `level=INFO msg="Started SchemaSourceTask my-3 producing to topic top resuming from seqno 42"`)
	require.Equal(t, before, config)
}
