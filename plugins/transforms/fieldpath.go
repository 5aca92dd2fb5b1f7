package transforms

import (
	"strings"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
)

const syntaxName = "field.syntax.version"

func syntaxKey() config.Key {
	return optional(syntaxName, config.String, "V1", config.High, "How fields are named. V1: by a field's whole name. V2: by a path of names with dots between them; "+
		"backticks around a name that contains dots.", config.OneOfFold("V1", "V2"))
}

const nestedAccess = "nested field access"

// fieldPath is the way to a field, by the names on it.
type fieldPath struct {
	text  string // as configured
	steps []string
}

// newFieldPath reads a path in the syntax of a version.
func newFieldPath(text, version string) (fieldPath, error) {
	if !strings.EqualFold(version, "V2") {
		return fieldPath{text, []string{text}}, nil
	}
	if text == "" { // Java notices with the first record, and by accident
		return fieldPath{}, configError("Invalid value  for configuration field: the path is empty")
	}
	steps, err := parsePath(text)
	return fieldPath{text, steps}, err
}

// parsePath splits a path at its dots. A name in backticks may contain dots; a backtick at its end that belongs to it has a
// backslash before it.
func parsePath(path string) (steps []string, err error) {
	for at := 0; ; {
		if at < len(path) && path[at] == '`' {
			name, end, ok := quotedStep(path, at+1)
			if !ok {
				return nil, configError("Incomplete backtick pair in path: [%s], consider adding a backslash before backtick at position %d to escape it", path, at)
			}
			steps = append(steps, name)
			if at = end; at == len(path) {
				return steps, nil
			}
			at++
			continue
		}
		dot := strings.IndexByte(path[at:], '.')
		if dot < 0 {
			return append(steps, unescape(path[at:])), nil
		}
		steps = append(steps, unescape(path[at:at+dot]))
		at += dot + 1
	}
}

// quotedStep reads a name up to the backtick before a dot or the end, and returns it and the place behind that backtick.
func quotedStep(path string, from int) (name string, end int, ok bool) {
	for i := from; i < len(path); i++ {
		if path[i] == '`' && (i+1 == len(path) || path[i+1] == '.') && path[i-1] != '\\' {
			return unescape(path[from:i]), i + 1, true
		}
	}
	return "", 0, false
}

// unescape takes the backslash away from backticks at the end of a name, or before a dot within one.
func unescape(name string) string {
	if !strings.Contains(name, "\\`") {
		return name
	}
	name = strings.ReplaceAll(name, "\\`.", "`.")
	if rest, cut := strings.CutSuffix(name, "\\`"); cut {
		name = rest + "`"
	}
	return name
}

// found is where a path leads in a schema: the index at each step, and the schema of the field at its end.
type found struct {
	indexes []int
	schema  *data.Schema
}

// in follows the path through a schema; ok is false when there is no such field.
func (p *fieldPath) in(s *data.Schema) (out found, ok bool, err error) {
	out.schema = s
	for _, step := range p.steps {
		f, ok, err := lookUp(out.schema, step)
		if !ok || err != nil {
			return found{}, false, err
		}
		out.indexes = append(out.indexes, f.Index)
		out.schema = f.Schema
	}
	return out, true, nil
}

// value follows the path through a struct; null on the way is null at its end.
func (f *found) value(b *base, st *data.Struct) (any, error) {
	last := len(f.indexes) - 1
	for _, i := range f.indexes[:last] {
		v := b.read(st, i)
		if v == nil {
			return nil, nil
		}
		next, err := requireStruct(st.Schema().Fields()[i].Schema, v, nestedAccess)
		if err != nil {
			return nil, err
		}
		st = next
	}
	return b.read(st, f.indexes[last]), nil
}

// valueIn follows the path through maps; what is missing is null.
func (p *fieldPath) valueIn(m *data.Map) (any, error) {
	last := len(p.steps) - 1
	for _, step := range p.steps[:last] {
		v, _ := m.Get(step)
		if v == nil {
			return nil, nil
		}
		next, err := requireMap(v, nestedAccess)
		if err != nil {
			return nil, err
		}
		m = next
	}
	v, _ := m.Get(p.steps[last])
	return v, nil
}
