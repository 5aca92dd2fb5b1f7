package transforms_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/transforms"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
	"github.com/millrace/millrace/sdk/header"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
)

// The vectors are answers of Kafka Connect's own classes; see package vector for their notation.

func TestGolden_Cast(t *testing.T)               { golden(t, "Cast") }
func TestGolden_DropHeaders(t *testing.T)        { golden(t, "DropHeaders") }
func TestGolden_ExtractField(t *testing.T)       { golden(t, "ExtractField") }
func TestGolden_Filter(t *testing.T)             { golden(t, "Filter") }
func TestGolden_Flatten(t *testing.T)            { golden(t, "Flatten") }
func TestGolden_HeaderFrom(t *testing.T)         { golden(t, "HeaderFrom") }
func TestGolden_HoistField(t *testing.T)         { golden(t, "HoistField") }
func TestGolden_InsertField(t *testing.T)        { golden(t, "InsertField") }
func TestGolden_InsertHeader(t *testing.T)       { golden(t, "InsertHeader") }
func TestGolden_MaskField(t *testing.T)          { golden(t, "MaskField") }
func TestGolden_RegexRouter(t *testing.T)        { golden(t, "RegexRouter") }
func TestGolden_ReplaceField(t *testing.T)       { golden(t, "ReplaceField") }
func TestGolden_SetSchemaMetadata(t *testing.T)  { golden(t, "SetSchemaMetadata") }
func TestGolden_TimestampConverter(t *testing.T) { golden(t, "TimestampConverter") }
func TestGolden_TimestampRouter(t *testing.T)    { golden(t, "TimestampRouter") }
func TestGolden_ValueToKey(t *testing.T)         { golden(t, "ValueToKey") }
func TestGolden_ValueToKey_of_44(t *testing.T)   { golden(t, "ValueToKey-4.4") }
func TestGolden_predicates(t *testing.T)         { golden(t, "predicates") }

// recorded is one vector.
type recorded struct {
	Class    string
	Config   map[string]*string
	Input    json.RawMessage
	Output   json.RawMessage
	ToString string
	Error    *vector.Error
}

// recordedRecord is a record; what is absent has a base value.
type recordedRecord struct {
	Kind, TimestampType                string
	Topic, OriginalTopic               *string
	Partition, Timestamp, Offset       json.RawMessage
	OriginalPartition                  *int32
	KeySchema, Key, ValueSchema, Value json.RawMessage
	Headers                            []struct {
		Key           string
		Schema, Value json.RawMessage
	}
	SourcePartition, SourceOffset json.RawMessage
}

