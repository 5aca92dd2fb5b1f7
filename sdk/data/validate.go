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
func (s *Schema) Validate(v any) error { return validate(s, v, func() string { return "value" }) }

func fieldNamed(name string) string { return `field: "` + name + `"` }

// validate checks a value; where is asked only for a message.
func validate(s *Schema, v any, where func() string) error {
	if v == nil {
		if s.optional {
			return nil
		}
		return bad("Invalid value: null used for required %s, schema type: %s", where(), s.typ)
	}
	switch s.logical {
	case LogicalDecimal:
		if _, ok := v.(Decimal); ok {
			return nil
		}
		return s.invalid(v, where)
	case LogicalDate, LogicalTime, LogicalTimestamp:
		if _, ok := v.(Instant); ok {
			return nil
		}
		return s.invalid(v, where)
	case NotLogical:
	}
	if TypeOf(v) != s.typ {
		return s.invalid(v, where)
	}
	switch v := v.(type) {
	case []any:
		if s.value == nil {
			return bad("No schema defined for element of array %s", where())
		}
		for _, e := range v {
			if err := validate(s.value, e, func() string { return "element of array " + where() }); err != nil {
				return err
			}
		}
	case *Map:
		return s.validateMap(v, where)
	case *Struct:
		if !v.schema.Equal(s) {
			return bad("Struct schemas do not match.")
		}
		return v.Validate()
	}
	return nil
}

func (s *Schema) validateMap(m *Map, where func() string) error {
	for k, v := range m.All() {
		if s.key == nil {
			return bad("No schema defined for key of map %s", where())
		}
		if err := validate(s.key, k, func() string { return "key of map " + where() }); err != nil {
			return err
		}
		if s.value == nil {
			return bad("No schema defined for value of map %s", where())
		}
		if err := validate(s.value, v, func() string { return "value of map " + where() }); err != nil {
			return err
		}
	}
	return nil
}

func (s *Schema) invalid(v any, where func() string) error {
	name := ""
	if s.name != nil {
		name = ` "` + *s.name + `"`
	}
	return bad("Invalid Java object for schema%s with type %s: class %s for %s", name, s.typ, ClassOf(v), where())
}
