package converters

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
)

// What a converter remembers of the objects before never shows in one that follows.
func TestJSON_an_object_is_read_as_if_it_were_the_first(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 3))
	var object func(depth int) string
	object = func(depth int) string {
		var parts []string
		for range rng.IntN(6) {
			value := fmt.Sprint(rng.IntN(100))
			if depth < 3 && rng.IntN(3) == 0 {
				value = object(depth + 1)
			} else if depth < 3 && rng.IntN(4) == 0 {
				value = "[" + object(depth+1) + "," + object(depth+1) + "]"
			}
			parts = append(parts, fmt.Sprintf("%q:%s", string(rune('a'+rng.IntN(4))), value)) // often twice
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	one := func() *jsonConverter {
		c := &jsonConverter{}
		if err := c.Configure(map[string]string{"schemas.enable": "false"}, converter.ForValue); err != nil {
			t.Fatal(err)
		}
		return c
	}
	used := one()
	before := "{}"
	for range 20_000 {
		text := object(0)
		if rng.IntN(3) == 0 {
			text = before
		}
		before = text
		got, err := used.View("t", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want, err := one().ToConnect("t", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if data.Text(got.Value) != data.Text(want.Value) {
			t.Fatalf("%s was read as %s, want %s", text, data.Text(got.Value), data.Text(want.Value))
		}
	}
}