// integer reads a number that stands as one or as a text; otherwise where it is absent, null where it is null.
func integer(t *testing.T, raw json.RawMessage, otherwise, null int64) int64 {
	t.Helper()
	switch {
	case raw == nil:
		return otherwise
	case string(raw) == "null":
		return null
	}
	n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func text(s *string, otherwise string) string {
	if s == nil {
		return otherwise
	}
	return *s
}

func given(t *testing.T, s, v json.RawMessage) data.SchemaAndValue {
	t.Helper()
	sv, err := vector.Given{Schema: s, Value: v}.Read()
	if err != nil {
		t.Fatal(err)
	}
	return sv
}

func (r recordedRecord) read(t *testing.T) *transform.Record {
	t.Helper()
	out := &transform.Record{}
	out.Topic = text(r.Topic, "test")
	out.KafkaPartition = int32(integer(t, r.Partition, 0, int64(record.AnyPartition))) //nolint:gosec // as recorded
	out.Timestamp = integer(t, r.Timestamp, 1483425001864, record.NoTimestamp)
	key, value := given(t, r.KeySchema, r.Key), given(t, r.ValueSchema, r.Value)
	out.KeySchema, out.Key, out.ValueSchema, out.Value = key.Schema, key.Value, value.Schema, value.Value
	for _, h := range r.Headers {
		sv := given(t, h.Schema, h.Value)
		out.Headers = out.Headers.Add(h.Key, sv.Schema, sv.Value)
	}
	if r.Kind == "source" {
		partition, offset := data.MapOf("f", "in"), data.MapOf("p", int64(1))
		out.Source = &record.Source{Partition: partition, Offset: offset}
		return out
	}
	out.KafkaOffset = integer(t, r.Offset, 7, 0)
	out.OriginalTopic, out.OriginalPartition, out.OriginalOffset = text(r.OriginalTopic, out.Topic), out.KafkaPartition, out.KafkaOffset
	if r.OriginalPartition != nil {
		out.OriginalPartition = *r.OriginalPartition
	}
	switch r.TimestampType {
	case "", "CreateTime":
		out.TimestampType = record.CreateTime
	case "LogAppendTime":
		out.TimestampType = record.LogAppendTime
	}
	return out
}

// difference tells how two records differ; "" when they do not.
func difference(got, want *transform.Record) string {
	plain := func(r *transform.Record) transform.Record {
		p := *r
		p.KeySchema, p.Key, p.ValueSchema, p.Value, p.Headers = nil, nil, nil, nil, nil
		p.Share()
		return p
	}
	if g, w := plain(got), plain(want); !reflect.DeepEqual(g, w) {
		return fmt.Sprintf("%+v, want %+v", g, w)
	}
	sides := []struct {
		name      string
		got, want data.SchemaAndValue
	}{
		{"key", data.SchemaAndValue{Schema: got.KeySchema, Value: got.Key}, data.SchemaAndValue{Schema: want.KeySchema, Value: want.Key}},
		{"value", data.SchemaAndValue{Schema: got.ValueSchema, Value: got.Value}, data.SchemaAndValue{Schema: want.ValueSchema, Value: want.Value}},
	}
	for _, s := range sides {
		if !s.got.Schema.Equal(s.want.Schema) {
			return fmt.Sprintf("%s schema %s, want %s", s.name, describe(s.got.Schema), describe(s.want.Schema))
		}
		if !data.Equal(s.got.Value, s.want.Value) {
			return fmt.Sprintf("%s %s %s, want %s %s", s.name, data.ClassOf(s.got.Value), data.Text(s.got.Value), data.ClassOf(s.want.Value), data.Text(s.want.Value))
		}
	}
	same := func(a, b header.Header) bool {
		return a.Key == b.Key && a.Schema.Equal(b.Schema) && data.Equal(a.Value, b.Value)
	}
	if !slices.EqualFunc(got.Headers, want.Headers, same) {
		return fmt.Sprintf("%s, want %s", got.Headers, want.Headers)
	}
	return ""
}

func describe(s *data.Schema) string {
	if s == nil {
		return "null"
	}
	v, _ := s.Version()
	out := fmt.Sprintf("%s v%d optional=%v default=%v %v", s, v, s.Optional(), s.Default(), maps.Collect(s.Params()))
	for _, f := range s.Fields() {
		out += "\n  " + f.Name + " " + describe(f.Schema)
	}
	return out
}

func catalog(t testing.TB) *plugin.Registry {
	t.Helper()
	r, err := plugin.New(transforms.All()...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func find(t testing.TB, class string) *plugin.Plugin {
	t.Helper()
	for _, p := range catalog(t).All() {
		if p.Class == class {
			return &p
		}
	}
	t.Fatalf("there is no %s", class)
	return nil
}

func golden(t *testing.T, name string) {
	t.Helper()
	t.Parallel()
	n, others, better := 0, 0, 0
	vector.Each(t, "testdata/"+name+".jsonl.gz", func(id string, v recorded) {
		n++
		if otherwise[id] != "" {
			others++
			return
		}
		if v.onlyStructs() {
			better++
			v.Error, v.Output = nil, nil
		}
		for _, own := range []bool{false, true} {
			if d := v.differs(t, own); d != "" {
				t.Errorf("%s: %s %v, maps made for the record: %v: %s", id, v.Class, show(v.Config), own, d)
			}
		}
	})
	t.Logf("%d vectors: %d equal, %d otherwise (see otherwise_test.go), %d succeed here", n, n-others-better, others, better)
}

// onlyStructs tells whether Java fails although nothing is wrong: it lists the fields of every schema, and means those of
// structs. Here it does what was meant.
func (v recorded) onlyStructs() bool {
	return strings.Contains(v.Class, "SetSchemaMetadata") && v.Error != nil && v.Error.Message != nil && *v.Error.Message == "Cannot list fields on non-struct type"
}

// meant tells whether SetSchemaMetadata did what it is for to a record without structs.
func meant(class string, before, after *transform.Record, props map[string]string) string {
	from, to := before.ValueSchema, after.ValueSchema
	if strings.HasSuffix(class, "$Key") {
		from, to = before.KeySchema, after.KeySchema
	}
	name, version := strings.TrimSpace(props["schema.name"]), props["schema.version"]
	if n, ok := to.Version(); name != "" && to.Name() != name || version != "" && (!ok || strconv.Itoa(int(n)) != version) || to.Type() != from.Type() || to.Optional() != from.Optional() {
		return "the schema is " + describe(to)
	}
	got := *after
	got.KeySchema, got.ValueSchema = before.KeySchema, before.ValueSchema
	return difference(&got, before)
}

func show(props map[string]*string) string {
	b, err := json.Marshal(props)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// differs tells how an answer differs from the recorded one; "" when it does not. own: the record's maps were made for it.
func (v recorded) differs(t *testing.T, own bool) string {
	t.Helper()
	p := find(t, v.Class)
	props := map[string]string{}
	for k, value := range v.Config {
		if value == nil {
			return v.withNull(p)
		}
		props[k] = *value
	}
	var r *transform.Record
	if v.Input != nil {
		var in recordedRecord
		if err := json.Unmarshal(v.Input, &in); err != nil {
			t.Fatal(err)
		}
		r = in.read(t)
	}
	if p.Kind == plugin.Predicate {
		return v.predicate(p.NewPredicate(), props, r)
	}
	smt := p.NewTransformation()
	err := smt.Configure(props)
	if err != nil || r == nil {
		return v.Error.Differs(err)
	}
	before, wantText := *r, string(v.Output)
	untouched := data.SchemaAndValue{Schema: r.ValueSchema, Value: r.Value}
	frozen := data.Text(r.Value) + data.Text(r.Key) + r.Headers.String()
	if m, ok := r.Key.(*data.Map); ok && own {
		r.Made(m)
	}
	if m, ok := r.Value.(*data.Map); ok && own {
		r.Made(m)
	}
	keep, err := smt.Apply(r)
	if now := data.Text(untouched.Value) + data.Text(before.Key) + before.Headers.String(); now != frozen && (!own || err != nil) {
		return "the record's own value was changed: " + now
	}
	if d := v.Error.Differs(err); d != "" || v.Error != nil {
		return d
	}
	switch wantText {
	case "":
		return meant(v.Class, &before, r, props)
	case "null":
		if keep {
			return "the record was kept"
		}
		return ""
	case `"same"`:
		if !keep {
			return "the record was dropped"
		}
		return difference(r, &before)
	}
	var out recordedRecord
	if err := json.Unmarshal(v.Output, &out); err != nil {
		t.Fatal(err)
	}
	want := out.read(t)
	want.Source = r.Source
	return difference(r, want)
}

func (v recorded) predicate(p transform.Predicate, props map[string]string, r *transform.Record) string {
	err := p.Configure(props)
	if err != nil || r == nil {
		return v.Error.Differs(err)
	}
	holds, err := p.Test(r)
	if d := v.Error.Differs(err); d != "" {
		return d
	}
	if got := strconv.FormatBool(holds); got != string(v.Output) {
		return got
	}
	if got := p.(fmt.Stringer).String(); got != v.ToString {
		return got
	}
	return ""
}

// withNull checks a configuration that has null for a key. A transformation never gets one: the api refuses it. So it is
// the definition that is asked, and then the transformation without that key.
func (v recorded) withNull(p *plugin.Plugin) string {
	for _, c := range p.Def.Check(v.Config) {
		if len(c.Errors) > 0 {
			return v.Error.Differs(connecterr.New(connecterr.Config, "%s", c.Errors[0]))
		}
	}
	props := map[string]string{}
	for k, value := range v.Config {
		if value != nil {
			props[k] = *value
		}
	}
	if p.Kind == plugin.Predicate || v.Error == nil {
		return v.Error.Differs(nil)
	}
	return v.Error.Differs(p.NewTransformation().Configure(props))
}
