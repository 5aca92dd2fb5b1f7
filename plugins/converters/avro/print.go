package avro

import (
	"strconv"

	"github.com/millrace/millrace/internal/jsontree"
)

// String is the schema as JSON, with its members in the order in which Java's library has them, so that a registry sees the
// same text from both.
func (s *Schema) String() string { return string(s.append(nil, "", map[string]bool{})) }

// append writes a schema inside a name space; seen are the names that are written already.
func (s *Schema) append(b []byte, outer string, seen map[string]bool) []byte {
	switch {
	case s.Type == Union:
		b = append(b, '[')
		for i, branch := range s.Branches {
			if i > 0 {
				b = append(b, ',')
			}
			b = branch.append(b, outer, seen)
		}
		return append(b, ']')
	case s.named() && seen[s.Name]:
		name := s.Name
		if space(name) == outer {
			name = simple(name)
		}
		return jsontree.AppendString(b, name)
	case s.Type <= String && len(s.Props) == 0:
		return append(append(append(b, '"'), s.Type.String()...), '"')
	}
	b = append(append(append(b, `{"type":"`...), s.Type.String()...), '"')
	inner := outer
	if s.named() {
		seen[s.Name] = true
		b = jsontree.AppendString(append(b, `,"name":`...), simple(s.Name))
		if inner = space(s.Name); inner != outer {
			b = jsontree.AppendString(append(b, `,"namespace":`...), inner)
		}
		if s.HasDoc {
			b = jsontree.AppendString(append(b, `,"doc":`...), s.Doc)
		}
	}
	switch s.Type {
	case Record:
		b = append(b, `,"fields":[`...)
		for i, f := range s.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = jsontree.AppendString(append(b, `{"name":`...), f.Name)
			b = f.Schema.append(append(b, `,"type":`...), inner, seen)
			if f.HasDoc {
				b = jsontree.AppendString(append(b, `,"doc":`...), f.Doc)
			}
			if f.Default != nil {
				b = append(append(b, `,"default":`...), f.Default...)
			}
			b = append(b, '}')
		}
		b = append(b, ']')
	case Enum:
		b = append(b, `,"symbols":[`...)
		for i, symbol := range s.Symbols {
			if i > 0 {
				b = append(b, ',')
			}
			b = jsontree.AppendString(b, symbol)
		}
		b = append(b, ']')
		if s.Default != "" {
			b = jsontree.AppendString(append(b, `,"default":`...), s.Default)
		}
	case Fixed:
		b = strconv.AppendInt(append(b, `,"size":`...), int64(s.Size), 10)
	case Array:
		b = s.Of.append(append(b, `,"items":`...), inner, seen)
	case Map:
		b = s.Of.append(append(b, `,"values":`...), inner, seen)
	default:
	}
	for _, p := range s.Props {
		b = append(append(jsontree.AppendString(append(b, ','), p.Key), ':'), p.Value...)
	}
	return append(b, '}')
}
