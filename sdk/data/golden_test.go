package data_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
)

// onlyJava are vectors that only a JVM can give, with the reason.
var onlyJava = map[string]string{
	"sbe-0010": "Java compares boxed integers by identity, so that setting version 1000 again fails and 1 does not; here setting the same again is fine",
	"sbe-0078": "a null field name; no string is null here (the empty one is refused in the same words)",
	"sbe-0099": "a parameter that is null; no string is null here",
	"sbe-0398": "an unfinished builder compared with a schema; schemas are finished here",
	"sbe-0399": "a ByteBuffer; bytes have one type here",
	"sv-0819":  "a null Field; fields are named or counted here",
	"sv-0820":  "a null field name; no string is null here",
	"sv-0823":  "a null Field; fields are named or counted here",
	"sv-0824":  "a Field of another schema, whose index is taken; SetIndex takes the index",
}

func TestGolden_struct_and_validate(t *testing.T) {
	t.Parallel()
	ran, left := 0, 0
	vector.Each(t, "testdata/struct-validate.jsonl.gz", func(id string, v structVector) {
		if onlyJava[id] != "" {
			left++
			return
		}
		ran++
		if diff := v.run(); diff != "" {
			t.Errorf("%s: %s: %s", id, v.Call, diff)
		}
	})
	t.Logf("%d vectors, %d only for a JVM", ran, left)
}

type structVector struct {
	Call   string
	Field  string
	Schema json.RawMessage
	Value  json.RawMessage
	Input  vector.Given
	Output json.RawMessage
	Error  *vector.Error
}

var getters = map[string]data.Type{"Struct.getInt8": data.Int8, "Struct.getInt16": data.Int16, "Struct.getInt32": data.Int32, "Struct.getInt64": data.Int64,
	"Struct.getFloat32": data.Float32, "Struct.getFloat64": data.Float64, "Struct.getBoolean": data.Boolean, "Struct.getString": data.String,
	"Struct.getBytes": data.Bytes, "Struct.getArray": data.Array, "Struct.getMap": data.MapType, "Struct.getStruct": data.StructType}

// run says what is wrong; "" when nothing is.
func (v structVector) run() string {
	switch v.Call {
	case "new Struct(int32)":
		return v.Error.Differs(panicOf(func() { data.NewStruct(data.Int32Schema) }))
	case "new Struct(array)":
		return v.Error.Differs(panicOf(func() { data.NewStruct(data.ArrayOf(data.Int32Schema)) }))
	case "Struct.put":
		return v.put()
	}
	in, err := v.Input.Read()
	if err != nil {
		return err.Error()
	}
	st, _ := in.Value.(*data.Struct)
	switch v.Call {
	case "ConnectSchema.validateValue":
		return v.Error.Differs(in.Schema.Validate(in.Value))
	case "Struct.validate":
		return v.Error.Differs(st.Validate())
	case "Struct.toString":
		var want string
		if err := json.Unmarshal(v.Output, &want); err != nil {
			return err.Error()
		}
		if buffer := "java.nio.HeapByteBuffer[pos=0 lim=1 cap=1]"; !vector.SameText(st.String(), want) && !vector.SameText(st.String(), replace(want, buffer, "[B@<hash>")) {
			return st.String() + ", want " + want
		}
		return ""
	}
	var got any
	f, known := st.Schema().Field(v.Field)
	switch t, typed := getters[v.Call]; {
	case typed:
		got, err = st.As(t, v.Field)
	case v.Call == "Struct.get" || !known:
		got, err = st.Get(v.Field)
	default:
		got = st.Raw(f.Index)
	}
	if diff := v.Error.Differs(err); diff != "" || v.Error != nil {
		return diff
	}
	return sameValue(v.Output, f.Schema, got)
}

func (v structVector) put() string {
	s, err := vector.Schema(v.Schema)
	if err != nil {
		return err.Error()
	}
	f, _ := s.Field(v.Field)
	value, err := vector.Value(v.Value, f.Schema)
	if err != nil {
		return err.Error()
	}
	st := data.NewStruct(s)
	if diff := v.Error.Differs(st.Set(v.Field, value)); diff != "" || v.Error != nil {
		return diff
	}
	return sameValue(v.Output, s, st)
}

func sameValue(want json.RawMessage, s *data.Schema, got any) string {
	if w, err := vector.Value(want, s); err != nil || !data.Equal(w, got) {
		return fmt.Sprintf("%s %s, want %s %v", data.ClassOf(got), data.Text(got), want, err)
	}
	return ""
}

// panicOf is what a call panics with.
func panicOf(f func()) (err error) {
	defer func() { err, _ = recover().(error) }()
	f()
	return nil
}

func TestGolden_project(t *testing.T) {
	t.Parallel()
	ran := 0
	vector.Each(t, "testdata/schema-projector.jsonl.gz", func(id string, v struct {
		Source, Value, Target json.RawMessage
		Output                json.RawMessage
		Error                 *vector.Error
	}) {
		ran++
		source, err := vector.Schema(v.Source)
		if err != nil {
			t.Fatal(id, err)
		}
		target, err := vector.Schema(v.Target)
		if err != nil {
			t.Fatal(id, err)
		}
		value, err := vector.Value(v.Value, source)
		if err != nil {
			t.Fatal(id, err)
		}
		got, err := data.Project(source, value, target)
		if diff := v.Error.Differs(err); diff != "" {
			t.Errorf("%s: %s", id, diff)
		} else if v.Error == nil {
			if diff := sameValue(v.Output, target, got); diff != "" {
				t.Errorf("%s: %s", id, diff)
			}
		}
	})
	t.Logf("%d vectors", ran)
}
