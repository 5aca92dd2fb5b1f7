package offsets

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/millrace/millrace/internal/jsontree"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// Entry is one source partition's position. A nil Offset removes it.
type Entry struct {
	Partition record.SourcePartition
	Offset    record.SourceOffset
}

// Records are the entries as records of the offsets topic, in Kafka Connect's format: the key is the JSON array of the
// connector's name and the partition, the value the offset as a JSON object, or null.
func Records(topic, connector string, entries []Entry) ([]kafkaio.Record, error) {
	out := make([]kafkaio.Record, len(entries))
	for i, e := range entries {
		key, err := appendMap(append(jsontree.AppendString([]byte{'['}, connector), ','), e.Partition)
		if err != nil {
			return nil, err
		}
		out[i] = kafkaio.Record{Topic: topic, Partition: record.AnyPartition, Key: append(key, ']'), Timestamp: record.NoTimestamp}
		if e.Offset != nil {
			if out[i].Value, err = appendMap(nil, e.Offset); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// appendMap writes a map of primitive values as JSON, in its own order.
func appendMap(b []byte, m *data.Map) ([]byte, error) {
	if m == nil {
		return append(b, "null"...), nil
	}
	b = append(b, '{')
	first := true
	for k, v := range m.All() {
		name, ok := k.(string)
		if !ok {
			return nil, connecterr.New(connecterr.Data, "Offsets may only use String keys")
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(jsontree.AppendString(b, name), ':')
		var err error
		if b, err = appendValue(b, name, v); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendValue(b []byte, name string, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool, int, int8, int16, int32, int64:
		return data.AppendText(b, v), nil
	case string:
		return jsontree.AppendString(b, v), nil
	case []byte:
		return jsontree.AppendString(b, base64.StdEncoding.EncodeToString(v)), nil
	case float32:
		return appendFloat(b, name, float64(v), data.Text(v))
	case float64:
		return appendFloat(b, name, v, data.FormatFloat(v))
	}
	what := "class java.lang.Object"
	switch v.(type) {
	case *data.Map:
		what = "MAP"
	case []any:
		what = "ARRAY"
	case *data.Struct:
		what = "STRUCT"
	}
	return nil, connecterr.New(connecterr.Data, "Offsets may only contain primitive types as values, but field %s contains %s", name, what)
}

func appendFloat(b []byte, name string, f float64, text string) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, connecterr.New(connecterr.Data, "Offsets may only contain numbers that JSON has, but field %s contains %s", name, text)
	}
	return append(b, text...), nil
}

// Parse reads a partition or an offset as a user wrote it: a JSON object of primitive values, or null. Integers become int64,
// other numbers float64.
func Parse(text []byte) (*data.Map, error) {
	text = bytes.TrimSpace(text)
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, connecterr.New(connecterr.Data, "Offsets must be specified as a Map")
	}
	m := data.NewMap(2)
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		v, err := primitive(fmt.Sprint(k), raw)
		if err != nil {
			return nil, err
		}
		m.Set(k, v)
	}
	return m, nil
}

// primitive reads one value.
func primitive(name string, raw json.RawMessage) (any, error) {
	refused := func(what string) error {
		return connecterr.New(connecterr.Data, "Offsets may only contain primitive types as values, but field %s contains %s", name, what)
	}
	switch raw[0] {
	case '{':
		return nil, refused("MAP")
	case '[':
		return nil, refused("ARRAY")
	case 'n', 't', 'f', '"':
		var v any
		err := json.Unmarshal(raw, &v)
		return v, err
	}
	if !bytes.ContainsAny(raw, ".eE") {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return nil, refused("class java.math.BigInteger")
		}
		return n, nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil {
		return nil, connecterr.New(connecterr.Data, "Offsets may only contain numbers that a 64-bit floating point number can hold, but field %s contains %s", name, raw)
	}
	return f, nil
}

// JSON writes an entry's partition and offset as users read them.
func (e Entry) JSON() (partition, offset json.RawMessage, err error) {
	if partition, err = appendMap(nil, e.Partition); err == nil {
		offset, err = appendMap(nil, e.Offset)
	}
	return partition, offset, err
}

// parse reads a record of the offsets topic.
func parse(r kafkaio.Record) (connector string, e Entry, err error) {
	d := json.NewDecoder(bytes.NewReader(r.Key))
	d.UseNumber()
	var key []json.RawMessage
	if err := d.Decode(&key); err != nil || len(key) != 2 {
		return "", e, fmt.Errorf("the key is not [name, partition]: %q", r.Key)
	}
	if err := json.Unmarshal(key[0], &connector); err != nil {
		return "", e, fmt.Errorf("the key's name is no text: %q", r.Key)
	}
	if e.Partition, err = readMap(key[1]); err != nil {
		return "", e, err
	}
	if r.Value != nil {
		e.Offset, err = readMap(r.Value)
	}
	return connector, e, err
}

// readMap reads a JSON object, in its own order; whole numbers become int64.
func readMap(b []byte) (*data.Map, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	open, err := d.Token()
	if err != nil {
		return nil, err
	}
	if open == nil {
		return nil, nil
	}
	if open != json.Delim('{') {
		return nil, errors.New("Offsets must be specified as a Map")
	}
	m := data.NewMap(2)
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch x := v.(type) {
		case json.Delim:
			return nil, fmt.Errorf("field %v is not primitive", k)
		case json.Number:
			if n, err := strconv.ParseInt(x.String(), 10, 64); err == nil {
				v = n
			} else if v, err = x.Float64(); err != nil {
				return nil, err
			}
		}
		m.Set(k, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the object")
	}
	return m, nil
}

// Identity is the same for partitions that are the same, whatever the order of their fields and the width of their numbers.
func Identity(p record.SourcePartition) (string, error) {
	if p == nil {
		return "null", nil
	}
	var fields []string
	for k, v := range p.All() {
		name, ok := k.(string)
		if !ok {
			return "", connecterr.New(connecterr.Data, "Offsets may only use String keys")
		}
		b, err := appendValue(append(jsontree.AppendString(nil, name), ':'), name, v)
		if err != nil {
			return "", err
		}
		fields = append(fields, string(b))
	}
	slices.Sort(fields)
	return fmt.Sprint(fields), nil
}
