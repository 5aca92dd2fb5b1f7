package converters

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
)

// What is read without a tree is what the tree would have read, and whatever is not of the usual form is left to it.
func TestJSON_direct_reads_what_the_tree_reads(t *testing.T) {
	t.Parallel()
	const logical = `,"name":"org.apache.kafka.connect.data.%s","version":1`
	fields := []struct {
		schema   string
		payloads []string
	}{
		{`"type":"int8"`, []string{"1", "-128", "300", "1.5", "01", "-", `"1"`, "true"}},
		{`"type":"int16","optional":true`, []string{"null", "-32768", "40000", "nul"}},
		{`"type":"int32"`, []string{"2147483647", "4294967296", "-0", "1e3"}},
		{`"type":"int64"`, []string{"999999999999999999", "9223372036854775807", "-9223372036854775808", "99999999999999999999", "0", "00"}},
		{`"type":"float"`, []string{"0.1", "-0.0", "1e39", "5", "1.", ".5", "+1", "1e", "1E-3"}},
		{`"type":"double","optional":true,"default":2.5`, []string{"0.1", "null", "-1.25e300", "1e400", "0x1p3", "1_000", "NaN"}},
		{`"type":"boolean"`, []string{"true", "false", "tru", "0"}},
		{`"type":"string","optional":true`, []string{`""`, `"a"`, `"é日🙂"`, `"\n"`, `"\u00e9"`, "\"\xff\"", "\"\x01\"", `"open`, "null", "5"}},
		{`"type":"bytes"`, []string{`""`, `"AAE="`, `"AA E="`, `" AAE="`, `"AA=="`, `"AB=="`, `"A"`, `"QQ==QQ=="`, "1"}},
		{`"type":"bytes"` + fmt.Sprintf(logical, "Decimal") + `,"parameters":{"scale":"2"}`, []string{`"AfQ="`, `"/w=="`, `""`, "1.25", `"` + strings.Repeat("f3Jk", 20) + `"`}},
		{`"type":"int32"` + fmt.Sprintf(logical, "Date"), []string{"0", "-100000", "2147483647", "2147483648", "1.0"}},
		{`"type":"int32","optional":true` + fmt.Sprintf(logical, "Time"), []string{"0", "86399999", "86400000", "-1", "null"}},
		{`"type":"int64"` + fmt.Sprintf(logical, "Timestamp"), []string{"0", "-62135596800000", "1e3"}},
	}
	var texts []string
	for i, f := range fields {
		texts = append(texts, fmt.Sprintf(`{%s,"field":"f%d"}`, f.schema, i))
	}
	head := `{"schema":{"type":"struct","fields":[` + strings.Join(texts, ",") + `]},"payload":`
	usual := func(r *rand.Rand, odd int) string {
		parts := make([]string, len(fields))
		for i, f := range fields {
			parts[i] = fmt.Sprintf(`"f%d":%s`, i, f.payloads[0])
			if r.IntN(100) < odd {
				parts[i] = fmt.Sprintf(`"f%d":%s`, i, f.payloads[r.IntN(len(f.payloads))])
			}
		}
		if r.IntN(100) < odd {
			r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		}
		if r.IntN(100) < odd {
			parts = parts[1:]
		}
		if r.IntN(100) < odd {
			parts = append(parts, parts[0], `"other":{}`)
		}
		return "{" + strings.Join(parts, []string{",", ", "}[b2i(r.IntN(100) < odd)]) + "}"
	}
	ends := []string{"}", "} ", "}x", "", " }", `,"payload":{}}`, `,"more":1}`}
	direct, tree := jsonWith(t, nil), jsonWith(t, nil)
	_, err := direct.ToConnect("t", []byte(head+usual(rand.New(rand.NewPCG(0, 0)), 0)+"}")) //nolint:gosec // repeatable
	require.NoError(t, err)
	require.NotNil(t, direct.direct)
	r, taken := rand.New(rand.NewPCG(1, 1)), 0 //nolint:gosec // repeatable
	for range 20_000 {
		odd := r.IntN(20)
		text := []byte(head + usual(r, odd) + ends[r.IntN(1+odd%len(ends))])
		if _, ok := direct.direct.read(text[len(head):], false); ok {
			taken++
		}
		tree.prefix = nil
		want, wrong := tree.ToConnect("t", text)
		read := direct.ToConnect
		if r.IntN(2) == 0 {
			read = direct.View
		}
		got, err := read("t", text)
		require.Equal(t, wrong, err, "%s", text[len(head):])
		require.True(t, want.Schema.Equal(got.Schema) && data.Equal(want.Value, got.Value), "%s: %s, want %s", text[len(head):], data.Text(got.Value), data.Text(want.Value))
	}
	require.Greater(t, taken, 2000)
}

// A row costs what its values need: two pieces for the struct, one for each value that an interface can't hold, and one more for the
// bytes of each text and decimal.
//
// Not parallel: allocations are counted for the process.
func TestJSON_direct_allocations(t *testing.T) {
	c := jsonWith(t, nil)
	text := []byte(`{"schema":{"type":"struct","fields":[{"type":"int64","field":"id"},{"type":"string","field":"name"},{"type":"boolean","field":"paid"},` +
		`{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"amount"},` +
		`{"type":"string","optional":true,"field":"note"}]},"payload":{"id":1234567,"name":"some name","paid":true,"amount":"AfQ=","note":null}}`)
	for most, read := range map[float64]func(string, []byte) (data.SchemaAndValue, error){7: c.ToConnect, 6: c.View} { // a view of the text needs no bytes
		once := func() {
			if _, err := read("t", text); err != nil {
				t.Fatal(err)
			}
		}
		once()
		require.LessOrEqual(t, testing.AllocsPerRun(100, once), most)
	}
}
