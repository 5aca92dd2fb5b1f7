package jdbcsource

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/sdk/data"
)

var dollar = writer{quote: `"`, param: func(n int, _ argument) string { return "$" + string(rune('0'+n)) }}

func TestStatements(t *testing.T) {
	t.Parallel()
	orders := target{table: table{schema: "public", name: "orders"}, id: "id", stamps: []string{"updated_at"}}
	two := target{table: table{schema: "public", name: "t"}, id: "id", stamps: []string{"modified", "created"}}
	query := target{query: "SELECT id, name AS n FROM t", id: "id"}
	for _, one := range []struct {
		mode, suffix string
		t            target
		want         string
	}{
		{bulk, "", orders, `SELECT * FROM "public"."orders"`},
		{incrementing, "LIMIT 1", orders, `SELECT * FROM "public"."orders" WHERE "public"."orders"."id" > $1 ORDER BY "public"."orders"."id" ASC LIMIT 1`},
		{timestamp, "", orders, `SELECT * FROM "public"."orders" WHERE "public"."orders"."updated_at" > $1 AND "public"."orders"."updated_at" < $2 ORDER BY "public"."orders"."updated_at" ASC`},
		{both, "", orders, `SELECT * FROM "public"."orders" WHERE "public"."orders"."updated_at" < $1 AND (("public"."orders"."updated_at" = $2 AND "public"."orders"."id" > $3) OR "public"."orders"."updated_at" > $4) ORDER BY "public"."orders"."updated_at","public"."orders"."id" ASC`},
		{timestamp, "", two, `SELECT * FROM "public"."t" WHERE COALESCE("public"."t"."modified","public"."t"."created") > $1 AND COALESCE("public"."t"."modified","public"."t"."created") < $2 ORDER BY COALESCE("public"."t"."modified","public"."t"."created") ASC`},
		{incrementing, "LIMIT 5", target{query: "SELECT t.id FROM t WHERE x = 1 -- all;\n;", id: "id", wrap: true}, "SELECT * FROM (SELECT t.id FROM t WHERE x = 1 -- all\n) AS connect_query WHERE \"id\" > $1 ORDER BY \"id\" ASC LIMIT 5"},
		{timestamp, "", target{query: "SELECT max(at) AS m FROM t GROUP BY k", stamps: []string{"m"}, wrap: true}, `SELECT * FROM (SELECT max(at) AS m FROM t GROUP BY k) AS connect_query WHERE "m" > $1 AND "m" < $2 ORDER BY "m" ASC`},
		{incrementing, "", query, `SELECT id, name AS n FROM t WHERE "id" > $1 ORDER BY "id" ASC`},
		{bulk, "", target{table: table{name: `a"b`}}, `SELECT * FROM "a""b"`},
	} {
		require.Equal(t, one.want, dollar.statement(one.mode, one.t, one.suffix, false).text)
	}
}

func TestStatement_with_an_end_of_ids(t *testing.T) {
	t.Parallel()
	table := target{table: table{schema: "public", name: "t"}, id: "id"}
	require.Equal(t, `SELECT * FROM "public"."t" WHERE "public"."t"."id" > $1 AND "public"."t"."id" <= $2 ORDER BY "public"."t"."id" ASC`, dollar.statement(incrementing, table, "", true).text)
	require.Equal(t, `SELECT max("public"."t"."id") FROM "public"."t"`, dollar.last(table))
	require.Equal(t, `SELECT max("id") FROM (SELECT id FROM t) AS connect_query`, dollar.last(target{query: "SELECT id FROM t;", id: "id"}))
}

func TestLag_offsets_stay_behind_the_rows_of_one_timestamp(t *testing.T) {
	t.Parallel()
	at := func(s int64) position { return position{at: time.Unix(s, 0).UTC(), hasAt: true} }
	l := lag{safe: at(0)}
	rows := []position{at(1), at(1), at(2), at(2), at(3)}
	var got []int64
	for i, r := range rows {
		var following *position
		if i+1 < len(rows) {
			following = &rows[i+1]
		}
		got = append(got, l.next(r, following).at.Unix())
	}
	require.Equal(t, []int64{0, 1, 1, 2, 3}, got)
}

func TestLag_whatever_the_rows_a_restart_at_any_offset_loses_none(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.SliceOfN(rapid.Int64Range(0, 2), 1, 40).Draw(t, "steps")
		var rows []position
		now := int64(1)
		for _, s := range steps {
			now += s
			rows = append(rows, position{at: time.Unix(now, 0).UTC(), hasAt: true})
		}
		l := lag{safe: position{at: time.Unix(0, 0).UTC(), hasAt: true}}
		for i, r := range rows {
			var following *position
			if i+1 < len(rows) {
				following = &rows[i+1]
			}
			safe := l.next(r, following)
			for j := i + 1; j < len(rows); j++ { // what comes after a crash right here
				if !rows[j].at.After(safe.at) {
					t.Fatalf("row %d at %v would be lost behind offset %v of row %d", j, rows[j].at, safe.at, i)
				}
			}
		}
	})
}

