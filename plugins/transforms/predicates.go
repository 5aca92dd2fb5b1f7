package transforms

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/transform"
)

var (
	hasHeaderKeyDef     = &config.Def{Keys: []config.Key{required("name", config.String, config.Medium, "Key of the header.", config.NonEmpty())}}
	topicNameMatchesDef = &config.Def{Keys: []config.Key{
		required("pattern", config.String, config.Medium, "Regular expression, in Java's syntax, that the whole name of a topic has to match.", config.NonEmptyRegex())}}
)

// hasHeaderKey holds for records that have a header.
type hasHeaderKey struct {
	base
	name string
}

func (p *hasHeaderKey) Configure(props map[string]string) error {
	v, err := parse(hasHeaderKeyDef, props)
	p.name = v.String("name")
	return err
}

func (p *hasHeaderKey) Test(r *transform.Record) (bool, error) {
	for i := range r.Headers {
		if r.Headers[i].Key == p.name {
			return true, nil
		}
	}
	return false, nil
}

// String prints the predicate as Java does.
func (p *hasHeaderKey) String() string { return "HasHeaderKey{name='" + p.name + "'}" }

// recordIsTombstone holds for records without a value.
type recordIsTombstone struct{}

func (recordIsTombstone) Configure(map[string]string) error { return nil }

func (recordIsTombstone) Test(r *transform.Record) (bool, error) { return r.Value == nil, nil }

func (recordIsTombstone) Close() error { return nil }

// String prints the predicate as Java does.
func (recordIsTombstone) String() string { return "RecordIsTombstone{}" }

// topicNameMatches holds for records of some topics.
type topicNameMatches struct {
	base
	regex *regex
	known memo[bool]
}

func (p *topicNameMatches) Configure(props map[string]string) error {
	v, err := parse(topicNameMatchesDef, props)
	if err != nil {
		return err
	}
	p.known = memo[bool]{}
	if p.regex, err = newRegex(v.String("pattern")); err != nil {
		return configError("Invalid value %s for configuration pattern: Invalid regex: %s", v.String("pattern"), err)
	}
	return nil
}

func (p *topicNameMatches) Test(r *transform.Record) (bool, error) {
	holds, ok := p.known[r.Topic]
	if !ok {
		var err error
		if holds, err = p.regex.matches(r.Topic); err != nil {
			return false, err
		}
		p.known.put(r.Topic, holds)
	}
	return holds, nil
}

// String prints the predicate as Java does.
func (p *topicNameMatches) String() string { return "TopicNameMatches{pattern=" + p.regex.text + "}" }
