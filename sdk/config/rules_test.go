package config

import "testing"

func TestCompiles_refuses_a_brace_that_counts_nothing_as_Java_does(t *testing.T) {
	t.Parallel()
	for s, ok := range map[string]bool{
		"a{2}": true, "a{2,}": true, "a{2,3}b": true, `\{x\}`: true, `\p{Lu}+`: true, "[a-z]+": true, "orders-.*": true, "": true,
		"${nobody:path:key}": false, "{": false, "a{b}": false, "a{1x}": false, "(": false, "[{]": true, `\Q{\E`: true, `\Q{\E{`: false, `\x{41}`: true, "[^}]{a": false,
	} {
		if err := compiles(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestEnumerator(t *testing.T) {
	t.Parallel()
	def := &Def{Keys: []Key{
		{Name: "mode", Type: String, Default: Default("insert"), Validators: []Rule{Enumerator("insert", "upsert")}},
		{Name: "types", Type: List, Default: Default("TABLE"), Validators: []Rule{Enumerator("table", "partitioned table")}},
	}}
	for _, c := range []struct{ mode, types, want string }{
		{"UPSERT", "table,PARTITIONED TABLE", ""},
		{"Upsert", "table", "Invalid value Upsert for configuration mode: Invalid enumerator"},
		{"insert", "table,Table", "Invalid value Table for configuration types: Invalid enumerator"},
		{"insert", "", "Invalid value [] for configuration types: At least one value must be specified. Valid values are: [table, partitioned table]"},
	} {
		_, problems := def.Parse(map[string]string{"mode": c.mode, "types": c.types})
		got := ""
		for _, p := range problems {
			got += p.Message
		}
		if got != c.want {
			t.Errorf("%s, %s: %q, not %q", c.mode, c.types, got, c.want)
		}
	}
}
