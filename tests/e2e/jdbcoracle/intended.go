package jdbcoracle

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/servers"
)

// intended is a difference between the columns that the connectors make.
type intended struct{ theirs, ours, why string }

const (
	confluents  = "ours makes the columns that Confluent's sink makes, so that a takeover changes no table; Debezium chooses types of its own"
	wholeDigits = confluents + ". DECIMAL without digits holds any decimal"
	millis      = confluents + ". Connect's times count milliseconds"
)

// types are the intended differences, by product and column. What the columns hold must be equal all the same.
var types = map[string]map[string]intended{
	"postgresql": {
		"amount": {"numeric 38 4", "numeric", wholeDigits},
	},
	"mariadb": {
		"amount":    {"decimal(38,4)", "decimal(65,4)", confluents},
		"blob":      {"longblob", "varbinary(1024)", confluents + "; ddl.types=wide makes LONGBLOB"},
		"word":      {"longtext", "text", confluents + "; ddl.types=wide makes LONGTEXT"},
		"CamelCase": {"longtext", "text", confluents + "; ddl.types=wide makes LONGTEXT"},
		"yes":       {"tinyint(1)", "tinyint(4)", confluents + "; ddl.types=wide makes BOOLEAN"},
		"clock":     {"time(6)", "time(3)", millis},
		"moment":    {"datetime(6)", "datetime(3)", millis},
	},
}

// typesOf lists the columns of a table: type, whether it can be null, default.
var typesOf = map[string]string{
	"postgresql": `SELECT column_name, concat_ws(' ', udt_name, numeric_precision, numeric_scale, datetime_precision), is_nullable, column_default FROM information_schema.columns WHERE table_name = `,
	"mariadb":    `SELECT column_name, column_type, is_nullable, column_default FROM information_schema.columns WHERE table_schema = database() AND table_name = `,
}

// compareTypes compares the columns of tables that the connectors made.
func compareTypes(t *testing.T, d servers.Database, theirs, ours string) {
	t.Helper()
	read := func(table string) []string { return d.Rows(t, typesOf[d.Like()]+"'"+table+"' ORDER BY 1") }
	left := map[string]intended{}
	for name, i := range types[d.Like()] {
		left[name] = i
	}
	if yes := left["yes"]; d.Product == "mysqltoday" { // which tells no widths but that one
		yes.ours = "tinyint"
		left["yes"] = yes
	}
	want, got := read(theirs), read(ours)
	require.Len(t, got, len(want))
	for i := range want {
		a, b := strings.Split(want[i], "|"), strings.Split(got[i], "|")
		if known, ok := left[a[0]]; ok && a[1] == known.theirs && b[1] == known.ours {
			t.Logf("column %s is %s of Java's, %s of ours: %s", a[0], a[1], b[1], known.why)
			delete(left, a[0])
			b[1] = a[1]
		}
		require.Equal(t, a, b)
	}
	require.Empty(t, left, "differences that are no more: take them off the list")
}
