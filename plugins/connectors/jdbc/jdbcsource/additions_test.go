package jdbcsource

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/transforms"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
)

// A query with clauses of its own and a column that only its result has, which an appended WHERE could not name.
func TestWrap_a_query_may_have_what_it_likes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		stamped(t, d, create)
		d.do(t, "CREATE TABLE u (id int NOT NULL, v varchar(5) NOT NULL)", "INSERT INTO u VALUES (1,'a'),(2,'b'),(3,'c')")
		const query = "SELECT t.id AS n, u.v, t.at FROM t JOIN u ON t.id = u.id WHERE t.id <> 2 OR u.v = 'b' ORDER BY u.v DESC"
		c := d.config(queryKey, query+" -- odd ; end", modeKey, both,
			timestampKey, "at", incrementingKey, "n", wrapKey, "true")
		require.Empty(t, validate(t, c))
		r := started(t, c)
		got := r.take(t, 3)
		require.Equal(t, []string{"{timestamp_nanos=0, incrementing=1, timestamp=1714903200000}", "{timestamp_nanos=0, incrementing=2, timestamp=1714903200000}",
			"{timestamp_nanos=0, incrementing=3, timestamp=1714903201000}"}, offsets(got))
		if d.user != "" { // those of SQLite can't tell
			require.Equal(t, "v STRING", shapes(got[0])[1], "what can't be null is known through the parentheses")
		}
		require.NotContains(t, r.logs.String(), "clauses of its own")
		require.Contains(t, r.logs.String(), ") AS connect_query WHERE ")
		r.nothing(t)
		d.do(t, "INSERT INTO u VALUES (4,'d')", "INSERT INTO t VALUES (4,'2024-05-05 10:00:01')")
		require.Equal(t, "{timestamp_nanos=0, incrementing=4, timestamp=1714903201000}", offsets(r.take(t, 1))[0])

		c[queryKey], c[wrapKey], c[retriesKey] = query, "false", "1"
		plain, err := start(t, c)
		require.NoError(t, err)
		require.Error(t, plain.fails(t), "the WHERE stands behind the query's own")
		require.Contains(t, plain.logs.String(), "Set query.wrap=true")
	})
}

func TestWrap_leaves_bulk_alone(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int)", "INSERT INTO t VALUES (2), (1)")
	r := started(t, d.config(queryKey, "SELECT id FROM t ORDER BY id", wrapKey, "true"))
	require.Equal(t, []int{1, 2}, ids(t, r.take(t, 2)))
	require.NotContains(t, r.logs.String(), "connect_query")
}

// valueToKey is the key that the transformation makes of a record's value.
func valueToKey(t *testing.T, r record.Source, fields string) (*data.Schema, any) {
	t.Helper()
	for _, p := range transforms.All() {
		if !strings.HasSuffix(p.Class, ".ValueToKey") {
			continue
		}
		x := p.NewTransformation()
		require.NoError(t, x.Configure(map[string]string{"fields": fields}))
		out := &transform.Record{Sink: record.Sink{ValueSchema: r.ValueSchema, Value: r.Value}}
		_, err := x.Apply(out)
		require.NoError(t, err)
		return out.KeySchema, out.Key
	}
	t.Fatal("no ValueToKey")
	return nil, nil
}

func TestRecordKey_is_that_of_ValueToKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		create("id int NOT NULL, v varchar(5), n decimal(10,2) NOT NULL")
		d.do(t, "INSERT INTO t VALUES (1,'x',1.5)", "INSERT INTO t VALUES (2,NULL,2.5)")
		for _, mode := range []string{bulk, incrementing} {
			got := started(t, d.config(modeKey, mode, incrementingKey, "id", recordKeyKey, "ID,v,n")).take(t, 2)
			for i, r := range got {
				schema, key := valueToKey(t, r, "id,v,n")
				require.True(t, schema.Equal(r.KeySchema), "%s instead of %s", r.KeySchema, schema)
				require.True(t, data.Equal(key, r.Key), "%v instead of %v", r.Key, key)
				require.NoError(t, r.Key.(*data.Struct).Validate())
				v, err := r.Key.(*data.Struct).Get("v")
				require.NoError(t, err)
				require.Equal(t, []any{"x", nil}[i], v)
			}
			require.Same(t, got[0].KeySchema, got[1].KeySchema)
		}
		query := started(t, d.config(queryKey, "SELECT v AS w, id FROM t", recordKeyKey, "w")).take(t, 1)[0]
		require.Equal(t, "Struct{w=x}", data.Text(query.Key))
	})
}

