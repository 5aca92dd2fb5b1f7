package converters

import (
	"unicode/utf8"
	"unsafe"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

const encodingKey = "converter.encoding"

var stringDef = &config.Def{Keys: []config.Key{typeKey,
	{Name: encodingKey, Type: config.String, Default: config.Default("UTF-8"), Importance: config.High, Width: config.WidthMedium, DisplayName: "Encoding",
		Doc: "Character encoding, by a name that Java knows."}}}

// stringConverter writes any value's text and reads text.
type stringConverter struct{ out, in charset }

func (c *stringConverter) Configure(props map[string]string, use converter.Use) error {
	v, problems := (&config.Def{Keys: []config.Key{stringDef.Keys[1]}}).Parse(props)
	if len(problems) > 0 {
		return connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	side := "value."
	if use == converter.ForKey {
		side = "key."
	}
	for _, way := range []struct {
		key string
		to  *charset
	}{{side + "serializer.encoding", &c.out}, {side + "deserializer.encoding", &c.in}} { // Kafka's own names come first
		name, ok := props[way.key]
		if !ok {
			name = v.String(encodingKey)
		}
		var err error
		if *way.to, err = charsetOf(name); err != nil {
			return err
		}
	}
	return nil
}

func (c *stringConverter) FromConnect(_ string, _ *data.Schema, value any) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	if s, ok := value.(string); ok {
		return c.out.encode(s), nil
	}
	return c.out.encode(data.Text(value)), nil
}

func (c *stringConverter) ToConnect(_ string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{Schema: data.OptionalStringSchema}, nil
	}
	return data.SchemaAndValue{Schema: data.OptionalStringSchema, Value: c.in.decode(b)}, nil
}

// View implements converter.Viewer.
func (c *stringConverter) View(topic string, b []byte) (data.SchemaAndValue, error) {
	if _, ok := c.in.(utf8Charset); !ok || len(b) == 0 || !utf8.Valid(b) {
		return c.ToConnect(topic, b)
	}
	return data.SchemaAndValue{Schema: data.OptionalStringSchema, Value: unsafe.String(&b[0], len(b))}, nil
}
