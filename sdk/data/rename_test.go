package data_test

import (
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/millrace/millrace/sdk/data"
)

// Rename does what setting each entry in a new map would.
func TestRename_is_as_setting_each_in_a_new_map(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		m := data.NewMap(0)
		for range rng.IntN(40) {
			m.Set("k"+strconv.Itoa(rng.IntN(50)), rng.IntN(1000))
		}
		f := func(key any) (any, bool) { // depends on the key alone
			h := len(key.(string)) + int(key.(string)[len(key.(string))-1])*int(seed%7+1)
			switch h % 4 {
			case 0:
				return nil, false
			case 1:
				return "k" + strconv.Itoa(h%50), true
			}
			return key, true
		}
		want := data.NewMap(0)
		for k, v := range m.All() {
			if k, keep := f(k); keep {
				want.Set(k, v)
			}
		}
		m.Rename(f)
		if data.Text(want) != data.Text(m) {
			t.Fatalf("seed %d: renamed %s, want %s", seed, data.Text(m), data.Text(want))
		}
		for k, v := range want.All() {
			if got, ok := m.Get(k); !ok || got != v {
				t.Fatalf("seed %d: %v is %v, want %v", seed, k, got, v)
			}
		}
		if m.Set("new", 1); m.Len() != want.Len()+1 {
			t.Fatalf("seed %d: %d entries, want %d", seed, m.Len(), want.Len()+1)
		}
	}
}
