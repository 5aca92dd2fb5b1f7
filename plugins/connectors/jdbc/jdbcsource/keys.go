package jdbcsource

import (
	"slices"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/config"
)

// The keys.
const (
	urlKey             = "connection.url"
	userKey            = "connection.user"
	passwordKey        = "connection.password"
	providerKey        = "jdbc.credentials.provider.class"
	attemptsKey        = "connection.attempts"
	backoffKey         = "connection.backoff.ms"
	whitelistKey       = "table.whitelist"
	blacklistKey       = "table.blacklist"
	includeKey         = "table.include.list"
	excludeKey         = "table.exclude.list"
	catalogKey         = "catalog.pattern"
	schemaKey          = "schema.pattern"
	precisionKey       = "numeric.precision.mapping"
	numericKey         = "numeric.mapping"
	dialectKey         = "dialect.name"
	calendarKey        = "date.calendar.system"
	modeKey            = "mode"
	incrementingKey    = "incrementing.column.name"
	timestampKey       = "timestamp.column.name"
	timestampMapKey    = "timestamp.columns.mapping"
	incrementingMapKey = "incrementing.column.mapping"
	initialKey         = "timestamp.initial"
	nonNullKey         = "validate.non.null"
	queryKey           = "query"
	maskedKey          = "query.masked"
	quoteKey           = "quote.sql.identifiers"
	suffixKey          = "query.suffix"
	isolationKey       = "transaction.isolation.mode"
	retriesKey         = "query.retry.attempts"
	typesKey           = "table.types"
	pollKey            = "poll.interval.ms"
	batchKey           = "batch.max.rows"
	bufferKey          = "max.buffer.size"
	lingerKey          = "poll.linger.ms"
	startupKey         = "table.monitoring.startup.polling.limit.ms"
	monitorKey         = "table.poll.interval.ms"
	prefixKey          = "topic.prefix"
	delayKey           = "timestamp.delay.interval.ms"
	zoneKey            = "db.timezone"
	granularityKey     = "timestamp.granularity"

	// Of tasks only.
	tablesKey  = "tables"
	fetchedKey = "tables.fetched"
	sharedKey  = "tables.share.names" // offsets under names without a schema can be of any of several tables

	// Additions to the Java connectors, some under the names that Aiven's has.
	firstIDKey      = "incrementing.initial"
	decimalToo      = "numeric.mapping.decimal"
	unsupportedKey  = "unsupported.types"
	noTablesKey     = "no.tables.behavior"
	foreverKey      = "reconnect.forever"
	aivenInitialKey = "timestamp.initial.ms"
	qualifyKey      = "table.names.qualify"
	aivenQuoteKey   = "sql.quote.identifiers"
	wrapKey         = "query.wrap"
	recordKeyKey    = "record.key.columns"
	namingKey       = "topic.naming"
	unboundedKey    = "numeric.unbounded.mapping"
	timeQueryKey    = "db.time.query"
	settledKey      = "wait.for.transactions"
)

// The modes.
const (
	bulk         = "bulk"
	timestamp    = "timestamp"
	incrementing = "incrementing"
	both         = "timestamp+incrementing"
)

const (
	defaultProvider = "io.confluent.connect.jdbc.util.DefaultJdbcCredentialsProvider"
	always, never   = "always", "never"
	legacy          = "LEGACY"
	gregorian       = "PROLEPTIC_GREGORIAN"
	snapshot        = "SQL_SERVER_SNAPSHOT"
	defaultLevel    = "DEFAULT"
)

var granularities = []string{"connect_logical", "micros_long", "micros_string", "micros_iso_datetime_string", "nanos_long", "nanos_string", "nanos_iso_datetime_string"}

var levels = []string{defaultLevel, "READ_UNCOMMITTED", "READ_COMMITTED", "REPEATABLE_READ", "SERIALIZABLE", snapshot}

var numericMappings = []string{"none", "precision_only", "best_fit", "best_fit_eager_double"}

// The groups of keys.
const (
	databaseGroup  = "Database"
	modeGroup      = "Mode"
	connectorGroup = "Connector"
)

// modeDependents are the keys that are shown by mode.
var modeDependents = []string{incrementingKey, timestampKey, timestampMapKey, incrementingMapKey, nonNullKey}

