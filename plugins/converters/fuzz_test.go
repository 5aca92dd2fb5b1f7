package converters

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
)

func seeds(f *testing.F, file, method string) {
	f.Helper()
	vector.Each(f, "testdata/"+file+".jsonl.gz", func(_ string, v converterVector) {
		if b, err := bytesOf(v.Input); v.Method == method && err == nil && b != nil {
			f.Add(b)
		}
	})
}

func jsonWith(tb testing.TB, props map[string]string) *jsonConverter {
	tb.Helper()
	c := &jsonConverter{}
	require.NoError(tb, c.Configure(props, converter.ForValue))
	return c
}

// badData requires that an error says that the record is bad.
func badData(t *testing.T, err error) {
	t.Helper()
	require.True(t, connecterr.IsData(err), "%v", err)
}

// FuzzJSON_reads: bytes are read or refused as bad data, whatever was read before; and what is read can be written and read
// again.
func FuzzJSON_reads(f *testing.F) {
	seeds(f, "json-converter-to", "toConnectData")
	used := map[string]*jsonConverter{}
	for _, schemas := range []string{"true", "false"} {
		used[schemas] = jsonWith(f, map[string]string{"schemas.enable": schemas, "schemas.cache.size": "8"})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for schemas, c := range used {
			fresh := jsonWith(t, map[string]string{"schemas.enable": schemas})
			want, err := fresh.ToConnect("t", b)
			got, again := c.ToConnect("t", b)
			require.Equal(t, err, again)
			require.True(t, want.Schema.Equal(got.Schema) && data.Equal(want.Value, got.Value), "%s: %s, want %s", b, got, want)
			if err != nil {
				badData(t, err)
				continue
			}
			text, err := c.FromConnect("t", got.Schema, got.Value)
			if err != nil { // such as a null that took the place of what is no text, or a decimal of another scale
				badData(t, err)
				continue
			}
			if text == nil {
				require.Nil(t, got.Schema)
				continue
			}
			back, err := fresh.ToConnect("t", text)
			require.NoError(t, err, "%s", text)
			require.True(t, back.Schema.Equal(got.Schema), "%s", text)
			third, err := c.FromConnect("t", back.Schema, back.Value)
			require.NoError(t, err, "%s", text)
			if utf8.Valid(b) && !infinite(got.Value) {
				require.Equal(t, string(text), string(third))
			}
		}
	})
}

// infinite tells whether a value holds an infinity or NaN, which are written as text and read as 0, or a map with keys that
// become the same when they are read.
func infinite(v any) bool {
	b, err := json.Marshal(plain(v))
	return err != nil || b == nil
}

// plain is a value as encoding/json can write it.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	case *data.Map:
		out := make([]any, 0, v.Len())
		for k, e := range v.All() {
			out = append(out, plain(k), plain(e))
		}
		return out
	case *data.Struct:
		out := make([]any, 0, 4)
		for i := range v.Schema().Fields() {
			out = append(out, plain(v.At(i)))
		}
		return out
	}
	return v
}

// FuzzJSON_schema: a schema that can be read is written as what reads as the same schema.
func FuzzJSON_schema(f *testing.F) {
	vector.Each(f, "testdata/json-converter-to.jsonl.gz", func(_ string, v converterVector) {
		b, _ := bytesOf(v.Input)
		var envelope struct{ Schema json.RawMessage }
		if json.Unmarshal(b, &envelope) == nil && envelope.Schema != nil {
			f.Add(string(envelope.Schema))
		}
	})
	f.Fuzz(func(t *testing.T, text string) {
		c := &jsonConverter{}
		if err := c.Configure(map[string]string{"schema.content": text}, converter.ForValue); err != nil {
			badData(t, err)
			return
		}
		if c.content == nil {
			return
		}
		written, err := c.appendSchema(nil, c.content, "")
		if err != nil { // such as a default that the schema lets be read and not be written
			badData(t, err)
			return
		}
		again := jsonWith(t, map[string]string{"schema.content": string(written)})
		if utf8.ValidString(text) && !infinite(defaults(c.content)) {
			require.True(t, c.content.Equal(again.content), "%s", written)
		}
	})
}

// defaults are all default values in a schema.
func defaults(s *data.Schema) any {
	if s == nil {
		return nil
	}
	out := []any{s.Default(), defaults(s.KeySchema()), defaults(s.ValueSchema())}
	for _, f := range s.Fields() {
		out = append(out, defaults(f.Schema))
	}
	return out
}

// FuzzHeader: header values of any bytes are read, and what is read can be written.
func FuzzHeader(f *testing.F) {
	seeds(f, "simple-header", "toConnectHeader")
	f.Fuzz(func(t *testing.T, b []byte) {
		sv, err := simpleHeader{}.ToConnectHeader("t", "h", b)
		require.NoError(t, err)
		_, err = simpleHeader{}.FromConnectHeader("t", "h", sv.Schema, sv.Value)
		require.NoError(t, err)
	})
}

// FuzzCharset: every encoding reads any bytes as text, and writes any text that it has read without loss but for what was
// broken.
func FuzzCharset(f *testing.F) {
	seeds(f, "primitive-converters", "toConnectData")
	names := []string{"UTF-8", "UTF-16", "UTF-16LE", "UTF-32", "ISO-8859-1", "US-ASCII", "windows-1252", "KOI8-R", "IBM500", "Shift_JIS", "EUC-JP", "GBK", "GB18030", "Big5"}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range names {
			c, err := charsetOf(name)
			require.NoError(t, err)
			text := c.decode(b)
			require.True(t, utf8.ValidString(text), name)
			c.encode(string(b))
			if again := c.decode(c.encode(text)); name == "UTF-8" || name == "UTF-16LE" {
				require.Equal(t, text, again, name)
			}
		}
	})
}
