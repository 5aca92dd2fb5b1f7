package transforms

import (
	"slices"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/transform"
)

var headerFromDef = &config.Def{Keys: []config.Key{
	required("fields", config.List, config.High, "Names of the fields.", config.SomeList()),
	required("headers", config.List, config.High, "Keys of the headers that the fields become, in the same order.", config.SomeList()),
	required("operation", config.String, config.High, "move: fields are taken out of the record. copy: they stay.", config.OneOf("move", "copy")),
	nullsKey(),
}}

// headerFrom moves or copies fields to headers.
type headerFrom struct {
	base
	fields, headers []string
	move            bool
	purpose         string
	schemas         cache[*headerPlan]
}

// headerPlan is where the fields are in a schema, and, when they are moved, what is left: a schema, and its fields' indexes
// in the old one.
type headerPlan struct {
	moved  []int
	schema *data.Schema
	kept   []int
}

func (h *headerFrom) Configure(props map[string]string) error {
	v, err := parse(headerFromDef, props)
	if err != nil {
		return err
	}
	h.fields, h.headers, h.move = v.List("fields"), v.List("headers"), v.String("operation") == "move"
	h.defaults, h.schemas, h.purpose = v.Bool(nullsName), cache[*headerPlan]{}, "header "+v.String("operation")
	if len(h.fields) != len(h.headers) {
		return configError("'fields' config must have the same number of elements as 'headers' config.")
	}
	return nil
}

func (h *headerFrom) Apply(r *transform.Record) (bool, error) {
	s, v := h.operand(r)
	if s == nil {
		return true, h.schemaless(r, v)
	}
	st, err := requireStruct(s, v, h.purpose)
	if err != nil {
		return false, err
	}
	plan, err := h.plan(s)
	if err != nil {
		return false, err
	}
	all := h.room(r)
	for i, at := range plan.moved {
		one, err := header.New(h.headers[i], s.Fields()[at].Schema, h.read(st, at))
		if err != nil {
			return false, err
		}
		all = append(all, one)
	}
	if h.move {
		out := data.NewStruct(plan.schema)
		for i, at := range plan.kept {
			if err := put(out, i, h.read(st, at)); err != nil {
				return false, err
			}
		}
		h.update(r, plan.schema, out)
	}
	r.Headers = all
	return true, nil
}

// room is a copy of the headers with room for the new ones.
func (h *headerFrom) room(r *transform.Record) header.Headers {
	return append(make(header.Headers, 0, len(r.Headers)+len(h.headers)), r.Headers...)
}

func (h *headerFrom) schemaless(r *transform.Record, v any) error {
	m, err := requireMap(v, h.purpose)
	if err != nil {
		return err
	}
	all := h.room(r)
	for i, field := range h.fields {
		v, _ := m.Get(field)
		one, err := header.New(h.headers[i], nil, v)
		if err != nil {
			return err
		}
		all = append(all, one)
	}
	r.Headers = all
	if h.move {
		m = r.Mutable(m)
		for _, field := range h.fields {
			m.Delete(field)
		}
		h.update(r, nil, m)
	}
	return nil
}

func (h *headerFrom) plan(s *data.Schema) (*headerPlan, error) {
	if plan, ok := h.schemas.get(s); ok {
		return plan, nil
	}
	plan := &headerPlan{}
	for _, name := range h.fields {
		f, ok := s.Field(name)
		if !ok {
			return nil, dataError("%s is not a valid field name", name)
		}
		plan.moved = append(plan.moved, f.Index)
	}
	if h.move {
		var fields []data.Field
		for i, f := range s.Fields() {
			if !slices.Contains(h.fields, f.Name) {
				fields, plan.kept = append(fields, f), append(plan.kept, i)
			}
		}
		var err error
		if plan.schema, err = structOf(s, fields); err != nil {
			return nil, err
		}
	}
	h.schemas.put(s, plan)
	return plan, nil
}
