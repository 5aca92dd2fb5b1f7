package transforms

import (
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/transforms/internal/simpledate"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/transform"
)

var timestampRouterDef = &config.Def{Keys: []config.Key{
	optional("topic.format", config.String, "${topic}-${timestamp}", config.High, "The new name; ${topic} and ${timestamp} stand for the record's topic and its timestamp."),
	optional("timestamp.format", config.String, "yyyyMMdd", config.High, "Pattern of the timestamp, as Java's SimpleDateFormat has them, in UTC."),
}}

// timestampRouter makes the topic's name of topic and timestamp.
type timestampRouter struct {
	base
	topic  string
	format *simpledate.Format
	bad    error // of the pattern; it shows with the first record
	buf    []byte

	// the last name that was made, and what of: most records of a batch have the same
	from, stamp, made string
}

func (t *timestampRouter) Configure(props map[string]string) error {
	v, err := parse(timestampRouterDef, props)
	if err != nil {
		return err
	}
	*t = timestampRouter{topic: v.String("topic.format")}
	t.format, t.bad = simpledate.New(v.String("timestamp.format"), time.Now())
	return nil
}

func (t *timestampRouter) Apply(r *transform.Record) (bool, error) {
	if r.Timestamp == record.NoTimestamp {
		return false, dataError("Timestamp missing on record: %s", recordText(r))
	}
	if t.bad != nil {
		return false, illegalArgument("%s", t.bad)
	}
	t.buf = t.format.Append(t.buf[:0], data.Instant(r.Timestamp), simpledate.Zone{})
	if r.Topic != t.from || string(t.buf) != t.stamp || t.made == "" {
		t.from, t.stamp = r.Topic, string(t.buf)
		t.made = strings.ReplaceAll(strings.ReplaceAll(t.topic, "${topic}", t.from), "${timestamp}", t.stamp)
	}
	r.Topic = t.made
	return true, nil
}

// recordText prints a record as Java does.
func recordText(r *transform.Record) string {
	if r.Source == nil {
		return r.String()
	}
	s := record.Source{Partition: r.Source.Partition, Offset: r.Source.Offset, Topic: r.Topic, KafkaPartition: r.KafkaPartition, KeySchema: r.KeySchema, Key: r.Key,
		ValueSchema: r.ValueSchema, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp}
	return s.String()
}
