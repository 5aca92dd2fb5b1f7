package data

import (
	"fmt"
	"math/big"
)

// TypeOf is the schema type that a value is of; 0 for a value that no schema without a name describes: a Decimal, an
// Instant, nil, or what is not of the data model.
func TypeOf(v any) Type {
	switch v.(type) {
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case float32:
		return Float32
	case float64:
		return Float64
	case bool:
		return Boolean
	case string:
		return String
	case []byte:
		return Bytes
	case []any:
		return Array
	case *Map:
		return MapType
	case *Struct:
		return StructType
	}
	return 0
}

var classes = [...]string{
	Int8: "java.lang.Byte", Int16: "java.lang.Short", Int32: "java.lang.Integer", Int64: "java.lang.Long", Float32: "java.lang.Float",
	Float64: "java.lang.Double", Boolean: "java.lang.Boolean", String: "java.lang.String", Bytes: "[B", Array: "java.util.ArrayList",
	MapType: "java.util.HashMap", StructType: "org.apache.kafka.connect.data.Struct",
}

// ClassOf is the Java class that messages name for a value; for one that is not of the data model, its Go type.
func ClassOf(v any) string {
	switch v.(type) {
	case Decimal:
		return "java.math.BigDecimal"
	case Instant:
		return "java.util.Date"
	case *big.Int:
		return "java.math.BigInteger"
	}
	if t := TypeOf(v); t != 0 {
		return classes[t]
	}
	return fmt.Sprintf("%T", v)
}

// Validate tells what is wrong with a value, nil for one that the schema describes. A default does not excuse a null.
func (s *Schema) Validate(v any) error { return s.check(v).at("value") }

// check is Validate for the value of a field.
func (f *Field) check(v any) error {
	if m := f.Schema.check(v); m != nil {
		return m.at(`field: "` + f.Name + `"`)
	}
	return nil
}

// misfit is what is wrong with a value: a message around the place where it is. The place is put together on the way out, so
// that what is right costs nothing.
type misfit struct {
	before, after string
	place         string
	err           error // instead of all that
}

func (m *misfit) at(place string) error {
	switch {
	case m == nil:
		return nil
	case m.err != nil:
		return m.err
	}
	return bad("%s%s%s%s", m.before, m.place, place, m.after)
}

// of says what the value is part of.
func (m *misfit) of(place string) *misfit {
	m.place += place
	return m
}

func (s *Schema) check(v any) *misfit {
	if v == nil {
		if s.optional {
			return nil
		}
		return &misfit{before: "Invalid value: null used for required ", after: ", schema type: " + s.typ.String()}
	}
	var ok bool
	switch s.logical {
	case LogicalDecimal:
		_, ok = v.(Decimal)
	case LogicalDate, LogicalTime, LogicalTimestamp:
		_, ok = v.(Instant)
	default:
		ok = TypeOf(v) == s.typ
	}
	if !ok {
		return s.invalid(v)
	}
	switch v := v.(type) {
	case []any:
		if s.value == nil {
			return &misfit{before: "No schema defined for element of array "}
		}
		for _, e := range v {
			if m := s.value.check(e); m != nil {
				return m.of("element of array ")
			}
		}
	case *Map:
		return s.checkMap(v)
	case *Struct:
		if !v.schema.Equal(s) {
			return &misfit{err: bad("Struct schemas do not match.")}
		}
		if err := v.Validate(); err != nil {
			return &misfit{err: err}
		}
	}
	return nil
}

func (s *Schema) checkMap(m *Map) *misfit {
	for k, v := range m.All() {
		if s.key == nil {
			return &misfit{before: "No schema defined for key of map "}
		}
		if m := s.key.check(k); m != nil {
			return m.of("key of map ")
		}
		if s.value == nil {
			return &misfit{before: "No schema defined for value of map "}
		}
		if m := s.value.check(v); m != nil {
			return m.of("value of map ")
		}
	}
	return nil
}

func (s *Schema) invalid(v any) *misfit {
	name := ""
	if s.name != nil {
		name = ` "` + *s.name + `"`
	}
	return &misfit{before: fmt.Sprintf("Invalid Java object for schema%s with type %s: class %s for ", name, s.typ, ClassOf(v))}
}
