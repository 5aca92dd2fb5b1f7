package avro

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// FuzzAvro_reads: any schema and any bytes are read or refused as bad data; and what is read can be written, and reads as the
// same again.
func FuzzAvro_reads(f *testing.F) {
	for _, seed := range []struct{ schema, message string }{
		{`"string"`, "\x04ab"}, {`"bytes"`, "abc"}, {`["null","long"]`, "\x02\x04"}, {anythingText, "\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00"},
		{`{"type":"record","name":"R","namespace":"n","doc":"d","fields":[{"name":"a","type":{"type":"array","items":["null",{"type":"enum","name":"E","symbols":["A","B"]}]}},{"name":"m","type":{"type":"map","values":"double"},"default":{"x":1}}]}`, "\x04\x02\x00\x00\x00\x00"},
		{`{"type":"bytes","logicalType":"decimal","precision":9,"scale":1}`, "\x01"},
		{`{"type":"fixed","name":"F","size":2,"connect.name":"F"}`, "ab"},
		{`["int","string",{"type":"record","name":"In","fields":[]}]`, "\x04"},
		{`{"type":"array","items":{"type":"record","name":"MapEntry","namespace":"io.confluent.connect.avro","fields":[{"name":"key","type":"int"},{"name":"value","type":"string"}]}}`, "\x02\x02\x02x\x00"},
		{`{"type":"int","logicalType":"time-millis","connect.default":3,"connect.parameters":{"a":"b"},"connect.version":2,"connect.doc":"x"}`, "\x02"},
		{`{"type":"array","items":{"type":"record","name":"E","fields":[]}}`, "\xfe\xff\xff\xff\x0f"},
		{`{"type":"record","name":"A","fields":[{"name":"a","type":"A","default":{}}]}`, ""},
	} {
		f.Add(seed.schema, []byte(seed.message), false)
	}
	f.Fuzz(func(t *testing.T, text string, message []byte, sums bool) {
		s, err := Parse(text)
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		printed := s.String()
		again, err := Parse(printed)
		require.NoError(t, err, printed)
		require.Equal(t, printed, again.String())
		r := rules{meta: true, enhanced: sums, sums: sums, flatten: true}
		plan, err := r.read(s, 1)
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		v, err := plan.value(&input{message})
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		c := &Converter{}
		require.NoError(t, c.Configure(map[string]string{"schema.registry.url": "mock://fuzz", "enhanced.avro.schema.support": "true"}, converter.ForValue))
		defer c.Close()
		b, err := c.FromConnect("t", plan.conn, v)
		if err != nil { // such as two records of one name, which Avro has and the data model can't say
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		if b == nil {
			require.Nil(t, v)
			return
		}
		back, err := c.ToConnect("t", b)
		if err != nil { // such as names that the data model allows and Avro does not
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		if !sums && !hasUnion(plan.conn) && !data.Equal(v, v) { // a NaN is not itself
			return
		}
		third, err := c.FromConnect("t", back.Schema, back.Value)
		require.NoError(t, err)
		require.Equal(t, b[registry.HeaderSize:], third[registry.HeaderSize:], printed)
	})
}

func hasUnion(s *data.Schema) bool {
	if s == nil {
		return false
	}
	if isUnion(s) || hasUnion(s.KeySchema()) || hasUnion(s.ValueSchema()) {
		return true
	}
	for _, f := range s.Fields() {
		if hasUnion(f.Schema) {
			return true
		}
	}
	return false
}

// FuzzAvro_messages: any bytes as messages of topics whose schemas are known.
func FuzzAvro_messages(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 2})
	f.Add([]byte{0})
	f.Add([]byte{0, 0, 0, 0, 2, 1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80})
	c := &Converter{}
	require.NoError(f, c.Configure(map[string]string{"schema.registry.url": "mock://fuzz-messages"}, converter.ForValue))
	for _, sv := range []data.SchemaAndValue{{Schema: data.StringSchema, Value: "x"}, {Value: []any{int32(1), data.MapOf("a", 1.5)}}, {Schema: customer(), Value: structOf(f, customer(), int64(1), "n")},
		{Schema: data.ArrayOf(data.DecimalSchema(2)), Value: []any{data.NewDecimal(5, 2)}}, {Schema: data.MapSchema(data.BytesSchema, data.TimeSchema()), Value: data.MapOf([]byte{1}, data.Instant(5))}} {
		b, err := c.FromConnect("t", sv.Schema, sv.Value)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sv, err := c.ToConnect("t", b)
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		if sv.Value != nil {
			_, err = c.FromConnect("t", sv.Schema, sv.Value)
			require.NoError(t, err)
		}
	})
}
