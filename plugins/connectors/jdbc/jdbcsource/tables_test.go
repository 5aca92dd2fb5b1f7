package jdbcsource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
)

func TestCase_15_a_query_is_one_task(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE t (id int)")
	require.Equal(t, []string{""}, connect1(t, d.config(queryKey, "SELECT * FROM t")).tables(t, 5))
}

func TestCase_16_names_of_tables(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE a (id int)", "CREATE TABLE b (id int)")
	for _, entry := range []string{"public.a", `"public"."a"`, "a"} {
		require.Equal(t, []string{`"public"."a"`}, connect1(t, d.config(whitelistKey, entry)).tables(t, 5), entry)
	}
	c := connect1(t, d.config(whitelistKey, "A"))
	require.Equal(t, []string{""}, c.tables(t, 5))
	require.Contains(t, c.logs.String(), "did you mean public.a?")
	require.Equal(t, []string{`"public"."b"`}, connect1(t, d.config(blacklistKey, "a")).tables(t, 5))
	require.Equal(t, []string{"public.a,public.b"}, connect1(t, d.config(quoteKey, never)).tables(t, 1))
}

func TestCase_17_tables_of_one_name_share_no_topic(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE SCHEMA s1", "CREATE SCHEMA s2", "CREATE TABLE s1.t (id int)", "CREATE TABLE s2.t (id int)")
	_, err := connect1(t, d.config(whitelistKey, "t")).TaskConfigs(t.Context(), 1)
	require.ErrorContains(t, err, "Encountered an unrecoverable error while reading tables from the database")
	require.ErrorContains(t, err, "Update the connector's 'table.whitelist' config to include exactly one table in each of the tables listed below.\n\t[[\"s1\".\"t\", \"s2\".\"t\"]]")
}

func TestCase_18_tables_come_and_go(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE a (id int)")
	c := connect1(t, d.config())
	c.changed(t)
	require.Equal(t, []string{`"public"."a"`}, c.tables(t, 5))
	d.do(t, "CREATE TABLE b (id int)")
	c.changed(t)
	require.Equal(t, []string{`"public"."a"`, `"public"."b"`}, c.tables(t, 5))
	d.do(t, "DROP TABLE a")
	c.changed(t)
	require.Equal(t, []string{`"public"."b"`}, c.tables(t, 5))
	require.Equal(t, 3, c.requests, "nothing else asks for tasks")
}

func TestCases_19_and_20_types_of_tables(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE a (id int)", "CREATE VIEW v AS SELECT * FROM a", "CREATE TABLE p (id int) PARTITION BY RANGE (id)",
		"CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)", "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)")
	for types, want := range map[string]string{
		"VIEW": `"public"."v"`, "table,view": `"public"."a","public"."p1","public"."p2","public"."v"`, "TABLE": `"public"."a","public"."p1","public"."p2"`, "PARTITIONED TABLE": `"public"."p"`, "NONE": "",
	} {
		require.Equal(t, []string{want}, connect1(t, d.config(typesKey, types)).tables(t, 1), types)
	}
}

func TestCase_21_no_table_fails_the_task_or_lets_it_wait(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE a (id int)")
	_, err := start(t, d.config(whitelistKey, "nope"))
	require.EqualError(t, err, noTablesText)
	started(t, d.config(whitelistKey, "nope", noTablesKey, "wait")).nothing(t)
}

func TestCase_22_lists_of_expressions(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE a (id int)", "CREATE TABLE b (id int)", "CREATE TABLE tmp_c (id int)")
	require.Equal(t, []string{`"public"."a"`}, connect1(t, d.config(includeKey, `public\.(a|b)`, excludeKey, `public\.b`)).tables(t, 1))
	require.Equal(t, []string{`"public"."a","public"."b"`}, connect1(t, d.config(includeKey, `public\.(?!tmp_).*`)).tables(t, 1))
}

func TestMappings_each_table_has_exactly_one(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE TABLE a (k int NOT NULL)", "CREATE TABLE b (id int NOT NULL)", "INSERT INTO a VALUES (7)", "INSERT INTO b VALUES (8)")
	got := started(t, d.config(includeKey, ".*", modeKey, incrementing, incrementingMapKey, `public\.a:k,.*b:id`)).take(t, 2)
	require.Equal(t, []string{`{"k":7}`, `{"id":8}`}, texts(t, got))
	_, err := start(t, d.config(includeKey, ".*", modeKey, incrementing, incrementingMapKey, `public\.a:k`))
	require.EqualError(t, err, "Error while validating incrementing column mappings: Included table 'public.b' does not match any of the provided regexes")
	_, err = start(t, d.config(includeKey, ".*", modeKey, incrementing, incrementingMapKey, `public\.a:k,.*:id`))
	require.EqualError(t, err, "Error while validating incrementing column mappings: Included table 'public.a' matches more than one of the provided regexes")
}

func TestMySQL_only_the_tables_of_the_database_are_listed_unless_others_are_named(t *testing.T) {
	t.Parallel()
	eachMySQL(t, func(t *testing.T, open func(*testing.T, ...string) testDB) {
		a := open(t, "CREATE TABLE t (id int)")
		b := open(t, "CREATE TABLE t (id int)", "CREATE TABLE other (id int)")
		require.Equal(t, []string{"`" + a.name + "`.`t`"}, connect1(t, a.config()).tables(t, 1))
		require.Equal(t, []string{"`" + b.name + "`.`other`"}, connect1(t, a.config(whitelistKey, b.name+".other")).tables(t, 1))
		require.Equal(t, []string{"`" + b.name + "`.`other`"}, connect1(t, a.config(includeKey, b.name+`\.o.*`)).tables(t, 1))
	})
}

func TestConnector_that_can_not_connect_fails(t *testing.T) {
	t.Parallel()
	c := connect1(t, map[string]string{"name": "c", urlKey: "jdbc:postgresql://127.0.0.1:1/x?password=geheim", modeKey: bulk, attemptsKey: "2", backoffKey: "1", startupKey: "10"})
	require.Eventually(t, func() bool { return c.failure() != nil }, soon, time.Millisecond)
	require.NotContains(t, c.failure().Error(), "geheim")
	require.NotContains(t, c.logs.String(), "geheim")
	tables, err := c.TaskConfigs(t.Context(), 3)
	require.NoError(t, err)
	require.Len(t, tables, 1)
	require.Equal(t, "false", tables[0][fetchedKey])
	r, err := startTask(t, tables[0])
	require.NoError(t, err)
	r.nothing(t)
}

// Without qualified names a table is found as the database finds it, whatever schemas have others of the name.
func TestAiven_names_that_are_not_qualified(t *testing.T) {
	t.Parallel()
	d := pg(t, "CREATE SCHEMA s1", "CREATE SCHEMA s2", "CREATE TABLE s1.t (id int)", "CREATE TABLE s2.t (id int)", "CREATE TABLE t (id serial)",
		"INSERT INTO s1.t VALUES (1)", "INSERT INTO t VALUES (7)")
	c := d.config(whitelistKey, "t", qualifyKey, "false", modeKey, incrementing)
	require.Equal(t, []string{`"t"`}, connect1(t, c).tables(t, 5))
	require.Equal(t, []string{""}, connect1(t, d.config(whitelistKey, "s1.t", qualifyKey, "false")).tables(t, 5))
	c[tablesKey], c[fetchedKey] = `"t"`, "true"
	got := started(t, c).take(t, 1)
	require.Equal(t, []string{`{"id":7}`}, texts(t, got))
	require.Equal(t, "{protocol=1, table=t}", data.Text(got[0].Partition))
}
