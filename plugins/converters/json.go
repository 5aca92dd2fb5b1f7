package converters

import (
	"bytes"
	"maps"
	"strings"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/internal/scratch"
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
		DisplayName: "Decimal Format", Doc: "How decimals are written; both forms are read.", Validators: []config.Rule{config.OneOfFold("NUMERIC", "BASE64")}},
	{Name: "replace.null.with.default", Type: config.Boolean, Default: config.Default("true"), Importance: config.Low, Group: "Serialization", Order: 1, Width: config.WidthMedium,
		DisplayName: "Replace null with default", Doc: "Let a field's default take the place of null."},
}}

// jsonConverter writes and reads JSON, with the schema beside the payload or without.
type jsonConverter struct {
	schemas  bool
	defaults bool         // take the place of null
	numeric  bool         // decimals are written as numbers
	unions   bool         // as JsonSchemaConverter has it: structs may be unions, entries of maps are objects, a missing member is null
	content  *data.Schema // schema of everything that is read; nil: it comes with each value
	cache    int          // how many schemas are remembered, for each direction

	out    scratch.Buffer          // what is being written
	texts  map[*data.Schema][]byte // schemas as JSON, by identity
	tree   jsontree.Tree           // what is being read
	read   map[string]*data.Schema // schemas by their text
	prefix []byte                  // all that stood before the payload of the last value
	last   *data.Schema            // the schema in it
	direct *direct                 // reads values of that schema; nil: only the tree does
	names  map[string]any          // names of members of schemaless objects
	like   []likeness              // those of the last one, in order
	nth    int                     // how many have been read of this one
	places []jsontree.Node         // where the fields of the structs at work are
	view   bool                    // the text stays as it is: values may be views of it
	lost   bool                    // a value became null because it is not of its type
}

func (c *jsonConverter) Configure(props map[string]string, use converter.Use) error {
	given := maps.Clone(props)
	if given == nil {
		given = map[string]string{}
	}
	given[typeKey.Name] = string(use)
	v, problems := jsonDef.Parse(given)
	if len(problems) > 0 {
		return connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	*c = jsonConverter{schemas: v.Bool("schemas.enable"), defaults: v.Bool("replace.null.with.default"), numeric: strings.EqualFold(v.String("decimal.format"), "NUMERIC"),
		cache: int(v.Int("schemas.cache.size")), texts: map[*data.Schema][]byte{}, read: map[string]*data.Schema{}, names: map[string]any{}}
	text := v.String("schema.content")
	if text == "" {
		return nil
	}
	if err := c.tree.Parse([]byte(text)); err != nil {
		return connecterr.Wrap(connecterr.Data, serialization(err), "Failed to parse schema in converter config due to serialization error: ")
	}
	var err error
	c.content, err = c.schema(c.tree.Root())
	return err
}

// serialization is what Kafka's own deserializer would say.
func serialization(err error) error {
	return connecterr.New(connecterr.Serialization, "%s", err.Error())
}

func (c *jsonConverter) FromConnect(_ string, schema *data.Schema, value any) ([]byte, error) {
	if schema == nil && value == nil {
		return nil, nil
	}
	b := c.out.Empty()
	var err error
	if c.schemas {
		b = append(b, `{"schema":`...)
		if b, err = c.appendKnown(b, schema); err != nil {
			return nil, err
		}
		b = append(b, `,"payload":`...)
	}
	if b, err = c.appendValue(b, schema, value); err != nil {
		return nil, err
	}
	if c.schemas {
		b = append(b, '}')
	}
	return c.out.Copy(b), nil
}

// View implements converter.Viewer.
func (c *jsonConverter) View(topic string, b []byte) (data.SchemaAndValue, error) {
	c.view = true
	defer func() { c.view = false }()
	return c.ToConnect(topic, b)
}

func (c *jsonConverter) ToConnect(_ string, b []byte) (data.SchemaAndValue, error) {
	if b == nil {
		return data.SchemaAndValue{}, nil
	}
	c.places, c.lost, c.nth = c.places[:0], false, 0
	if c.prefix != nil && bytes.HasPrefix(b, c.prefix) {
		if c.direct != nil {
			if st, ok := c.direct.read(b[len(c.prefix):], c.view); ok {
				return data.SchemaAndValue{Schema: c.last, Value: st}, nil
			}
		}
		if c.tree.ParseBehind(b, len(c.prefix)) {
			v, err := c.value(c.last, c.tree.Root())
			return data.SchemaAndValue{Schema: c.last, Value: v}, err
		}
	}
	if err := c.tree.Parse(b); err != nil {
		return data.SchemaAndValue{}, connecterr.Wrap(connecterr.Data, serialization(err), "Converting byte[] to Kafka Connect data failed due to serialization error: ")
	}
	root := c.tree.Root()
	switch {
	case !c.schemas && root == jsontree.None:
		return data.SchemaAndValue{}, nil
	case !c.schemas:
		v, err := c.value(nil, root)
		return data.SchemaAndValue{Value: v}, err
	case c.content != nil:
		v, err := c.value(c.content, root)
		return data.SchemaAndValue{Schema: c.content, Value: v}, err
	}
	return c.envelope(root, len(b))
}

// envelope reads an object of schema and payload, out of so many bytes.
func (c *jsonConverter) envelope(root jsontree.Node, size int) (data.SchemaAndValue, error) {
	t := &c.tree
	js, payload := t.Get(root, "schema"), t.Get(root, "payload")
	if js == jsontree.None || payload == jsontree.None || !c.alone(root) {
		return data.SchemaAndValue{}, connecterr.New(connecterr.Data, `JsonConverter with schemas.enable requires "schema" and "payload" fields and may not contain `+
			`additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.`)
	}
	schema, err := c.known(js)
	if err != nil {
		return data.SchemaAndValue{}, err
	}
	v, err := c.value(schema, payload)
	if err == nil && payload > js && t.Len(root) == 2 && c.cache > 0 {
		c.prefix = append(c.prefix[:0], t.Before(payload, size)...)
		if c.last != schema || c.direct == nil {
			c.last, c.direct = schema, newDirect(schema)
		}
		if len(c.prefix) == 0 {
			c.prefix = nil
		}
	}
	return data.SchemaAndValue{Schema: schema, Value: v}, err
}

// alone tells whether an object has no other members than schema and payload.
func (c *jsonConverter) alone(n jsontree.Node) bool {
	t := &c.tree
	for m := t.First(n); m != t.End(n); m = t.Next(t.Next(m)) {
		if !t.Is(m, "schema") && !t.Is(m, "payload") {
			return false
		}
	}
	return true
}
