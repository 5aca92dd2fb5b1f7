package oracledb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ServerZone is the zone of the server's host, in which the driver gives times that have none.
var ServerZone = time.FixedZone("", 2*3600)

var declared = regexp.MustCompile(`(?i)^(\w+(?: RAW)?)((?: \w+)*)(?:\(([^)]*)\))?$`)

// typeOf reads the type of a column of SQLite; false: it has none.
func typeOf(decl string) (t oraType, ok bool) {
	m := declared.FindStringSubmatch(decl)
	if m == nil {
		return t, false
	}
	if t.name = strings.ToUpper(m[1]); t.name == "INTEGER" { // an identity
		return oraType{name: "NUMBER", args: []int{10, 0}, required: true}, true
	}
	t.required = strings.Contains(strings.ToLower(m[2]), "required")
	for a := range strings.SplitSeq(m[3], ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(a)); err == nil {
			t.args = append(t.args, n)
		}
	}
	return t, true
}

// driverNames are what the driver calls types.
var driverNames = map[string]string{"NUMBER": "NUMBER", "FLOAT": "NUMBER", "VARCHAR2": "NCHAR", "NVARCHAR2": "NCHAR", "CHAR": "CHAR", "NCHAR": "CHAR", "CLOB": "LongVarChar", "NCLOB": "LongVarChar", "BLOB": "LongRaw",
	"RAW": "RAW", "LONG": "LONG", "LONG RAW": "LongRaw", "DATE": "DATE", "TIMESTAMP": "TimeStampDTY", "TIMESTAMP_WITH_TIME_ZONE": "TimeStampTZ_DTY", "TIMESTAMP_WITH_LOCAL_TIME_ZONE": "TimeStampLTZ_DTY",
	"BINARY_FLOAT": "IBFloat", "BINARY_DOUBLE": "IBDouble", "ROWID": "ROWID", "INTERVAL": "IntervalDS_DTY"}

// rows are a result as the driver gives it.
type rows struct {
	r     *sql.Rows
	names []string
	types []oraType
	first []any
	given bool
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, text string, named []driver.NamedValue) (driver.Rows, error) {
	args, err := c.admit(text, named)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(text, "SELECT CURRENT_TIMESTAMP FROM dual") {
		now := time.Now()
		return &rows{names: []string{"CURRENT_TIMESTAMP"}, types: []oraType{{name: "TIMESTAMP_WITH_TIME_ZONE"}}, first: []any{now.UTC().Format(stampText)}}, nil
	}
	c.began = true
	r, err := c.c.QueryContext(ctx, translated(text), params(args)...)
	if err != nil {
		return nil, fault(err)
	}
	types, err := r.ColumnTypes()
	if err != nil {
		return nil, err
	}
	out := &rows{r: r}
	if r.Next() { // a column without a type goes by its first value
		if out.first, err = scan(r, len(types)); err != nil {
			return nil, err
		}
	}
	for i, t := range types {
		out.names = append(out.names, t.Name())
		ot, ok := typeOf(t.DatabaseTypeName())
		if !ok || driverNames[ot.name] == "" {
			ot = oraType{name: "VARCHAR2", args: []int{4000}}
			if out.first != nil {
				switch out.first[i].(type) {
				case int64, float64, bool:
					ot = oraType{name: "NUMBER"}
				case []byte:
					ot = oraType{name: "RAW", args: []int{2000}}
				}
			}
		}
		out.types = append(out.types, ot)
	}
	return out, nil
}

func scan(r *sql.Rows, n int) ([]any, error) {
	values, into := make([]any, n), make([]any, n)
	for i := range values {
		into[i] = &values[i]
	}
	return values, r.Scan(into...)
}

func (r *rows) Columns() []string { return r.names }
func (r *rows) Close() error {
	if r.r == nil {
		return nil
	}
	return r.r.Close()
}

func (r *rows) Next(dest []driver.Value) error {
	values := r.first
	if r.given || values == nil {
		if r.r == nil || !r.r.Next() {
			if r.r != nil && r.r.Err() != nil {
				return r.r.Err()
			}
			return io.EOF
		}
		var err error
		if values, err = scan(r.r, len(dest)); err != nil {
			return err
		}
	}
	r.given = true
	for i, v := range values {
		var err error
		if dest[i], err = r.types[i].value(v); err != nil {
			return err
		}
	}
	return nil
}

// value is a value as the driver gives it.
func (t oraType) value(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch t.name {
	case "NUMBER", "FLOAT":
		switch b := v.(type) {
		case bool:
			v = map[bool]int64{true: 1}[b]
		case float64:
			v = strconv.FormatFloat(b, 'f', -1, 64)
		}
		n, ok := new(big.Rat).SetString(fmt.Sprint(v))
		if !ok {
			return nil, fmt.Errorf("%v is no number", v)
		}
		text := n.FloatString(40)
		return strings.TrimSuffix(strings.TrimRight(text, "0"), "."), nil
	case "BINARY_FLOAT", "BINARY_DOUBLE":
		f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
		if t.name == "BINARY_FLOAT" {
			return float32(f), err
		}
		return f, err
	case "DATE", "TIMESTAMP", "TIMESTAMP_WITH_TIME_ZONE", "TIMESTAMP_WITH_LOCAL_TIME_ZONE":
		at, err := parseTime(fmt.Sprint(v))
		switch t.name {
		case "DATE":
			at = at.Truncate(time.Second)
		case "TIMESTAMP":
			digits := 6
			if len(t.args) > 0 {
				digits = t.args[0]
			}
			at = at.Round(time.Duration(math.Pow10(9 - digits)))
		default:
			return at, err
		}
		return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), ServerZone), err
	case "CHAR":
		text := fmt.Sprint(v)
		return text + strings.Repeat(" ", max(0, t.args[0]-len(text))), nil
	case "RAW", "BLOB", "LONG RAW":
		if text, ok := v.(string); ok {
			return []byte(text), nil
		}
		return v, nil
	}
	return fmt.Sprint(v), nil
}

func parseTime(text string) (at time.Time, err error) {
	for _, form := range []string{"2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05", "2006-01-02"} {
		if at, err = time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	return at, err
}

// ColumnTypeDatabaseTypeName implements driver.RowsColumnTypeDatabaseTypeName.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string { return driverNames[r.types[i].name] }

// ColumnTypeNullable implements driver.RowsColumnTypeNullable.
func (r *rows) ColumnTypeNullable(i int) (nullable, ok bool) { return !r.types[i].required, true }

// ColumnTypePrecisionScale implements driver.RowsColumnTypePrecisionScale: scales are bytes without a sign, and 255 is none.
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	t := r.types[i]
	switch {
	case t.name == "FLOAT":
		digits := 126
		if len(t.args) > 0 {
			digits = t.args[0]
		}
		return int64(math.Ceil(float64(digits) * 0.30103)), 255, true
	case t.name != "NUMBER":
		return 0, 0, false
	case len(t.args) == 0:
		return 38, 255, true
	case len(t.args) == 1:
		return int64(t.args[0]), 0, true
	}
	return int64(t.args[0]), int64(uint8(int8(t.args[1]))), true //nolint:gosec // as the driver does
}
