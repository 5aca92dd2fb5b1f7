// Package kafkaio is the runner's only door to Kafka, and its only C code: a batch interface over librdkafka, through
// confluent-kafka-go. Nothing of that library shows outside.
//
// Start reading at Record and Config, then Producer (idempotent or transactional), Consumer (static group membership),
// Admin and ReadAll. classify.go decides what an error means: fenced, retriable or final. options.go holds the settings
// that librdkafka's defaults get wrong for us.
//
// Fencing (Invariant 4, Kafka fences the data) happens in two calls: Producer.InitTransactions ends the transactional id's
// older holder, and joining a group with a static instance id ends the older member. The loser's next write or commit
// answers job.ErrFenced.
package kafkaio

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/sdk/record"
)

// Config holds client settings by their librdkafka names. A user's value wins over the defaults of this package, except
// for those that the package's promises rest on (see options.go).
type Config = map[string]string

// Header is one raw record header. A nil Value is a Kafka null.
type Header struct {
	Key   string
	Value []byte
}

// Record is one raw record, consumed or to be produced. Nil Key or Value is a Kafka null. Timestamp is in ms since the
// epoch or record.NoTimestamp; to be produced, Partition may be record.AnyPartition, and Offset and TimestampType are
// not looked at.
type Record struct {
	Topic         string
	Partition     int32
	Offset        int64
	Key, Value    []byte
	Headers       []Header
	Timestamp     int64
	TimestampType record.TimestampType
}

// TopicPartition names a partition of a topic.
type TopicPartition = record.TopicPartition

// Where returns the partition the record was read from.
func (r *Record) Where() TopicPartition {
	return TopicPartition{Topic: r.Topic, Partition: r.Partition}
}

// client is what producers, consumers and admins have in common: whom they talk to, what last went wrong, their log.
type client struct {
	bootstrap string
	log       *slog.Logger
	logs      chan kafka.LogEvent
	logsDone  chan struct{}

	mu      sync.Mutex
	vexed   atomic.Bool // trouble is set; so that a look per record costs no lock
	trouble error       // last complaint of the client that did not belong to a call; nil when none
	lastLog string      // last error it logged; for admin clients, which have no other way to complain
}

func newClient(cfg Config, log *slog.Logger) *client {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &client{
		bootstrap: cfg["bootstrap.servers"], log: log,
		logs: make(chan kafka.LogEvent, 64), logsDone: make(chan struct{}),
	}
	go func() {
		defer close(c.logsDone)
		for e := range c.logs {
			if e.Level <= 3 {
				c.mu.Lock()
				c.lastLog = e.Message
				c.mu.Unlock()
			}
			level := levelOf(e.Level)
			if e.Tag == "CONFWARN" { // a consumer's setting met an admin client, say: harmless, and often meant
				level = slog.LevelDebug
			}
			c.log.LogAttrs(context.Background(), level, "kafka client: "+e.Message,
				slog.String("client", e.Name), slog.String("facility", e.Tag))
		}
	}()
	return c
}

// levelOf maps syslog levels. librdkafka calls a lost connection an error though it reconnects by itself: errors become
// warnings, since what fails for good is also returned by a call.
func levelOf(syslog int) slog.Level {
	switch {
	case syslog <= 2:
		return slog.LevelError
	case syslog <= 4:
		return slog.LevelWarn
	case syslog <= 6:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

// closeLogs ends the log goroutine; the library must not log any more.
func (c *client) closeLogs() {
	close(c.logs)
	<-c.logsDone
}

func (c *client) setTrouble(err error) {
	c.mu.Lock()
	c.trouble = err
	c.vexed.Store(err != nil)
	c.mu.Unlock()
}

func (c *client) lastTrouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trouble
}

// recovered forgets the trouble: records move again.
func (c *client) recovered() {
	if c.vexed.Load() {
		c.setTrouble(nil)
	}
}

// grievance is what to tell somebody who waited in vain; empty when the client never complained.
func (c *client) grievance() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble != nil {
		return c.trouble.Error()
	}
	return c.lastLog
}
