package protobuf

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// FuzzProtobuf_reads: any schema and any bytes are read or refused as bad data; what is read is what Go's implementation reads, as
// far as that refuses nothing; and it can be written, and reads as the same again.
func FuzzProtobuf_reads(f *testing.F) {
	for _, seed := range []struct{ schema, message string }{
		{"syntax = \"proto3\"; message A { int32 a = 1; repeated string b = 2; }", "\x08\x05\x12\x01x"},
		{"syntax = \"proto3\"; message A { map<string, A2> m = 1; oneof o { int64 x = 2; A2 y = 3; } } message A2 { double d = 1; }", "\x0a\x05\x0a\x01k\x12\x00\x1a\x00\x10\x01"},
		{"message A { required bool a = 1; optional E e = 2 [default = Y]; enum E { X = 1; Y = 2; } repeated sint32 r = 3 [packed = true]; }", "\x08\x01\x1a\x02\x01\x02"},
		{"syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; import \"confluent/type/decimal.proto\"; import \"google/type/date.proto\"; message A { google.protobuf.Timestamp t = 1; confluent.type.Decimal d = 2; google.type.Date day = 3; }", "\x0a\x02\x08\x01\x12\x03\x0a\x01\x05"},
		{"syntax = \"proto3\"; import \"google/protobuf/wrappers.proto\"; message A { google.protobuf.Int32Value v = 1; optional fixed64 f = 2; }", "\x0a\x02\x08\x07"},
		{"syntax = \"proto3\"; message A { A a = 1; }", "\x0a\x00"},
		{"syntax = \"proto3\"; message A { message B { message C { bytes b = 1; } C c = 1; } B b = 1; }", "\x0a\x04\x0a\x02\x0a\x00"},
		{wrappersText, "\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"},
		{"CgRhLnByb3RvIggKAUESAwoBYQ==", ""},
	} {
		f.Add(seed.schema, []byte(seed.message), uint16(1))
	}
	f.Fuzz(func(t *testing.T, text string, message []byte, options uint16) {
		on := func(i int) bool { return options>>i&1 == 1 }
		r := rules{enhanced: on(0), sums: on(1), index: on(2), flatten: on(3), structs: on(4), intEnums: on(5), optionals: on(6), proto2: on(7), wrap: on(8), wrapRaw: on(9)}
		file, err := compile(text, nil)
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		m, err := at(file, []int{0})
		if err != nil {
			return
		}
		plan, err := r.read(m, 1)
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		v, err := (&input{}).value(plan, message)
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		require.NoError(t, proto.Unmarshal(message, dynamicpb.NewMessage(m)), "what is read is a message")
		again := roundTrip(t, r, plan.schema(), v)
		if again != nil {
			roundTrip(t, r, again.Schema, again.Value)
		}
	})
}

// roundTrip writes a value and reads it; nil where it can't be written, such as two enums with one symbol.
func roundTrip(t *testing.T, r rules, s *data.Schema, v any) *data.SchemaAndValue {
	c := &Converter{}
	require.NoError(t, c.Configure(map[string]string{"schema.registry.url": "mock://fuzz"}, converter.ForValue))
	defer c.Close()
	c.rules = r
	b, err := c.FromConnect("t", s, v)
	if err != nil {
		require.True(t, connecterr.IsData(err), "%v", err)
		return nil
	}
	if b == nil {
		require.Nil(t, v)
		return nil
	}
	theirs(t, c, s, b)
	back, err := c.ToConnect("t", b)
	require.NoError(t, err)
	return &back
}

// FuzzProtobuf_messages: any bytes as messages of topics whose schemas are known.
func FuzzProtobuf_messages(f *testing.F) {
	c := &Converter{}
	require.NoError(f, c.Configure(map[string]string{"schema.registry.url": "mock://fuzz-messages"}, converter.ForValue))
	for _, sv := range []data.SchemaAndValue{{Schema: data.StringSchema, Value: "x"}, {Schema: everything, Value: everyValue(f)}, {Schema: data.DateSchema(), Value: data.Instant(data.Day)}} {
		b, err := c.FromConnect("t", sv.Schema, sv.Value)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add(append(registry.AppendHeader(nil, 1), 4, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		sv, err := c.ToConnect("t", b)
		if err != nil {
			require.True(t, connecterr.IsData(err), "%v", err)
			return
		}
		if sv.Value != nil {
			if _, err = c.FromConnect("t", sv.Schema, sv.Value); err != nil {
				require.True(t, connecterr.IsData(err), "%v", err)
			}
		}
	})
}
