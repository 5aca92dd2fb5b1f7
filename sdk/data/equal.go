package data

import (
	"bytes"
	"math"
	"reflect"
)

// Equal tells whether two values are the same: of one type, and equal all the way down. Maps compare without regard to order,
// structs with their schemas; NaN equals itself, 0.0 and -0.0 differ.
func Equal(a, b any) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case string:
		y, ok := b.(string)
		return ok && x == y
	case float32:
		y, ok := b.(float32)
		return ok && (math.Float32bits(x) == math.Float32bits(y) || x != x && y != y)
	case float64:
		y, ok := b.(float64)
		return ok && (math.Float64bits(x) == math.Float64bits(y) || x != x && y != y)
	case []byte:
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y)
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !Equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case *Map:
		y, ok := b.(*Map)
		if !ok || x.Len() != y.Len() {
			return false
		}
		for k, v := range x.All() {
			if w, has := y.Get(k); !has || !Equal(v, w) {
				return false
			}
		}
		return true
	case *Struct:
		y, ok := b.(*Struct)
		if !ok || x == nil || y == nil {
			return ok && x == y
		}
		return x.schema.Equal(y.schema) && Equal(x.values, y.values)
	case bool, int8, int16, int32, int64, Decimal, Instant:
		return a == b
	}
	return reflect.DeepEqual(a, b) // none of the data model
}
