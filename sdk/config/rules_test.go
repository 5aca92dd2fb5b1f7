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
