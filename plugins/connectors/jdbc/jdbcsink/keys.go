package jdbcsink

import (
	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/sdk/config"
)

// The keys.
const (
	insertModeKey    = "insert.mode"
	batchSizeKey     = "batch.size"
	deleteKey        = "delete.enabled"
	tableTypesKey    = "table.types"
	nullDefaultKey   = "replace.null.with.default"
	tableFormatKey   = "table.name.format"
	pkModeKey        = "pk.mode"
	pkFieldsKey      = "pk.fields"
	whitelistKey     = "fields.whitelist"
	zoneKey          = "db.timezone"
	dateZoneKey      = "date.timezone"
	tsFieldsKey      = "timestamp.fields.list"
	tsPrecisionKey   = "timestamp.precision.mode"
	calendarKey      = "date.calendar.system"
	stringColumnKey  = "string.output.value.column.name"
	autoCreateKey    = "auto.create"
	autoEvolveKey    = "auto.evolve"
	quoteKey         = "quote.sql.identifiers"
	aivenQuoteKey    = "sql.quote.identifiers"
	holdlockKey      = "mssql.use.merge.holdlock"
	maxRetriesKey    = "max.retries"
	retryBackoffKey  = "retry.backoff.ms"
	trimLogKey       = "trim.sensitive.log"
	normalizeKey     = "table.name.normalize"
	mappingKey       = "topics.to.tables.mapping"
	ddlTypesKey      = "ddl.types"
	complexKey       = "complex.fields"
	ignoreDupsKey    = "insert.ignore.duplicates"
	exactlyOnceKey   = "millrace.exactly.once"
	offsetTableKey   = "millrace.offsets.table"
	modeInsert       = "insert"
	modeUpsert       = "upsert"
	modeUpdate       = "update"
	modeMulti        = "multi" // Aiven's insert of many rows at once, which is what insert does here
	pkNone           = "none"
	pkKafka          = "kafka"
	pkRecordKey      = "record_key"
	pkRecordValue    = "record_value"
	legacyCalendar   = "LEGACY"
	defaultFormat    = "${topic}"
	groupConnection  = "Connection"
	groupWrites      = "Writes"
	groupMapping     = "Data Mapping"
	groupDDL         = "DDL Support"
	groupDML         = "DML Support"
	groupRetries     = "Retries"
	complexError     = "error"
	complexJSON      = "json"
	complexDrop      = "drop"
	noWhereInKeys    = "requires key field names to be known, check the primary key configuration"
	deletesNeedKey   = "Deletes are only supported for pk.mode record_key"
	aivenDeletes     = "Delete support only works with pk.mode=record_key"
	deletesAtStart   = "Primary key mode must be 'record_key' when delete support is enabled"
	defaultStringCol = "record_value"
)

// key makes a key's definition; d nil: null is the default.
func key(name string, t config.Type, d *string, i config.Importance, w config.Width, display, doc string, rules ...config.Rule) config.Key {
	return config.Key{Name: name, Type: t, Default: d, Importance: i, Width: w, DisplayName: display, Doc: doc, Validators: rules}
}

// recommending gives a key recommended values.
func recommending(k config.Key, values ...string) config.Key {
	k.Recommend = config.Recommend(values...)
	return k
}

// grouped numbers the keys of a group.
func grouped(group string, keys ...config.Key) []config.Key {
	for i := range keys {
		keys[i].Group, keys[i].Order = group, i+1
	}
	return keys
}

var (
	yes, no = config.Default("true"), config.Default("false")
	empty   = config.Default("")
	bools   = []string{"true", "false"}
)

