package data_test

import (
	"math"
	"math/big"
	"strconv"
	"testing"

	"github.com/millrace/millrace/sdk/data"
)

// FuzzDecimal: a decimal prints as what reads as the same decimal, and keeps all digits in its bytes.
func FuzzDecimal(f *testing.F) {
	for _, s := range []string{"0", "-0.00", "1.50", "1E+10", "-123456789012345678901234567890.5", "1e-2147483647", "٣.٥", "+7", ".5", "5."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := data.ParseDecimal(s)
		if err != nil {
			return
		}
		again, err := data.ParseDecimal(d.String())
		if err != nil || again != d {
			t.Fatalf("%q: %s became %s %v", s, d, again, err)
		}
		if data.DecimalOfBytes(d.Bytes(), d.Scale()) != d || data.BigDecimal(d.Unscaled(), d.Scale()) != d {
			t.Fatalf("%q: lost in its bytes", s)
		}
		n, exact := d.Int()
		if exact && d.Scale() > -400 && d.Scale() < 400 {
			r, ok := new(big.Rat).SetString(d.String())
			if !ok || r.Cmp(new(big.Rat).SetInt64(n)) != 0 {
				t.Fatalf("%q is not %d", s, n)
			}
		}
	})
}

// FuzzFloat: what Java would print reads as the same number, in Java's form.
func FuzzFloat(f *testing.F) {
	for _, x := range []float64{0, -0.5, 1e7, 9999999, 1e-3, 0.00099, 5e-324, math.MaxFloat64, 2e23, 1.0e10, 123456.789} {
		f.Add(x)
	}
	f.Fuzz(func(t *testing.T, x float64) {
		for _, bits := range []int{64, 32} {
			text := data.FormatFloat(x)
			want := x
			if bits == 32 {
				text, want = string(data.AppendFloat32(nil, float32(x))), float64(float32(x))
			}
			if math.IsNaN(want) || math.IsInf(want, 0) {
				continue
			}
			got, err := strconv.ParseFloat(text, bits)
			if err != nil || math.Float64bits(got) != math.Float64bits(want) {
				t.Fatalf("%v prints as %s, which is %v %v", want, text, got, err)
			}
		}
	})
}

// FuzzInstant: a day of Java's calendar is the same instant again.
func FuzzInstant(f *testing.F) {
	for _, ms := range []int64{0, -1, 86399999, -12219292800000, -12219292800001, -62135769600000, 1 << 53} {
		f.Add(ms)
	}
	f.Fuzz(func(t *testing.T, ms int64) {
		i := data.Instant(ms)
		year, month, day, rest := i.Date()
		if month < 1 || month > 12 || day < 1 || day > 31 || rest < 0 || rest >= data.Day {
			t.Fatalf("%d: %d-%d-%d %d", ms, year, month, day, rest)
		}
		if ms > -1<<55 && ms < 1<<55 && data.InstantAt(year, month, day, rest) != i {
			t.Fatalf("%d: %d-%d-%d %d is %d", ms, year, month, day, rest, data.InstantAt(year, month, day, rest))
		}
	})
}
