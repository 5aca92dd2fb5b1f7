package schemasource

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
)

// The keys; idKey is set in task configs.
const (
	nameKey       = "name"
	idKey         = "id"
	topicKey      = "topic"
	messagesKey   = "num.messages"
	throughputKey = "throughput"
	multipleKey   = "multiple.schema"
	partitionsKey = "partition.count"
	stdoutKey     = "enable.stdout"
	complexKey    = "complex.keys.headers"
)

// settings are a task's keys, read.
type settings struct {
	name, topic string
	id          int32
	messages    int64 // of each run
	throughput  int64 // records a second; 0 can be only where the flavour corrects; negative: no limit
	multiple    bool
	partitions  int32
	print       bool
	complexKeys bool
}

const noLimit = -1

// read reads a task's configuration. The error begins with Java's text and names the key.
func (f flavour) read(props map[string]string) (s settings, err error) {
	number := func(key, absent string, bits int) (n int64) {
		text, there := props[key]
		if !there && absent != "" {
			text = absent
		} else if !there && err == nil {
			err = invalid(key, "is missing")
		}
		n, bad := strconv.ParseInt(data.ASCIIDigits(text), 10, bits)
		if bad != nil && err == nil {
			err = invalid(key, ": Not a number: "+strconv.Quote(text))
		}
		return n
	}
	yes := func(key string) bool { return strings.EqualFold(props[key], "true") }

	s.name, s.topic = props[nameKey], props[topicKey]
	s.id = int32(number(idKey, "", 32))
	s.messages = number(messagesKey, "", 64)
	limit := strconv.Itoa(noLimit)
	if f.corrects {
		limit = "" // required
	}
	s.throughput = number(throughputKey, limit, 64)
	s.partitions = int32(number(partitionsKey, "1", 32))
	s.multiple = yes(multipleKey)
	_, said := props[stdoutKey]
	s.print = !f.canBeQuiet || !said || yes(stdoutKey)
	s.complexKeys = f.complexKeys && yes(complexKey)
	switch {
	case err != nil:
	case s.throughput == 0 && !f.corrects:
		err = invalid(throughputKey, "must not be 0")
	case s.partitions == 0:
		err = invalid(partitionsKey, "must not be 0")
	}
	return s, err
}

func invalid(key, why string) error {
	if !strings.HasPrefix(why, ":") {
		why = " " + why
	}
	return connecterr.New(connecterr.General, "Invalid SchemaSourceTask configuration: %s%s", key, why)
}
