package herder

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/sdk/data"
)

// The parts of a sink's partitions and offsets.
const (
	topicField     = "kafka_topic"
	partitionField = "kafka_partition"
	offsetField    = "kafka_offset"
)

type sinkPartition struct {
	Topic     string `json:"kafka_topic"`
	Partition int32  `json:"kafka_partition"`
}

type sinkOffset struct {
	Offset int64 `json:"kafka_offset"`
}

// sinkChanges checks changes of a sink's offsets, all of them before any is made, and writes them in one form. The checks
// and their order are Kafka Connect's.
func sinkChanges(entries []wire.OffsetEntry) ([]wire.OffsetEntry, error) {
	out := make([]wire.OffsetEntry, len(entries))
	for i, e := range entries {
		p, err := sinkPartitionOf(e.Partition)
		if err != nil {
			return nil, err
		}
		if out[i].Partition, err = json.Marshal(p); err != nil {
			return nil, err
		}
		o, err := sinkOffsetOf(e.Offset)
		if err != nil {
			return nil, err
		}
		if o != nil {
			if out[i].Offset, err = json.Marshal(o); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func sinkPartitionOf(raw json.RawMessage) (p sinkPartition, err error) {
	if none(raw) {
		return p, cluster.Errorf(cluster.Invalid, "The partition for a sink connector offset cannot be null or missing")
	}
	fields, err := fieldsOf(raw)
	if err != nil {
		return p, err
	}
	topic, named := fields[topicField]
	number, numbered := fields[partitionField]
	switch {
	case !named || !numbered:
		return p, cluster.Errorf(cluster.Invalid, "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'")
	case none(topic):
		return p, cluster.Errorf(cluster.Invalid, "Kafka topic names must be valid strings and may not be null")
	case none(number):
		return p, cluster.Errorf(cluster.Invalid, "Kafka partitions must be valid numbers and may not be null")
	}
	text := javaText(number)
	n, perr := strconv.ParseInt(text, 10, 32)
	if perr != nil {
		return p, cluster.Errorf(cluster.Invalid, "Failed to parse the following Kafka partition value in the provided offsets: '%s'. "+
			"Partition values for sink connectors need to be integers.", text)
	}
	return sinkPartition{Topic: javaText(topic), Partition: int32(n)}, nil
}

// sinkOffsetOf is nil for an offset that is to be removed.
func sinkOffsetOf(raw json.RawMessage) (*sinkOffset, error) {
	if none(raw) {
		return nil, nil
	}
	fields, err := fieldsOf(raw)
	if err != nil {
		return nil, err
	}
	value, there := fields[offsetField]
	if !there {
		return nil, cluster.Errorf(cluster.Invalid, "The offset for a sink connector should either be null or contain the key 'kafka_offset'")
	}
	text := javaText(value)
	n, perr := strconv.ParseInt(text, 10, 64)
	if perr != nil {
		return nil, cluster.Errorf(cluster.Invalid, "Failed to parse the following Kafka offset value in the provided offsets: '%s'. "+
			"Offset values for sink connectors need to be integers.", text)
	}
	return &sinkOffset{n}, nil
}

func none(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

func fieldsOf(raw json.RawMessage) (fields map[string]json.RawMessage, err error) {
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, cluster.Wrapf(cluster.Invalid, err, "a partition or an offset must be a JSON object")
	}
	return fields, nil
}

// javaText is a JSON value as Java prints it.
func javaText(raw json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var b strings.Builder
	printJava(&b, d)
	return b.String()
}

func printJava(b *strings.Builder, d *json.Decoder) {
	token, err := d.Token()
	if err != nil {
		return // it was parsed before
	}
	switch v := token.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case string:
		b.WriteString(v)
	case json.Number:
		b.WriteString(javaNumber(v))
	case json.Delim:
		b.WriteString(v.String())
		for first := true; d.More(); first = false {
			if !first {
				b.WriteString(", ")
			}
			if v == '{' {
				printJava(b, d)
				b.WriteByte('=')
			}
			printJava(b, d)
		}
		if end, err := d.Token(); err == nil {
			b.WriteString(end.(json.Delim).String())
		}
	}
}

// javaNumber prints whole numbers as they are and others as a Double.
func javaNumber(n json.Number) string {
	if !strings.ContainsAny(n.String(), ".eE") {
		if n == "-0" {
			return "0"
		}
		return n.String()
	}
	f, err := n.Float64()
	if err != nil {
		return n.String()
	}
	return data.FormatFloat(f)
}
