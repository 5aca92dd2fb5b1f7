package jdbcsink

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/jdbcurl"
	"github.com/millrace/millrace/plugins/connectors/jdbc/zone"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
)

// What COPY and arrays get is what a parameter would have been.
func TestLines_have_the_texts_of_parameters(t *testing.T) {
	t.Parallel()
	d, err := dialect.Find("PostgreSqlDatabaseDialect", &jdbcurl.URL{})
	require.NoError(t, err)
	values := map[*data.Schema][]any{
		data.NewSchema(data.Int8):                                  {int8(-128), int8(127)},
		data.NewSchema(data.Int16):                                 {int16(-1)},
		data.NewSchema(data.Int32):                                 {int32(math.MinInt32), int32(0)},
		data.NewSchema(data.Int64):                                 {int64(math.MaxInt64), int64(math.MinInt64)},
		data.NewSchema(data.Float32):                               {float32(0.1), float32(math.Inf(1)), float32(math.NaN())},
		data.NewSchema(data.Float64):                               {0.1, 1e300, 5e-324, math.Inf(-1), math.NaN()},
		data.NewSchema(data.Boolean):                               {true, false},
		data.NewSchema(data.String):                                {"", "a", "\\", `\N`, "tab\tline\nreturn\rend", "日本語", strings.Repeat("x\\", 50)},
		data.NewSchema(data.Bytes):                                 {[]byte{}, []byte{0, 1, 255}},
		data.DecimalSchema(2):                                      {data.NewDecimal(1250, 2), data.NewDecimal(-5, 2), data.NewDecimal(5, -3)},
		data.ArrayOf(data.NewSchema(data.String, data.Optional())): {[]any{"a,b", `"`, `\`, nil}},
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable
	stamp, day, clock := data.TimestampSchema(), data.DateSchema(), data.TimeSchema()
	for range 5_000 {
		n := random.Int64N(600_000_000_000_000) - 100_000_000_000_000
		days := n / dayMillis * dayMillis
		for s, v := range map[*data.Schema]int64{stamp: n, day: days, clock: (n%dayMillis + dayMillis) % dayMillis} {
			values[s] = append(values[s], data.Instant(v))
		}
	}
	for _, at := range []data.Instant{firstPlain - 1, firstPlain, firstLong - 1, firstLong, 0, -1, 951_782_400_000, data.InstantOf(time.Date(2000, 3, 1, 0, 0, 0, 0, time.UTC)) - 1} {
		values[stamp] = append(values[stamp], at)
	}
	berlin, err := zone.Load("Europe/Berlin")
	require.NoError(t, err)
	for _, s := range []*settings{{zone: time.UTC, dateZone: time.UTC, utc: true}, {zone: berlin, dateZone: time.UTC}} {
		w := &writer{s: s, d: d}
		for schema, list := range values {
			for _, zoned := range []bool{false, true} {
				f := &field{name: "f", schema: schema, of: d, zoned: zoned, from: fromKey}
				for _, v := range list {
					want, err := s.bindValue(d, f, v)
					require.NoError(t, err)
					line, err := w.copyLine(nil, &record.Sink{Key: v}, []*field{f})
					require.NoError(t, err)
					require.Equal(t, fmt.Sprint(want), unescaped(line), "%T %v", v, v)
					element, err := w.element(nil, f, v)
					require.NoError(t, err)
					require.Equal(t, fmt.Sprint(want), unquoted(t, element), "%T %v", v, v)
				}
			}
		}
	}
}

// The driver can still read when it has already said that the connection broke; the lines are written anew then.
func TestCopyReader_reads_nothing_after_its_end(t *testing.T) {
	t.Parallel()
	line := []byte(strings.Repeat("x", 1<<16))
	reader := &copyReader{rows: slices.Repeat([]row{{line: line}}, 100)}
	reading, done := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := reader.Read(make([]byte, 100))
		close(reading)
		for err == nil {
			_, err = reader.Read(make([]byte, 1))
		}
		done <- err
	}()
	<-reading
	require.NoError(t, reader.end())
	clear(line) // the race detector sees a reader
	require.ErrorIs(t, <-done, io.ErrClosedPipe)
}

// Lines are made as they are read. A row that has none ends the COPY, and a panic is an error: the driver's goroutine is not the task's.
func TestCopyReader_tells_of_a_row_that_has_no_line(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	for name, c := range map[string]struct {
		fails func() ([]byte, error)
		want  string
	}{
		"an error": {func() ([]byte, error) { return nil, bad }, "bad"},
		"a panic":  {func() ([]byte, error) { panic("oops") }, "oops"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			records := make([]record.Sink, 3)
			rows := []row{{r: &records[0]}, {r: &records[1], line: []byte("ready\n")}, {r: &records[2]}, {}}
			reader := &copyReader{rows: rows, make: func(b []byte, r *record.Sink) ([]byte, error) {
				if r == &records[2] {
					return c.fails()
				}
				return append(b, "made\n"...), nil
			}}
			text, err := io.ReadAll(reader)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, "made\nready\n", string(text))
			require.ErrorIs(t, reader.end(), err)
		})
	}
}

// unquoted reads an element of an array as PostgreSQL does. One without quotes may have nothing that means something there.
func unquoted(t *testing.T, element []byte) string {
	t.Helper()
	text, quoted := strings.CutPrefix(string(element), `"`)
	if !quoted {
		require.NotRegexp(t, `[{}," \\]|^$|(?i)^null$`, text)
		return text
	}
	text = strings.TrimSuffix(text, `"`)
	require.NotContains(t, strings.ReplaceAll(strings.ReplaceAll(text, `\\`, ""), `\"`, ""), `"`)
	return regexp.MustCompile(`\\(.)`).ReplaceAllString(text, "$1")
}

// unescaped reads a line of one column as PostgreSQL does.
func unescaped(line []byte) string {
	text := strings.TrimSuffix(string(line), "\n")
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++
			b.WriteString(map[byte]string{'\\': "\\", 'n': "\n", 'r': "\r", 't': "\t"}[text[i]])
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
