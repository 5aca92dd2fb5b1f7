package dialect_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcurl"
)

func find(t *testing.T, name string) dialect.Dialect {
	t.Helper()
	d, err := dialect.Find(name, &jdbcurl.URL{})
	require.NoError(t, err)
	return d
}

func TestParseName(t *testing.T) {
	t.Parallel()
	pg, my, ms := find(t, "PostgreSqlDatabaseDialect"), find(t, "MySqlDatabaseDialect"), find(t, "SqlServerDatabaseDialect")
	for _, c := range []struct {
		d          dialect.Dialect
		text, want string
	}{
		{pg, "orders", `"orders"`}, {pg, "sales.orders", `"sales"."orders"`}, {pg, `"sales.orders"`, `"sales.orders"`}, {pg, `a."b""c".d`, `"a"."b""c"."d"`},
		{my, "sales.orders", "`sales`.`orders`"}, {my, "`a.b`", "`a.b`"}, {ms, "orders", "[dbo].[orders]"}, {ms, "sales.orders", "[sales].[dbo].[orders]"}, {ms, "[a.b]", "[dbo].[a.b]"},
	} {
		n, err := dialect.ParseName(c.d, c.text)
		require.NoError(t, err)
		require.Equal(t, c.want, n.Text(c.d, true))
	}
	for text, want := range map[string]string{
		"a.b.c.d": "Table name 'a.b.c.d' has more than three parts. Quote it in table.name.format or use a transform to rename the topic.",
		`"a`:      `Failure parsing fully qualified identifier; missing trailing quote in "a`,
		"a.":      "Failure parsing fully qualified identifier; ends in delimiter a.",
	} {
		_, err := dialect.ParseName(pg, text)
		require.EqualError(t, err, want)
	}
}

func TestFind_by_url(t *testing.T) {
	t.Parallel()
	for sub, want := range map[string]string{"postgresql": "PostgreSqlDatabaseDialect", "mariadb": "MySqlDatabaseDialect", "sqlite": "SqliteDatabaseDialect", "sqlserver": "SqlServerDatabaseDialect", "oracle": "OracleDatabaseDialect"} {
		d, err := dialect.Find("", &jdbcurl.URL{Sub: sub})
		require.NoError(t, err)
		require.Equal(t, want, d.Name())
	}
}

func TestOutermost_is_what_is_in_no_quotes_and_no_parentheses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "",
		"a = 'b, \"c' , d":         "a =  , d",
		"f(x, (y), ')') ; \"q(\"z": "f ; z",
		"`a` (":                    " ",
		"a) b":                     "a",
	} {
		got := ""
		for i, c := range dialect.Outermost(text) {
			require.Equal(t, text[i], c)
			got += string(c)
		}
		require.Equal(t, want, got, text)
	}
	for i := range dialect.Outermost("ab") {
		require.Zero(t, i)
		break
	}
}
