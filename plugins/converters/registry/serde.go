package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
)

// Format is what messages say of a converter.
type Format struct {
	Name string // for example Avro
	// Write, Read and Access begin the messages of failures; they have the topic in them.
	Write, Read, Access string
}

// Serde is a converter's side of a registry: which schema a record is written by, and which one it was written by. Not safe for
// concurrent use.
type Serde struct {
	format   Format
	reg      api
	use      converter.Use
	strategy string

	register, normalize  bool
	latest, latestStrict bool
	latestTTL            time.Duration // negative: for good
	fixed                int32         // the id to write by; negative: none
	fixedStrict          bool

	ctx  context.Context //nolint:containedctx // the interface of converters has none; it ends with Close
	stop context.CancelFunc
	work context.Context //nolint:containedctx // of the batch; nil: there is none
	ids  *Cache[idKey, int32]
}

type idKey struct{ subject, text string }

// Target is the schema that records are written by.
type Target struct {
	ID int32
	// Given is the schema where it is the registry's and not the record's own, with those it refers to.
	Given  *Schema
	Deps   []Named
	Strict bool      // the record's schema must fit into Given
	Until  time.Time // zero: for good
}

// Configure reads the keys of a converter, its own among them. It does not ask the registry.
func (s *Serde) Configure(f Format, def *config.Def, props map[string]string, use converter.Use) (config.Values, error) {
	given := maps.Clone(props)
	if given == nil {
		given = map[string]string{}
	}
	given[keyConvertKey] = string(use)
	v, problems := def.Parse(given)
	if len(problems) > 0 {
		return nil, connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	*s = Serde{format: f, use: use, register: v.Bool(keyRegister), normalize: v.Bool("normalize.schemas"), latest: v.Bool(keyLatest),
		latestStrict: v.Bool("latest.compatibility.strict"), latestTTL: time.Duration(v.Int("latest.cache.ttl.sec")) * time.Second,
		fixed: int32(v.Int(keySchemaID)), fixedStrict: v.Bool("id.compatibility.strict"), //nolint:gosec // an INT
		ids: NewCache[idKey, int32](int(v.Int("max.schemas.per.subject")))}
	key := "value.subject.name.strategy"
	if use == converter.ForKey {
		key = "key.subject.name.strategy"
	}
	switch s.strategy = v.String(key); s.strategy {
	case topicName, recordName, topicRecordName:
	default:
		return nil, wrong("Invalid value %s for configuration %s: it must be %s, %s or %s; strategies of one's own can't be loaded", s.strategy, key, topicName, recordName, topicRecordName)
	}
	var err error
	if s.reg, err = open(v); err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return v, nil
}

// Close ends what is under way and lets connections go.
func (s *Serde) Close() error {
	if s.stop != nil {
		s.stop()
		s.reg.Close()
	}
	return nil
}

// Within lets requests end with a context, too.
func (s *Serde) Within(ctx context.Context) { s.work = ctx }

// asking is the context of what the registry is asked.
func (s *Serde) asking() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(s.ctx)
	if s.work == nil {
		return ctx, cancel
	}
	forget := context.AfterFunc(s.work, cancel)
	return ctx, func() { forget(); cancel() }
}

// ended tells whether requests can't go through any more.
func (s *Serde) ended() bool { return s.ctx.Err() != nil || s.work != nil && s.work.Err() != nil }

// kind is the word for what is converted.
func (s *Serde) kind() string {
	if s.use == converter.ForKey {
		return "key"
	}
	return "value"
}

// subject names the subject of a topic's schema; record is the name of the schema's record, "" if it is none.
func (s *Serde) subject(topic, record string) (string, error) {
	if s.strategy == topicName {
		return topic + "-" + s.kind(), nil
	}
	if record == "" {
		return "", connecterr.New(connecterr.Serialization, "In configuration %s.subject.name.strategy = %s, the message %s must only be a record schema", s.kind(), s.strategy, s.kind())
	}
	if s.strategy == recordName {
		return record, nil
	}
	return topic + "-" + record, nil
}

// Given tells whether records are written by a schema that the registry has, and not by their own.
func (s *Serde) Given() bool { return !s.register && (s.latest || s.fixed >= 0) }