func TestOffsets(t *testing.T) {
	t.Parallel()
	p := table{schema: "public", name: "orders"}
	require.Equal(t, "{protocol=1, table=public.orders}", data.Text(p.partition()))
	require.Equal(t, []string{"{protocol=1, table=public.orders}", "{protocol=1, table=db.public.orders}", "{table=orders}"}, func() (all []string) {
		for _, one := range p.partitions("db", true) {
			all = append(all, data.Text(one))
		}
		return all
	}())
	at := time.Unix(1700000000, 123456789).UTC()
	whole := position{at: at, hasAt: true, id: 42, hasID: true}
	require.Equal(t, "{timestamp_nanos=123456789, incrementing=42, timestamp=1700000000123}", data.Text(whole.offset()))
	back, err := readOffset(p.partition(), whole.offset())
	require.NoError(t, err)
	require.Equal(t, whole, back)
	old, err := readOffset(p.partition(), data.MapOf("timestamp", int64(1700000000123)))
	require.NoError(t, err)
	require.Equal(t, position{at: time.Unix(1700000000, 123_000_000).UTC(), hasAt: true}, old)
	before, err := readOffset(p.partition(), position{at: time.Unix(-1, 500_000_000).UTC(), hasAt: true}.offset())
	require.NoError(t, err)
	require.Equal(t, time.Unix(-1, 500_000_000).UTC(), before.at)
	_, err = readOffset(p.partition(), data.MapOf("incrementing", "x"))
	require.EqualError(t, err, "Invalid offset for partition {protocol=1, table=public.orders}: incrementing must be an integer")
}

func TestNumericMapping(t *testing.T) {
	t.Parallel()
	modes := []string{"none", "precision_only", "best_fit", "best_fit_eager_double"}
	for _, one := range []struct {
		p, s int
		want [4]kind
	}{
		{1, 0, [4]kind{decimalKind, int8Kind, int8Kind, int8Kind}},
		{3, 0, [4]kind{decimalKind, int16Kind, int16Kind, int16Kind}},
		{8, 0, [4]kind{decimalKind, int32Kind, int32Kind, int32Kind}},
		{10, 0, [4]kind{decimalKind, int64Kind, int64Kind, int64Kind}},
		{19, 0, [4]kind{decimalKind, decimalKind, decimalKind, decimalKind}},
		{10, 2, [4]kind{decimalKind, decimalKind, float64Kind, float64Kind}},
		{20, 5, [4]kind{decimalKind, decimalKind, decimalKind, float64Kind}},
		{5, -2, [4]kind{decimalKind, decimalKind, int32Kind, int32Kind}},
		{0, -127, [4]kind{decimalKind, decimalKind, decimalKind, decimalKind}},
		{0, 0, [4]kind{decimalKind, decimalKind, float64Kind, float64Kind}},
	} {
		for i, m := range modes {
			require.Equal(t, one.want[i], mapper{numeric: m}.number(column{precision: one.p, scale: one.s}), "NUMERIC(%d,%d) %s", one.p, one.s, m)
		}
	}
	_, f := mapper{numeric: "none"}.field(column{name: "n", kind: numericKind, scale: -127})
	require.True(t, f)
}

func TestClock(t *testing.T) {
	t.Parallel()
	in := func(zoneID string, julian bool) clock {
		z, err := time.LoadLocation(zoneID)
		require.NoError(t, err)
		return clock{zone: z, julian: julian}
	}
	for _, one := range []struct {
		c          clock
		text, want string
	}{
		{in("UTC", true), "2024-07-01 12:00:00", "2024-07-01T12:00:00Z"},
		{in("America/New_York", true), "2024-07-01 12:00", "2024-07-01T16:00:00Z"},
		{in("Europe/Paris", true), "2024-10-27 02:30:00", "2024-10-27T00:30:00Z"}, // twice: the earlier
		{in("Europe/Paris", true), "2024-03-31 02:30:00", "2024-03-31T01:30:00Z"}, // never: 03:30
		{in("Europe/Paris", true), "2024-07-01 12:00:00.123456+00", "2024-07-01T12:00:00.123456Z"},
		{in("UTC", true), "2024-07-01 12:00:00-05:30", "2024-07-01T17:30:00Z"},
		{in("UTC", false), "0001-01-01 00:00:00", "0001-01-01T00:00:00Z"},
		{in("UTC", true), "0001-01-01 00:00:00", "0000-12-30T00:00:00Z"},
		{in("UTC", false), "0001-12-31 00:00:00 BC", "0000-12-31T00:00:00Z"},
	} {
		at, err := one.c.stampOf(one.text)
		require.NoError(t, err)
		require.Equal(t, one.want, at.Format(time.RFC3339Nano), one.text)
	}
	for _, bad := range []string{"", "x", "2024-07", "2024-07-01 1200", "2024-07-01 12:00:00+x", "2024-07-01x"} {
		_, ok := parseStamp(bad)
		require.False(t, ok, bad)
	}
	inf, err := in("UTC", true).stampOf("infinity")
	require.NoError(t, err)
	require.EqualValues(t, 9223372036825200000, inf.UnixMilli())
	inf, err = in("UTC", true).stampOf("-infinity")
	require.NoError(t, err)
	require.EqualValues(t, -9223372036832400000, inf.UnixMilli())
}

