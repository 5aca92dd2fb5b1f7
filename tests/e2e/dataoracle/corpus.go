package dataoracle

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/sdk/data"
)

const (
	eldest   = 1_500_000_000_000 // ms; the records' times lie between these
	youngest = 1_600_000_000_000
)

// given is one record of a topic that sinks read.
type given struct {
	key, value []byte
	headers    []kgo.RecordHeader
	timestamp  int64
}

// corpus makes records up; the same seed makes the same ones.
type corpus struct {
	*rand.Rand
	wrong int // percent of payloads that are not of their schema
}

func newCorpus(seed uint64, name string) corpus {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)                                        // into memory
	return corpus{Rand: rand.New(rand.NewPCG(seed, h.Sum64())), wrong: 2} //nolint:gosec // repeatable
}

func (c corpus) one(of ...string) string { return of[c.IntN(len(of))] }
func (c corpus) in(percent int) bool     { return c.IntN(100) < percent }
func quoted(s string) string             { b, _ := json.Marshal(s); return string(b) }
func (c corpus) time() int64             { return eldest + c.Int64N(youngest-eldest) }
func (c corpus) text() string            { return c.one(texts...) }
func (c corpus) list(n int, f func() string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = f()
	}
	return "[" + strings.Join(all, ",") + "]"
}

var texts = []string{"", " ", "a", "true", "NULL", "null", "42", "-0.5", "héllo wörld", "日本語", "🙂🙃", `he said "no"`, `back\slash`, "tab\tand more", "a,b=c{d}[e]",
	"\u0000\u001f\u007f", "\u2028\ufeff", "/slash/", strings.Repeat("long ", 60)}

var wholes = []string{"0", "1", "-1", "7", "127", "128", "-128", "-129", "32767", "32768", "2147483647", "2147483648", "-2147483649", "9007199254740993",
	"9223372036854775807", "-9223372036854775808"}

var fractions = []string{"0.0", "-0.0", "0.5", "1.0", "-1.25", "3.14", "1e3", "1e10", "1E-3", "1.5e-7", "12345678.5", "1e20", "3.4028235e38", "1e300", "123456789012.125", "0.1"}

// typed is a schema and a payload of that schema, or now and then of another.
func (c corpus) typed(depth int) (schema, payload string) {
	kind := c.IntN(16)
	if depth == 0 {
		kind = c.IntN(12)
	}
	var more []string
	switch kind {
	case 0:
		schema, payload = "boolean", c.one("true", "false")
	case 1:
		schema, payload = "int8", c.one(wholes...)
	case 2:
		schema, payload = "int16", c.one(wholes...)
	case 3:
		schema, payload = "int32", c.one(wholes...)
	case 4:
		schema, payload = "int64", c.one(wholes...)
	case 5:
		schema, payload = "float", c.one(fractions...)
	case 6:
		schema, payload = "double", c.one(append(fractions, wholes...)...)
	case 7:
		schema, payload = "string", quoted(c.text())
	case 8:
		schema, payload = "bytes", quoted(base64.StdEncoding.EncodeToString([]byte(c.text())))
	case 9:
		scale := c.IntN(5)
		unscaled := data.NewDecimal(c.Int64()>>c.IntN(64), 0)
		schema, payload = "bytes", quoted(base64.StdEncoding.EncodeToString(unscaled.Bytes()))
		more = append(more, `"name":"org.apache.kafka.connect.data.Decimal"`, `"version":1`, fmt.Sprintf(`"parameters":{"scale":"%d"}`, scale))
	case 10:
		schema, payload = "int32", strconv.Itoa(c.IntN(30_000)-5_000)
		more = append(more, `"name":"org.apache.kafka.connect.data.Date"`, `"version":1`)
	case 11:
		schema, payload = "int64", strconv.FormatInt(c.time(), 10)
		more = append(more, `"name":"org.apache.kafka.connect.data.Timestamp"`, `"version":1`)
	case 12, 13:
		n := 1 + c.IntN(4)
		fields, values := make([]string, n), make([]string, n)
		for i := range n {
			s, v := c.typed(depth - 1)
			fields[i] = s[:len(s)-1] + fmt.Sprintf(`,"field":"f%d"}`, i)
			values[i] = fmt.Sprintf(`"f%d":%s`, i, v)
		}
		schema, payload = "struct", "{"+strings.Join(values, ",")+"}"
		more = append(more, `"fields":[`+strings.Join(fields, ",")+"]")
		if c.in(30) {
			more = append(more, `"name":"some.Name"`, `"version":3`)
		}
	case 14:
		s, v := c.typed(0)
		schema, payload = "array", c.list(c.IntN(4), func() string { return v })
		more = append(more, `"items":`+s)
	case 15:
		s, v := c.typed(0)
		schema, payload = "map", fmt.Sprintf(`{%s:%s}`, quoted(c.text()), v)
		more = append(more, `"keys":{"type":"string","optional":false}`, `"values":`+s)
	}
	optional := c.in(40)
	if optional && c.in(30) {
		payload = "null"
	}
	if c.in(c.wrong) {
		payload = c.one("null", `"x"`, "5", "[]", "{}", "true", "1.5") // often of another type
	}
	return fmt.Sprintf(`{"type":%q,"optional":%t%s}`, schema, optional, prefixed(more)), payload
}

