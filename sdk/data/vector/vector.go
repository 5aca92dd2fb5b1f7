// Package vector reads the notation in which answers of Kafka Connect's Java classes are recorded: schemas, values and errors
// as JSON. It is for tests.
//
// A schema is null or an object of its attributes. A value is null, true, false or a string as it is, and else an object with
// one member that tells its type: i8 i16 i32 i64 f32 f64 bytes bytebuffer decimal bigint date list map struct utf16 java.
package vector

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// Each reads a file of vectors, one JSON object a line, compressed, and calls f with each and with its id.
func Each[T any](t testing.TB, file string, f func(id string, v T)) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 16<<20)
	n := 0
	for lines.Scan() {
		var id struct{ ID string }
		var v T
		if err := json.Unmarshal(lines.Bytes(), &id); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %s: %v", file, id.ID, err)
		}
		n++
		f(id.ID, v)
	}
	if err := lines.Err(); err != nil || n == 0 {
		t.Fatalf("%s: %d vectors, %v", file, n, err)
	}
}

// Given are a schema and a value of it.
type Given struct {
	Schema json.RawMessage
	Value  json.RawMessage
}

// Read reads both.
func (g Given) Read() (data.SchemaAndValue, error) {
	s, err := Schema(g.Schema)
	if err != nil {
		return data.SchemaAndValue{}, err
	}
	v, err := Value(g.Value, s)
	return data.SchemaAndValue{Schema: s, Value: v}, err
}

// Differs tells how a result differs from what is given; "" when it does not.
func (g Given) Differs(got data.SchemaAndValue) string {
	want, err := g.Read()
	switch {
	case err != nil:
		return err.Error()
	case !want.Schema.Equal(got.Schema):
		return fmt.Sprintf("the schema is %s, want %s", got.Schema, g.Schema)
	case !data.Equal(want.Value, got.Value):
		return fmt.Sprintf("the value is %s %s, want %s", data.ClassOf(got.Value), data.Text(got.Value), g.Value)
	}
	return ""
}

// Foreign is a value of a Java class outside of the data model.
type Foreign struct{ Class, Text string }

// String is the object's text.
func (f Foreign) String() string { return f.Text }

var types = map[string]data.Type{"int8": data.Int8, "int16": data.Int16, "int32": data.Int32, "int64": data.Int64, "float32": data.Float32,
	"float64": data.Float64, "boolean": data.Boolean, "string": data.String, "bytes": data.Bytes, "array": data.Array, "map": data.MapType, "struct": data.StructType}

type schema struct {
	Type                   string
	Optional               bool
	Name, Doc              *string
	Version                *int32
	Default                json.RawMessage
	Parameters             [][2]*string
	KeySchema, ValueSchema json.RawMessage
	Fields                 []struct {
		Name   string
		Schema json.RawMessage
	}
}

func null(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// Schema reads a schema; nil for null.
func Schema(raw json.RawMessage) (*data.Schema, error) {
	if null(raw) {
		return nil, nil
	}
	var s schema
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", raw, err)
	}
	var opts []data.Option
	key, err := Schema(s.KeySchema)
	if err != nil {
		return nil, err
	}
	value, err := Schema(s.ValueSchema)
	if err != nil {
		return nil, err
	}
	if key != nil {
		opts = append(opts, data.Keys(key))
	}
	if value != nil {
		opts = append(opts, data.Elements(value))
	}
	for _, f := range s.Fields {
		of, err := Schema(f.Schema)
		if err != nil {
			return nil, err
		}
		opts = append(opts, data.Fields(data.Field{Name: f.Name, Schema: of}))
	}
	if s.Optional {
		opts = append(opts, data.Optional())
	}
	for _, p := range s.Parameters {
		if p[1] == nil {
			return nil, fmt.Errorf("parameter %s is null", *p[0])
		}
		opts = append(opts, data.Param(*p[0], *p[1]))
	}
	var names []data.Option // after the default, which may be none of a logical type
	if s.Name != nil {
		names = append(names, data.Name(*s.Name))
	}
	if s.Version != nil {
		opts = append(opts, data.Version(*s.Version))
	}
	if s.Doc != nil {
		opts = append(opts, data.Doc(*s.Doc))
	}
	if null(s.Default) {
		return data.Build(types[s.Type], append(opts, names...)...)
	}
	plain, err := data.Build(types[s.Type], opts...)
	if err != nil {
		return nil, err
	}
	def, err := Value(s.Default, plain)
	if err != nil {
		return nil, err
	}
	if named, err := data.Build(types[s.Type], append(append(opts[:len(opts):len(opts)], names...), data.DefaultValue(def))...); err == nil {
		return named, nil
	}
	return data.Build(types[s.Type], append(append(opts, data.DefaultValue(def)), names...)...)
}