func TestRecordKey_a_new_query_of_the_same_columns_has_the_same_schema(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id serial, v text)", "INSERT INTO t (v) VALUES ('x')")
	r := started(t, d.config(modeKey, incrementing, recordKeyKey, "id"))
	before := r.take(t, 1)[0]
	d.do(t, "ALTER TABLE t ADD COLUMN w text", "INSERT INTO t (v) VALUES ('y')")
	after := r.take(t, 1)[0]
	require.NotSame(t, before.ValueSchema, after.ValueSchema)
	require.Same(t, before.KeySchema, after.KeySchema, "the key's columns are the same")
}

func TestRecordKey_that_can_not_be_made_fails_the_task(t *testing.T) {
	t.Parallel()
	d := pg(t, `CREATE TABLE t (id int, a int[], "Id" int, "b" int)`, "INSERT INTO t VALUES (1, '{1}', 2, 3)")
	for columns, want := range map[string]string{
		"nope": "record.key.columns: public.t has no column nope. It has id,a,Id,b.",
		"a":    "record.key.columns: column a of public.t is left out of records, as its type (_int4) is not supported. Take another one, or set unsupported.types=string.",
		"ID":   "record.key.columns: ID can be each of id, Id in public.t. Write it as the column is written.",
		"b,B":  "record.key.columns: column b of public.t is named twice",
	} {
		require.EqualError(t, started(t, d.config(recordKeyKey, columns)).fails(t), want)
	}
	require.Equal(t, "Struct{a={1}}", data.Text(started(t, d.config(recordKeyKey, "a", unsupportedKey, "string")).take(t, 1)[0].Key))
}

func topics(all []record.Source) (names []string) {
	for _, r := range all {
		names = append(names, r.Topic)
	}
	slices.Sort(names)
	return names
}

func TestTopicNaming_tables_of_one_name(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE SCHEMA s1", "CREATE SCHEMA s2", "CREATE TABLE s1.t (id serial)", "CREATE TABLE s2.t (id serial)", "CREATE TABLE s2.u (id serial)",
		"INSERT INTO s1.t VALUES (5)", "INSERT INTO s2.t VALUES (6)", "INSERT INTO s2.u VALUES (7)")
	got := started(t, d.config(namingKey, "${schema}.${table}", modeKey, incrementing)).take(t, 3)
	require.Equal(t, []string{"p-s1.t", "p-s2.t", "p-s2.u"}, topics(got))
	require.Equal(t, "t", got[0].ValueSchema.Name(), "the schema's name stays")
	require.Equal(t, []string{"p-" + d.name + "_s1_t", "p-" + d.name + "_s2_t"}, topics(started(t, d.config(namingKey, "${catalog}_${schema}_${table}", whitelistKey, "t")).take(t, 2)))

	_, err := connect1(t, d.config(namingKey, "${schema}")).TaskConfigs(t.Context(), 1)
	require.ErrorContains(t, err, "topic.naming=${schema} gives the same topic to the tables in each of the brackets below")
	require.ErrorContains(t, err, "\n\t[[\"s2\".\"t\", \"s2\".\"u\"]]")
	_, err = connect1(t, d.config(namingKey, "all")).TaskConfigs(t.Context(), 1)
	require.ErrorContains(t, err, "\n\t[[\"s1\".\"t\", \"s2\".\"t\", \"s2\".\"u\"]]")
}

