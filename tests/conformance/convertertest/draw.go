package convertertest

import (
	"fmt"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/sdk/data"
)

// Draw draws the schema of a struct, nested up to a depth, with every type, and a value of it. Structs have names and version
// 3; maps have an entry at most, since other people's have no order.
func Draw(t *rapid.T, depth int) (*data.Schema, *data.Struct) {
	g := &gen{T: t}
	s := g.structOf(depth)
	return s, g.value(s).(*data.Struct)
}

// DrawScalar draws a value of a schema that is no list, map or struct.
func DrawScalar(t *rapid.T, s *data.Schema) any { return (&gen{T: t}).some(s) }

type gen struct {
	*rapid.T
	names int
}

func (g *gen) name() string {
	g.names++
	return fmt.Sprintf("ns%d.N%d", g.names%3, g.names)
}

func (g *gen) schema(depth int) *data.Schema {
	var opts []data.Option
	if rapid.Bool().Draw(g.T, "optional") {
		opts = append(opts, data.Optional())
	}
	if rapid.IntRange(0, 4).Draw(g.T, "doc") == 0 {
		opts = append(opts, data.Doc(rapid.StringN(0, 5, 20).Draw(g.T, "text")), data.Param("p", "v\"\\"))
	}
	most := 15
	if depth == 0 {
		most = 12
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
		return data.ArrayOf(g.schema(depth-1), opts...)
	case 14:
		if rapid.Bool().Draw(g.T, "text keys") {
			return data.MapSchema(data.StringSchema, g.schema(depth-1), opts...)
		}
		return data.MapSchema(data.Int32Schema, g.schema(depth-1), append(opts, data.Name(g.name()))...)
	case 15:
		return g.structOf(depth-1, opts...)
	default:
		types := []data.Type{data.Int8, data.Int16, data.Int32, data.Int64, data.Float32, data.Float64, data.Boolean, data.String, data.Bytes}
		return data.NewSchema(types[n-4], opts...)
	}
}

func (g *gen) structOf(depth int, opts ...data.Option) *data.Schema {
	fields := make([]data.Field, rapid.IntRange(0, 4).Draw(g.T, "fields"))
	for i := range fields {
		fields[i] = data.Field{Name: fmt.Sprintf("f%d", i), Schema: g.schema(depth)}
	}
	return data.StructOf(fields, append(opts, data.Name(g.name()), data.Version(3))...)
}

func (g *gen) value(s *data.Schema) any {
	if s.Optional() && rapid.IntRange(0, 2).Draw(g.T, "null") == 0 {
		return nil
	}
	return g.some(s)
}

func (g *gen) some(s *data.Schema) any {
	switch s.Logical() {
	case data.LogicalDecimal:
		scale, err := s.Scale()
		require.NoError(g.T, err)
		return data.NewDecimal(rapid.Int64().Draw(g.T, "unscaled"), scale)
	case data.LogicalDate:
		return data.Instant(rapid.Int64Range(-100_000, 100_000).Draw(g.T, "day") * data.Day)
	case data.LogicalTime:
		return data.Instant(rapid.Int64Range(0, data.Day-1).Draw(g.T, "time"))
	case data.LogicalTimestamp:
		return data.Instant(rapid.Int64Range(-1<<45, 1<<45).Draw(g.T, "timestamp"))
	default:
	}
	switch s.Type() {
	case data.Int8:
		return rapid.Int8().Draw(g.T, "int8")
	case data.Int16:
		return rapid.Int16().Draw(g.T, "int16")
	case data.Int32:
		return rapid.Int32().Draw(g.T, "int32")
	case data.Int64:
		return rapid.Int64().Draw(g.T, "int64")
	case data.Float32:
		return rapid.Float32().Draw(g.T, "float32") + 0 // JSON as Kafka Connect has it knows no -0
	case data.Float64:
		return rapid.Float64().Draw(g.T, "float64") + 0
	case data.Boolean:
		return rapid.Bool().Draw(g.T, "boolean")
	case data.String:
		return rapid.String().Draw(g.T, "string")
	case data.Bytes:
		return rapid.SliceOf(rapid.Byte()).Draw(g.T, "bytes")
	case data.Array:
		list := make([]any, rapid.IntRange(0, 3).Draw(g.T, "len"))
		for i := range list {
			list[i] = g.value(s.ValueSchema())
		}
		return list
	case data.MapType:
		m := data.NewMap(1)
		if rapid.Bool().Draw(g.T, "entry") {
			m.Set(g.value(s.KeySchema()), g.value(s.ValueSchema()))
		}
		return m
	default:
		st := data.NewStruct(s)
		for i, f := range s.Fields() {
			st.SetAt(i, g.value(f.Schema))
		}
		return st
	}
}
