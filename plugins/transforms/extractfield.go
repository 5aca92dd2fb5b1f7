package transforms

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

const fieldExtraction = "field extraction"

var extractFieldDef = &config.Def{Keys: []config.Key{
	required("field", config.String, config.Medium, "Name of the field, or the path to it; see field.syntax.version."),
	nullsKey(), syntaxKey(),
}}

// extractField puts one field in the place of the whole.
type extractField struct {
	base
	path    fieldPath
	schemas cache[found]
}

func (e *extractField) Configure(props map[string]string) error {
	v, err := parse(extractFieldDef, props)
	if err != nil {
		return err
	}
	e.defaults, e.schemas = v.Bool(nullsName), cache[found]{}
	e.path, err = newFieldPath(v.String("field"), v.String(syntaxName))
	return err
}

func (e *extractField) Apply(r *transform.Record) (bool, error) {
	s, v := e.operand(r)
	if s == nil {
		if v == nil {
			return true, nil
		}
		m, err := requireMap(v, fieldExtraction)
		if err != nil {
			return false, err
		}
		if v, err = e.path.valueIn(m); err == nil {
			e.update(r, nil, v)
		}
		return true, err
	}
	var st *data.Struct
	var err error
	if v != nil {
		if st, err = requireStruct(s, v, fieldExtraction); err != nil {
			return false, err
		}
	}
	at, ok := e.schemas.get(s)
	if !ok {
		if at, ok, err = e.path.in(s); err != nil {
			return false, err
		}
		if !ok {
			return false, illegalArgument("Unknown field: %s", e.path.text)
		}
		e.schemas.put(s, at)
	}
	v = nil
	if st != nil {
		if v, err = at.value(&e.base, st); err != nil {
			return false, err
		}
	}
	e.update(r, at.schema, v)
	return true, nil
}
