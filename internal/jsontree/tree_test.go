package jsontree

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// decoded is a node as encoding/json has it.
func decoded(t *Tree, n Node) any {
	switch t.Kind(n) {
	case False, True:
		return t.Kind(n) == True
	case Int, Number:
		return json.Number(t.Raw(n))
	case String:
		return t.Text(n)
	case Array:
		list := []any{}
		for e := t.First(n); e != t.End(n); e = t.Next(e) {
			list = append(list, decoded(t, e))
		}
		return list
	case Object:
		m := map[string]any{}
		for k := t.First(n); k != t.End(n); k = t.Next(t.Next(k)) {
			m[t.Text(k)] = decoded(t, t.Next(k))
		}
		return m
	default:
		return nil
	}
}

// lenient tells whether a text is one that Kafka Connect reads otherwise than the standard library.
func lenient(b []byte) bool {
	return !utf8.Valid(b) || bytes.Contains(b, []byte(`\ud`)) || bytes.Contains(b, []byte(`\uD`)) || bytes.ContainsAny(b, "\x00\ufeff") || len(b) >= maxNumber
}

// FuzzParse: what is JSON for the standard library is the same JSON here; and a string is written as what reads as itself.
func FuzzParse(f *testing.F) {
	for _, s := range []string{``, `{}`, `[1,"a",{"b":[null,true,-1.5e+3]}]`, `"\u00e9\n\ud83d\ude00"`, `{"a":1,"a":2}`, `007`, "\xef\xbb\xbf1", "1\x00", "\"\xc0\xaf\"", `"\ud800"`, "\"\xed\xa0\x80\"", strings.Repeat("[", 1001)} {
		f.Add([]byte(s))
	}
	var tree Tree
	f.Fuzz(func(t *testing.T, b []byte) {
		err := tree.Parse(b)
		if json.Valid(b) && !lenient(b) {
			require.NoError(t, err)
			var want any
			d := json.NewDecoder(bytes.NewReader(b))
			d.UseNumber()
			require.NoError(t, d.Decode(&want))
			require.Equal(t, want, decoded(&tree, tree.Root()))
		}
		if err != nil {
			return
		}
		for n := range tree.nodes {
			if tree.nodes[n].kind != String {
				continue
			}
			text := tree.Text(Node(n))
			var again Tree
			require.NoError(t, again.Parse(AppendString(nil, text)))
			require.Equal(t, text, again.Text(again.Root()))
		}
	})
}

func TestAppendString_writes_as_Kafka_Connect_does(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"a\"b\\c/d\n\t\r\b\f\x01\x1f\x7f\u2028é€😀<>&'": `"a\"b\\c/d\n\t\r\b\f\u0001\u001F` + "\x7f\u2028é€" + `\uD83D\uDE00<>&'"`,
		"\xed\xa0\x80": `"\uD800"`, "a\xffb": "\"a\uFFFDb\"", "": `""`,
	} {
		require.Equal(t, want, string(AppendString(nil, s)))
	}
}

func TestParse_limits_depth_and_digits(t *testing.T) {
	t.Parallel()
	var tree Tree
	require.NoError(t, tree.Parse([]byte(strings.Repeat("[", 1000)+strings.Repeat("]", 1000))))
	require.ErrorContains(t, tree.Parse([]byte(strings.Repeat("[", 1001)+strings.Repeat("]", 1001))), "more than 1000 deep")
	require.NoError(t, tree.Parse(bytes.Repeat([]byte("9"), 1000)))
	require.ErrorContains(t, tree.Parse(bytes.Repeat([]byte("9"), 1001)), "more than 1000 characters")
}
