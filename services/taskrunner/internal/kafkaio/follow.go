package kafkaio

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/millrace/millrace/sdk/connecterr"
)

// follower keeps a subscription by regex: librdkafka's own matches POSIX expressions, in which what people write for Kafka
// Connect (\d, non-capturing groups) means something else.
type follower struct {
	match   *regexp.Regexp
	every   time.Duration
	next    time.Time
	now     []string // subscribed
	answers chan answer
	asking  bool
}

type answer struct {
	topics []string
	err    error
}

// internalTopics are Kafka's own, which Kafka's Java consumer leaves out too.
var internalTopics = []string{"__consumer_offsets", "__transaction_state", "__share_group_state"}

// TopicPattern reads topics.regex: an expression for whole names.
func TopicPattern(expression string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`^(?:` + expression + `)$`)
	if err != nil {
		return nil, connecterr.Wrap(connecterr.Config, err, "reading topics.regex %q", expression)
	}
	return re, nil
}

func newFollower(c *Consumer, expression string) (*follower, error) {
	re, err := TopicPattern(expression)
	if err != nil {
		return nil, err
	}
	f := &follower{match: re, every: 5 * time.Minute, answers: make(chan answer, 1)}
	if ms, err := strconv.Atoi(c.maxAge); err == nil && ms > 0 {
		f.every = time.Duration(ms) * time.Millisecond
	}
	return f, nil
}

// follow looks for topics when it is time, and subscribes anew when they have changed. It does not wait.
func (c *Consumer) follow() error {
	f := c.following
	if f == nil {
		return nil
	}
	if !f.asking && !time.Now().Before(f.next) && c.enter() {
		f.asking = true
		go func() {
			defer c.calls.Done()
			m, err := c.k.GetMetadata(nil, true, 5000)
			f.answers <- answer{topics: f.matching(m), err: err}
		}()
	}
	select {
	case a := <-f.answers:
		f.asking = false
		f.next = time.Now().Add(f.every)
		if a.err != nil || len(a.topics) == 0 && len(f.now) == 0 {
			f.next = time.Now().Add(min(f.every, time.Second)) // nothing to read yet: look again soon
		}
		if a.err != nil {
			c.log.Warn("looking for topics failed and is tried again", "regex", f.match.String(), "error", a.err)
			return nil
		}
		if slices.Equal(a.topics, f.now) {
			return nil
		}
		f.now = a.topics
		if len(a.topics) == 0 {
			return c.classify("subscribing", c.k.Unsubscribe())
		}
		return c.subscribe(a.topics)
	default:
		return nil
	}
}

func (f *follower) matching(m *kafka.Metadata) []string {
	if m == nil {
		return nil
	}
	return matching(f.match, m)
}

func matching(match *regexp.Regexp, m *kafka.Metadata) []string {
	var out []string
	for name := range m.Topics {
		if match.MatchString(name) && !slices.Contains(internalTopics, name) {
			out = append(out, strings.Clone(name))
		}
	}
	slices.Sort(out)
	return out
}
