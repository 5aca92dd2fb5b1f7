package sqlserver

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// sqlType is the type of a column.
type sqlType struct {
	name     string // as in T-SQL
	args     []int  // in parentheses; -1: max
	required bool
}

// declared matches a type as SQLite keeps it: the name, words for SQLite and us, and what was in parentheses.
var declared = regexp.MustCompile(`(?i)^(\w+)((?: \w+)*)(?:\(([^)]*)\))?$`)

// notNull is the word of columns that are NOT NULL.
const notNull = "required"

// typeOf reads the type of a column of SQLite; false: it has none.
func typeOf(decl string) (t sqlType, ok bool) {
	m := declared.FindStringSubmatch(decl)
	if m == nil {
		return t, false
	}
	t.name = strings.ToLower(m[1])
	if t.name == "integer" { // an identity
		return sqlType{name: "int", required: true}, true
	}
	t.required = strings.Contains(strings.ToLower(m[2]), notNull)
	for a := range strings.SplitSeq(m[3], ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(a)); err == nil {
			t.args = append(t.args, n)
		}
	}
	return t, true
}

func (t sqlType) arg(i, absent int) int {
	if i < len(t.args) {
		return t.args[i]
	}
	return absent
}

// forSQLite are the words that keep SQLite from changing values of a type.
var forSQLite = map[string]string{"bit": "int", "decimal": "blob", "numeric": "blob", "money": "blob", "smallmoney": "blob", "date": "blob", "time": "blob", "datetime": "blob", "smalldatetime": "blob",
	"datetime2": "blob", "datetimeoffset": "blob", "binary": "blob", "varbinary": "blob", "image": "blob", "rowversion": "blob", "uniqueidentifier": "text", "xml": "text", "sql_variant": "blob",
	"geometry": "blob", "hierarchyid": "blob", "float": "real"}

// sqlite is the type as SQLite is told it.
func (t sqlType) sqlite() string {
	text := t.name
	if w := forSQLite[t.name]; w != "" {
		text += " " + w
	}
	if t.required {
		text += " " + notNull
	}
	if len(t.args) > 0 {
		texts := make([]string, len(t.args))
		for i, a := range t.args {
			texts[i] = strconv.Itoa(a)
		}
		text += "(" + strings.Join(texts, ",") + ")"
	}
	return text
}

// described is the type as the server describes it.
func (t sqlType) described() string {
	if len(t.args) == 0 {
		return t.name
	}
	return t.name + "(" + strings.ReplaceAll(strings.Trim(strings.Join(strings.Fields(fmt.Sprint(t.args)), ","), "[]"), "-1", "max") + ")"
}

// measures are what sys.columns has of the type.
func (t sqlType) measures() (length, precision, scale int) {
	switch t.name {
	case "decimal", "numeric":
		return 17, t.arg(0, 18), t.arg(1, 0)
	case "money":
		return 8, 19, 4
	case "smallmoney":
		return 4, 10, 4
	case "time", "datetime2", "datetimeoffset":
		return 8, 0, t.arg(0, 7)
	case "char", "varchar", "binary", "varbinary":
		return t.arg(0, 1), 0, 0
	case "nchar", "nvarchar":
		if n := t.arg(0, 1); n > 0 {
			return 2 * n, 0, 0
		}
		return -1, 0, 0
	case "xml":
		return -1, 0, 0
	}
	return map[string]int{"bit": 1, "tinyint": 1, "smallint": 2, "int": 4, "bigint": 8, "real": 4, "float": 8, "date": 3, "datetime": 8, "smalldatetime": 4, "uniqueidentifier": 16}[t.name], 0, 0
}

// kind is how a type is on the wire.
type kind struct {
	fixed, variable byte // ids: of NOT NULL, and of what can be NULL; fixed 0: there is but one
	size            int
}

var kinds = map[string]kind{"bit": {0x32, 0x68, 1}, "tinyint": {0x30, 0x26, 1}, "smallint": {0x34, 0x26, 2}, "int": {0x38, 0x26, 4}, "bigint": {0x7F, 0x26, 8}, "real": {0x3B, 0x6D, 4}, "float": {0x3E, 0x6D, 8},
	"money": {0x3C, 0x6E, 8}, "smallmoney": {0x7A, 0x6E, 4}, "datetime": {0x3D, 0x6F, 8}, "smalldatetime": {0x3A, 0x6F, 4}, "uniqueidentifier": {0, 0x24, 16}}

