package jdbcsource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// table is a table's full name: the parts that the database does not have are "".
type table struct{ catalog, schema, name string }

func (t table) parts() (all []string) {
	for _, p := range []string{t.catalog, t.schema, t.name} {
		if p != "" {
			all = append(all, p)
		}
	}
	return all
}

// String is the full name without quotes, as partitions and messages show it.
func (t table) String() string { return strings.Join(t.parts(), ".") }

// quoted is the full name with each part quoted.
func (t table) quoted(q string) string {
	parts := t.parts()
	for i, p := range parts {
		parts[i] = quoted(p, q)
	}
	return strings.Join(parts, ".")
}

// quoted quotes a name. A quote within it is doubled; of brackets, the closing one.
func quoted(name, q string) string {
	end := closing(q)
	return q + strings.ReplaceAll(name, end, end+end) + end
}

// closing is what ends a name that begins with a quote.
func closing(q string) string {
	if q == "[" {
		return "]"
	}
	return q
}

// named tells whether an entry of a list of tables is this one: by its name, its full name or what of that is behind a dot,
// with or without quotes.
func (t table) named(entry, q string) bool {
	if q == "[" && t.named(entry, `"`) { // as Java's driver quotes
		return true
	}
	parts := t.parts()
	for i := range parts {
		rest := parts[i:]
		if entry == strings.Join(rest, ".") {
			return true
		}
		all := make([]string, len(rest))
		for j, p := range rest {
			all[j] = quoted(p, q)
		}
		if entry == strings.Join(all, ".") {
			return true
		}
	}
	return false
}

// filter leaves those of the tables that the configuration asks for, without duplicates and in order. missing are entries of
// the whitelist that name none, each with the tables whose name is the same in another case.
func (s *settings) filter(all []table, q string) (kept []table, missing []string, err error) {
	white, black := s.List(whitelistKey), s.List(blacklistKey)
	seen := map[table]bool{}
	for _, t := range all {
		ok := true
		switch {
		case len(white) > 0:
			ok = slices.ContainsFunc(white, func(e string) bool { return s.names(t, e, q) })
		case len(black) > 0:
			ok = !slices.ContainsFunc(black, func(e string) bool { return s.names(t, e, q) })
		case len(s.include) > 0:
			if ok, err = any1(s.include, t.String()); err == nil && ok && len(s.exclude) > 0 {
				var out bool
				out, err = any1(s.exclude, t.String())
				ok = !out
			}
			if err != nil {
				return nil, nil, err
			}
		}
		if ok && !seen[t] {
			seen[t] = true
			kept = append(kept, t)
		}
	}
	for _, e := range white {
		if !slices.ContainsFunc(kept, func(t table) bool { return s.names(t, e, q) }) {
			missing = append(missing, e+near(all, e))
		}
	}
	if !s.qualify { // they are asked for, and have their offsets, by these names
		for i := range kept {
			kept[i].catalog, kept[i].schema = "", ""
		}
	}
	slices.SortFunc(kept, func(a, b table) int {
		return cmp.Or(cmp.Compare(a.catalog, b.catalog), cmp.Compare(a.schema, b.schema), cmp.Compare(a.name, b.name))
	})
	return slices.Compact(kept), missing, nil
}

func (s *settings) names(t table, entry, q string) bool {
	if !s.qualify {
		return entry == t.name || entry == quoted(t.name, q)
	}
	return t.named(entry, q)
}

func any1(all []pattern, text string) (bool, error) {
	for _, p := range all {
		if ok, err := p.matches(text); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// near suggests the tables that an entry may mean.
func near(all []table, entry string) string {
	var names []string
	for _, t := range all {
		full := t.String()
		if strings.EqualFold(full, entry) || strings.EqualFold(t.name, entry) || strings.HasSuffix(strings.ToLower(full), "."+strings.ToLower(entry)) {
			names = append(names, full)
		}
	}
	if names == nil {
		return ""
	}
	return " (did you mean " + strings.Join(names, " or ") + "?)"
}

// split divides tables among so many tasks: in their order, and evenly.
func split[T any](all []T, tasks int) (groups [][]T) {
	count := len(all)
	n := min(tasks, count)
	for i := range n {
		size := count / n
		if i < count%n {
			size++
		}
		groups = append(groups, all[:size])
		all = all[size:]
	}
	return groups
}

// joinTables writes full names as one text, from which splitTables has them again whatever they contain.
func joinTables(all []table, q string, quote bool) string {
	texts := make([]string, len(all))
	for i, t := range all {
		texts[i] = t.String()
		if quote || slices.ContainsFunc(t.parts(), func(p string) bool { return strings.ContainsAny(p, `.,"`+"`[]' ") }) {
			texts[i] = t.quoted(q)
		}
	}
	return strings.Join(texts, ",")
}

// splitTables cuts at the commas that stand outside of quotes.
func splitTables(text string) (all []string, err error) {
	return cut(text, ',', true)
}

// cut cuts a text at the separators that stand outside of quotes, and leaves the quotes.
func cut(text string, separator byte, trim bool) (all []string, err error) {
	if text == "" {
		return nil, nil
	}
	begin := 0
	var quote byte
	add := func(part string) {
		if trim {
			part = strings.TrimSpace(part)
		}
		all = append(all, part)
	}
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '`' || c == '[':
			quote = closing(string(c))[0]
		case c == separator:
			add(text[begin:i])
			begin = i + 1
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("Failure parsing fully qualified identifier; missing trailing quote in %s", text) //nolint:staticcheck // users know it
	}
	if begin == len(text) {
		return nil, fmt.Errorf("Failure parsing fully qualified identifier; ends in delimiter %s", text) //nolint:staticcheck // users know it
	}
	add(text[begin:])
	return all, nil
}

// parseTable reads a full name. Of two parts the first is the schema, or the catalog where databases have only those.
func parseTable(text string, catalogs bool) (t table, err error) {
	parts, err := cut(text, '.', false)
	if err != nil {
		return t, err
	}
	for i, p := range parts {
		if len(p) > 1 && (p[0] == '"' || p[0] == '`' || p[0] == '[') && p[len(p)-1:] == closing(p[:1]) {
			end := p[len(p)-1:]
			parts[i] = strings.ReplaceAll(p[1:len(p)-1], end+end, end)
		}
	}
	switch {
	case len(parts) == 0 || len(parts) > 3:
		return t, fmt.Errorf("no name of a table: %q", text)
	case len(parts) == 3:
		t.catalog, t.schema = parts[0], parts[1]
	case len(parts) == 2 && catalogs:
		t.catalog = parts[0]
	case len(parts) == 2:
		t.schema = parts[0]
	}
	t.name = parts[len(parts)-1]
	return t, nil
}
