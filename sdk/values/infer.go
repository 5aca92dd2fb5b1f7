package values

import "github.com/millrace/millrace/sdk/data"

var primitive = map[data.Type]*data.Schema{
	data.Int8: data.Int8Schema, data.Int16: data.Int16Schema, data.Int32: data.Int32Schema, data.Int64: data.Int64Schema,
	data.Float32: data.Float32Schema, data.Float64: data.Float64Schema, data.Boolean: data.BooleanSchema, data.String: data.StringSchema,
	data.Bytes: data.BytesSchema,
}

// Infer finds the schema of a value; nil when it has none: a Decimal, an Instant, an empty list or map, or one whose elements
// differ. Inside a list or map only the types of elements are looked at.
func Infer(v any) (*data.Schema, error) {
	switch v := v.(type) {
	case []any:
		var elements detector
		for _, e := range v {
			if ok, err := elements.fits(e); !ok {
				return nil, err
			}
		}
		if len(v) == 0 {
			return nil, nil
		}
		of, err := elements.schema()
		if err != nil {
			return nil, err
		}
		return data.ArrayOf(of), nil
	case *data.Map:
		var keys, vals detector
		for k, e := range v.All() {
			if ok, err := keys.fits(k); !ok {
				return nil, err
			}
			if ok, err := vals.fits(e); !ok {
				return nil, err
			}
		}
		if v.Len() == 0 {
			return nil, nil
		}
		key, err := keys.schema()
		if err != nil {
			return nil, err
		}
		of, err := vals.schema()
		if err != nil {
			return nil, err
		}
		return data.MapSchema(key, of), nil
	case *data.Struct:
		return v.Schema(), nil
	}
	return primitive[data.TypeOf(v)], nil
}

// detector finds the type that elements have in common.
type detector struct {
	known    data.Type
	optional bool
}

func (d *detector) fits(v any) (bool, error) {
	if v == nil {
		d.optional = true
		return true, nil
	}
	s, err := Infer(v)
	if s == nil || d.known != 0 && d.known != s.Type() {
		return false, err
	}
	d.known = s.Type()
	return true, nil
}

func (d *detector) schema() (*data.Schema, error) {
	if d.optional {
		return data.Build(d.known, data.Optional())
	}
	return data.Build(d.known)
}
