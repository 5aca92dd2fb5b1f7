package transforms

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

// base is what the transformations with a variant for keys and one for values share.
type base struct {
	key      bool // it works on keys
	defaults bool // a field's default takes the place of null
}

// Close has nothing to release.
func (*base) Close() error { return nil }

// Careful implements transform.Careful.
func (*base) Careful() {}

// operand is the part of the record that the transformation works on.
func (b *base) operand(r *transform.Record) (*data.Schema, any) {
	if b.key {
		return r.KeySchema, r.Key
	}
	return r.ValueSchema, r.Value
}

func (b *base) update(r *transform.Record, s *data.Schema, v any) {
	if b.key {
		r.KeySchema, r.Key = s, v
	} else {
		r.ValueSchema, r.Value = s, v
	}
}

// read is a field's value, by its index.
func (b *base) read(st *data.Struct, i int) any {
	if b.defaults {
		return st.At(i)
	}
	return st.Raw(i)
}

// put sets a field to a value that comes from a field of the same schema, or was checked: only null needs a look.
func put(st *data.Struct, i int, v any) error {
	if v == nil && !st.Schema().Fields()[i].Schema.Optional() {
		return st.SetIndex(i, nil)
	}
	st.SetAt(i, v)
	return nil
}

// nullsKey is the key that many transformations share.
const nullsName = "replace.null.with.default"

func nullsKey() config.Key {
	return optional(nullsName, config.Boolean, "true", config.Medium, "Whether a field that is null counts as its schema's default, where there is one.")
}

func key(name string, t config.Type, importance config.Importance, doc string, rules ...config.Rule) config.Key {
	return config.Key{Name: name, Type: t, Importance: importance, Doc: doc, Order: -1, Width: config.WidthNone, DisplayName: name, Validators: rules}
}

func required(name string, t config.Type, importance config.Importance, doc string, rules ...config.Rule) config.Key {
	k := key(name, t, importance, doc, rules...)
	k.Required = true
	return k
}

func optional(name string, t config.Type, def string, importance config.Importance, doc string, rules ...config.Rule) config.Key {
	k := key(name, t, importance, doc, rules...)
	k.Default = &def
	return k
}

// parse reads a configuration by its definition; the first problem is the error.
func parse(def *config.Def, props map[string]string) (config.Values, error) {
	v, problems := def.Parse(props)
	if len(problems) > 0 {
		return nil, configError("%s", problems[0].Message)
	}
	return v, nil
}

func configError(format string, args ...any) error {
	return connecterr.New(connecterr.Config, format, args...)
}

func dataError(format string, args ...any) error {
	return connecterr.New(connecterr.Data, format, args...)
}

// illegalArgument is an error that shows as Java's IllegalArgumentException.
func illegalArgument(format string, args ...any) error {
	return connecterr.New(connecterr.General, format, args...).WithClass("java.lang.IllegalArgumentException")
}

func requireSchema(s *data.Schema, purpose string) error {
	if s == nil {
		return dataError("Schema required for [%s]", purpose)
	}
	return nil
}

func requireMap(v any, purpose string) (*data.Map, error) {
	if m, ok := v.(*data.Map); ok {
		return m, nil
	}
	return nil, dataError("Only Map objects supported in absence of schema for [%s], found: %s", purpose, foundClass(v))
}

// requireStruct wants a struct of a schema.
func requireStruct(s *data.Schema, v any, purpose string) (*data.Struct, error) {
	st, ok := v.(*data.Struct)
	if !ok {
		return nil, dataError("Only Struct objects supported for [%s], found: %s", purpose, foundClass(v))
	}
	if st.Schema() != s && !st.Schema().Equal(s) {
		return nil, dataError("Struct schemas do not match.")
	}
	return st, nil
}

func foundClass(v any) string {
	if v == nil {
		return "null"
	}
	return data.ClassOf(v)
}

// fieldName is a key of a schemaless map, which must be a text where names are compared or joined.
func fieldName(key any) (string, error) {
	name, ok := key.(string)
	if !ok {
		return "", dataError("class %s cannot be the name of a field: only texts can", foundClass(key)).(*connecterr.Error).WithClass("java.lang.ClassCastException") //nolint:errorlint // made here
	}
	return name, nil
}