// Target finds out by which schema to write records whose own schema is own. It asks the registry once for each schema; what it
// returns is to be kept until Target.Until.
func (s *Serde) Target(topic, record string, own Schema) (Target, error) {
	ctx, done := s.asking()
	defer done()
	subject, err := s.subject(topic, record)
	if err != nil {
		return Target{}, s.failed(s.format.Write, topic, err)
	}
	if !s.Given() {
		id, err := s.own(ctx, subject, own)
		return Target{ID: id}, s.failed(s.format.Write, topic, err)
	}
	var t Target
	var r Registered
	if s.fixed >= 0 {
		r.ID, t.Strict = s.fixed, s.fixedStrict
		r.Schema, err = s.reg.ByID(ctx, s.fixed, subject)
		err = s.of("Error retrieving "+s.format.Name+" schema with use.schema.id="+itoa(s.fixed), err)
	} else {
		t.Strict = s.latestStrict
		r, err = s.reg.Version(ctx, subject, 0)
		err = s.of("Error retrieving latest version of "+s.format.Name+" schema", err)
		if s.latestTTL >= 0 {
			t.Until = time.Now().Add(s.latestTTL)
		}
	}
	if err == nil {
		t.ID, t.Given = r.ID, &r.Schema
		t.Deps, err = s.deps(ctx, r.Schema)
	}
	return t, s.failed(s.format.Write, topic, err)
}

// own is the id of a record's own schema.
func (s *Serde) own(ctx context.Context, subject string, own Schema) (int32, error) {
	key := idKey{subject, own.Text}
	if id, ok := s.ids.Get(key); ok {
		return id, nil
	}
	var id int32
	var err error
	if s.register {
		id, err = s.reg.Register(ctx, subject, own, s.normalize)
		err = s.of("Error registering "+s.format.Name+" schema"+own.Text, err)
	} else {
		var r Registered
		r, err = s.reg.Lookup(ctx, subject, own, s.normalize, false)
		id, err = r.ID, s.of("Error retrieving "+s.format.Name+" schema"+own.Text, err)
	}
	if err == nil {
		s.ids.Put(key, id)
	}
	return id, err
}

// Refer registers a schema that others refer to, or looks it up, and returns the reference to it.
func (s *Serde) Refer(topic, name, subject string, schema Schema) (Reference, error) {
	ctx, done := s.asking()
	defer done()
	if _, err := s.own(ctx, subject, schema); err != nil {
		return Reference{}, s.failed(s.format.Write, topic, err)
	}
	r, err := s.reg.Lookup(ctx, subject, schema, s.normalize, false)
	if err != nil {
		return Reference{}, s.failed(s.format.Write, topic, s.of("Error retrieving "+s.format.Name+" schema of "+name, err))
	}
	return Reference{name, subject, r.Version}, nil
}

// Schema returns the schema of an id that a message of a topic names, and those it refers to.
func (s *Serde) Schema(topic string, id int32) (Schema, []Named, error) {
	ctx, done := s.asking()
	defer done()
	subject := ""
	if s.strategy == topicName {
		subject = topic + "-" + s.kind()
	}
	schema, err := s.reg.ByID(ctx, id, subject)
	err = s.of("Error retrieving "+s.format.Name+" "+s.kind()+" schema for id "+itoa(id), err)
	var deps []Named
	if err == nil {
		deps, err = s.deps(ctx, schema)
	}
	return schema, deps, s.failed(s.format.Read, topic, err)
}

// Version is the version that a schema has in its subject; 0 where it is none of its versions, as after a topic was copied.
func (s *Serde) Version(topic, record string, schema Schema) (int, error) {
	ctx, done := s.asking()
	defer done()
	subject, err := s.subject(topic, record)
	if err != nil {
		return 0, nil // it was written under a name of another strategy
	}
	r, err := s.reg.Lookup(ctx, subject, schema, s.normalize, true)
	if e, ok := errors.AsType[*Error](err); ok && e.NotFound() {
		return 0, nil
	}
	return r.Version, s.failed(s.format.Read, topic, s.of("Error retrieving "+s.format.Name+" "+s.kind()+" schema version", err))
}

// Bounds on what a schema may refer to.
const (
	maxDeps  = 1000
	maxDepth = 64
)

