package transforms

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

const castTypes = "cast types"

var castDef = &config.Def{Keys: []config.Key{
	required("spec", config.List, config.High, "Fields with the type that each is to have, as in count:int64,ok:boolean; or one type alone, for the whole. "+
		"Types are int8, int16, int32, int64, float32, float64, boolean and string.", config.CastList()),
	nullsKey(),
}}

// cast gives fields, or the whole, another type.
type cast struct {
	base
	whole   data.Type // 0: fields
	fields  []config.Cast
	types   map[string]data.Type
	schemas cache[*castPlan]
	done    []any // values that were cast
}

// castPlan is what becomes of a schema: of each field, the type that it is cast to, or 0.
type castPlan struct {
	schema *data.Schema
	types  []data.Type
}

func (c *cast) Configure(props map[string]string) error {
	v, err := parse(castDef, props)
	if err != nil {
		return err
	}
	casts, err := config.Casts(v.List("spec"))
	if err != nil {
		return configError("%s", err)
	}
	c.defaults, c.whole, c.fields, c.types, c.schemas = v.Bool(nullsName), 0, nil, map[string]data.Type{}, cache[*castPlan]{}
	if casts[0].Whole {
		c.whole = casts[0].Type
		return nil
	}
	for _, one := range casts {
		c.types[one.Field] = one.Type // the last counts
	}
	c.fields = casts
	return nil
}

func (c *cast) Apply(r *transform.Record) (bool, error) {
	s, v := c.operand(r)
	if v == nil {
		return true, nil
	}
	if s == nil {
		return true, c.schemaless(r, v)
	}
	plan, err := c.plan(s)
	if err != nil {
		return false, err
	}
	if c.whole != 0 {
		out, err := castValue(s, v, c.whole)
		if err == nil {
			c.update(r, plan.schema, out)
		}
		return true, err
	}
	st, err := requireStruct(s, v, castTypes)
	if err != nil {
		return false, err
	}
	out := data.NewStruct(plan.schema)
	for i, f := range s.Fields() {
		v := c.read(st, i)
		if to := plan.types[i]; to != 0 {
			if v, err = castValue(f.Schema, v, to); err != nil {
				return false, err
			}
		}
		if err := put(out, i, v); err != nil {
			return false, err
		}
	}
	c.update(r, plan.schema, out)
	return true, nil
}

func (c *cast) schemaless(r *transform.Record, v any) error {
	if c.whole != 0 {
		out, err := castValue(nil, v, c.whole)
		if err == nil {
			c.update(r, nil, out)
		}
		return err
	}
	m, err := requireMap(v, castTypes)
	if err != nil {
		return err
	}
	done := c.done[:0] // before anything changes: a later one may fail
	for _, one := range c.fields {
		field, _ := m.Get(one.Field)
		v, err := castValue(nil, field, c.types[one.Field])
		if err != nil {
			return err
		}
		done = append(done, v)
	}
	out := r.Mutable(m)
	for i, one := range c.fields {
		out.Set(one.Field, done[i])
	}
	clear(done)
	c.done = done
	c.update(r, nil, out)
	return nil
}

func (c *cast) plan(s *data.Schema) (*castPlan, error) {
	if plan, ok := c.schemas.get(s); ok {
		return plan, nil
	}
	plan := &castPlan{}
	opts, to := details(s), c.whole
	if to == 0 {
		to = data.StructType
		in, err := fieldsOf(s)
		if err != nil {
			return nil, err
		}
		fields := make([]data.Field, len(in))
		plan.types = make([]data.Type, len(in))
		for i, f := range in {
			fields[i], plan.types[i] = f, c.types[f.Name]
			if plan.types[i] == 0 {
				continue
			}
			if fields[i].Schema, err = castSchema(nil, f.Schema, plan.types[i]); err != nil {
				return nil, err
			}
		}
		opts = append(opts, data.Fields(fields...))
	}
	var err error
	if plan.schema, err = castSchema(opts, s, to); err != nil {
		return nil, err
	}
	c.schemas.put(s, plan)
	return plan, nil
}

// castSchema is the schema of a type that is optional and has a default as another one; the default is cast.
func castSchema(opts []data.Option, from *data.Schema, to data.Type) (*data.Schema, error) {
	if from.Optional() {
		opts = append(opts, data.Optional())
	}
	if d := from.Default(); d != nil {
		d, err := castValue(from, d, to)
		if err != nil {
			return nil, err
		}
		opts = append(opts, data.DefaultValue(d))
	}
	return data.Build(to, opts...)
}
