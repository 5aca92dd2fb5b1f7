package transforms

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

var hoistFieldDef = &config.Def{Keys: []config.Key{
	required("field", config.String, config.Medium, "Name of the one field of the new struct or map."),
}}

// hoistField wraps the whole in a struct or map with one field.
type hoistField struct {
	base
	field   string
	schemas cache[*data.Schema]
}

func (h *hoistField) Configure(props map[string]string) error {
	v, err := parse(hoistFieldDef, props)
	h.field, h.schemas = v.String("field"), cache[*data.Schema]{}
	return err
}

func (h *hoistField) Apply(r *transform.Record) (bool, error) {
	s, v := h.operand(r)
	if s == nil {
		r.Share() // v is now inside another
		out := data.MapOf(h.field, v)
		r.Made(out)
		h.update(r, nil, out)
		return true, nil
	}
	schema, ok := h.schemas.get(s)
	if !ok {
		var err error
		if schema, err = data.Build(data.StructType, data.Fields(data.Field{Name: h.field, Schema: s})); err != nil {
			return false, err
		}
		h.schemas.put(s, schema)
	}
	out := data.NewStruct(schema)
	if st, ok := v.(*data.Struct); ok && st.Schema() == s && complete(st) { // most values, and the look at all of it costs
		out.SetAt(0, v)
	} else if err := out.SetIndex(0, v); err != nil {
		return false, err
	}
	h.update(r, schema, out)
	return true, nil
}

// complete tells whether all fields that are required are set.
func complete(st *data.Struct) bool {
	for i, f := range st.Schema().Fields() {
		switch v := st.Raw(i).(type) {
		case nil:
			if !f.Schema.Optional() && f.Schema.Default() == nil {
				return false
			}
		case *data.Struct:
			if v.Schema() != f.Schema || !complete(v) {
				return false
			}
		}
	}
	return true
}