// makeDef is the definition of one of the two classes.
func makeDef(aiven bool) *config.Def {
	modes := []string{modeInsert, modeUpsert, modeUpdate}
	if aiven {
		modes = []string{modeInsert, modeMulti, modeUpsert, modeUpdate}
	}
	writes := []config.Key{
		recommending(key(insertModeKey, config.String, config.Default(modeInsert), config.High, config.WidthMedium, "Insert Mode",
			"How rows are written: insert, upsert (insert or, where the key is there, update) or update.", config.Enumerator(modes...)), modes...),
		key(batchSizeKey, config.Int, config.Default("3000"), config.Medium, config.WidthShort, "Batch Size", "Most records that one statement writes; 0: one.", config.AtLeast(0)),
		recommending(key(deleteKey, config.Boolean, no, config.Medium, config.WidthShort, "Enable deletes", "Delete the row of a record whose value is null. Needs pk.mode=record_key."), bools...),
		key(tableTypesKey, config.List, config.Default("TABLE"), config.Low, config.WidthMedium, "Table Types", "The kinds of table that are written to: TABLE, PARTITIONED TABLE, VIEW.",
			config.Enumerator("table", "partitioned table", "view")),
		key(ignoreDupsKey, config.Boolean, no, config.Low, config.WidthShort, "Ignore Duplicates", "With insert.mode=insert, leave out a row whose key is there already. An addition to Kafka Connect."),
		recommending(key(exactlyOnceKey, config.Boolean, no, config.Medium, config.WidthShort, "Exactly Once",
			"Keep the offsets of records in the database, in the transactions of their rows, so that no row is written twice, in any insert.mode. Needs Kafka 2.8; on PostgreSQL, MySQL, MariaDB and SQLite. An addition to Kafka Connect."), bools...),
		key(offsetTableKey, config.String, config.Default("millrace_offsets"), config.Low, config.WidthMedium, "Offsets Table",
			"With millrace.exactly.once, the table of the offsets; it is made if it is missing. A part with dots needs quotes. An addition to Kafka Connect.", config.NonEmpty()),
	}
	if !aiven {
		writes = append(writes, key(nullDefaultKey, config.Boolean, yes, config.Low, config.WidthMedium, "Replace null value with default value", "Write a field's default where its value is null."))
	}
	mapping := []config.Key{
		key(tableFormatKey, config.String, config.Default(defaultFormat), config.Medium, config.WidthLong, "Table Name Format", "The table's name; ${topic} is the topic. A part with dots needs quotes.", config.NonEmpty()),
		recommending(key(pkModeKey, config.String, config.Default(pkNone), config.High, config.WidthMedium, "Primary Key Mode",
			"Where key columns come from: none, kafka (topic, partition and offset), record_key or record_value.", config.Enumerator(pkNone, pkKafka, pkRecordKey, pkRecordValue)), pkNone, pkKafka, pkRecordKey, pkRecordValue),
		key(pkFieldsKey, config.List, empty, config.Medium, config.WidthLong, "Primary Key Fields", "The key columns; what they mean depends on pk.mode."),
		key(whitelistKey, config.List, empty, config.Medium, config.WidthLong, "Fields Whitelist", "The fields of the value that are written; empty: all."),
		key(zoneKey, config.String, config.Default("UTC"), config.Medium, config.WidthMedium, "DB Time Zone", "The time zone of columns that have none of their own."),
	}
	if !aiven {
		mapping = append(mapping,
			recommending(key(dateZoneKey, config.String, config.Default("DB_TIMEZONE"), config.Low, config.WidthMedium, "Time Zone used for Date", "The zone in which a Date is taken: db_timezone or utc.",
				config.Enumerator("DB_TIMEZONE", "UTC")), "DB_TIMEZONE", "UTC"),
			key(tsFieldsKey, config.List, empty, config.Medium, config.WidthMedium, "Timestamp Fields Whitelist", "Fields of type INT64 or STRING that count microseconds or nanoseconds since 1970 and are written as timestamps."),
			recommending(key(tsPrecisionKey, config.String, config.Default("MICROSECONDS"), config.Low, config.WidthMedium, "Sink Timestamp Precision mode", "What the fields of timestamp.fields.list count.",
				config.Enumerator("MICROSECONDS", "NANOSECONDS")), "MICROSECONDS", "NANOSECONDS"),
			key(calendarKey, config.String, config.Default(legacyCalendar), config.Low, config.WidthMedium, "Date Calendar System",
				"The calendar of days before 1582-10-15: LEGACY (Julian, as Java's old classes) or PROLEPTIC_GREGORIAN.", config.OneOf(legacyCalendar, "PROLEPTIC_GREGORIAN")),
			key(stringColumnKey, config.String, config.Default(defaultStringCol), config.Low, config.WidthMedium, "String Value Column Name", "The column of values that are a text.", config.NonEmpty()))
	}
	mapping = append(mapping,
		key(normalizeKey, config.Boolean, no, config.Medium, config.WidthMedium, "Table Name Normalize", "Make an underscore of each character of the table's name that is no letter, digit or underscore."),
		key(mappingKey, config.List, empty, config.Medium, config.WidthLong, "Topics To Tables Mapping", "Tables of topics, topic:table; other topics follow table.name.format."),
		key(complexKey, config.String, config.Default(complexError), config.Low, config.WidthMedium, "Complex Fields", "What becomes of fields that no column can hold: error, json (text) or drop. An addition to Kafka Connect.",
			config.OneOf(complexError, complexJSON, complexDrop)))
	quote := recommending(key(quoteKey, config.String, config.Default("ALWAYS"), config.Medium, config.WidthMedium, "Quote Identifiers", "Whether names are quoted in statements: always or never.", config.Enumerator("ALWAYS", "NEVER")), "ALWAYS", "NEVER")
	if aiven {
		quote = key(aivenQuoteKey, config.Boolean, yes, config.Medium, config.WidthMedium, "Quote Identifiers", "Whether names are quoted in statements.")
	}
	ddl := []config.Key{
		key(autoCreateKey, config.Boolean, no, config.Medium, config.WidthShort, "Auto-Create", "Create a table that is missing."),
		key(autoEvolveKey, config.Boolean, no, config.Medium, config.WidthShort, "Auto-Evolve", "Add columns that are missing."),
		quote,
		key(ddlTypesKey, config.String, config.Default("standard"), config.Low, config.WidthMedium, "DDL Types", "The types of columns that are made: standard, as Java's connector, or wide, which hold more. An addition to Kafka Connect.",
			config.OneOf("standard", "wide")),
	}
	def := &config.Def{Keys: grouped(groupConnection, connect.Keys(groupConnection)...)}
	def.Keys = append(def.Keys, grouped(groupWrites, writes...)...)
	def.Keys = append(def.Keys, grouped(groupMapping, mapping...)...)
	def.Keys = append(def.Keys, grouped(groupDDL, ddl...)...)
	if !aiven {
		def.Keys = append(def.Keys, grouped(groupDML, key(holdlockKey, config.Boolean, yes, config.Low, config.WidthMedium, "SQL Server - Use HOLDLOCK in MERGE", "Take a range lock in upserts, so that two tasks don't insert the same key."))...)
	}
	def.Keys = append(def.Keys, grouped(groupRetries,
		key(maxRetriesKey, config.Int, config.Default("10"), config.Medium, config.WidthShort, "Maximum Retries", "How often a write that failed is tried again before the task fails.", config.AtLeast(0)),
		key(retryBackoffKey, config.Int, config.Default("3000"), config.Medium, config.WidthShort, "Retry Backoff (millis)", "Milliseconds between two tries.", config.AtLeast(0)))...)
	return &config.Def{Keys: append(def.Keys, config.Key{Name: trimLogKey, Type: config.Boolean, Default: no, Importance: config.Low, Order: -1, Width: config.WidthNone, DisplayName: trimLogKey,
		Doc: "Leave out what databases say of values in logs and errors."})}
}

var confluentDef, aivenDef = makeDef(false), makeDef(true)