// Value reads a value; s is the schema beside it, which structs have unless they say so.
func Value(raw json.RawMessage, s *data.Schema) (any, error) {
	if null(raw) {
		return nil, nil
	}
	if raw[0] != '{' {
		var v any
		err := json.Unmarshal(raw, &v)
		return v, err
	}
	var tagged map[string]json.RawMessage
	if err := json.Unmarshal(raw, &tagged); err != nil {
		return nil, err
	}
	for tag, content := range tagged {
		switch tag {
		case "bits", "text", "schema":
			continue
		case "struct":
			if !null(tagged["schema"]) {
				var err error
				if s, err = Schema(tagged["schema"]); err != nil {
					return nil, err
				}
			}
			return structOf(content, s)
		case "f32", "f64":
			return float(tag, tagged["bits"], content)
		case "java":
			var f Foreign
			err := json.Unmarshal(content, &f.Class)
			if err == nil && tagged["text"] != nil {
				err = json.Unmarshal(tagged["text"], &f.Text)
			}
			return f, err
		default:
			return tagValue(tag, content, s)
		}
	}
	return nil, fmt.Errorf("%s has no known tag", raw)
}

func float(tag string, bits, text json.RawMessage) (any, error) {
	var h string
	if bits == nil {
		f, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
		if tag == "f32" {
			return float32(f), err
		}
		return f, err
	}
	if err := json.Unmarshal(bits, &h); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(h, 16, 64)
	if tag == "f32" {
		return math.Float32frombits(uint32(n)), err // eight digits
	}
	return math.Float64frombits(n), err
}

func integer(raw json.RawMessage) (int64, error) {
	return strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
}

func tagValue(tag string, raw json.RawMessage, s *data.Schema) (any, error) {
	switch tag {
	case "i8":
		n, err := integer(raw)
		return int8(n), err // as recorded
	case "i16":
		n, err := integer(raw)
		return int16(n), err // as recorded
	case "i32":
		n, err := integer(raw)
		return int32(n), err // as recorded
	case "i64":
		return integer(raw)
	case "date":
		n, err := integer(raw)
		return data.Instant(n), err
	case "bytes", "bytebuffer":
		return unhex(raw)
	case "utf16":
		return utf16(raw)
	case "bigint":
		n, ok := new(big.Int).SetString(strings.Trim(string(raw), `"`), 10)
		if !ok {
			return nil, fmt.Errorf("%s is no number", raw)
		}
		return n, nil
	case "decimal":
		var d struct {
			Unscaled string
			Scale    int32
		}
		if err := json.Unmarshal(raw, &d); err != nil {
			return nil, err
		}
		n, ok := new(big.Int).SetString(d.Unscaled, 10)
		if !ok {
			return nil, fmt.Errorf("%s is no number", raw)
		}
		return data.BigDecimal(n, d.Scale), nil
	case "list":
		return list(raw, s)
	case "map":
		return dict(raw, s)
	}
	return nil, fmt.Errorf("the tag %s is not known", tag)
}

func unhex(raw json.RawMessage) ([]byte, error) {
	var h string
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, err
	}
	return hex.DecodeString(h)
}

// utf16 reads UTF-16 units. A surrogate without its other half becomes the three bytes that UTF-8 would have for it.
func utf16(raw json.RawMessage) (any, error) {
	b, err := unhex(raw)
	var out []byte
	for i := 0; i+1 < len(b); i += 2 {
		u := rune(b[i])<<8 | rune(b[i+1])
		if u >= 0xD800 && u < 0xE000 {
			out = append(out, 0xE0|byte(u>>12), 0x80|byte(u>>6&0x3F), 0x80|byte(u&0x3F))
			continue
		}
		out = append(out, string(u)...)
	}
	return string(out), err
}