var confluentDef = numbered(
	config.Key{Name: urlKey, Type: config.String, Default: config.Default(""), Importance: config.High, Group: databaseGroup, Width: config.WidthLong,
		DisplayName: "JDBC URL", Dependents: []string{whitelistKey, blacklistKey}, Doc: "JDBC URL of the database, as Java's drivers read it: jdbc:postgresql://host/db, jdbc:mysql://host/db, jdbc:mariadb://host/db, jdbc:sqlite:/path/to/file."},
	config.Key{Name: userKey, Type: config.String, Importance: config.High, Group: databaseGroup, Width: config.WidthLong, DisplayName: "JDBC User", Doc: "User of the database."},
	config.Key{Name: passwordKey, Type: config.Password, Importance: config.High, Group: databaseGroup, Width: config.WidthShort, DisplayName: "JDBC Password", Doc: "Password of the user."},
	config.Key{Name: providerKey, Type: config.Class, Default: config.Default(defaultProvider), Importance: config.Low, Group: databaseGroup, Width: config.WidthLong,
		DisplayName: "JDBC Credentials Provider Class", Doc: "Class that gives user and password. Only the default can be used: it takes them from connection.user and connection.password."},
	config.Key{Name: attemptsKey, Type: config.Int, Default: config.Default("3"), Importance: config.Low, Group: databaseGroup, Width: config.WidthShort,
		DisplayName: "JDBC connection attempts", Validators: []config.Rule{config.AtLeast(1)}, Doc: "How often a connection is tried before the task fails."},
	config.Key{Name: backoffKey, Type: config.Long, Default: config.Default("10000"), Importance: config.Low, Group: databaseGroup, Width: config.WidthShort,
		DisplayName: "JDBC connection backoff in milliseconds", Doc: "How long to wait between attempts to connect."},
	config.Key{Name: whitelistKey, Type: config.List, Default: config.Default(""), Importance: config.Medium, Group: databaseGroup, Width: config.WidthLong,
		DisplayName: "Table Whitelist", Doc: "Tables to read: by name, by schema and name, or by the full name, with exact case."},
	config.Key{Name: blacklistKey, Type: config.List, Default: config.Default(""), Importance: config.Medium, Group: databaseGroup, Width: config.WidthLong,
		DisplayName: "Table Blacklist", Doc: "Tables not to read, named as in table.whitelist. All others are read."},
	config.Key{Name: includeKey, Type: config.List, Default: config.Default(""), Importance: config.Medium, Group: databaseGroup, Width: config.WidthLong,
		DisplayName: "Tables Included (Regex)", Doc: "Regular expressions; a table is read when one of them matches all of its full name."},
	config.Key{Name: excludeKey, Type: config.List, Default: config.Default(""), Importance: config.Medium, Group: databaseGroup, Width: config.WidthLong,
		DisplayName: "Tables Excluded (Regex)", Doc: "Regular expressions; a table whose full name one of them matches is not read although table.include.list has it."},
	config.Key{Name: catalogKey, Type: config.String, Importance: config.Medium, Group: databaseGroup, Width: config.WidthShort,
		DisplayName: "Schema pattern", Doc: "LIKE pattern of catalogs (MySQL: databases) whose tables are listed; absent: no restriction."},
	config.Key{Name: schemaKey, Type: config.String, Importance: config.High, Group: databaseGroup, Width: config.WidthShort,
		DisplayName: "Schema pattern", Doc: "LIKE pattern of schemas whose tables are listed; absent: no restriction."},
	config.Key{Name: precisionKey, Type: config.Boolean, Default: config.Default("false"), Importance: config.Low, Group: databaseGroup, Width: config.WidthShort,
		DisplayName: "Map Numeric Values By Precision (deprecated)", Doc: "The former way to say numeric.mapping=precision_only."},
	config.Key{Name: numericKey, Type: config.String, Importance: config.Low, Group: databaseGroup, Width: config.WidthShort,
		DisplayName: "Map Numeric Values, Integral or Decimal, By Precision and Scale", Validators: []config.Rule{config.Enumerator(numericMappings...)}, Recommend: config.Recommend(numericMappings...),
		Doc: "How NUMERIC columns become fields: none (Decimal), precision_only (integers where they fit), best_fit (also doubles up to 18 digits), best_fit_eager_double (doubles for all with a fraction)."},
	config.Key{Name: dialectKey, Type: config.String, Default: config.Default(""), Importance: config.Low, Group: databaseGroup, Width: config.WidthLong,
		DisplayName: "Database Dialect", Validators: []config.Rule{config.Enumerator(dialect.Names()...)}, Recommend: config.Recommend(dialect.Names()...),
		Doc: "Which dialect to speak; empty: by the URL."},
	config.Key{Name: calendarKey, Type: config.String, Default: config.Default(legacy), Importance: config.Low, Group: databaseGroup, Width: config.WidthMedium,
		DisplayName: "Date Calendar System", Validators: []config.Rule{config.OneOf(legacy, gregorian)}, Doc: "Calendar of days before 15 October 1582: LEGACY reads them in the Julian one, as Java's Date does."},

	config.Key{Name: modeKey, Type: config.String, Default: config.Default(""), Importance: config.High, Group: modeGroup, Width: config.WidthMedium,
		DisplayName: "Table Loading Mode", Dependents: modeDependents,
		Doc: "bulk reads all rows each time; incrementing those with a larger id than seen before; timestamp those with a later timestamp; timestamp+incrementing both, which also tells apart rows of one timestamp."},
	config.Key{Name: incrementingKey, Type: config.String, Default: config.Default(""), Importance: config.Medium, Group: modeGroup, Width: config.WidthMedium,
		DisplayName: "Incrementing Column Name", Recommend: config.VisibleWhen(modeKey, incrementing, both), Doc: "Column whose values only grow; empty: the auto-increment column of the table."},
	config.Key{Name: timestampKey, Type: config.List, Default: config.Default(""), Importance: config.Medium, Group: modeGroup, Width: config.WidthMedium,
		DisplayName: "Timestamp Column Name", Recommend: config.VisibleWhen(modeKey, timestamp, both), Doc: "Columns with the time of the last change; the first that is not null counts."},
	config.Key{Name: timestampMapKey, Type: config.List, Default: config.Default(""), Importance: config.Medium, Group: modeGroup, Width: config.WidthLong,
		DisplayName: "Table to timestamp columns mappings", Recommend: config.VisibleWhen(modeKey, timestamp, both), Doc: "Timestamp columns by table, as regex:[column|column]. For use with table.include.list."},
	config.Key{Name: incrementingMapKey, Type: config.List, Default: config.Default(""), Importance: config.Medium, Group: modeGroup, Width: config.WidthLong,
		DisplayName: "Table to incrementing column mappings", Recommend: config.VisibleWhen(modeKey, incrementing, both), Doc: "Incrementing columns by table, as regex:column. For use with table.include.list."},
	config.Key{Name: initialKey, Type: config.Long, Importance: config.Low, Group: modeGroup, Width: config.WidthMedium,
		DisplayName: "Unix time value of initial timestamp", Recommend: config.Hide(), Doc: "Where timestamps begin when there is no offset, in milliseconds since 1970; -1: the database's current time."},
	config.Key{Name: nonNullKey, Type: config.Boolean, Default: config.Default("true"), Importance: config.Low, Group: modeGroup, Width: config.WidthShort,
		DisplayName: "Validate Non Null", Recommend: config.VisibleWhen(modeKey, timestamp, incrementing, both), Doc: "Refuse tables whose incrementing or timestamp columns can be null: rows with null are never read."},
	config.Key{Name: queryKey, Type: config.String, Default: config.Default(""), Importance: config.Medium, Group: modeGroup, Width: config.WidthShort,
		DisplayName: "Query", Doc: "Query to read instead of tables. But in mode bulk a WHERE clause is appended to it."},
	config.Key{Name: maskedKey, Type: config.Password, Default: config.Default(""), Importance: config.Medium, Group: modeGroup, Width: config.WidthShort,
		DisplayName: "Query (Masked)", Recommend: config.Hide(), Doc: "As query, for one that must not be shown."},
	config.Key{Name: quoteKey, Type: config.String, Default: config.Default("ALWAYS"), Importance: config.Medium, Group: modeGroup, Width: config.WidthMedium,
		DisplayName: "Quote Identifiers", Validators: []config.Rule{config.Enumerator(always, never)}, Recommend: config.Recommend(always, never), Doc: "Whether names are quoted in statements."},
	config.Key{Name: suffixKey, Type: config.String, Default: config.Default(""), Importance: config.Low, Group: modeGroup, Width: config.WidthMedium,
		DisplayName: "Query suffix", Doc: "Text behind every query, such as LIMIT 100. A limit loses rows in mode timestamp where several have the same timestamp."},
	config.Key{Name: isolationKey, Type: config.String, Default: config.Default(defaultLevel), Importance: config.Low, Group: modeGroup, Width: config.WidthMedium,
		DisplayName: "Transaction Isolation Mode", Validators: []config.Rule{config.Enumerator(levels...)}, Recommend: config.Recommend(levels...), Doc: "Isolation of the transactions that read; DEFAULT: the database's own."},
	config.Key{Name: retriesKey, Type: config.Int, Default: config.Default("-1"), Importance: config.Low, Group: modeGroup, Width: config.WidthMedium,
		DisplayName: "Query Retry Attempts", Doc: "How often in a row a query may fail in a way that can pass before the task fails; 0 or less: for ever."},

	config.Key{Name: typesKey, Type: config.List, Default: config.Default("TABLE"), Importance: config.Low, Group: connectorGroup, Width: config.WidthMedium,
		DisplayName: "Table Types", Doc: "Types of table that are listed, in the database's words: TABLE, VIEW, PARTITIONED TABLE, MATERIALIZED VIEW and so on."},
	config.Key{Name: pollKey, Type: config.Int, Default: config.Default("5000"), Importance: config.High, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Poll Interval (ms)", Doc: "How long after the end of a table's query it is queried again."},
	config.Key{Name: batchKey, Type: config.Int, Default: config.Default("1000"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Max Rows Per Batch", Doc: "Most rows that are handed over at a time, and that a database sends at a time where it can be told."},
	config.Key{Name: bufferKey, Type: config.Int, Default: config.Default("0"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Maximum Buffer Size", Doc: "Most rows that are read ahead; 0: four batches."},
	config.Key{Name: lingerKey, Type: config.Long, Default: config.Default("5000"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Poll Linger Milliseconds", Doc: "How long a poll of Java's connector waits for a first row. Accepted; here a poll waits until there is one."},
	config.Key{Name: monitorKey, Type: config.Long, Default: config.Default("60000"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Metadata Change Monitoring Interval (ms)", Doc: "How often new and dropped tables are looked for."},
	config.Key{Name: prefixKey, Type: config.String, Default: config.Default(""), Importance: config.High, Group: connectorGroup, Width: config.WidthMedium,
		DisplayName: "Topic Prefix", Doc: "What stands before the table's name in the topic's; with a query it is the topic."},
	config.Key{Name: delayKey, Type: config.Long, Default: config.Default("0"), Importance: config.High, Group: connectorGroup, Width: config.WidthMedium,
		DisplayName: "Delay Interval (ms)", Doc: "Rows with a timestamp of the last so many milliseconds wait, so that transactions with earlier ones can end."},
	config.Key{Name: zoneKey, Type: config.String, Default: config.Default("UTC"), Importance: config.Medium, Group: connectorGroup, Width: config.WidthMedium,
		DisplayName: "DB time zone", Doc: "Time zone of timestamps that are stored without one."},
	config.Key{Name: granularityKey, Type: config.String, Default: config.Default("connect_logical"), Importance: config.Low, Group: connectorGroup, Width: config.WidthMedium,
		DisplayName: "Timestamp granularity for timestamp columns", Validators: []config.Rule{config.Enumerator(granularities...)}, Recommend: config.Recommend(granularities...),
		Doc: "What timestamps become: the logical type (milliseconds), or micro- or nanoseconds as numbers, as numbers in text, or as ISO text."},

	config.Key{Name: firstIDKey, Type: config.Long, Default: config.Default("-1"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Initial id", Doc: "Without an offset, ids above this one are read. An addition to Confluent's connector."},
	config.Key{Name: decimalToo, Type: config.Boolean, Default: config.Default("false"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Map decimal too", Doc: "numeric.mapping also rules columns that the database calls DECIMAL (MySQL). An addition to Confluent's connector."},
	config.Key{Name: unsupportedKey, Type: config.String, Default: config.Default("drop"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Unsupported types", Validators: []config.Rule{config.Enumerator("drop", "string")}, Doc: "What becomes of columns whose type has no counterpart, such as arrays: they are left out, or come as the database's text. An addition to Confluent's connector."},
	config.Key{Name: noTablesKey, Type: config.String, Default: config.Default("fail"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "No tables", Validators: []config.Rule{config.Enumerator("fail", "wait")}, Doc: "Whether a task fails or waits when there is no table to read. An addition to Confluent's connector."},
	config.Key{Name: foreverKey, Type: config.Boolean, Default: config.Default("false"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Reconnect for ever", Doc: "Go on trying to connect when connection.attempts are used up. An addition to Confluent's connector."},
	config.Key{Name: aivenInitialKey, Type: config.Long, Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Initial timestamp", Doc: "Aiven's name of timestamp.initial, which wins."},
	config.Key{Name: qualifyKey, Type: config.Boolean, Default: config.Default("true"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Qualify table names", Doc: "Aiven's key: false compares and queries tables by their names without schema."},
	config.Key{Name: aivenQuoteKey, Type: config.Boolean, Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Quote identifiers", Doc: "Aiven's form of quote.sql.identifiers, over which it wins."},
	config.Key{Name: wrapKey, Type: config.Boolean, Default: config.Default("false"), Importance: config.Low, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Wrap query", Doc: "But in mode bulk, put the query in parentheses: SELECT * FROM (query) AS connect_query WHERE …, so that it may have clauses of its own and columns by aliases. An addition to Kafka Connect."},
	config.Key{Name: recordKeyKey, Type: config.List, Default: config.Default(""), Importance: config.Low, Group: connectorGroup, Width: config.WidthMedium,
		DisplayName: "Record key columns", Validators: []config.Rule{config.NoDuplicates()}, Doc: "Columns whose values are a record's key, a struct as the transformation ValueToKey makes it; each table, or the query, has to have them. Empty: no key. An addition to Kafka Connect."},
	config.Key{Name: namingKey, Type: config.String, Default: config.Default(defaultNaming), Importance: config.Low, Group: connectorGroup, Width: config.WidthMedium,
		DisplayName: "Topic naming", Doc: "What stands behind topic.prefix in the topic of a table: ${table}, ${schema} and ${catalog} (the database) with letters, digits, '.', '_' and '-' between them, such as ${schema}.${table}. An addition to Kafka Connect."},
	config.Key{Name: unboundedKey, Type: config.String, Importance: config.Low, Group: connectorGroup, Width: config.WidthMedium,
		DisplayName: "Map numbers without precision", Doc: "What becomes of NUMERIC and DECIMAL columns that are declared without a precision (PostgreSQL, SQLite), whatever numeric.mapping says: decimal (with 127 digits behind the point), decimal:<scale>, double or string. Absent: double with a numeric.mapping of best_fit or best_fit_eager_double, else decimal. An addition to Kafka Connect."},
	config.Key{Name: timeQueryKey, Type: config.String, Default: config.Default(""), Importance: config.Low, Group: connectorGroup, Width: config.WidthMedium,
		DisplayName: "Database time query", Doc: "Query whose one value is the time up to which the modes with timestamps read, for columns that are filled by another clock than CURRENT_TIMESTAMP, such as SELECT UTC_TIMESTAMP(). A time without a zone is read as the clock of db.timezone. Empty: the database's current time. An addition to Kafka Connect."},
	config.Key{Name: settledKey, Type: config.Boolean, Default: config.Default("false"), Importance: config.Medium, Group: connectorGroup, Width: config.WidthShort,
		DisplayName: "Wait for transactions", Doc: "On PostgreSQL, read a row only when every transaction has ended that could still commit one with a smaller id or an earlier timestamp, so that none is missed, in whatever order they commit. Long transactions hold rows back. Needless on SQLite. An addition to Kafka Connect."},
)

// notAiven are the keys that Aiven's connector does not know.
var notAiven = []string{suffixKey, initialKey, includeKey, excludeKey, timestampMapKey, incrementingMapKey, granularityKey, isolationKey, calendarKey, maskedKey,
	retriesKey, bufferKey, lingerKey, quoteKey, providerKey}

var aivenDef = aiven()

func aiven() *config.Def {
	var keys []config.Key
	for _, k := range confluentDef.Keys {
		switch k.Name {
		case modeKey, prefixKey, urlKey:
			k.Required, k.Default = true, nil
		case batchKey:
			k.Default = config.Default("100")
		case numericKey:
			k.Validators, k.Recommend = []config.Rule{config.Enumerator(numericMappings[:3]...)}, config.Recommend(numericMappings[:3]...)
		case aivenInitialKey:
			k.Default = config.Default("0")
		case aivenQuoteKey:
			k.Default = config.Default("true")
		}
		if !slices.Contains(notAiven, k.Name) {
			keys = append(keys, k)
		}
	}
	return numbered(keys...)
}

// numbered gives keys their place within their group.
func numbered(keys ...config.Key) *config.Def {
	n := map[string]int{}
	for i := range keys {
		n[keys[i].Group]++
		keys[i].Order = n[keys[i].Group]
	}
	return &config.Def{Keys: keys}
}
