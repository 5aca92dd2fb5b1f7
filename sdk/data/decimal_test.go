package data_test

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace/millrace/sdk/data"
)

// What is read by the short way is what the long one reads, which an exponent of zero asks for.
func TestParseDecimal_reads_plain_numbers_as_others(t *testing.T) {
	const letters = "0123456789.-+"
	r := rand.New(rand.NewPCG(7, 7))
	for range 200_000 {
		b := make([]byte, r.IntN(22))
		for i := range b {
			if b[i] = letters[r.IntN(10)]; r.IntN(8) == 0 {
				b[i] = letters[r.IntN(len(letters))]
			}
		}
		text := string(b)
		short, err := data.ParseDecimal(text)
		long, longErr := data.ParseDecimal(text + "e0")
		if (err == nil) != (longErr == nil) || short.Scale() != long.Scale() || short.Unscaled().Cmp(long.Unscaled()) != 0 {
			t.Fatalf("%q is %v, %v; with an exponent %v, %v", text, short, err, long, longErr)
		}
	}
}