var collation = []byte{0x09, 0x04, 0xD0, 0x00, 0x34} // Latin1_General

// info writes what a column's type is.
func (t sqlType) info(o *out) {
	if k, ok := kinds[t.name]; ok {
		if t.required && k.fixed != 0 {
			o.u8(k.fixed)
			return
		}
		o.u8(k.variable, byte(k.size))
		return
	}
	sized := func(id byte, texts bool, of int) {
		o.u8(id)
		if n := t.arg(0, 1); n < 0 {
			o.u16(0xFFFF)
		} else {
			o.u16(n * of)
		}
		if texts {
			o.bytes(collation)
		}
	}
	switch t.name {
	case "decimal", "numeric":
		o.u8(map[string]byte{"decimal": 0x6A, "numeric": 0x6C}[t.name], 17, byte(t.arg(0, 18)), byte(t.arg(1, 0)))
	case "date":
		o.u8(0x28)
	case "time", "datetime2", "datetimeoffset":
		o.u8(map[string]byte{"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}[t.name], byte(t.arg(0, 7)))
	case "char":
		sized(0xAF, true, 1)
	case "varchar":
		sized(0xA7, true, 1)
	case "nchar":
		sized(0xEF, true, 2)
	case "nvarchar":
		sized(0xE7, true, 2)
	case "binary":
		sized(0xAD, false, 1)
	case "varbinary":
		sized(0xA5, false, 1)
	case "rowversion":
		o.u8(0xAD)
		o.u16(8)
	case "text", "ntext", "image":
		o.u8(map[string]byte{"text": 0x23, "ntext": 0x63, "image": 0x22}[t.name])
		o.u32(math.MaxInt32)
		if t.name != "image" {
			o.bytes(collation)
		}
		o.u8(1)
		o.long("t")
	case "xml":
		o.u8(0xF1, 0)
	case "sql_variant":
		o.u8(0x62)
		o.u32(8009)
	default: // of the CLR
		o.u8(0xF0)
		o.u16(0xFFFF)
		o.short("shop")
		o.short("sys")
		o.short(t.name)
		o.long("Microsoft.SqlServer.Types")
	}
}

// value writes a value of the column: nil, int64, float64, string or []byte, as SQLite keeps it.
func (t sqlType) value(o *out, v any) error {
	if k, ok := kinds[t.name]; ok {
		var b []byte
		if v != nil {
			var err error
			if b, err = t.fixedBytes(v, k.size); err != nil {
				return err
			}
		}
		if !t.required || k.fixed == 0 {
			o.u8(byte(len(b)))
		}
		o.bytes(b)
		return nil
	}
	switch t.name {
	case "decimal", "numeric", "date", "time", "datetime2", "datetimeoffset":
		if v == nil {
			o.u8(0)
			return nil
		}
		b, err := t.smallBytes(v)
		o.u8(byte(len(b)))
		o.bytes(b)
		return err
	case "text", "ntext", "image":
		if v == nil {
			o.u8(0)
			return nil
		}
		o.u8(16)
		o.bytes(make([]byte, 24)) // a pointer and a time
		b := t.longBytes(v)
		o.u32(len(b))
		o.bytes(b)
		return nil
	case "sql_variant":
		if v == nil {
			o.u32(0)
			return nil
		}
		b := ucs2(fmt.Sprint(v))
		o.u32(len(b) + 9)
		o.u8(0xE7, 7)
		o.bytes(collation)
		o.u16(8000)
		o.bytes(b)
		return nil
	}
	b := t.longBytes(v)
	parts := t.arg(0, 1) < 0 || kinds[t.name].variable == 0 && !strings.Contains("char varchar nchar nvarchar binary varbinary rowversion", t.name)
	switch {
	case parts && v == nil:
		o.u64(math.MaxUint64)
	case parts:
		o.u64(uint64(len(b)))
		if len(b) > 0 {
			o.u32(len(b))
			o.bytes(b)
		}
		o.u32(0)
	case v == nil:
		o.u16(0xFFFF)
	default:
		o.u16(len(b))
		o.bytes(b)
	}
	return nil
}

func (t sqlType) longBytes(v any) []byte {
	if b, ok := v.([]byte); ok {
		return b
	}
	text := fmt.Sprint(v)
	switch t.name {
	case "nchar", "nvarchar", "ntext", "xml":
		if t.name == "nchar" {
			text += strings.Repeat(" ", max(0, t.arg(0, 1)-len([]rune(text))))
		}
		return ucs2(text)
	case "char":
		text += strings.Repeat(" ", max(0, t.arg(0, 1)-len([]rune(text))))
	}
	b := make([]byte, 0, len(text)) // in the code page, which has not all characters
	for _, r := range text {
		if r > 0xFF {
			r = '?'
		}
		b = append(b, byte(r)) //nolint:gosec // as said
	}
	return b
}

func (t sqlType) fixedBytes(v any, size int) ([]byte, error) {
	switch t.name {
	case "real", "float":
		f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
		if size == 4 {
			return binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(f))), err
		}
		return binary.LittleEndian.AppendUint64(nil, math.Float64bits(f)), err
	case "money", "smallmoney":
		n, err := scaled(v, 4)
		if err != nil {
			return nil, err
		}
		if size == 4 {
			return binary.LittleEndian.AppendUint32(nil, uint32(n.Int64())), nil //nolint:gosec // the bits
		}
		b := binary.LittleEndian.AppendUint32(nil, uint32(uint64(n.Int64())>>32)) //nolint:gosec // the bits
		return binary.LittleEndian.AppendUint32(b, uint32(n.Int64())), nil        //nolint:gosec // the bits
	case "datetime", "smalldatetime":
		at, err := parseTime(v)
		if err != nil {
			return nil, err
		}
		day := at.Truncate(24 * time.Hour)
		days := int(day.Sub(time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)) / (24 * time.Hour))
		var o out
		if size == 4 {
			o.u16(days)
			o.u16(int(at.Sub(day) / time.Minute))
		} else {
			o.u32(days)
			o.u32(int(math.Round(at.Sub(day).Seconds() * 300)))
		}
		return o.b, nil
	case "uniqueidentifier":
		b, err := hex.DecodeString(strings.ReplaceAll(fmt.Sprint(v), "-", ""))
		if err != nil || len(b) != 16 {
			return nil, fmt.Errorf("%v is no uniqueidentifier", v)
		}
		b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7] = b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]
		return b, nil
	}
	n, err := strconv.ParseInt(fmt.Sprint(v), 10, 64)
	return binary.LittleEndian.AppendUint64(nil, uint64(n))[:size], err //nolint:gosec // the bits
}

