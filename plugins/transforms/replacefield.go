package transforms

import (
	"strings"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

const fieldReplacement = "field replacement"

var replaceFieldDef = &config.Def{Keys: []config.Key{
	optional("exclude", config.List, "", config.Medium, "Fields to leave out; it goes before include.", config.NoDuplicates()),
	optional("include", config.List, "", config.Medium, "Fields to keep; empty: all.", config.NoDuplicates()),
	optional("renames", config.List, "", config.Medium, "Fields to rename, as in old:new,foo:bar.", config.RenameList()),
	nullsKey(),
}}

// replaceField leaves fields out, or renames them.
type replaceField struct {
	base
	exclude, include map[string]bool
	renames          map[string]string
	like             []replaced // the keys of the last schemaless record, in order: most are like the one before
	at               int        // how many were asked for
	schemas          cache[*replacePlan]
}

// replacePlan is the new schema, and where each of its fields is in the old one.
type replacePlan struct {
	schema *data.Schema
	from   []int
}

func (f *replaceField) Configure(props map[string]string) error {
	v, err := parse(replaceFieldDef, props)
	if err != nil {
		return err
	}
	pairs, err := config.Renames(v.List("renames"))
	if err != nil {
		return configError("%s", err)
	}
	f.defaults, f.schemas = v.Bool(nullsName), cache[*replacePlan]{}
	f.exclude, f.include, f.renames = setOf(v.List("exclude")), setOf(v.List("include")), map[string]string{}
	f.like = nil
	for _, p := range pairs {
		f.renames[p.Left] = p.Right
	}
	return nil
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}

// name is what a field is called in the new record; false when it is left out.
func (f *replaceField) name(field string) (string, bool) {
	if f.exclude[field] || len(f.include) > 0 && !f.include[field] {
		return "", false
	}
	if renamed, ok := f.renames[field]; ok {
		return renamed, true
	}
	return field, true
}

// replaced is a key and what it becomes; nil where it is left out.
type replaced struct {
	key     string
	renamed any
}

// maxKeys is how many different keys are remembered.
const maxKeys = 1000

// key is what a key of a schemaless record becomes; false when it is left out.
func (f *replaceField) key(key any) (any, bool) {
	field := key.(string) //nolint:forcetypeassert // all were looked at
	at := f.at
	f.at++
	if at < len(f.like) && f.like[at].key == field {
		return f.like[at].renamed, f.like[at].renamed != nil
	}
	var renamed any
	field = strings.Clone(field) // it outlives the record
	if name, keep := f.name(field); keep {
		renamed = name
	}
	if at < maxKeys {
		f.like = append(f.like[:min(at, len(f.like))], replaced{field, renamed})
	}
	return renamed, renamed != nil
}

func (f *replaceField) Apply(r *transform.Record) (bool, error) {
	s, v := f.operand(r)
	if v == nil {
		return true, nil
	}
	if s == nil {
		return true, f.schemaless(r, v)
	}
	st, err := requireStruct(s, v, fieldReplacement)
	if err != nil {
		return false, err
	}
	plan, err := f.plan(s)
	if err != nil {
		return false, err
	}
	out := data.NewStruct(plan.schema)
	for i, from := range plan.from {
		if err := put(out, i, f.read(st, from)); err != nil {
			return false, err
		}
	}
	f.update(r, plan.schema, out)
	return true, nil
}

func (f *replaceField) schemaless(r *transform.Record, v any) error {
	m, err := requireMap(v, fieldReplacement)
	if err != nil {
		return err
	}
	for k := range m.All() {
		if _, err := fieldName(k); err != nil {
			return err
		}
	}
	out := r.Mutable(m)
	f.at = 0
	out.Rename(f.key)
	f.update(r, nil, out)
	return nil
}

func (f *replaceField) plan(s *data.Schema) (*replacePlan, error) {
	if plan, ok := f.schemas.get(s); ok {
		return plan, nil
	}
	plan := &replacePlan{}
	var fields []data.Field
	for i, field := range s.Fields() {
		if name, keep := f.name(field.Name); keep {
			fields = append(fields, data.Field{Name: name, Schema: field.Schema})
			plan.from = append(plan.from, i)
		}
	}
	var err error
	if plan.schema, err = structOf(s, fields); err != nil {
		return nil, err
	}
	f.schemas.put(s, plan)
	return plan, nil
}