func TestClock_there_and_back(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		z, err := time.LoadLocation(rapid.SampledFrom([]string{"UTC", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe"}).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		c := clock{zone: z, julian: rapid.Bool().Draw(t, "julian")}
		at := time.Unix(rapid.Int64Range(-60_000_000_000, 10_000_000_000).Draw(t, "second"), rapid.Int64Range(0, 999_999_999).Draw(t, "nano")).UTC()
		back := c.instant(c.wall(at))
		if d := at.Sub(back); d != 0 && d != time.Hour && d != 30*time.Minute { // an hour that comes twice
			t.Fatalf("%v became %v", at, back)
		}
		if c.wall(back) != c.wall(at) {
			t.Fatalf("the clock shows %v and %v", c.wall(back), c.wall(at))
		}
	})
}

func TestGranularity(t *testing.T) {
	t.Parallel()
	at := time.Unix(-1, 999_999_999).UTC() // before 1970, with a fraction
	for g, want := range map[string]any{
		"connect_logical": data.Instant(-1), "micros_long": int64(-1), "micros_string": "-1", "micros_iso_datetime_string": "1969-12-31T23:59:59.999999",
		"nanos_long": int64(-1), "nanos_string": "-1", "nanos_iso_datetime_string": "1969-12-31T23:59:59.999999999",
	} {
		got, err := mapper{granularity: g, clock: clock{zone: time.UTC}}.granular(at)
		require.NoError(t, err)
		require.Equal(t, want, got, g)
	}
}

func TestCase_14_tables_are_divided_evenly_and_in_order(t *testing.T) {
	t.Parallel()
	all := strings.Split("abcde", "")
	require.Equal(t, [][]string{{"a", "b", "c"}, {"d", "e"}}, split(all, 2))
	require.Len(t, split(all, 10), 5)
}

func TestTables_names_survive_whatever_is_in_them(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[a-z,."` + "`" + ` A-Z\[\]]{1,6}`)
		all := []table{{schema: part.Draw(t, "schema"), name: part.Draw(t, "name")}, {schema: "s", name: part.Draw(t, "other")}}
		texts, err := splitTables(joinTables(all, `"`, rapid.Bool().Draw(t, "quote")))
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range texts {
			got, err := parseTable(text, false)
			if err != nil || got != all[i] {
				t.Fatalf("%v became %v of %q: %v", all[i], got, text, err)
			}
		}
	})
	_, err := splitTables(`"public"."orders`)
	require.EqualError(t, err, `Failure parsing fully qualified identifier; missing trailing quote in "public"."orders`)
	_, err = parseTable("public.", false)
	require.EqualError(t, err, "Failure parsing fully qualified identifier; ends in delimiter public.")
}

func TestWatch_asks_for_tasks_only_when_tables_change_and_survives_a_database_that_does_not(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		looks, changes := 0, 0
		answers := []any{errors.New("away"), []table{{name: "a"}}, []table{{name: "a"}}, errors.New("away"), []table{{name: "a"}}, []table{{name: "a"}, {name: "b"}}, []table{{name: "b"}}}
		w := newWatch(time.Minute, func() { changes++ }, slog.New(slog.DiscardHandler), func(context.Context) ([]table, []string, error) {
			a := answers[min(looks, len(answers)-1)]
			looks++
			if err, ok := a.(error); ok {
				return nil, nil, err
			}
			return a.([]table), nil, nil
		})
		done := make(chan struct{})
		go func() { defer close(done); w.run(ctx) }()
		_, ok := w.found(ctx, time.Second)
		require.False(t, ok, "the first look failed")
		found, ok := w.found(ctx, time.Hour)
		require.True(t, ok)
		require.Equal(t, []table{{name: "a"}}, found)
		require.True(t, sleep.For(ctx, time.Hour))
		require.Equal(t, 3, changes)
		found, _ = w.found(ctx, 0)
		require.Equal(t, []table{{name: "b"}}, found)
		cancel()
		<-done
	})
}

func TestOwnClauses(t *testing.T) {
	t.Parallel()
	for q, want := range map[string]bool{
		"SELECT * FROM t": false, "SELECT * FROM t WHERE a = 1": true, "select a from t group  by a": true, "SELECT * FROM (SELECT * FROM t WHERE a = 1) q": false,
		"SELECT 'where' FROM t": false, `SELECT "limit" FROM t`: false, "SELECT 1 UNION SELECT 2": true,
	} {
		require.Equal(t, want, hasOwnClauses(q), q)
	}
}

func TestMoney(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"$1,234.50": "1234.50", "-$1.00": "-1.00", "($2.00)": "-2.00"} {
		require.Equal(t, want, plainMoney(text))
	}
}
