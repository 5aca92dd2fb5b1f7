package dialect

import (
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
)

// ParseName reads a table's name: parts between dots; a part in quotes may hold dots. Quoted tells which parts were in quotes.
func ParseName(d Dialect, text string) (Name, error) {
	var parts []string
	rest := text
	for {
		part, after, err := cutPart(d, rest, text)
		if err != nil {
			return Name{}, err
		}
		parts = append(parts, part)
		if after == "" {
			break
		}
		if rest = after[1:]; rest == "" {
			return Name{}, connecterr.New(connecterr.General, "Failure parsing fully qualified identifier; ends in delimiter %s", text)
		}
	}
	n := Name{Table: parts[len(parts)-1]}
	switch {
	case len(parts) > 3:
		return Name{}, connecterr.New(connecterr.General, "Table name '%s' has more than three parts. Quote it in table.name.format or use a transform to rename the topic.", text)
	case len(parts) == 3:
		n.Catalog, n.Schema = parts[0], parts[1]
	case len(parts) == 2 && d.Kind() == SQLServer:
		n.Catalog = parts[0]
	case len(parts) == 2 && d.Kind() == MySQL: // a schema of MySQL is a database, JDBC's catalog
		n.Catalog = parts[0]
	case len(parts) == 2:
		n.Schema = parts[0]
	}
	if d.Kind() == SQLServer && n.Schema == "" {
		n.Schema = "dbo"
	}
	return n, nil
}

// cutPart cuts the first part off; after begins with a dot, or is empty.
func cutPart(d Dialect, rest, whole string) (part, after string, err error) {
	for _, q := range d.Quotes() {
		if rest == "" || rest[0] != q[0] {
			continue
		}
		var b strings.Builder
		for i := 1; i < len(rest); i++ {
			if rest[i] != q[1] {
				b.WriteByte(rest[i])
				continue
			}
			if i+1 < len(rest) && rest[i+1] == q[1] { // doubled: itself
				b.WriteByte(q[1])
				i++
				continue
			}
			if after = rest[i+1:]; after != "" && after[0] != '.' {
				return "", "", connecterr.New(connecterr.General, "Failure parsing fully qualified identifier; expected a dot behind the quote in %s", whole)
			}
			return b.String(), after, nil
		}
		return "", "", connecterr.New(connecterr.General, "Failure parsing fully qualified identifier; missing trailing quote in %s", whole)
	}
	if i := strings.IndexByte(rest, '.'); i >= 0 {
		return rest[:i], rest[i:], nil
	}
	return rest, "", nil
}

// doubled puts a name between quotes, with closing quotes in it doubled.
func doubled(open, closing, name string) string {
	return open + strings.ReplaceAll(name, closing, closing+closing) + closing
}
