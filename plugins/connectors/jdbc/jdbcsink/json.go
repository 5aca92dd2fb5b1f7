package jdbcsink

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/millrace/millrace/sdk/data"
)

// jsonText shows a value of complex.fields=json, with the fields of a Struct in their order.
func jsonText(c *data.Schema, v any) (any, error) {
	var b strings.Builder
	if err := writeJSON(&b, c, v); err != nil {
		return nil, err
	}
	return b.String(), nil
}

func writeJSON(b *strings.Builder, c *data.Schema, v any) error {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case *data.Struct:
		b.WriteByte('{')
		for i, f := range v.Schema().Fields() {
			if i > 0 {
				b.WriteByte(',')
			}
			writeText(b, f.Name)
			b.WriteByte(':')
			if err := writeJSON(b, f.Schema, v.At(i)); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case *data.Map:
		b.WriteByte('{')
		first := true
		for k, e := range v.All() {
			if !first {
				b.WriteByte(',')
			}
			first = false
			writeText(b, data.Text(k))
			b.WriteByte(':')
			if err := writeJSON(b, c.ValueSchema(), e); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, c.ValueSchema(), e); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case data.Decimal:
		b.WriteString(v.String())
	case data.Instant:
		b.WriteString(data.Text(int64(v)))
	case []byte:
		writeText(b, base64.StdEncoding.EncodeToString(v))
	case string:
		writeText(b, v)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return bad("no JSON for a value of type %s: %v", data.TypeOf(v), err)
		}
		b.Write(text)
	}
	return nil
}

func writeText(b *strings.Builder, s string) {
	text, _ := json.Marshal(s) // a text always has a form
	b.Write(text)
}
