package protobuf

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/conformance/convertertest"
)

// theirs reads a message with Go's implementation of Protobuf, by the same text, and writes it again.
func theirs(t require.TestingT, c *Converter, s *data.Schema, b []byte) (proto.Message, []byte) {
	text, name, err := c.own(s)
	require.NoError(t, err)
	file, err := compile(text, nil)
	require.NoError(t, err, text)
	which, size, err := indexes(b[registry.HeaderSize:])
	require.NoError(t, err)
	m, err := at(file, which)
	require.NoError(t, err, text)
	require.Equal(t, protoreflect.FullName(name), m.FullName())
	dynamic := dynamicpb.NewMessage(m)
	require.NoError(t, proto.Unmarshal(b[registry.HeaderSize+size:], dynamic), text)
	require.Empty(t, dynamic.GetUnknown())
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(dynamic)
	require.NoError(t, err)
	return dynamic, append(b[:registry.HeaderSize+size:registry.HeaderSize+size], again...)
}

// Whatever is written is read as the same, and another implementation of Protobuf reads the same bytes by the same schema and
// writes them again.
func TestProtobuf_property_round_trip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		props := map[string]string{}
		nullable := rapid.SampledFrom([]string{"", "optional.for.nullables", "wrapper.for.nullables"}).Draw(rt, "nullables")
		if nullable != "" {
			props[nullable] = "true"
		}
		c := with(t, fmt.Sprint(rapid.Uint64().Draw(rt, "registry")), props)
		g := &gen{T: rt, nulls: nullable != ""}
		s := g.structOf(3)
		v := g.value(s)
		b, err := c.FromConnect("t", s, v)
		require.NoError(rt, err)
		back, err := c.ToConnect("t", b)
		require.NoError(rt, err)
		require.Equal(rt, data.Text(v), data.Text(back.Value))
		_, again := theirs(rt, c, s, b)
		require.Equal(rt, b, again)
		if nullable == "wrapper.for.nullables" { // elements of lists are optional when they come back, and would be wrappers
			return
		}
		// What was read has the numbers of its fields with it, and is written as the same bytes.
		third, err := c.FromConnect("t", back.Schema, back.Value)
		require.NoError(rt, err)
		_, n, err := indexes(b[registry.HeaderSize:])
		require.NoError(rt, err)
		require.Equal(rt, b[registry.HeaderSize+n:], third[registry.HeaderSize+n:])
	})
}

// gen draws schemas that Protobuf has, and values of them.
type gen struct {
	*rapid.T
	nulls bool // optional values may be null; else they would come back as zeros
	names int
}

func (g *gen) schema(depth int, inList bool) *data.Schema {
	var opts []data.Option
	if rapid.Bool().Draw(g.T, "optional") {
		opts = append(opts, data.Optional())
	}
	most := 12
	if depth > 0 {
		most = 13
		if !inList {
			most = 16
		}
	}
	switch n := rapid.IntRange(0, most).Draw(g.T, "type"); n {
	case 0:
		return data.DecimalSchema(int32(rapid.IntRange(0, 6).Draw(g.T, "scale")), opts...)
	case 1:
		return data.DateSchema(opts...)
	case 2:
		return data.TimeSchema(opts...)
	case 3:
		return data.TimestampSchema(opts...)
	case 13:
		return g.structOf(depth-1, opts...)
	case 14:
		return data.ArrayOf(g.schema(depth-1, true), opts...)
	case 15:
		return data.MapSchema(data.NewSchema(rapid.SampledFrom([]data.Type{data.String, data.Int32, data.Int64, data.Boolean}).Draw(g.T, "keys")), g.schema(depth-1, true), opts...)
	case 16:
		return data.NewSchema(data.Int64, append(opts, data.Param(paramType, rapid.SampledFrom([]string{"sint64", "sfixed64", "uint64", "fixed64"}).Draw(g.T, "kind")))...)
	default:
		types := []data.Type{data.Int8, data.Int16, data.Int32, data.Int64, data.Float32, data.Float64, data.Boolean, data.String, data.Bytes}
		return data.NewSchema(types[n-4], opts...)
	}
}

func (g *gen) structOf(depth int, opts ...data.Option) *data.Schema {
	fields := make([]data.Field, rapid.IntRange(0, 4).Draw(g.T, "fields"))
	for i := range fields {
		fields[i] = data.Field{Name: fmt.Sprintf("f%d", i), Schema: g.schema(depth, false)}
	}
	g.names++
	return data.StructOf(fields, append(opts, data.Name(fmt.Sprintf("ns.N%d", g.names)))...)
}

func (g *gen) value(s *data.Schema) any {
	isMap := s.Type() == data.MapType || s.Type() == data.Array
	message := s.Type() == data.StructType || s.Logical() != data.NotLogical
	if s.Optional() && !isMap && (g.nulls || message) && rapid.IntRange(0, 2).Draw(g.T, "null") == 0 {
		return nil
	}
	return g.some(s)
}

func (g *gen) some(s *data.Schema) any {
	switch {
	case s.Logical() == data.LogicalDate:
		return data.Instant(rapid.Int64Range(-719_000, 100_000).Draw(g.T, "day") * data.Day)
	case s.Type() == data.Array:
		list := make([]any, rapid.IntRange(0, 3).Draw(g.T, "len"))
		for i := range list {
			list[i] = g.some(s.ValueSchema())
		}
		return list
	case s.Type() == data.MapType:
		m := data.NewMap(1)
		if rapid.Bool().Draw(g.T, "entry") {
			m.Set(g.some(s.KeySchema()), g.some(s.ValueSchema()))
		}
		return m
	case s.Type() == data.StructType:
		st := data.NewStruct(s)
		for i, f := range s.Fields() {
			st.SetAt(i, g.value(f.Schema))
		}
		return st
	}
	return convertertest.DrawScalar(g.T, s)
}
