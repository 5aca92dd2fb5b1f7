package secretref_test

import (
	"reflect"
	"testing"

	"github.com/millrace/millrace/sdk/secretref"
)

func TestFind_and_Replace_know_the_form(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]secretref.Ref{
		"plain": nil, "${}": nil, "${file}": nil, "${a": nil,
		"${env:A}":           {{"env", "", "A"}},
		"${file:/a:b}":       {{"file", "/a", "b"}},
		"${file:/a:b:c}":     {{"file", "/a", "b:c"}},
		"${file::x}":         {{"file", "", "x"}},
		"${file:/a:}":        {{"file", "/a", ""}},
		"x${a:1}${b:p:2}$${": {{"a", "", "1"}, {"b", "p", "2"}},
		"$${a:1}":            {{"a", "", "1"}},
	} {
		if got := secretref.Find(value); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", value, got, want)
		}
	}
	got := secretref.Replace("a${x:k}b${y:k}c$${x:k}", func(r secretref.Ref) (string, bool) { return "${x:k}", r.Provider == "x" })
	if want := "a${x:k}b${y:k}c$${x:k}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
