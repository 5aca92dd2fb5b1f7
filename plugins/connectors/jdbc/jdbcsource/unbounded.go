package jdbcsource

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/data"
)

// unbounded is what becomes of columns of numbers that may have any digits: those of type NUMERIC or DECIMAL without a
// precision.
type unbounded struct {
	kind  kind // stringKind, float64Kind or decimalKind; unsupported: what numeric.mapping says
	scale int  // of decimalKind
}

// parseUnbounded reads numeric.unbounded.mapping.
func parseUnbounded(text string) (u unbounded, err error) {
	word, scale, scaled := strings.Cut(strings.ToLower(strings.TrimSpace(text)), ":")
	switch {
	case word == "" && !scaled:
		return u, nil
	case word == "decimal" && !scaled:
		return unbounded{kind: decimalKind, scale: unset}, nil
	case word == "double" && !scaled:
		return unbounded{kind: float64Kind}, nil
	case word == "string" && !scaled:
		return unbounded{kind: stringKind}, nil
	case word == "decimal":
		if n, err := strconv.Atoi(scale); err == nil && n >= 0 && n <= unset {
			return unbounded{kind: decimalKind, scale: n}, nil
		}
	}
	return u, fmt.Errorf("Expected decimal, decimal:<scale> with a scale from 0 to %d, double or string", unset) //nolint:staticcheck // shown behind a colon, as Kafka's
}

// field makes such a column a field; false: numeric.mapping decides.
func (u unbounded) field(c column) (f field, ok bool) {
	if c.kind != numericKind && c.kind != decimalKind || c.precision != 0 || u.kind == unsupported {
		return f, false
	}
	f.column = c
	switch u.kind {
	case stringKind:
		f.schema, f.convert = data.NewSchema(data.String, options(c.optional)...), func(raw any) (any, error) { return numberText(raw) }
	case float64Kind:
		f.schema, f.convert = data.NewSchema(data.Float64, options(c.optional)...), func(raw any) (any, error) { return toFloat(raw, 64, false) }
	default:
		f.decimal(int32(u.scale)) //nolint:gosec // at most 127
		convert := f.convert
		f.convert = func(raw any) (any, error) {
			v, err := convert(raw)
			if err != nil {
				err = fmt.Errorf("%w: %s=decimal:%d does not hold it; take a larger scale, or string", err, unboundedKey, u.scale)
			}
			return v, err
		}
	}
	return f, true
}
