package config

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/data"
)

func TestRenames_and_casts_are_read_as_Kafka_does(t *testing.T) {
	t.Parallel()
	if got, err := Renames([]string{"a:b", ":c", "x : y"}); err != nil || len(got) != 3 || got[1] != (Pair{"", "c"}) || got[2] != (Pair{"x ", " y"}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := Casts([]string{" a : Int8", ":string"}); err != nil || got[0] != (Cast{"a", false, data.Int8}) || got[1] != (Cast{"", false, data.String}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := Casts([]string{"boolean"}); err != nil || got[0] != (Cast{"", true, data.Boolean}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range [][]string{{"a"}, {"a:"}, {"a:b:c"}, {":"}, {""}} {
		if _, err := Renames(bad); err == nil || !strings.HasPrefix(err.Error(), "Invalid value ["+bad[0]+"] for configuration renames: Invalid rename mapping: ") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	for _, bad := range [][]string{nil, {"a"}, {"a:"}, {"a:b:c"}, {":"}, {""}, {"int8", "int8"}, {"a:bytes"}, {"struct"}} {
		if _, err := Casts(bad); err == nil {
			t.Errorf("%v", bad)
		}
	}
}

func FuzzPairs(f *testing.F) {
	for _, s := range []string{"a:b,c:d", "int8", "a:int8,b:string", ":", "a::b", " a : float64 ,", "a:\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list := splitList(trim(text))
		if pairs, err := Renames(list); err == nil {
			for i, p := range pairs {
				if p.Left+":"+p.Right != strings.TrimRight(list[i], ":") {
					t.Fatalf("%q: %q", list[i], p)
				}
			}
		}
		if casts, err := Casts(list); err == nil && (len(casts) != len(list) || casts[0].Whole && len(casts) > 1) {
			t.Fatalf("%q: %v", list, casts)
		}
	})
}
