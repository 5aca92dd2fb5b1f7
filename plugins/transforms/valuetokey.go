package transforms

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

const copyingToKey = "copying fields from value to key"

var valueToKeyDef = &config.Def{Keys: []config.Key{
	required("fields", config.List, config.High, "Fields of the value that the new key consists of, by name or path; see field.syntax.version.", config.Some()),
	nullsKey(), syntaxKey(),
}}

// valueToKey makes a new key of fields of the value.
type valueToKey struct {
	base
	paths   []fieldPath
	schemas cache[*keyPlan]
}

// keyPlan is the key's schema, and where each of its fields is in the value.
type keyPlan struct {
	schema *data.Schema
	from   []found
}

func (k *valueToKey) Configure(props map[string]string) error {
	v, err := parse(valueToKeyDef, props)
	if err != nil {
		return err
	}
	k.defaults, k.paths, k.schemas = v.Bool(nullsName), nil, cache[*keyPlan]{}
	for _, field := range v.List("fields") {
		path, err := newFieldPath(field, v.String(syntaxName))
		if err != nil {
			return err
		}
		k.paths = append(k.paths, path)
	}
	return nil
}

func (k *valueToKey) Apply(r *transform.Record) (bool, error) {
	if r.ValueSchema == nil {
		m, err := requireMap(r.Value, copyingToKey)
		if err != nil {
			return false, err
		}
		out := data.NewMap(len(k.paths))
		for i := range k.paths {
			v, err := k.paths[i].valueIn(m)
			if err != nil {
				return false, err
			}
			out.Set(k.paths[i].text, v)
		}
		r.Made(out)
		r.KeySchema, r.Key = nil, out
		return true, nil
	}
	st, err := requireStruct(r.ValueSchema, r.Value, copyingToKey)
	if err != nil {
		return false, err
	}
	plan, err := k.plan(r.ValueSchema)
	if err != nil {
		return false, err
	}
	out := data.NewStruct(plan.schema)
	for i := range plan.from {
		v, err := plan.from[i].value(&k.base, st)
		if err == nil {
			err = put(out, i, v)
		}
		if err != nil {
			return false, err
		}
	}
	r.KeySchema, r.Key = plan.schema, out
	return true, nil
}

func (k *valueToKey) plan(s *data.Schema) (*keyPlan, error) {
	if plan, ok := k.schemas.get(s); ok {
		return plan, nil
	}
	plan := &keyPlan{}
	fields := make([]data.Field, len(k.paths))
	for i := range k.paths {
		at, ok, err := k.paths[i].in(s)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, dataError("Field does not exist: %s", k.paths[i].text)
		}
		fields[i] = data.Field{Name: k.paths[i].text, Schema: at.schema}
		plan.from = append(plan.from, at)
	}
	var err error
	if plan.schema, err = data.Build(data.StructType, data.Fields(fields...)); err != nil {
		return nil, err
	}
	k.schemas.put(s, plan)
	return plan, nil
}
