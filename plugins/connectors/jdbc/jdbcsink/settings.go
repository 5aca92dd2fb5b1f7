package jdbcsink

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/zone"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
)

// settings are a configuration, read.
type settings struct {
	connect connect.Settings

	name       string // of the connector
	aiven      bool
	mode       string
	batchSize  int
	deletes    bool
	types      []string
	nullToDef  bool
	format     string
	mapping    map[string]string
	mappings   []string // as they stand in the configuration
	normalize  bool
	pkMode     string
	pkFields   []string
	whitelist  map[string]bool // nil: all
	zone       *time.Location
	utc        bool // both zones are UTC
	dateZone   *time.Location
	calendar   zone.Calendar
	tsFields   map[string]bool
	tsNanos    bool
	stringCol  string
	create     bool
	evolve     bool
	quote      bool
	holdlock   bool
	varchar    bool // to SQL Server, texts are sent as its columns have them
	maxRetries int
	backoff    time.Duration
	trim       bool
	wide       bool
	complex    string
	ignoreDups bool
	exactly    bool
	offsets    string // the table of offsets
	group      string // of the consumers
}

// read makes settings of a configuration that def describes.
func read(def *config.Def, raw map[string]string) (*settings, error) {
	v, problems := def.Parse(raw)
	if len(problems) > 0 {
		return nil, connecterr.Wrap(connecterr.Config, problems[0], "")
	}
	if err := connect.CheckProvider(v); err != nil {
		return nil, err
	}
	s := &settings{connect: connect.Read(def, v, raw), name: raw["name"], aiven: def == aivenDef, mode: strings.ToLower(v.String(insertModeKey)), batchSize: max(1, int(v.Int(batchSizeKey))),
		deletes: v.Bool(deleteKey), types: v.List(tableTypesKey), nullToDef: v.Bool(nullDefaultKey), format: strings.TrimSpace(v.String(tableFormatKey)), mappings: v.List(mappingKey),
		normalize: v.Bool(normalizeKey), pkMode: strings.ToLower(v.String(pkModeKey)), pkFields: v.List(pkFieldsKey), tsFields: set(v.List(tsFieldsKey)), tsNanos: strings.EqualFold(v.String(tsPrecisionKey), "nanoseconds"),
		stringCol: v.String(stringColumnKey), create: v.Bool(autoCreateKey), evolve: v.Bool(autoEvolveKey), quote: !strings.EqualFold(v.String(quoteKey), "never"), holdlock: v.Bool(holdlockKey),
		maxRetries: int(v.Int(maxRetriesKey)), backoff: time.Duration(v.Int(retryBackoffKey)) * time.Millisecond, trim: v.Bool(trimLogKey), wide: v.String(ddlTypesKey) == "wide",
		complex: v.String(complexKey), ignoreDups: v.Bool(ignoreDupsKey),
		exactly: v.Bool(exactlyOnceKey), offsets: strings.TrimSpace(v.String(offsetTableKey)), group: raw["consumer.override.group.id"]}
	if s.group == "" {
		s.group = "connect-" + s.name
	}
	if s.aiven {
		s.quote, s.nullToDef, s.holdlock, s.stringCol = v.Bool(aivenQuoteKey), true, true, ""
	}
	if s.mode == modeMulti {
		s.mode = modeInsert
	}
	if list := v.List(whitelistKey); len(list) > 0 {
		s.whitelist = set(list)
	}
	if v.String(calendarKey) == "PROLEPTIC_GREGORIAN" {
		s.calendar = zone.Proleptic
	}
	var err error
	if s.zone, err = zone.Load(v.String(zoneKey)); err != nil {
		return nil, err
	}
	s.dateZone = s.zone
	if strings.EqualFold(v.String(dateZoneKey), "utc") {
		s.dateZone = time.UTC
	}
	s.utc = s.zone.String() == "UTC" && s.dateZone.String() == "UTC"
	s.mapping = map[string]string{}
	for _, m := range s.mappings {
		topic, table, ok := strings.Cut(m, ":")
		if !ok || topic == "" || table == "" {
			return nil, connecterr.New(connecterr.Config, "Invalid value %s for configuration %s: topic:table is expected", m, mappingKey)
		}
		s.mapping[topic] = table
	}
	if s.deletes && s.pkMode != pkRecordKey {
		if s.aiven {
			return nil, connecterr.New(connecterr.Config, aivenDeletes)
		}
		return nil, connecterr.New(connecterr.Config, deletesAtStart)
	}
	return s, s.checkAiven()
}

