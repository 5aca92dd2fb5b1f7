package transforms

import (
	"math/big"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
	"github.com/millrace/millrace/sdk/values"
)

const maskFields = "mask fields"

var maskFieldDef = &config.Def{Keys: []config.Key{
	required("fields", config.List, config.High, "Names of the fields to mask.", config.Some()),
	key("replacement", config.String, config.Low, "What takes the place of texts and numbers; without it, a null value of the type does.", config.NonEmpty()),
	nullsKey(),
}}

// maskField replaces fields by values that tell nothing.
type maskField struct {
	base
	fields      map[string]bool
	names       []string
	custom      bool
	replacement string
	schemas     cache[[]bool] // of each field, whether it is masked
	done        []any         // values that were masked
}

func (m *maskField) Configure(props map[string]string) error {
	v, err := parse(maskFieldDef, props)
	if err != nil {
		return err
	}
	m.defaults, m.names, m.fields, m.schemas = v.Bool(nullsName), v.List("fields"), map[string]bool{}, cache[[]bool]{}
	m.custom, m.replacement = v.Has("replacement"), v.String("replacement")
	for _, name := range m.names {
		m.fields[name] = true
	}
	return nil
}

func (m *maskField) Apply(r *transform.Record) (bool, error) {
	s, v := m.operand(r)
	if s == nil {
		return true, m.schemaless(r, v)
	}
	st, err := requireStruct(s, v, maskFields)
	if err != nil {
		return false, err
	}
	masked, ok := m.schemas.get(s)
	if !ok {
		for _, f := range s.Fields() {
			masked = append(masked, m.fields[f.Name])
		}
		m.schemas.put(s, masked)
	}
	out := data.NewStruct(st.Schema())
	for i := range masked {
		v := m.read(st, i)
		if masked[i] {
			if v, err = m.mask(v); err != nil {
				return false, err
			}
		}
		if err := put(out, i, v); err != nil {
			return false, err
		}
	}
	m.update(r, s, out)
	return true, nil
}

func (m *maskField) schemaless(r *transform.Record, v any) error {
	in, err := requireMap(v, maskFields)
	if err != nil {
		return err
	}
	done := m.done[:0] // before anything changes: a later one may fail
	for _, name := range m.names {
		v, _ := in.Get(name)
		if v, err = m.mask(v); err != nil {
			return err
		}
		done = append(done, v)
	}
	out := r.Mutable(in)
	for i, name := range m.names {
		out.Set(name, done[i])
	}
	clear(done)
	m.done = done
	m.update(r, nil, out)
	return nil
}

func (m *maskField) mask(v any) (any, error) {
	switch {
	case v == nil:
		return nil, nil
	case m.custom:
		return m.replaced(v)
	}
	switch v.(type) {
	case bool:
		return false, nil
	case int8:
		return int8(0), nil
	case int16:
		return int16(0), nil
	case int32:
		return int32(0), nil
	case int64:
		return int64(0), nil
	case float32:
		return float32(0), nil
	case float64:
		return float64(0), nil
	case string:
		return "", nil
	case data.Decimal:
		return data.Decimal{}, nil
	case *big.Int:
		return new(big.Int), nil
	case data.Instant:
		return data.Instant(0), nil
	case []any:
		return []any{}, nil
	case *data.Map:
		return data.NewMap(0), nil
	}
	return nil, dataError("Cannot mask value of type: class %s", data.ClassOf(v))
}

// replaced is the replacement as a value of the type of v.
func (m *maskField) replaced(v any) (any, error) {
	switch v.(type) {
	case string:
		return m.replacement, nil
	case int8:
		return values.Convert(data.Int8Schema, nil, m.replacement)
	case int16:
		return values.Convert(data.Int16Schema, nil, m.replacement)
	case int32:
		return values.Convert(data.Int32Schema, nil, m.replacement)
	case int64:
		return values.Convert(data.Int64Schema, nil, m.replacement)
	case float32:
		return values.Convert(data.Float32Schema, nil, m.replacement)
	case float64:
		return values.Convert(data.Float64Schema, nil, m.replacement)
	case data.Decimal:
		d, err := data.ParseDecimal(m.replacement)
		return d, m.noNumber(err)
	case *big.Int:
		if n, ok := new(big.Int).SetString(data.ASCIIDigits(m.replacement), 10); ok {
			return n, nil
		}
		return nil, m.noNumber(noNumber(m.replacement))
	}
	return nil, dataError("Cannot mask value of type class %s with custom replacement.", data.ClassOf(v))
}

func (m *maskField) noNumber(err error) error {
	if err == nil {
		return nil
	}
	return connecterr.Wrap(connecterr.Data, err, "Unable to convert %s (class java.lang.String) to number", m.replacement)
}
