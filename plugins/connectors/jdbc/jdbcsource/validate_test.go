package jdbcsource

import (
	"maps"
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connector"
)

func TestCases_01_to_13_validation(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id serial PRIMARY KEY, v text)")
	nowhere := func() string { // refuses connections
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		return "jdbc:postgresql://" + l.Addr().String() + "/x?password=hidden"
	}()
	for name, one := range map[string]struct {
		config []string
		want   map[string]string // a part of the message of each key that has one
	}{
		"01": {[]string{modeKey, "absent"}, map[string]string{incrementingKey: "Query mode must be specified", timestampKey: "Query mode must be specified", timestampMapKey: "Query mode must be specified",
			incrementingMapKey: "Query mode must be specified", initialKey: "Query mode must be specified", nonNullKey: "Query mode must be specified"}},
		"02": {[]string{modeKey, "foo"}, map[string]string{modeKey: "Invalid value foo for configuration mode: String must be one of: , bulk, timestamp, incrementing, timestamp+incrementing",
			incrementingKey: "Invalid mode: foo", timestampKey: "Invalid mode: foo", timestampMapKey: "Invalid mode: foo", incrementingMapKey: "Invalid mode: foo", initialKey: "Invalid mode: foo", nonNullKey: "Invalid mode: foo"}},
		"03":          {[]string{queryKey, "SELECT 1", whitelistKey, "t"}, map[string]string{queryKey: queryAndLists, maskedKey: queryAndLists, whitelistKey: queryAndLists}},
		"04":          {[]string{whitelistKey, "t", includeKey, `public\.t`}, map[string]string{whitelistKey: mixedText, includeKey: mixedText}},
		"05":          {[]string{excludeKey, "x"}, map[string]string{excludeKey: excludeAlone}},
		"06":          {[]string{includeKey, ".*", modeKey, timestamp}, map[string]string{modeKey: needsTimestamps}},
		"07":          {[]string{prefixKey, "a b"}, map[string]string{prefixKey: "Invalid value a b for configuration topic.prefix: Topic prefix must not contain any character other than ASCII alphanumerics, '.', '_' and '-'."}},
		"07 accepted": {[]string{prefixKey, " a- "}, nil},
		"08":          {[]string{zoneKey, "Mars/Base"}, map[string]string{zoneKey: "Invalid value Mars/Base for configuration db.timezone: Invalid time zone. See the list"}},
		"08 accepted": {[]string{zoneKey, "PST"}, nil},
		"09":          {[]string{urlKey, nowhere}, map[string]string{urlKey: "Could not connect to database. "}},
		"10":          {[]string{queryKey, "SELECT nope FROM t"}, map[string]string{queryKey: "The configured query is not valid and has database/connection errors"}},
		"11":          {[]string{queryKey, "SELECT * FROM t", modeKey, incrementing}, map[string]string{incrementingKey: queryNeedsColumn}},
		"12":          {[]string{isolationKey, snapshot}, map[string]string{isolationKey: levelNeedsSQLServer}},
		"13":          {nil, nil},
		"both lists":  {[]string{whitelistKey, "t", blacklistKey, "u"}, map[string]string{whitelistKey: exclusiveText, blacklistKey: exclusiveText}},
		"two queries": {[]string{queryKey, "SELECT 1", maskedKey, "SELECT 2"}, map[string]string{queryKey: bothQueries, maskedKey: bothQueries}},
		"no select":   {[]string{queryKey, "DELETE FROM t"}, map[string]string{queryKey: "Only SELECT statements are supported for 'query'. Please provide a statement that starts with SELECT."}},
		"with":        {[]string{queryKey, "/* all */ WITH x AS (SELECT * FROM t) SELECT * FROM x"}, nil},
		"regex":       {[]string{includeKey, "("}, map[string]string{includeKey: "Must be a valid comma-separated list of regular expression patterns: "}},
		"lookahead":   {[]string{includeKey, `public\.(?!tmp_).*`}, nil},
		"needless":    {[]string{includeKey, ".*", incrementingMapKey, ".*:id"}, map[string]string{modeKey: needlessIDs}},
		"needless ts": {[]string{includeKey, ".*", timestampMapKey, ".*:[a]"}, map[string]string{modeKey: needlessTimestamps}},
		"needs id":    {[]string{includeKey, ".*", modeKey, incrementing}, map[string]string{modeKey: needsIncrementing}},
		"map form":    {[]string{includeKey, ".*", modeKey, timestamp, timestampMapKey, "nothing"}, map[string]string{timestampMapKey: "Invalid format. Expected 'regex:[col1|col2|...]'"}},
		"map braces":  {[]string{includeKey, ".*", modeKey, timestamp, timestampMapKey, "a:b"}, map[string]string{timestampMapKey: "Columns list must be enclosed in square brackets"}},
		"map empty":   {[]string{includeKey, ".*", modeKey, timestamp, timestampMapKey, "a:[]"}, map[string]string{timestampMapKey: "Columns list cannot be empty"}},
		"map name":    {[]string{includeKey, ".*", modeKey, timestamp, timestampMapKey, "a:[b| ]"}, map[string]string{timestampMapKey: "Every column name should be non-empty string"}},
		"map regex":   {[]string{includeKey, ".*", modeKey, incrementing, incrementingMapKey, "(:b"}, map[string]string{incrementingMapKey: "Invalid regular expression: "}},
		"numeric":     {[]string{numericKey, "worst_fit"}, map[string]string{numericKey: "Invalid value worst_fit for configuration numeric.mapping: Invalid enumerator"}},
		"numeric all": {[]string{numericKey, "BEST_FIT"}, nil},
		"dialect":     {[]string{dialectKey, "NoDialect"}, map[string]string{dialectKey: "Invalid enumerator"}},
		"quote":       {[]string{quoteKey, "sometimes"}, map[string]string{quoteKey: "Invalid enumerator"}},
		"provider":    {[]string{providerKey, "com.example.Secret"}, map[string]string{providerKey: "Class must extend: interface io.confluent.connect.jdbc.util.JdbcCredentialsProvider"}},
		"wrap":        {[]string{queryKey, "SELECT * FROM t WHERE v = 'x' LIMIT 3;", modeKey, incrementing, incrementingKey, "id", wrapKey, "true"}, nil},
		"wrap wrong":  {[]string{queryKey, "SELECT nope FROM t", modeKey, incrementing, incrementingKey, "nope", wrapKey, "true"}, map[string]string{queryKey: "The configured query is not valid"}},
		"wrap call":   {[]string{queryKey, "/* p */ call p()", modeKey, timestamp, timestampKey, "at", wrapKey, "true"}, map[string]string{wrapKey: notInParentheses}},
		"wrap text":   {[]string{wrapKey, "perhaps"}, map[string]string{wrapKey: "Expected value to be either true or false"}},
		"key twice":   {[]string{recordKeyKey, "id,id"}, map[string]string{recordKeyKey: "Configuration 'record.key.columns' values must not be duplicated."}},
		"naming":      {[]string{namingKey, "${catalog}.${schema}-${table}_x"}, nil},
		"naming odd":  {[]string{namingKey, "${schema}/${table}"}, map[string]string{namingKey: "Invalid value ${schema}/${table} for configuration topic.naming: Topic naming must not contain anything but ${table}, ${schema}, ${catalog}, "}},
		"naming part": {[]string{namingKey, "${database}"}, map[string]string{namingKey: "Topic naming must not contain anything but"}},
		"naming none": {[]string{namingKey, " "}, map[string]string{namingKey: "Topic naming must not be empty; the default is ${table}"}},
		"naming bare": {[]string{namingKey, "${schema}.${table}", qualifyKey, "false"}, map[string]string{namingKey: "there is no ${schema} or ${catalog}: table.names.qualify=false leaves names their last part only"}},
		"naming of":   {[]string{namingKey, "${schema}", queryKey, "SELECT 1"}, map[string]string{namingKey: namingOfQueries, queryKey: namingOfQueries}},
		"unbounded":   {[]string{unboundedKey, "decimal:128"}, map[string]string{unboundedKey: "Invalid value decimal:128 for configuration numeric.unbounded.mapping: Expected decimal, decimal:<scale> with a scale from 0 to 127, double or string"}},
		"unbounded 2": {[]string{unboundedKey, "double:2"}, map[string]string{unboundedKey: "Expected decimal, decimal:<scale>"}},
		"unbounded 3": {[]string{unboundedKey, "Decimal:4"}, nil},
		"time":        {[]string{timeQueryKey, "SELECT clock_timestamp()"}, nil},
		"time wrong":  {[]string{timeQueryKey, "SELECT nope()"}, map[string]string{timeQueryKey: "The query of db.time.query does not give a time: ERROR: function nope() does not exist"}},
		"time null":   {[]string{timeQueryKey, "SELECT NULL::timestamp"}, map[string]string{timeQueryKey: "it gives NULL. It has to give one row of one column, a timestamp."}},
		"time other":  {[]string{timeQueryKey, "SELECT 'soon'"}, map[string]string{timeQueryKey: "\"soon\" is no timestamp"}},
		"time rows":   {[]string{timeQueryKey, "SELECT now() FROM generate_series(1, 2)"}, map[string]string{timeQueryKey: "it gives not one row of one column"}},
		"attempts":    {[]string{attemptsKey, "0"}, map[string]string{attemptsKey: "Value must be at least 1"}},
		"no driver":   {[]string{urlKey, "jdbc:db2://h/d:password=secret;"}, map[string]string{urlKey: "No driver is available for JDBC URL: "}},
		"62":          {[]string{urlKey, "jdbc:mysql://h/d?allowLoadLocalInfile=true"}, map[string]string{urlKey: "JDBC URL contains blocked connection parameter 'allowLoadLocalInfile' which is not permitted by the Connect cluster's configured policy."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := validate(t, d.config(one.config...))
			require.ElementsMatch(t, slices.Collect(maps.Keys(one.want)), slices.Collect(maps.Keys(found)), "%v", found)
			for key, want := range one.want {
				require.Contains(t, found[key], want)
				require.NotContains(t, found[key], "hidden")
				require.NotContains(t, found[key], "secret")
			}
		})
	}
	require.Contains(t, validate(t, d.config(queryKey, "SELECT nope FROM t"))[queryKey], "(SQLState: 42703)")
	s, found := parse(confluentDef, d.config(prefixKey, " a- "))
	require.Empty(t, found)
	require.Equal(t, "a-", s.prefix)
}

func TestCase_09_a_wrong_password_is_told_on_the_url(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, open func(*testing.T, ...string) testDB) {
		d := open(t, "CREATE TABLE t (id int)")
		user := "w_" + d.name
		d.do(t, "CREATE USER "+user+"@'%' IDENTIFIED BY 'right'")
		found := validate(t, d.config(userKey, user, passwordKey, "wrong-secret"))
		require.Contains(t, found[urlKey], "Could not connect to database. ")
		require.Contains(t, found[urlKey], "Access denied")
		require.NotContains(t, found[urlKey], "wrong-secret")
	})
}

func TestCase_63_exactly_once_where_each_row_has_its_position(t *testing.T) {
	t.Parallel()
	c := classOf(t, "aiven").NewConnector().(connector.ExactlyOnce)
	for mode, want := range map[string]connector.Support{bulk: connector.Unsupported, timestamp: connector.Unsupported, incrementing: connector.Supported, both: connector.Supported} {
		got, err := c.ExactlyOnceSupport(map[string]string{modeKey: mode})
		require.NoError(t, err)
		require.Equal(t, want, got, mode)
	}
}