// An offset of a version before 5.0 has the name alone. It says nothing when several tables have that name: the one it is not of
// would lose its first rows.
func TestTopicNaming_old_offsets_of_a_name_that_tables_share_count_for_none(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE SCHEMA s1", "CREATE SCHEMA s2", "CREATE TABLE s1.t (id serial)", "CREATE TABLE s2.t (id serial)", "INSERT INTO s1.t VALUES (5)", "INSERT INTO s2.t VALUES (6)")
	old := offsetOf(data.MapOf("table", "t"), data.MapOf("incrementing", int64(5)))
	c := d.config(namingKey, "${schema}-${table}", modeKey, incrementing)
	require.Equal(t, []string{"p-s1-t", "p-s2-t"}, topics(started(t, c, old).take(t, 2)))
	require.Equal(t, []string{"p-s2-t"}, topics(started(t, c, old, tableOffset("s1.t", "incrementing", int64(5))).take(t, 1)))
	c[whitelistKey] = "s2.t"
	require.Equal(t, []int{6}, ids(t, started(t, c, old).take(t, 1)), "one table of the name has it")
	c[whitelistKey] = "s1.t"
	started(t, c, old).nothing(t)
}

func TestTopicNaming_parts_that_a_database_does_not_have(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, open func(*testing.T, ...string) testDB) {
		m := open(t, "CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)")
		require.Equal(t, []string{"p-" + m.name + ".t"}, topics(started(t, m.config(namingKey, "${catalog}.${table}")).take(t, 1)))
		require.Empty(t, validate(t, m.config(namingKey, "${catalog}.${table}")))
		for want, d := range map[string]testDB{"there is no ${schema}: tables of this database have none. Its databases are ${catalog}.": m, "there is no ${schema}: tables of this database have none": lite(t, "CREATE TABLE t (id int)")} {
			c := d.config(namingKey, "${schema}.${table}")
			require.Contains(t, validate(t, c)[namingKey], want)
			r := connect1(t, c)
			require.Eventually(t, func() bool { return r.failure() != nil }, soon, time.Millisecond)
			require.ErrorContains(t, r.failure(), want)
		}
		require.Contains(t, validate(t, lite(t).config(namingKey, "${catalog}"))[namingKey], "there is no ${catalog}: tables of this database have none")
	})
}

func TestUnbounded_numbers_without_a_precision(t *testing.T) {
	t.Parallel()
	p := pg(t, "CREATE TABLE t (n numeric NOT NULL, m numeric(10,2) NOT NULL)", "INSERT INTO t VALUES (1234567890123456789012.25, 1.5)")
	const shape = "m BYTES Decimal scale=2 connect.decimal.precision=10"
	for mapping, want := range map[string][2]string{
		"absent":    {"n BYTES Decimal scale=127 connect.decimal.precision=0", "1234567890123456789012.25" + strings.Repeat("0", 125)},
		"decimal":   {"n BYTES Decimal scale=127 connect.decimal.precision=0", "1234567890123456789012.25" + strings.Repeat("0", 125)},
		"decimal:4": {"n BYTES Decimal scale=4 connect.decimal.precision=0", "1234567890123456789012.2500"},
		"double":    {"n FLOAT64", "1.2345678901234568E21"},
		"string":    {"n STRING", "1234567890123456789012.25"},
	} {
		r := one(t, p, unboundedKey, mapping)
		require.Equal(t, []string{want[0], shape}, shapes(r), mapping)
		require.Equal(t, want[1], data.Text(value(t, r, "n")), mapping)
	}
	require.Equal(t, []string{"n FLOAT64", "m FLOAT64"}, shapes(one(t, p, numericKey, "best_fit")))
	require.Equal(t, []string{"n STRING", "m FLOAT64"}, shapes(one(t, p, numericKey, "best_fit", unboundedKey, "string")), "numeric.mapping has the others")
	err := started(t, p.config(unboundedKey, "decimal:1")).fails(t)
	require.ErrorContains(t, err, "column n (numeric) of public.t at {}: 1234567890123456789012.25 has more than 1 digits behind the point: numeric.unbounded.mapping=decimal:1 does not hold it; take a larger scale, or string")
	p.do(t, "UPDATE t SET n = 'NaN'")
	require.Equal(t, "NaN", value(t, one(t, p, unboundedKey, "string"), "n"))
	require.True(t, math.IsNaN(value(t, one(t, p, unboundedKey, "double"), "n").(float64)))

	l := lite(t, "CREATE TABLE t (a NUMERIC, b DECIMAL, c DECIMAL(5,1))", "INSERT INTO t VALUES (1.5, 12345678, 2)")
	require.Equal(t, []string{"a STRING optional", "b STRING optional", "c BYTES Decimal scale=1 connect.decimal.precision=5 optional"}, shapes(one(t, l, unboundedKey, "string")))
	r := one(t, l, unboundedKey, "decimal:2")
	require.Equal(t, []any{"1.50", "12345678.00"}, []any{data.Text(value(t, r, "a")), data.Text(value(t, r, "b"))})

	for _, open := range []func(*testing.T, ...string) testDB{maria, mysqlDB} {
		m := open(t, "CREATE TABLE t (n decimal NOT NULL)", "INSERT INTO t VALUES (5)")
		require.Equal(t, []string{"n BYTES Decimal scale=0 connect.decimal.precision=10"}, shapes(one(t, m, unboundedKey, "string")), "MySQL has none: it is decimal(10,0)")
	}
}

