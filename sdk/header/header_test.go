package header_test

import (
	"encoding/json"
	"testing"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/data/vector"
	"github.com/millrace/millrace/sdk/header"
)

// onlyJava are vectors that only a JVM can give, with the reason.
var onlyJava = map[string]string{"hd-0064": "a key that is null; no string is null here"}

type headerVector struct {
	Call   string
	Key    string
	Input  vector.Given
	Output json.RawMessage
	Error  *vector.Error
}

func TestGolden_headers(t *testing.T) {
	t.Parallel()
	ran, left := 0, 0
	vector.Each(t, "testdata/headers.jsonl.gz", func(id string, v headerVector) {
		if onlyJava[id] != "" {
			left++
			return
		}
		ran++
		got, text, err := v.run()
		if diff := v.Error.Differs(err); diff != "" {
			t.Errorf("%s: %s: %s", id, v.Call, diff)
			return
		}
		if v.Error != nil {
			return
		}
		var wantText string
		if json.Unmarshal(v.Output, &wantText) == nil {
			if text != wantText {
				t.Errorf("%s: %s: %s, want %s", id, v.Call, text, wantText)
			}
			return
		}
		var want []struct {
			Key string
			vector.Given
		}
		if err := json.Unmarshal(v.Output, &want); err != nil || len(want) != len(got) {
			t.Errorf("%s: %s: %s, want %s %v", id, v.Call, got, v.Output, err)
			return
		}
		for i, w := range want {
			if diff := w.Differs(data.SchemaAndValue{Schema: got[i].Schema, Value: got[i].Value}); diff != "" || w.Key != got[i].Key {
				t.Errorf("%s: %s: %s: %s", id, v.Call, got[i].Key, diff)
			}
		}
	})
	t.Logf("%d vectors, %d only for a JVM", ran, left)
}

// run makes the recorded calls: it returns a list, or the text that was asked for.
func (v headerVector) run() (header.Headers, string, error) {
	four := header.Headers{}.Add("a", data.Int32Schema, int32(1)).Add("b", data.StringSchema, "x").Add("a", data.Int32Schema, int32(2)).Add("c", data.Int32Schema, int32(3))
	switch v.Call {
	case "ConnectHeaders.add":
		in, err := v.Input.Read()
		if err != nil {
			return nil, "", err
		}
		return one(v.Key, in.Schema, in.Value)
	case "empty toString":
		return nil, header.Headers{}.String(), nil
	case "[a=1(int32), b=x(string)] toString":
		return nil, four[:2].String(), nil
	case "[a=null] toString":
		return nil, header.Headers{}.Add("a", nil, nil).String(), nil
	case "[a=struct without schema]":
		st := data.NewStruct(data.StructOf([]data.Field{{Name: "q", Schema: data.OptionalInt32Schema}}))
		st.SetAt(0, int32(1))
		return one("a", nil, st)
	case "[a=1,b=x,a=2,c=3] retainLatest":
		return four.Latest(), "", nil
	case "[a=1,b=x,a=2,c=3] retainLatest a":
		return four.Latest("a"), "", nil
	case "[a=1,b=x,a=2,c=3] remove a":
		return four.Without("a"), "", nil
	case "[a=1,b=x,a=2,c=3] lastWithName a toString":
		h, _ := four.Last("a")
		return nil, h.String(), nil
	case "[a=1,b=x,a=2,c=3] lastWithName z":
		if h, ok := four.Last("z"); ok {
			return nil, h.String(), nil
		}
		return nil, "null", nil
	case "add decimal addDecimal":
		return one("d", data.DecimalSchema(2), data.NewDecimal(150, 2))
	case "addDate addTime addTimestamp":
		var all header.Headers
		for _, h := range []header.Header{{"d", data.DateSchema(), data.Instant(data.Day)}, {"t", data.TimeSchema(), data.Instant(5)}, {"ts", data.TimestampSchema(), data.Instant(6)}} {
			next, err := header.New(h.Key, h.Schema, h.Value)
			if err != nil {
				return nil, "", err
			}
			all = append(all, next)
		}
		return all, "", nil
	case "addList":
		return one("l", data.ArrayOf(data.Int32Schema), []any{int32(1)})
	case "addMap":
		return one("m", data.MapSchema(data.StringSchema, data.Int32Schema), data.MapOf("a", int32(1)))
	case "addDate not midnight":
		if _, err := data.DateToInt(data.DateSchema(), data.Instant(1)); err != nil { // whoever adds a date asks so
			return nil, "", err
		}
		return one("d", data.DateSchema(), data.Instant(1))
	}
	return nil, "no such call is known", nil
}

func one(key string, s *data.Schema, v any) (header.Headers, string, error) {
	h, err := header.New(key, s, v)
	return header.Headers{h}, "", err
}