func prefixed(more []string) string {
	if len(more) == 0 {
		return ""
	}
	return "," + strings.Join(more, ",")
}

func (c corpus) envelope(depth int) string {
	s, v := c.typed(depth)
	return fmt.Sprintf(`{"schema":%s,"payload":%s}`, s, v)
}

// plain is JSON without a schema.
func (c corpus) plain(depth int) string {
	kind := c.IntN(8)
	if depth == 0 {
		kind = c.IntN(5)
	}
	switch kind {
	case 0:
		return c.one("true", "false", "null")
	case 1:
		return c.one(wholes...)
	case 2:
		return c.one(fractions...)
	case 3, 4:
		return quoted(c.text())
	case 5:
		return c.list(c.IntN(4), func() string { return c.plain(depth - 1) })
	default:
		var members []string
		for i := range c.IntN(4) {
			members = append(members, fmt.Sprintf("%s:%s", quoted(c.one("a", "bb", "ccc", "é")+strconv.Itoa(i)), c.plain(depth-1)))
		}
		return "{" + strings.Join(members, ",") + "}"
	}
}

// broken is what no JSON converter reads, or only just.
func (c corpus) broken() []byte {
	return []byte(c.one("", " ", "{", `{"schema":`, "nul", "tru", "[1,2", "{}", "null", "5 6", `{"payload":5}`, `{"schema":null}`, `{"schema":null,"payload":5}`,
		`{"schema":{"type":"int33"},"payload":5}`, `{"schema":{"optional":true},"payload":5}`, `{"schema":{"type":"array"},"payload":[]}`,
		`{"schema":{"type":"struct","fields":[{"type":"int32"}]},"payload":{}}`, `{"schema":"string","payload":"x"}`, `{"schema":{},"payload":1,"more":2}`,
		`{"a":1,}`, "'x'", "\xff\xfe", "abc\x80def", "01", "+1", ".5", "NaN", "\x00"))
}

func (c corpus) headers() (all []kgo.RecordHeader) {
	for range c.IntN(3) {
		all = append(all, kgo.RecordHeader{Key: c.one("h", "trace", "é", ""), Value: []byte(c.one("", "text", "5", "1.5", "true", `{"a":1}`, "[1,2]", "\xff", "2020-01-02"))})
	}
	return all
}

// records makes n records of which some are tombstones, some broken, and the others what good makes.
func (c corpus) records(n, broken int, good func() []byte) []given {
	all := make([]given, n)
	for i := range all {
		r := given{value: good(), headers: c.headers(), timestamp: c.time()}
		switch {
		case c.in(5):
			r.value = nil
		case c.in(broken):
			r.value = c.broken()
		}
		all[i] = r
	}
	return all
}

