package jdbcsource

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
)

const (
	mixedText = "Cannot mix legacy and new configuration approaches. Legacy configurations (table.whitelist, table.blacklist, timestamp.column.name, incrementing.column.name) " +
		"cannot be used together with new configurations (table.include.list, table.exclude.list, timestamp.columns.mapping, incrementing.column.mapping). " +
		"Please choose one approach: either use all legacy configurations or all new configurations."
	exclusiveText = "table.whitelist and table.blacklist are exclusive."
	bothQueries   = "Both 'query' and 'query.masked' configs cannot be set at the same time. Please use only one of them."
	queryAndLists = "Do not specify table filtering configs with 'query'. Remove table.whitelist / table.blacklist / table.include.list / table.exclude.list when using query mode " +
		"or 'query' when using table filtering mode."
	notInParentheses = "A statement that begins with EXEC, EXECUTE or CALL can't stand in parentheses, as query.wrap=true puts it. Read a SELECT, or use mode=bulk."
	queryNeedsColumn = "'incrementing.column.name' must be provided when using mode 'incrementing' or 'timestamp+incrementing' with a custom query. The incrementing column cannot be " +
		"auto-discovered in query mode because there is no table to inspect. Note that 'incrementing.column.mapping' is not applied in query mode (it maps columns by table-name regex, " +
		"and a custom query has no underlying table to match), so 'incrementing.column.name' must be set explicitly."
	levelNeedsSQLServer = "Isolation mode of `SQL_SERVER_SNAPSHOT` can only be configured with a Sql Server Dialect"
	excludeAlone        = "table.exclude.list cannot be used without table.include.list. Exclude list only applies to tables that match the include list."
	needsTimestamps     = "Timestamp column configuration must be provided when using mode 'timestamp' or 'timestamp+incrementing'. Provide 'timestamp.columns.mapping'."
	needlessTimestamps  = "Timestamp column configurations should not be provided if mode is not 'timestamp' or 'timestamp+incrementing'. Remove 'timestamp.columns.mapping'."
	needsIncrementing   = "Incrementing column configuration must be provided when using mode 'incrementing' or 'timestamp+incrementing'. Provide 'incrementing.column.mapping'."
	needlessIDs         = "Incrementing column configurations should not be provided if mode is not 'incrementing' or 'timestamp+incrementing'. Remove 'incrementing.column.mapping'."
)

var (
	legacyKeys = []string{whitelistKey, blacklistKey, timestampKey, incrementingKey}
	mappedKeys = []string{includeKey, excludeKey, timestampMapKey, incrementingMapKey}
	listKeys   = []string{whitelistKey, blacklistKey, includeKey, excludeKey}
)

// judge checks what can be checked without the database: each key, and once those are good the relations between them.
// before and after are the steps before and behind those that ask the database.
func judge(def *config.Def, props map[string]string) (s *settings, before, after []connector.Finding) {
	s, found := parse(def, props)
	switch s.mode {
	case "":
		if props[modeKey] == "" {
			found = append(found, forKeys("Query mode must be specified", shown...)...)
		}
	case bulk, timestamp, incrementing, both:
	default:
		found = append(found, forKeys("Invalid mode: "+s.mode, shown...)...)
	}
	if len(found) > 0 {
		return s, found, nil
	}
	for _, step := range []func() []connector.Finding{s.judgeLevel, s.judgeApproach, s.judgeQuery, s.judgeQueryColumn} {
		if found := step(); len(found) > 0 {
			return s, found, nil
		}
	}
	return s, nil, s.judgeMapped()
}

// shown are the keys that the mode shows or hides.
var shown = []string{incrementingKey, timestampKey, timestampMapKey, incrementingMapKey, initialKey, nonNullKey}

func forKeys(message string, keys ...string) (all []connector.Finding) {
	for _, k := range keys {
		all = append(all, connector.Finding{Key: k, Message: message})
	}
	return all
}

// used are those of the keys that have a value.
func (s *settings) used(keys ...string) (used []string) {
	for _, k := range keys {
		if len(s.List(k)) > 0 || strings.TrimSpace(s.String(k)) != "" {
			used = append(used, k)
		}
	}
	return used
}