// warnings are about settings that are taken, as Java's connector takes them, and fail or surprise later.
func (s *settings) warnings() (all []string) {
	needsKey := s.mode == modeUpsert || s.mode == modeUpdate
	if needsKey && s.pkMode == pkNone {
		all = append(all, insertModeKey+"="+s.mode+" with "+pkModeKey+"=none fails with the first record: key columns are needed")
	}
	if n := len(s.pkFields); s.pkMode == pkKafka && n != 0 && n != 3 {
		all = append(all, pkModeKey+"=kafka fails with the first record: "+pkFieldsKey+" must name none or three columns, for topic, partition and offset")
	}
	if s.pkMode == pkNone && len(s.pkFields) > 0 {
		all = append(all, pkFieldsKey+" is ignored with "+pkModeKey+"=none")
	}
	if s.mode == modeInsert && s.pkMode != pkNone && !s.ignoreDups && !s.exactly {
		all = append(all, insertModeKey+"=insert with "+pkModeKey+"="+s.pkMode+" fails when records come again after a crash, if the table has that key: set "+
			exactlyOnceKey+"=true, or "+ignoreDupsKey+"=true, or "+insertModeKey+"=upsert")
	}
	return all
}

// checkAiven makes the checks that only Aiven's class makes.
func (s *settings) checkAiven() error {
	switch {
	case !s.aiven:
	case s.pkMode == pkNone && len(s.pkFields) > 0:
		return connecterr.New(connecterr.Config, "Primary key fields should not be set when pkMode is 'none'.")
	case s.pkMode == pkKafka && len(s.pkFields) != 0 && len(s.pkFields) != 3:
		return connecterr.New(connecterr.Config, "Primary key fields must be set with three fields (topic, partition, offset) when pkMode is 'kafka'.")
	}
	return nil
}

func set(list []string) map[string]bool {
	m := make(map[string]bool, len(list))
	for _, e := range list {
		m[e] = true
	}
	return m
}

var notPlain = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// tableName finds the table of a topic.
func (s *settings) tableName(d dialect.Dialect, topic string) (dialect.Name, error) {
	text, mapped := s.mapping[topic]
	if !mapped {
		text = strings.ReplaceAll(s.format, defaultFormat, topic)
		if s.normalize {
			text = notPlain.ReplaceAllString(text, "_")
		}
	}
	switch {
	case text == "" && len(s.mappings) > 0:
		shown := strings.ReplaceAll(strings.Join(s.mappings, ","), ":", "->")
		return dialect.Name{}, connecterr.New(connecterr.General, "Destination table for the topic: '%s' couldn't be found in the topics to tables mapping: '%s' and couldn't be generated for the format string '%s'", topic, shown, s.format)
	case text == "":
		return dialect.Name{}, connecterr.New(connecterr.General, "Destination table name for topic '%s' is empty using the format string '%s'", topic, s.format)
	}
	n, err := dialect.ParseName(d, text)
	if err != nil {
		return n, err
	}
	if d.Kind() == dialect.PostgreSQL {
		n.Table = cutBytes(n.Table, 63)
	}
	if !s.quote {
		n.Table = d.Fold(n.Table)
	}
	return n, nil
}

// cutBytes cuts a text to n bytes, not inside a character.
func cutBytes(s string, n int) string {
	for len(s) > n {
		if n == 0 || s[n]&0xc0 != 0x80 {
			return s[:n]
		}
		n--
	}
	return s
}

// id writes an identifier.
func (s *settings) id(d dialect.Dialect, name string) string {
	if s.quote {
		return d.Quote(name)
	}
	return name
}

// takes tells whether tables of a kind are written to. TABLE stands for all kinds that have no word of their own, and for
// partitioned tables too.
func (s settings) takes(kind string) bool {
	has := func(word string) bool {
		return slices.ContainsFunc(s.types, func(t string) bool { return strings.EqualFold(strings.TrimSpace(t), word) })
	}
	switch kind {
	case dialect.TypeView:
		return has(kind)
	case dialect.TypePartitioned:
		return has(kind) || has(dialect.TypeTable)
	default:
		return has(dialect.TypeTable)
	}
}
