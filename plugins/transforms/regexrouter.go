package transforms

import (
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/transform"
)

var regexRouterDef = &config.Def{Keys: []config.Key{
	required("regex", config.String, config.High, "Regular expression, in Java's syntax, that the whole name of a topic has to match.", config.RequiredRegex()),
	required("replacement", config.String, config.High, "The new name; $1 or ${name} stand for groups of the expression."),
}}

// regexRouter renames topics.
type regexRouter struct {
	base
	regex *regex
	with  replacement
	bad   error // of the replacement; it shows when a topic matches
	known memo[string]
}

func (t *regexRouter) Configure(props map[string]string) error {
	v, err := parse(regexRouterDef, props)
	if err != nil {
		return err
	}
	if t.regex, err = newRegex(v.String("regex")); err != nil {
		return configError("Invalid value %s for configuration regex: Invalid regex: %s", v.String("regex"), err)
	}
	t.with, t.bad = t.regex.replacement(v.String("replacement"))
	t.known = memo[string]{}
	return nil
}

func (t *regexRouter) Apply(r *transform.Record) (bool, error) {
	topic, ok := t.known[r.Topic]
	if !ok {
		var err error
		if topic, err = t.rename(r.Topic); err != nil {
			return false, err
		}
		t.known.put(r.Topic, topic)
	}
	r.Topic = topic
	return true, nil
}

func (t *regexRouter) rename(topic string) (string, error) {
	matches, err := t.regex.matches(topic)
	if err != nil || !matches {
		return topic, err
	}
	if t.bad != nil {
		return "", t.bad
	}
	return t.regex.replaceFirst(topic, t.with)
}
