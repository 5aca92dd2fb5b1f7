package jdbcsource

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/connectors/jdbc/zone"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
)

// maxTopic is how long a topic's name can be.
const maxTopic = 249

// settings are a configuration, read.
type settings struct {
	config.Values

	mode                 string
	query                string // "": tables
	queryKey             string // the key that has it
	suffix, prefix       string
	include, exclude     []pattern
	timestampMap         []mapping
	incrementingMap      []mapping
	initial              *int64
	clock                clock
	quote                bool
	qualify              bool
	batch, buffer        int
	poll, monitor        time.Duration
	startup, delay       time.Duration
	shutdown             time.Duration
	tables               []string
	fetched              bool
	shared               bool // there are tables of one name in different schemas
	numeric, granularity string
	level                string
	text                 bool // columns without a counterpart come as text
	wrap                 bool // the query is put in parentheses
	naming               string
	unbounded            unbounded
	timeQuery            string // "": the database's own
	settled              bool   // only what no running transaction can precede is read
}

// parse reads a configuration. The findings are of keys by themselves, those of the definition included.
func parse(def *config.Def, props map[string]string) (*settings, []connector.Finding) {
	v, problems := def.Parse(props)
	s := &settings{Values: v}
	var found []connector.Finding
	for _, p := range problems {
		found = append(found, connector.Finding{Key: p.Key, Message: p.Message})
	}
	refuse := func(key, why string) {
		found = append(found, connector.Finding{Key: key, Message: fmt.Sprintf("Invalid value %s for configuration %s: %s", props[key], key, why)})
	}
	switch s.mode = v.String(modeKey); s.mode {
	case "", bulk, timestamp, incrementing, both:
	default: // not in the definition, so that the keys which depend on it are judged too
		refuse(modeKey, "String must be one of: , bulk, timestamp, incrementing, timestamp+incrementing")
	}
	if s.query, s.queryKey = strings.TrimSpace(v.String(queryKey)), queryKey; s.query == "" {
		if s.query = strings.TrimSpace(v.String(maskedKey)); s.query != "" {
			s.queryKey = maskedKey
		}
	}
	s.suffix = strings.TrimSpace(v.String(suffixKey))
	s.prefix = strings.TrimSpace(v.String(prefixKey))
	switch {
	case len(s.prefix) > maxTopic:
		refuse(prefixKey, "Topic prefix length must not exceed max topic name length, 249 chars")
	case strings.ContainsFunc(s.prefix, func(c rune) bool { return !topicRune(c) }):
		refuse(prefixKey, "Topic prefix must not contain any character other than ASCII alphanumerics, '.', '_' and '-'.")
	}
	s.naming = strings.TrimSpace(v.String(namingKey))
	if why := namingFault(s.naming); why != "" {
		refuse(namingKey, why)
	}
	if p := strings.TrimSpace(v.String(providerKey)); p != "" && p != defaultProvider {
		refuse(providerKey, "Class must extend: interface io.confluent.connect.jdbc.util.JdbcCredentialsProvider")
	}
	var err error
	if s.clock.zone, err = zone.Load(cmp.Or(v.String(zoneKey), "UTC")); err != nil {
		refuse(zoneKey, "Invalid time zone. See the list of valid time zones at https://docs.oracle.com/javase/8/docs/api/java/time/ZoneId.html#shortIds")
	}
	s.clock.julian = v.String(calendarKey) != gregorian
	for key, to := range map[string]*[]pattern{includeKey: &s.include, excludeKey: &s.exclude} {
		if *to, err = newPatterns(v.List(key)); err != nil {
			refuse(key, "Must be a valid comma-separated list of regular expression patterns: "+err.Error())
		}
	}
	s.mappings(refuse)
	s.initial = number(v, initialKey)
	if s.initial == nil && v.Has(aivenInitialKey) && v.Int(aivenInitialKey) != 0 {
		s.initial = number(v, aivenInitialKey)
	}
	s.quote = !strings.EqualFold(v.String(quoteKey), never)
	if v.Has(aivenQuoteKey) {
		s.quote = v.Bool(aivenQuoteKey)
	}
	s.qualify = v.Bool(qualifyKey) || !v.Has(qualifyKey)
	s.batch = int(max(v.Int(batchKey), 1))
	if s.buffer = int(v.Int(bufferKey)); s.buffer <= 0 {
		s.buffer = 4 * s.batch
	}
	s.poll, s.monitor, s.delay = ms(v.Int(pollKey)), ms(v.Int(monitorKey)), ms(v.Int(delayKey))
	s.startup, s.shutdown = ms(hidden(props, startupKey, 10_000)), time.Duration(hidden(props, "engine.shutdown.timeout", 10))*time.Second
	s.numeric = strings.ToLower(v.String(numericKey))
	if s.numeric == "" && v.Bool(precisionKey) {
		s.numeric = numericMappings[1]
	}
	if s.unbounded, err = parseUnbounded(v.String(unboundedKey)); err != nil {
		refuse(unboundedKey, err.Error())
	}
	s.granularity = cmp.Or(strings.ToLower(v.String(granularityKey)), granularities[0])
	s.level = cmp.Or(strings.ToUpper(v.String(isolationKey)), defaultLevel)
	s.text = strings.EqualFold(v.String(unsupportedKey), "string")
	s.settled = v.Bool(settledKey) && s.mode != bulk
	s.timeQuery = strings.TrimSpace(v.String(timeQueryKey))
	s.wrap = v.Bool(wrapKey) && s.mode != bulk
	s.fetched = strings.EqualFold(props[fetchedKey], "true")
	s.shared = strings.EqualFold(props[sharedKey], "true")
	if s.tables, err = splitTables(props[tablesKey]); err != nil {
		refuse(tablesKey, err.Error())
	}
	return s, found
}

func (s *settings) mappings(refuse func(key, why string)) {
	read := func(key string, texts mappingTexts) (all []mapping) {
		for _, e := range s.List(key) {
			m, message := parseMapping(e, texts)
			if message != "" {
				refuse(key, message)
				return nil
			}
			all = append(all, m)
		}
		return all
	}
	s.timestampMap, s.incrementingMap = read(timestampMapKey, timestampTexts), read(incrementingMapKey, incrementingText)
}

func topicRune(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func number(v config.Values, key string) *int64 {
	if !v.Has(key) {
		return nil
	}
	n := v.Int(key)
	return &n
}

// hidden reads a number that no definition shows.
func hidden(props map[string]string, key string, absent int64) int64 {
	if n, err := strconv.ParseInt(strings.TrimSpace(props[key]), 10, 64); err == nil {
		return n
	}
	return absent
}

// parsed is parse for those who need a good configuration.
func parsed(def *config.Def, props map[string]string) (*settings, error) {
	s, found := parse(def, props)
	if len(found) > 0 {
		return nil, connecterr.New(connecterr.Config, "Couldn't start JdbcSourceConnector due to configuration error: %s", found[0].Message)
	}
	return s, nil
}

// byTimestamp and byID tell which columns the mode needs.
func (s *settings) byTimestamp() bool { return s.mode == timestamp || s.mode == both }
func (s *settings) byID() bool        { return s.mode == incrementing || s.mode == both }

// show is a query for logs and errors.
func (s *settings) show(sql string) string {
	if s.queryKey == maskedKey && s.query != "" {
		return "<query masked>"
	}
	return sql
}