func TestUnbounded_numbers_can_count_rows(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id numeric NOT NULL)", "INSERT INTO t VALUES (1), (2)")
	for _, mapping := range []string{"string", "double", "decimal:0"} {
		require.Equal(t, []string{"{incrementing=1}", "{incrementing=2}"}, offsets(started(t, d.config(modeKey, incrementing, incrementingKey, "id", unboundedKey, mapping)).take(t, 2)))
	}
}

// The rows' clock is not that of the database: without db.time.query rows of its future would wait, or those of its past be read
// before their time.
func TestTimeQuery_says_up_to_which_time_is_read(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d testDB, create func(string)) {
		stamped(t, d, create)
		d.do(t, "INSERT INTO t VALUES (4,'2124-05-05 10:00:00')", "CREATE TABLE clock (id int NOT NULL, now varchar(30))", "INSERT INTO clock VALUES (1, '2024-05-05 10:00:01')")
		query := "SELECT now FROM clock"
		third, fourth := "2024-05-05 10:00:01.001", "2124-05-05 10:00:00.001" // behind those rows
		if strings.HasSuffix(t.Name(), "/mysql") {                            // 5.5 leaves fractions of seconds out where it compares
			third, fourth = "2024-05-05 10:00:02", "2124-05-05 10:00:01"
		}
		for _, mode := range []string{timestamp, both} {
			d.do(t, "UPDATE clock SET now = '2024-05-05 10:00:01'")
			c := d.config(modeKey, mode, timestampKey, "at", incrementingKey, "id", whitelistKey, "t", timeQueryKey, query)
			require.Empty(t, validate(t, c))
			r := started(t, c)
			require.Equal(t, []int{1, 2}, ids(t, r.take(t, 2)))
			r.nothing(t)
			d.do(t, "UPDATE clock SET now = '"+third+"'")
			require.Equal(t, []int{3}, ids(t, r.take(t, 1)))
			r.nothing(t)
			d.do(t, "UPDATE clock SET now = '"+fourth+"'")
			require.Equal(t, []int{4}, ids(t, r.take(t, 1)))
		}
		d.do(t, "UPDATE clock SET now = '2024-05-05 06:00:00.5'") // New York's, four hours behind
		r := started(t, d.config(modeKey, timestamp, timestampKey, "at", zoneKey, "America/New_York", initialKey, "-1", whitelistKey, "t", timeQueryKey, query))
		r.nothing(t)
		d.do(t, "UPDATE clock SET now = '"+fourth+"'")
		require.Equal(t, []int{1, 2, 3, 4}, ids(t, r.take(t, 4)), "timestamp.initial=-1 is that time too")

		d.do(t, "UPDATE clock SET now = NULL")
		require.Contains(t, validate(t, d.config(modeKey, timestamp, timestampKey, "at", timeQueryKey, query))[timeQueryKey], "it gives NULL")
		d.do(t, "DELETE FROM clock")
		require.Contains(t, validate(t, d.config(modeKey, timestamp, timestampKey, "at", timeQueryKey, query))[timeQueryKey], "it gives not one row of one column")
		require.Contains(t, validate(t, d.config(timeQueryKey, "SELECT 1, 2"))[timeQueryKey], "it gives not one row of one column")
	})
}

