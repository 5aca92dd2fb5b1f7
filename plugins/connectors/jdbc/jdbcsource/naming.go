package jdbcsource

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
)

const (
	defaultNaming   = "${table}"
	tablePart       = "${table}"
	schemaPart      = "${schema}"
	catalogPart     = "${catalog}"
	namingOfQueries = "topic.naming names the topics of tables; the topic of a query is topic.prefix. Remove one of query and topic.naming."
)

// namingFault says what is wrong with topic.naming by itself; "": nothing.
func namingFault(naming string) string {
	if naming == "" {
		return "Topic naming must not be empty; the default is " + defaultNaming
	}
	rest := strings.NewReplacer(tablePart, "", schemaPart, "", catalogPart, "").Replace(naming)
	if strings.ContainsFunc(rest, func(c rune) bool { return !topicRune(c) }) {
		return "Topic naming must not contain anything but " + tablePart + ", " + schemaPart + ", " + catalogPart + ", ASCII alphanumerics, '.', '_' and '-'."
	}
	return ""
}

// parts are what a database's names of tables have.
type parts struct {
	schemas  bool
	catalogs bool
	database string // the connected one, for names that have no catalog; "": there is none
}

// judgeNaming sees that the names of the database's tables have what topic.naming takes of them.
func (s *settings) judgeNaming(p parts) []connector.Finding {
	fault := func(part, why string) []connector.Finding {
		return forKeys(fmt.Sprintf("Invalid value %s for configuration %s: there is no %s: %s", s.naming, namingKey, part, why), namingKey)
	}
	schema, catalog := strings.Contains(s.naming, schemaPart), strings.Contains(s.naming, catalogPart)
	switch {
	case !schema && !catalog:
	case !s.qualify:
		return fault(schemaPart+" or "+catalogPart, qualifyKey+"=false leaves names their last part only")
	case schema && !p.schemas && p.catalogs:
		return fault(schemaPart, "tables of this database have none. Its databases are "+catalogPart+".")
	case schema && !p.schemas:
		return fault(schemaPart, "tables of this database have none")
	case catalog && !p.catalogs && p.database == "":
		return fault(catalogPart, "tables of this database have none")
	}
	return nil
}

// topic is where the rows of a table go.
func (s *settings) topic(t table, p parts) string {
	catalog := t.catalog
	if catalog == "" {
		catalog = p.database
	}
	return s.prefix + strings.NewReplacer(tablePart, t.name, schemaPart, t.schema, catalogPart, catalog).Replace(s.naming)
}

// grouped gives the names that tables have, in the tables' order, and the tables of each.
func grouped(all []table, by func(table) string) (names []string, groups map[string][]table) {
	groups = map[string][]table{}
	for _, t := range all {
		n := by(t)
		if groups[n] == nil {
			names = append(names, n)
		}
		groups[n] = append(groups[n], t)
	}
	return names, groups
}

// shareNames tells whether several tables have one name in different schemas.
func shareNames(all []table) bool {
	names, _ := grouped(all, func(t table) string { return t.name })
	return len(names) < len(all)
}

// duplicates refuses tables that would share a topic.
func (s *settings) duplicates(all []table, q string, p parts) error {
	topics, of := grouped(all, func(t table) string { return s.topic(t, p) })
	var groups []string
	for _, topic := range topics {
		if len(of[topic]) < 2 {
			continue
		}
		names := make([]string, len(of[topic]))
		for i, t := range of[topic] {
			names[i] = t.quoted(q)
		}
		groups = append(groups, "["+strings.Join(names, ", ")+"]")
	}
	if groups == nil {
		return nil
	}
	keys := "'table.whitelist' or 'table.blacklist'"
	if len(s.List(whitelistKey)) > 0 {
		keys = "'table.whitelist'"
	} else if len(s.List(blacklistKey)) > 0 {
		keys = "'table.blacklist'"
	}
	text := fmt.Sprintf("The connector uses the unqualified table name as the topic name and has detected duplicate unqualified table names. This could lead to mixed data types in the topic and "+
		"downstream processing errors. To prevent such processing errors, the JDBC Source connector fails to start when it detects duplicate table name configurations. "+
		"Update the connector's %s config to include exactly one table in each of the tables listed below.\n\t[%s]", keys, strings.Join(groups, ", "))
	if s.naming != defaultNaming {
		text = fmt.Sprintf("topic.naming=%s gives the same topic to the tables in each of the brackets below, which would mix their records. Let it have more of %s, %s and %s, or read one of them only.\n\t[%s]",
			s.naming, tablePart, schemaPart, catalogPart, strings.Join(groups, ", "))
	}
	return connecterr.Wrap(connecterr.General, connecterr.New(connecterr.General, "%s", text), unreadableTables)
}

const unreadableTables = "Encountered an unrecoverable error while reading tables from the database"