// numbers are bytes of a length that is the right one more often than not.
func (c corpus) numbers(size int) []byte {
	if c.in(15) {
		size = c.IntN(10)
	}
	b := make([]byte, 16)
	binary.BigEndian.PutUint64(b, c.Uint64()>>c.IntN(64))
	if size == 4 && c.in(50) {
		binary.BigEndian.PutUint32(b, math.Float32bits(float32(c.IntN(100_000))/64)) // short in text
	}
	if size == 8 && c.in(50) {
		binary.BigEndian.PutUint64(b, math.Float64bits(float64(c.IntN(1_000_000))/64))
	}
	return b[:size]
}

// orderSchema has a field of most types; transforms find theirs here.
const orderSchema = `{"type":"struct","optional":false,"name":"order","version":1,"fields":[
	{"type":"int64","optional":false,"field":"id"},{"type":"string","optional":true,"field":"name"},{"type":"double","optional":false,"field":"price"},
	{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"amount"},
	{"type":"int32","optional":true,"name":"org.apache.kafka.connect.data.Date","version":1,"field":"born"},
	{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"at"},
	{"type":"struct","optional":true,"fields":[{"type":"int32","optional":false,"field":"a"},{"type":"string","optional":true,"field":"b"}],"field":"nested"},
	{"type":"string","optional":false,"field":"secret"}]}`

func (c corpus) orNull(v string) string {
	if c.in(20) {
		return "null"
	}
	return v
}

// order is a payload of orderSchema, or of a schema that lacks a field that transforms need.
func (c corpus) order(withSchema bool) string {
	amount := quoted(base64.StdEncoding.EncodeToString(data.NewDecimal(c.Int64N(1_000_000)-500_000, 0).Bytes()))
	if !withSchema {
		amount = quoted(strconv.Itoa(c.IntN(1000)))
	}
	nested := c.orNull(fmt.Sprintf(`{"a":%d,"b":%s}`, c.IntN(100), c.orNull(quoted(c.text()))))
	if !withSchema && nested == "null" {
		nested = "{}"
	}
	payload := fmt.Sprintf(`{"id":%d,"name":%s,"price":%s,"amount":%s,"born":%s,"at":%d,"nested":%s,"secret":%s}`, c.Int64N(1<<40), c.orNull(quoted(c.text())),
		c.one("0.5", "12.0", "99.99", "-3.25", "1e5"), c.orNull(amount), c.orNull(strconv.Itoa(c.IntN(20_000))), c.time(), nested, quoted(c.text()))
	if c.in(4) {
		payload = c.one(`{"id":1}`, `"text"`, "5", "[]", "{}", "null")
		if withSchema {
			return fmt.Sprintf(`{"schema":{"type":"struct","optional":false,"fields":[{"type":"int64","optional":false,"field":"id"}]},"payload":{"id":%d}}`, c.IntN(10))
		}
		return payload
	}
	if withSchema {
		return fmt.Sprintf(`{"schema":%s,"payload":%s}`, strings.ReplaceAll(orderSchema, "\n\t", ""), payload)
	}
	return payload
}

// sure is an envelope whose payload is of its schema.
func (c corpus) sure(depth int) string {
	c.wrong = 0
	return c.envelope(depth)
}

// script is n lines for the scripted source, which makes no broken ones.
func (c corpus) script(n int, value func() string) []string {
	all := make([]string, n)
	for i := range all {
		var headers []string
		for range c.IntN(3) {
			headers = append(headers, fmt.Sprintf(`{"key":%s,"value":%s}`, quoted(c.one("h", "trace", "é")), c.sure(1)))
		}
		all[i] = fmt.Sprintf(`{"key":%s,"value":%s,"headers":[%s],"timestamp":%d}`, c.orNull(c.sure(1)), c.orNull(value()), strings.Join(headers, ","), c.time())
	}
	return all
}
