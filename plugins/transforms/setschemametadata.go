package transforms

import (
	"slices"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/transform"
)

const updatingMetadata = "updating schema metadata"

var setSchemaMetadataDef = &config.Def{Keys: []config.Key{
	key("schema.name", config.String, config.High, "New name of the schema."),
	key("schema.version", config.Int, config.High, "New version of the schema."),
	nullsKey(),
}}

// setSchemaMetadata sets the name or version of schemas.
type setSchemaMetadata struct {
	base
	name    *string
	version *int32
	schemas cache[*data.Schema]
}

func (m *setSchemaMetadata) Configure(props map[string]string) error {
	v, err := parse(setSchemaMetadataDef, props)
	if err != nil {
		return err
	}
	m.defaults, m.name, m.version, m.schemas = v.Bool(nullsName), nil, nil, cache[*data.Schema]{}
	if v.Has("schema.name") {
		name := v.String("schema.name")
		m.name = &name
	}
	if v.Has("schema.version") {
		version := int32(v.Int("schema.version")) //nolint:gosec // the definition's type is INT
		m.version = &version
	}
	if m.name == nil && m.version == nil {
		return configError("Neither schema name nor version configured")
	}
	return nil
}

func (m *setSchemaMetadata) Apply(r *transform.Record) (bool, error) {
	s, v := m.operand(r)
	if s == nil && v == nil {
		return true, nil
	}
	if err := requireSchema(s, updatingMetadata); err != nil {
		return false, err
	}
	schema, ok := m.schemas.get(s)
	if !ok {
		var err error
		if schema, err = m.schema(s); err != nil {
			return false, err
		}
		m.schemas.put(s, schema)
	}
	if st, ok := v.(*data.Struct); ok {
		if _, err := requireStruct(s, v, updatingMetadata); err != nil {
			return false, err
		}
		out := data.NewStruct(schema)
		for i := range schema.Fields() {
			if err := put(out, i, m.read(st, i)); err != nil {
				return false, err
			}
		}
		v = out
	}
	m.update(r, schema, v)
	return true, nil
}

// schema is s with another name or version.
func (m *setSchemaMetadata) schema(s *data.Schema) (*data.Schema, error) {
	opts := content(s)
	if s.Type() == data.StructType {
		opts = append(opts, data.Fields(s.Fields()...))
	}
	if s.Optional() {
		opts = append(opts, data.Optional())
	}
	if m.version != nil {
		opts = append(opts, data.Version(*m.version))
	} else if v, ok := s.Version(); ok {
		opts = append(opts, data.Version(v))
	}
	if doc, ok := s.Doc(); ok {
		opts = append(opts, data.Doc(doc))
	}
	for k, v := range s.Params() {
		opts = append(opts, data.Param(k, v))
	}
	var name data.Option
	if m.name != nil {
		name = data.Name(*m.name)
	} else if s.HasName() {
		name = data.Name(s.Name())
	}
	return renamed(s, opts, name)
}

// renamed builds a schema of the type of another and with its default. Whether the default suits the new name is not asked:
// it comes first where it has to.
func renamed(s *data.Schema, opts []data.Option, name data.Option) (*data.Schema, error) {
	opts = slices.Clip(opts)
	def := s.Default()
	switch {
	case def != nil && name != nil:
		if out, err := data.Build(s.Type(), append(opts, name, data.DefaultValue(def))...); err == nil {
			return out, nil
		}
		return data.Build(s.Type(), append(opts, data.DefaultValue(def), name)...)
	case def != nil:
		opts = append(opts, data.DefaultValue(def))
	case name != nil:
		opts = append(opts, name)
	}
	return data.Build(s.Type(), opts...)
}
