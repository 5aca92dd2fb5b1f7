package converters

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strconv"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

var jsonDef = &config.Def{Keys: []config.Key{typeKey,
	{Name: "schemas.enable", Type: config.Boolean, Default: config.Default("true"), Importance: config.High, Group: "Schemas", Order: 0, Width: config.WidthMedium,
		DisplayName: "Enable Schemas", Doc: "Write each value with its schema, and expect it so."},
	{Name: "schemas.cache.size", Type: config.Int, Default: config.Default("1000"), Importance: config.High, Group: "Schemas", Order: 1, Width: config.WidthMedium,
		DisplayName: "Schema Cache Size", Doc: "How many schemas are remembered."},
	{Name: "schema.content", Type: config.String, Importance: config.High, Group: "Schemas", Order: 2, Width: config.WidthMedium,
		DisplayName: "Schema Content", Doc: "The schema of all values that are read, as JSON; they are then read as payload alone. Only with schemas.enable."},
	{Name: "decimal.format", Type: config.String, Default: config.Default("BASE64"), Importance: config.Low, Group: "Serialization", Order: 0, Width: config.WidthMedium,
		DisplayName: "Decimal Format", Doc: "How decimals are written.", Validators: []config.Rule{config.OneOfFold("NUMERIC", "BASE64")}},
	{Name: "replace.null.with.default", Type: config.Boolean, Default: config.Default("true"), Importance: config.Low, Group: "Serialization", Order: 1, Width: config.WidthMedium,
		DisplayName: "Replace null with default", Doc: "Let a field's default take the place of null."},
}}

// jsonConverter writes and reads JSON, with the schema beside the payload or without.
type jsonConverter struct {
	schemas, defaults bool
	written           map[*data.Schema][]byte // schemas as JSON, by identity
	read              map[string]*data.Schema // by their text
	content           json.RawMessage         // schema of everything that is read; nil: it comes with each value
	cache             int
}

func (c *jsonConverter) Configure(props map[string]string, use converter.Use) error {
	given := map[string]string{typeKey.Name: string(use)}
	maps.Copy(given, props)
	v, problems := jsonDef.Parse(given)
	if len(problems) > 0 {
		return connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	c.schemas, c.defaults, c.cache = v.Bool("schemas.enable"), v.Bool("replace.null.with.default"), int(v.Int("schemas.cache.size"))
	c.written, c.read, c.content = map[*data.Schema][]byte{}, map[string]*data.Schema{}, nil
	if text := v.String("schema.content"); text != "" {
		c.content = json.RawMessage(text)
		if _, err := c.readSchema(c.content); err != nil {
			return connecterr.Wrap(connecterr.Config, err, "Invalid value for configuration schema.content")
		}
	}
	return nil
}

func (c *jsonConverter) FromConnect(_ string, schema *data.Schema, value any) ([]byte, error) {
	if schema == nil && value == nil {
		return nil, nil
	}
	if !c.schemas {
		return c.appendValue(nil, schema, value)
	}
	text, err := c.schemaText(schema)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(text)+64)
	b = append(append(append(b, `{"schema":`...), text...), `,"payload":`...)
	if b, err = c.appendValue(b, schema, value); err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

func (c *jsonConverter) ToConnect(_ string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{}, nil
	}
	if !c.schemas {
		v, err := decode(b)
		return data.SchemaAndValue{Value: v}, err
	}
	if c.content != nil {
		return c.withSchema(c.content, b)
	}
	var envelope map[string]json.RawMessage
	err := json.Unmarshal(b, &envelope)
	text, hasSchema := envelope["schema"]
	payload, hasPayload := envelope["payload"]
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return data.SchemaAndValue{}, badJSON(err)
	}
	if err != nil || !hasSchema || !hasPayload || len(envelope) != 2 {
		return data.SchemaAndValue{}, connecterr.New(connecterr.Data, `JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain `+
			`additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.`)
	}
	return c.withSchema(text, payload)
}

// withSchema reads a payload by a schema.
func (c *jsonConverter) withSchema(text, payload json.RawMessage) (data.SchemaAndValue, error) {
	schema, err := c.readSchema(text)
	if err != nil {
		return data.SchemaAndValue{}, err
	}
	v, err := decode(payload)
	if err != nil {
		return data.SchemaAndValue{}, err
	}
	v, err = c.typed(schema, v)
	return data.SchemaAndValue{Schema: schema, Value: v}, err
}