func (t sqlType) smallBytes(v any) ([]byte, error) {
	if t.name == "decimal" || t.name == "numeric" {
		n, err := scaled(v, t.arg(1, 0))
		if err != nil {
			return nil, err
		}
		b := make([]byte, 17)
		if n.Sign() >= 0 {
			b[0] = 1
		}
		abs := n.Bytes()
		for i := range abs {
			b[1+i] = abs[len(abs)-1-i]
		}
		return b, nil
	}
	at, err := parseTime(v)
	if err != nil {
		return nil, err
	}
	var b []byte
	if t.name != "date" {
		scale := t.arg(0, 7)
		units := uint64(at.Sub(at.Truncate(24*time.Hour))) / uint64(math.Pow10(9-scale)) //nolint:gosec // within a day
		size := 5
		if scale < 5 {
			size = 4
		}
		if scale < 3 {
			size = 3
		}
		b = binary.LittleEndian.AppendUint64(nil, units)[:size]
	}
	if t.name != "time" {
		days := uint32((at.Unix() - time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()) / 86400) //nolint:gosec // from year 1 on
		b = append(b, byte(days), byte(days>>8), byte(days>>16))
	}
	if t.name == "datetimeoffset" {
		b = append(b, 0, 0) // kept as UTC
	}
	return b, nil
}

// scaled is a number without its point.
func scaled(v any, scale int) (*big.Int, error) {
	r, ok := new(big.Rat).SetString(strings.TrimSpace(fmt.Sprint(v)))
	if !ok {
		return nil, fmt.Errorf("%v is no number", v)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	return new(big.Int).Quo(r.Num(), r.Denom()), nil
}

// stampText is how times are kept; a zone's is that of UTC.
const stampText = "2006-01-02 15:04:05.0000000"

func parseTime(v any) (time.Time, error) {
	text := strings.Replace(fmt.Sprint(v), "T", " ", 1)
	for _, form := range []string{"2006-01-02 15:04:05.9999999-07:00", "2006-01-02 15:04:05.9999999", "2006-01-02 15:04", "2006-01-02", "15:04:05.9999999"} {
		if at, err := time.Parse(form, strings.Replace(text, " +", "+", 1)); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%v is no time", v)
}