// deps fetches what a schema refers to, what is referred to first.
func (s *Serde) deps(ctx context.Context, of Schema) ([]Named, error) {
	var all []Named
	seen := map[string]bool{}
	var add func(of Schema, depth int) error
	add = func(of Schema, depth int) error {
		for _, ref := range of.References {
			if seen[ref.Name] {
				continue
			}
			seen[ref.Name] = true
			if len(seen) > maxDeps || depth > maxDepth {
				return connecterr.New(connecterr.Serialization, "the schema refers to too many others")
			}
			r, err := s.reg.Version(ctx, ref.Subject, ref.Version)
			if err != nil {
				return s.of("Error retrieving the referenced schema "+ref.Name+" (version "+itoa(int32(ref.Version))+" of "+ref.Subject+")", err) //nolint:gosec // a version
			}
			if err := add(r.Schema, depth+1); err != nil {
				return err
			}
			all = append(all, Named{ref.Name, r.Text})
		}
		return nil
	}
	return all, add(of, 0)
}

// The classes of errors that Confluent's converters show.
const (
	restException    = "io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException"
	networkException = "org.apache.kafka.common.errors.NetworkException"
)

// of says what was asked of the registry.
func (s *Serde) of(what string, err error) error {
	e, ok := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return nil
	case !ok:
		return connecterr.Wrap(connecterr.Serialization, err, "%s", what)
	}
	rest := connecterr.Wrap(connecterr.General, e, "").WithClass(restException)
	switch {
	case e.Transient():
		return connecterr.Wrap(connecterr.Retriable, rest, "%s", what)
	case e.Code/100 == 4: // not one of the registry's own codes, which have five digits
		return connecterr.Wrap(connecterr.Config, rest, "%s", what)
	}
	return connecterr.Wrap(connecterr.Serialization, rest, "%s", what)
}

// failed is the error of a record, by what may be done about it: wait, change the configuration, or set the record aside.
func (s *Serde) failed(doing, topic string, err error) error {
	if err == nil {
		return nil
	}
	say := func(text string) string { return strings.ReplaceAll(text, "%s", topic) }
	_, away := errors.AsType[*unreachable](err)
	switch {
	case away || connecterr.IsRetriable(err) || s.ended():
		verb := "serializing"
		if doing == s.format.Read {
			verb = "deserializing"
		}
		return connecterr.Wrap(connecterr.Retriable, err, "I/O error while %s %s data for topic %s: %s", verb, s.format.Name, topic, cause(err)).WithClass(networkException)
	case connecterr.KindOf(err) == connecterr.Config:
		return connecterr.Wrap(connecterr.Config, err, "%s", say(s.format.Access))
	}
	return connecterr.Wrap(connecterr.Data, err, "%s", say(doing))
}

// cause is the text of the innermost error.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// Unwritable is the error of a record that can't be written for another reason than the registry.
func (s *Serde) Unwritable(topic string, err error) error {
	return s.wrapped(s.format.Write, topic, err)
}

// Unreadable is the error of a message that can't be read for another reason than the registry.
func (s *Serde) Unreadable(topic string, err error) error {
	return s.wrapped(s.format.Read, topic, err)
}

// Broken is Unreadable, and says of which schema the message is.
func (s *Serde) Broken(topic string, id int32, err error) error {
	return s.Unreadable(topic, connecterr.Wrap(connecterr.Serialization, err, "Error deserializing %s message for id %d", s.format.Name, id))
}

// Incompatible says that records of a schema do not fit into the one in the registry.
func Incompatible(given, own any, err error) error {
	return connecterr.New(connecterr.Data, "Incompatible schema %s for schema %s. Set latest.compatibility.strict=false (id.compatibility.strict=false with use.schema.id) to disable this check: %v", given, own, err)
}

func (s *Serde) wrapped(doing, topic string, err error) error {
	return connecterr.Wrap(connecterr.Data, err, "%s", strings.ReplaceAll(doing, "%s", topic))
}

// HeaderSize is the size of what stands before each message: a zero and the id of its schema.
const HeaderSize = 5

// AppendHeader appends what stands before a message.
func AppendHeader(b []byte, id int32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0), uint32(id)) //nolint:gosec // its bits
}

// ErrMagic says that bytes are no message of this kind.
var ErrMagic = connecterr.New(connecterr.Serialization, "Unknown magic byte!")

// Split takes a message apart.
func Split(b []byte) (id int32, payload []byte, err error) {
	if len(b) < HeaderSize || b[0] != 0 {
		return 0, nil, ErrMagic
	}
	return int32(binary.BigEndian.Uint32(b[1:])), b[HeaderSize:], nil //nolint:gosec // its bits
}