func badJSON(err error) error {
	return connecterr.Wrap(connecterr.Data, connecterr.Wrap(connecterr.Serialization, err, ""), "Converting byte[] to Kafka Connect data failed due to serialization error: ")
}

// appendValue writes a value without its schema.
func (c *jsonConverter) appendValue(b []byte, s *data.Schema, v any) ([]byte, error) {
	if v == nil && s != nil && c.defaults {
		v = s.Default()
	}
	if s != nil && v != nil && typeOf(v) != s.Type() {
		name := s.Type().String()
		if s.Type() == data.Bytes {
			name = "bytes type"
		}
		return nil, connecterr.New(connecterr.Data, "Invalid type for %s: %s", name, javaType(v))
	}
	switch v := v.(type) {
	case nil:
		if s != nil && !s.Optional() {
			return nil, connecterr.New(connecterr.Data, "Conversion error: null value for field that is required and has no default value")
		}
		return append(b, "null"...), nil
	case string:
		return appendJSONString(b, v), nil
	case []byte:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v)
		return append(b, '"'), nil
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = c.appendValue(b, elementsOf(s), e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case *data.Map:
		return c.appendMap(b, s, v)
	case *data.Struct:
		b = append(b, '{')
		for i, f := range v.Schema().Fields() {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendJSONString(b, f.Name), ':')
			var err error
			if b, err = c.appendValue(b, f.Schema, v.Raw(i)); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case float64:
		return append(b, jsonNumber(data.FormatFloat(v))...), nil
	case float32:
		return append(b, jsonNumber(data.Text(v))...), nil
	}
	return data.AppendText(b, v), nil // whole numbers and booleans
}

// jsonNumber quotes what JSON has no number for.
func jsonNumber(s string) string {
	switch s {
	case "NaN", "Infinity", "-Infinity":
		return `"` + s + `"`
	}
	return s
}

func elementsOf(s *data.Schema) *data.Schema {
	if s == nil {
		return nil
	}
	return s.ValueSchema()
}

// appendMap writes an object when all keys are strings, else an array of pairs.
func (c *jsonConverter) appendMap(b []byte, s *data.Schema, m *data.Map) (_ []byte, err error) {
	object := s == nil || s.KeySchema() != nil && s.KeySchema().Type() == data.String && !s.KeySchema().Optional()
	if s == nil {
		for k := range m.All() {
			if _, ok := k.(string); !ok {
				object = false
			}
		}
	}
	ends := "[]"
	if object {
		ends = "{}"
	}
	b = append(b, ends[0])
	first := true
	for k, v := range m.All() {
		if !first {
			b = append(b, ',')
		}
		first = false
		if object {
			name, _ := k.(string)
			b = append(appendJSONString(b, name), ':')
			if b, err = c.appendValue(b, elementsOf(s), v); err != nil {
				return nil, err
			}
			continue
		}
		var key *data.Schema
		if s != nil {
			key = s.KeySchema()
		}
		if b, err = c.appendValue(append(b, '['), key, k); err != nil {
			return nil, err
		}
		if b, err = c.appendValue(append(b, ','), elementsOf(s), v); err != nil {
			return nil, err
		}
		b = append(b, ']')
	}
	return append(b, ends[1]), nil
}

// appendJSONString writes a string without escaping <, > and &, as Jackson does.
func appendJSONString(b []byte, s string) []byte {
	plain := true
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= 0x80 {
			plain = false
			break
		}
	}
	if plain {
		return append(append(append(b, '"'), s...), '"')
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string always encodes
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// decode reads schemaless JSON: objects as *data.Map in the order of the text, whole numbers as int64.
func decode(b []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v, err := decodeValue(d)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after the value")
		}
	}
	if err != nil {
		if connecterr.KindOf(err) == connecterr.Data {
			return nil, err
		}
		return nil, badJSON(err)
	}
	return v, nil
}

func decodeValue(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			list := []any{}
			for d.More() {
				v, err := decodeValue(d)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := d.Token()
			return list, err
		}
		m := data.NewMap(4)
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeValue(d)
			if err != nil {
				return nil, err
			}
			m.Set(key, v)
		}
		_, err := d.Token()
		return m, err
	case json.Number:
		if n, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			return n, nil
		}
		f, err := t.Float64()
		if err != nil {
			return nil, connecterr.New(connecterr.Data, "the number %s is out of range", t)
		}
		return f, nil
	}
	return token, nil
}