func TestTimeQuery_with_a_zone_is_an_instant(t *testing.T) {
	t.Parallel()
	at := time.Date(2024, 5, 5, 10, 0, 0, 500_000_000, time.UTC)
	newYork, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	for query, d := range map[string]testDB{"SELECT '2024-05-05 12:00:00.5+02'::timestamptz": pg(t), "SELECT '2024-05-05 06:00:00.5'::timestamp": pg(t), "SELECT TIMESTAMP '2024-05-05 06:00:00.5'": maria(t),
		"SELECT CAST('2024-05-05 06:00:00.5' AS DATETIME)": mysqlDB(t), "SELECT 1714903200500": lite(t), "SELECT julianday('2024-05-05 10:00:00.5')": lite(t), "SELECT '2024-05-05 06:00:00.5'": lite(t)} {
		c := d.config(zoneKey, "America/New_York")
		s, found := parse(confluentDef, c)
		require.Empty(t, found)
		db, err := openWith(confluentDef, connect.Policy{})(t.Context(), s, c, slog.New(slog.DiscardHandler), true)
		require.NoError(t, err)
		got, err := db.now(t.Context(), clock{zone: newYork}, query)
		require.NoError(t, err)
		require.Equal(t, at, got.UTC(), query)
		require.NoError(t, db.close())
	}
}

func TestTimeQuery_that_fails_while_it_runs_fails_the_task(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE clock AS SELECT now() AS at", "CREATE TABLE t (at timestamptz NOT NULL)", "INSERT INTO t VALUES ('2024-05-05')")
	r := started(t, d.config(modeKey, timestamp, timestampKey, "at", whitelistKey, "t", timeQueryKey, "SELECT at FROM clock"))
	r.take(t, 1)
	d.do(t, "DELETE FROM clock")
	require.ErrorContains(t, r.fails(t), "The query of db.time.query does not give a time: it gives not one row of one column.")
}

func TestRecommended_are_the_tables_that_lists_can_name(t *testing.T) {
	t.Parallel()
	recommended := func(config map[string]string, after bool) []string {
		c := classOf(t, "confluent").NewConnector()
		if after {
			c.(connector.Validator).Validate(t.Context(), config)
		}
		all := c.(connector.Recommender).Recommend(t.Context(), config)
		require.Equal(t, all[whitelistKey], all[blacklistKey])
		return all[whitelistKey]
	}
	for name, d := range map[string]testDB{"postgres": pg(t), "mariadb": maria(t), "mysql": mysqlDB(t), "sqlite": lite(t)} {
		d.do(t, "CREATE TABLE b (id int)", "CREATE TABLE a (id int)", "CREATE VIEW v AS SELECT * FROM a")
		for _, after := range []bool{false, true} {
			require.Equal(t, []string{"a", "b"}, recommended(d.config(), after), name)
			require.Equal(t, []string{"a", "b"}, recommended(d.config(modeKey, "absent", pollKey, "often"), after), "%s: also with errors", name)
			require.Equal(t, []string{"v"}, recommended(d.config(typesKey, "VIEW"), after), name)
		}
	}
	d := pg(t, "CREATE SCHEMA s1", "CREATE TABLE s1.t (id int)", "CREATE TABLE t (id int)", "CREATE TABLE s1.u (id int)")
	require.Equal(t, []string{"public.t", "s1.t", "u"}, recommended(d.config(), true))
	require.Equal(t, []string{"t", "u"}, recommended(d.config(schemaKey, "s_"), true))
	require.Empty(t, recommended(d.config(urlKey, "jdbc:postgresql://127.0.0.1:1/x"), true))
	require.Empty(t, recommended(map[string]string{}, false))
	require.Len(t, listed(slices.Repeat([]table{{schema: "s", name: "t"}}, mostRecommended+1)), mostRecommended)
}

func TestRecommended_cost_no_second_login_where_the_first_was_refused(t *testing.T) {
	t.Parallel()
	logins := 0
	c := &jdbcConnector{def: confluentDef, open: func(context.Context, *settings, map[string]string, *slog.Logger, bool) (session, error) {
		logins++
		return nil, errors.New("wrong password")
	}}
	config := map[string]string{urlKey: "jdbc:postgresql://h/d", modeKey: bulk, prefixKey: "p"}
	require.Len(t, c.Validate(t.Context(), config), 1)
	require.Empty(t, c.Recommend(t.Context(), config))
	require.Equal(t, 1, logins)
}