func (s *settings) judgeLevel() []connector.Finding {
	if s.level == snapshot && !speaksSQLServer(s.String(urlKey), s.String(dialectKey)) {
		return forKeys(levelNeedsSQLServer, isolationKey)
	}
	return nil
}

func speaksSQLServer(url, dialect string) bool {
	if dialect != "" {
		return strings.EqualFold(dialect, "SqlServerDatabaseDialect")
	}
	url = strings.ToLower(strings.TrimSpace(url))
	for _, p := range []string{"jdbc:sqlserver:", "jdbc:microsoft:sqlserver:", "jdbc:jtds:sqlserver:"} {
		if strings.HasPrefix(url, p) {
			return true
		}
	}
	return false
}

func (s *settings) judgeApproach() []connector.Finding {
	if s.query != "" {
		return nil
	}
	old, mapped := s.used(legacyKeys...), s.used(mappedKeys...)
	if len(old) > 0 && len(mapped) > 0 {
		return forKeys(mixedText, append(old, mapped...)...)
	}
	if lists := s.used(whitelistKey, blacklistKey); len(lists) == 2 {
		return forKeys(exclusiveText, lists...)
	}
	return nil
}

// behindComments is where a statement begins.
const behindComments = `(?is)^(?:\s|--[^\n]*\n|/\*.*?\*/)*`

// beginning is what statements that give rows begin with, behind comments.
var beginning = regexp.MustCompile(behindComments + `(?:\(|(?:select|with|exec|execute|call|values|table)\b)`)

// called finds the statements that give rows and can't be put in parentheses.
var called = regexp.MustCompile(behindComments + `(?:exec|execute|call)\b`)

// checked is the query as the database is asked whether it is one.
func (s *settings) checked() string {
	if s.wrap {
		return wrapped(s.query)
	}
	return s.query
}

func (s *settings) judgeQuery() []connector.Finding {
	if queries := s.used(queryKey, maskedKey); len(queries) == 2 {
		return forKeys(bothQueries, queries...)
	}
	if s.query == "" {
		return nil
	}
	if lists := s.used(listKeys...); len(lists) > 0 {
		return forKeys(queryAndLists, append([]string{queryKey, maskedKey}, lists...)...)
	}
	if s.naming != defaultNaming {
		return forKeys(namingOfQueries, s.queryKey, namingKey)
	}
	if !beginning.MatchString(s.query) {
		return forKeys("Only SELECT statements are supported for '"+s.queryKey+"'. Please provide a statement that starts with SELECT.", s.queryKey)
	}
	if s.wrap && called.MatchString(s.query) {
		return forKeys(notInParentheses, wrapKey)
	}
	return nil
}

func (s *settings) judgeQueryColumn() []connector.Finding {
	if s.query != "" && s.byID() && strings.TrimSpace(s.String(incrementingKey)) == "" {
		return forKeys(queryNeedsColumn, incrementingKey)
	}
	return nil
}

func (s *settings) judgeMapped() []connector.Finding {
	used := func(key string) bool { return len(s.used(key)) > 0 }
	if s.query != "" || len(s.used(mappedKeys...)) == 0 {
		return nil
	}
	switch {
	case used(excludeKey) && !used(includeKey):
		return forKeys(excludeAlone, excludeKey)
	case s.byTimestamp() && !used(timestampMapKey):
		return forKeys(needsTimestamps, modeKey)
	case !s.byTimestamp() && used(timestampMapKey):
		return forKeys(needlessTimestamps, modeKey)
	case s.byID() && !used(incrementingMapKey):
		return forKeys(needsIncrementing, modeKey)
	case !s.byID() && used(incrementingMapKey):
		return forKeys(needlessIDs, modeKey)
	}
	return nil
}

// ownClauses finds what does not go with the WHERE that is appended to a query. It looks at words only, not into parentheses.
var ownClauses = regexp.MustCompile(`(?i)\b(where|group\s+by|having|order\s+by|limit|offset|fetch|union|intersect|except)\b`)

// hasOwnClauses tells whether the outermost SELECT of a query has clauses that the appended text would break.
func hasOwnClauses(query string) bool {
	outer := bytes.Repeat([]byte(" "), len(query))
	for i, c := range dialect.Outermost(query) {
		outer[i] = c
	}
	return ownClauses.Match(outer)
}