func list(raw json.RawMessage, s *data.Schema) (any, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, err
	}
	out := make([]any, len(items))
	for i, item := range items {
		var err error
		if out[i], err = Value(item, inner(s)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func inner(s *data.Schema) *data.Schema {
	if s == nil {
		return nil
	}
	return s.ValueSchema()
}

func dict(raw json.RawMessage, s *data.Schema) (any, error) {
	var pairs [][2]json.RawMessage
	if err := json.Unmarshal(raw, &pairs); err != nil {
		return nil, err
	}
	var key *data.Schema
	if s != nil {
		key = s.KeySchema()
	}
	m := data.NewMap(len(pairs))
	for _, p := range pairs {
		k, err := Value(p[0], key)
		if err != nil {
			return nil, err
		}
		v, err := Value(p[1], inner(s))
		if err != nil {
			return nil, err
		}
		m.Set(k, v)
	}
	return m, nil
}

func structOf(raw json.RawMessage, s *data.Schema) (any, error) {
	if s == nil || s.Type() != data.StructType {
		return nil, fmt.Errorf("a struct, but its schema is %s", s)
	}
	var fields [][2]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	st := data.NewStruct(s)
	for _, p := range fields {
		var name string
		if err := json.Unmarshal(p[0], &name); err != nil {
			return nil, err
		}
		f, ok := s.Field(name)
		if !ok {
			return nil, fmt.Errorf("%s has no field %s", s, name)
		}
		v, err := Value(p[1], f.Schema)
		if err != nil {
			return nil, err
		}
		st.SetAt(f.Index, v) // some are wrong on purpose
	}
	return st, nil
}

// Error is a recorded exception.
type Error struct {
	Class   string
	Message *string
	Cause   *Error
	Stage   string
}

// ofJVM are exceptions whose texts are those of the JVM, not of Kafka Connect.
var ofJVM = map[string]bool{"java.lang.NullPointerException": true, "java.lang.ClassCastException": true, "java.lang.NumberFormatException": true,
	"java.lang.ArrayIndexOutOfBoundsException": true}

// parser is where Java's JSON parser lives, whose exceptions are its own affair.
const parser = "com.fasterxml.jackson"

// classes are Java's classes of values that have one type here.
var classes = strings.NewReplacer("java.util.LinkedHashMap", "java.util.HashMap", "java.util.ImmutableCollections$ListN", "java.util.ArrayList",
	"java.util.ImmutableCollections$List12", "java.util.ArrayList", "java.util.Arrays$ArrayList", "java.util.ArrayList", "java.nio.HeapByteBuffer", "[B",
	"java.util.UUID", "vector.Foreign", "java.lang.Character", "vector.Foreign", "java.util.ImmutableCollections$Set12", "vector.Foreign",
	"java.util.HashSet", "vector.Foreign", "java.util.ImmutableCollections$MapN", "java.util.HashMap", "java.util.ImmutableCollections$Map1", "java.util.HashMap")

// Text is a recorded message with the classes that are named here for the same values.
func Text(s string) string { return classes.Replace(s) }

// identity is how Java prints a byte array: by its address. Here its content is printed.
const identity = "[B@<hash>"

// SameText tells whether a text is a recorded one, classes and addresses aside.
func SameText(got, want string) bool {
	before, after, found := strings.Cut(Text(want), identity)
	return got == before || found && strings.HasPrefix(got, before) && strings.HasSuffix(got, after)
}

// Differs tells how an error differs from the recorded one; "" when it does not. Causes are compared as far as both are
// errors of package connecterr; texts of the JVM and of its JSON parser are not.
func (e *Error) Differs(err error) string {
	if e == nil {
		if err != nil {
			return "unexpected error: " + connecterr.Trace(err)
		}
		return ""
	}
	got, ok := err.(*connecterr.Error) //nolint:errorlint // link by link
	if !ok {
		return fmt.Sprintf("the error is %v, want %s: %s", err, e.Class, e.text())
	}
	if got.JavaClass() != e.Class || !ofJVM[e.Class] && !strings.HasPrefix(e.text(), parser) && !SameText(got.Message, e.text()) {
		return fmt.Sprintf("the error is %s: %s\nwant %s: %s", got.JavaClass(), got.Message, e.Class, Text(e.text()))
	}
	if e.Cause == nil || ofJVM[e.Class] || strings.HasPrefix(e.Cause.Class, parser) {
		return ""
	}
	if cause := e.Cause.Differs(got.Cause); cause != "" {
		return "the cause: " + cause
	}
	return ""
}

func (e *Error) text() string {
	if e.Message == nil {
		return ""
	}
	return *e.Message
}
