package jdbcoracle

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/sdk/data"
)

// column is a field of the records: its schema, its column in a table that is made beforehand, and payloads for it. MySQL has
// MariaDB's, but 5.5, which takes the digits of times for a comment, has whole seconds.
type column struct {
	name            string
	schema          string // without its braces
	postgres, maria string
	payload         func(c *rand.Rand) string
	postgresOnly    bool
	reads           string // the type as which MariaDB is asked for it where the connector chose the type; "": as it is
	required        bool
}

const logical = `"name":"org.apache.kafka.connect.data.%s","version":1`

func typed(name string) string { return `"type":"` + name + `"` }

func named(base, name string) string { return typed(base) + "," + fmt.Sprintf(logical, name) }

func oneOf(texts ...string) func(*rand.Rand) string {
	return func(c *rand.Rand) string { return texts[c.IntN(len(texts))] }
}

func quoted(s string) string { b, _ := json.Marshal(s); return string(b) } // a text always has a form

func inBase64(b []byte) string { return quoted(base64.StdEncoding.EncodeToString(b)) }

var texts = []string{"", " ", "a", "NULL", `\N`, "héllo wörld", "日本語", "🙂🙃", `he said "no"`, `back\slash`, "tab\tand\nline\r", "a,b=c{d}[e]", "it's", "\u0001\u001f\u007f", "\u2028\ufeff", `{"a":1}`,
	strings.Repeat("long ", 60)}

// columns are the fields that both connectors write alike. id comes first and is the record's number.
var columns = []column{
	{name: "id", schema: typed("int64"), postgres: "bigint", maria: "bigint", required: true},
	{name: "i8", schema: typed("int8"), postgres: "smallint", maria: "tinyint", payload: oneOf("0", "1", "-1", "127", "-128")},
	{name: "i16", schema: typed("int16"), postgres: "smallint", maria: "smallint", payload: oneOf("0", "-1", "32767", "-32768")},
	{name: "i32", schema: typed("int32"), postgres: "integer", maria: "int", payload: oneOf("0", "-1", "2147483647", "-2147483648")},
	{name: "i64", schema: typed("int64"), postgres: "bigint", maria: "bigint", payload: oneOf("0", "-1", "9007199254740993", "9223372036854775807", "-9223372036854775808")},
	{name: "f32", schema: typed("float"), postgres: "real", maria: "float", payload: oneOf("0.0", "0.5", "-1.25", "3.14", "1e10", "1.5e-7", "16777216")},
	{name: "f64", schema: typed("double"), postgres: "double precision", maria: "double", payload: oneOf("0.0", "0.1", "-1.25", "1e300", "5e-324", "123456789012.125")},
	{name: "yes", schema: typed("boolean"), postgres: "boolean", maria: "boolean", payload: oneOf("true", "false")},
	{name: "word", schema: typed("string"), postgres: "text", maria: "text", payload: func(c *rand.Rand) string { return quoted(texts[c.IntN(len(texts))]) }},
	{name: "blob", schema: typed("bytes"), postgres: "bytea", maria: "varbinary(1024)", payload: func(c *rand.Rand) string {
		b := make([]byte, c.IntN(20))
		for i := range b {
			b[i] = byte(c.Uint32()) //nolint:gosec // cut on purpose
		}
		return inBase64(b)
	}},
	{name: "amount", schema: named("bytes", "Decimal") + `,"parameters":{"scale":"4"}`, postgres: "decimal(38,4)", maria: "decimal(38,4)", payload: func(c *rand.Rand) string {
		return inBase64(data.NewDecimal(c.Int64()>>c.IntN(64)*int64(1-2*c.IntN(2)), 4).Bytes())
	}},
	{name: "day", schema: named("int32", "Date"), postgres: "date", maria: "date", payload: func(c *rand.Rand) string { return strconv.Itoa(c.IntN(600_000) - 350_000) }},
	{name: "clock", schema: named("int32", "Time"), postgres: "time(3)", maria: "time/*!50604 (3)*/", reads: "time(3)", payload: func(c *rand.Rand) string { return strconv.Itoa(c.IntN(86_400_000)) }},
	{name: "moment", schema: named("int64", "Timestamp"), postgres: "timestamp(3)", maria: "datetime/*!50604 (3)*/", reads: "datetime(3)", payload: func(c *rand.Rand) string {
		return strconv.FormatInt(c.Int64N(60_000_000_000_000)-30_000_000_000_000, 10)
	}},
	{name: "CamelCase", schema: typed("string"), postgres: "text", maria: "text", payload: oneOf(`"x"`, `"y"`)},
	{name: "many", schema: typed("array") + `,"items":{"type":"string","optional":false}`, postgres: "text[]", postgresOnly: true,
		payload: oneOf(`[]`, `["a","b,c","d\"e"]`, `["{}","\\"]`)},
	{name: "five", schema: typed("int32") + `,"default":5`, postgres: "integer", maria: "int", payload: oneOf("null", "7")},
}

// nulls is the share of fields that are null, in percent.
const nulls = 10

// corpus makes the records of a topic up.
type corpus struct {
	*rand.Rand
	columns []column
	schema  string // of values
	upserts bool   // keys come again, and tombstones
}

func newCorpus(seed uint64, product string, upserts bool) *corpus {
	c := &corpus{Rand: rand.New(rand.NewPCG(seed, 7)), upserts: upserts} //nolint:gosec // repeatable
	var fields []string
	for _, f := range columns {
		if f.postgresOnly && product != "postgresql" {
			continue
		}
		c.columns = append(c.columns, f)
		fields = append(fields, fmt.Sprintf(`{%s,"optional":%t,"field":%q}`, f.schema, !f.required, f.name))
	}
	c.schema = `{"type":"struct","optional":false,"name":"row","fields":[` + strings.Join(fields, ",") + `]}`
	return c
}

const keySchema = `{"type":"struct","optional":false,"name":"key","fields":[{"type":"int64","optional":false,"field":"id"}]}`

// record makes the record of a number out of n.
func (c *corpus) record(i, n int) *kgo.Record {
	id := i
	if c.upserts {
		id = c.IntN(n/2 + 1)
	}
	r := &kgo.Record{Key: fmt.Appendf(nil, `{"schema":%s,"payload":{"id":%d}}`, keySchema, id)}
	if c.upserts && c.IntN(10) == 0 {
		return r // a tombstone
	}
	b := fmt.Appendf(nil, `{"schema":%s,"payload":{"id":%d`, c.schema, id)
	for _, f := range c.columns[1:] {
		value := "null"
		if c.IntN(100) >= nulls {
			value = f.payload(c.Rand)
		}
		b = fmt.Appendf(b, `,%q:%s`, f.name, value)
	}
	r.Value = append(b, "}}"...)
	return r
}

// ddl makes a table for the records.
func (c *corpus) ddl(table, product string) string {
	texts := make([]string, len(c.columns))
	for i, f := range c.columns {
		typ := f.postgres
		if product != "postgresql" {
			typ = f.maria
		}
		texts[i] = quotedName(product, f.name) + " " + typ
	}
	texts[0] += " PRIMARY KEY"
	text := "CREATE TABLE " + table + " (" + strings.Join(texts, ", ") + ")"
	if product != "postgresql" {
		text += " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
	}
	return text
}

func quotedName(product, name string) string {
	if product == "postgresql" {
		return `"` + name + `"`
	}
	return "`" + name + "`"
}
