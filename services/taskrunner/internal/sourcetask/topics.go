package sourcetask

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// Group is how the topics that match it are made.
type Group struct {
	Name             string
	include, exclude *regexp.Regexp // nil: the default group, which matches what is left
	partitions       int
	replication      int
	config           map[string]string
}

const groupPrefix = "topic.creation."

// TopicGroups reads a connector's topic.creation keys; nil when it has none. The default group comes last.
func TopicGroups(props map[string]string) ([]Group, error) {
	active := false
	for k := range props {
		active = active || strings.HasPrefix(k, groupPrefix)
	}
	if !active {
		return nil, nil
	}
	list, err := config.ParseValue(config.List, groupPrefix+"groups", props[groupPrefix+"groups"])
	if err != nil {
		return nil, connecterr.New(connecterr.Config, "%s", err.Error())
	}
	names, _ := list.([]string)
	def, err := group("default", props, nil)
	if err != nil {
		return nil, err
	}
	var groups []Group
	for _, name := range names {
		if name == "default" {
			continue
		}
		g, err := group(name, props, &def)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return append(groups, def), nil
}

func group(name string, props map[string]string, def *Group) (Group, error) {
	prefix := groupPrefix + name + "."
	g := Group{Name: name, config: map[string]string{}}
	number := func(key, why string, otherwise func(*Group) int) (int, error) {
		text, ok := props[prefix+key]
		switch {
		case !ok && def != nil:
			return otherwise(def), nil
		case !ok:
			return 0, connecterr.New(connecterr.Config, "Missing required configuration %q which has no default value.", prefix+key)
		}
		parsed, err := config.ParseValue(config.Int, prefix+key, text)
		if err != nil {
			return 0, connecterr.New(connecterr.Config, "%s", err.Error())
		}
		n, _ := parsed.(int64)
		if n < 1 && n != -1 {
			return 0, connecterr.New(connecterr.Config, "Invalid value %d for configuration %s: %s", n, key, why)
		}
		return int(n), nil
	}
	var err error
	if g.replication, err = number("replication.factor", "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default",
		func(d *Group) int { return d.replication }); err != nil {
		return g, err
	}
	if g.partitions, err = number("partitions", "Number of partitions must be positive, or -1 to use the broker's default", func(d *Group) int { return d.partitions }); err != nil {
		return g, err
	}
	for k, v := range props {
		rest, ok := strings.CutPrefix(k, prefix)
		if ok && !slices.Contains([]string{"replication.factor", "partitions", "include", "exclude"}, rest) {
			g.config[rest] = v
		}
	}
	if def == nil {
		return g, nil
	}
	if g.include, err = pattern("include", props[prefix+"include"]); err != nil {
		return g, err
	}
	g.exclude, err = pattern("exclude", props[prefix+"exclude"])
	return g, err
}

// pattern joins a list of expressions; an empty one matches only the empty name.
func pattern(key, list string) (*regexp.Regexp, error) {
	var parts []string
	for p := range strings.SplitSeq(list, ",") {
		parts = append(parts, strings.TrimSpace(p))
	}
	re, err := regexp.Compile("^(?:" + strings.Join(parts, "|") + ")$")
	if err != nil {
		return nil, connecterr.New(connecterr.Config, "Invalid value [%s] for configuration %s: Syntax error in regular expression: %v", strings.Join(parts, ", "), key, err)
	}
	return re, nil
}

func (g Group) matches(topic string) bool {
	return g.include == nil || g.include.MatchString(topic) && !g.exclude.MatchString(topic)
}

// Admin is what making topics needs of kafkaio.Admin.
type Admin interface {
	DescribeTopic(ctx context.Context, name string) (kafkaio.Topic, error)
	CreateTopics(ctx context.Context, topics ...kafkaio.Topic) (map[string]error, error)
	Close(ctx context.Context) error
}

// NewTopics makes topics by groups. It takes a client at once, and another when it needs one after that was given back.
func NewTopics(groups []Group, open func() (Admin, error), bootstrap string, log *slog.Logger) (Topics, error) {
	m := &maker{groups: groups, open: open, bootstrap: bootstrap, log: log}
	return m, m.take()
}

type maker struct {
	groups    []Group
	open      func() (Admin, error)
	a         Admin // nil: given back
	bootstrap string
	log       *slog.Logger
}

func (m *maker) take() (err error) {
	if m.a == nil {
		m.a, err = m.open()
	}
	return err
}

func (m *maker) Close(ctx context.Context) error {
	a := m.a
	if m.a = nil; a == nil {
		return nil
	}
	return a.Close(ctx)
}

// ensureTime is how long the broker may take to answer before a topic is asked for again.
const ensureTime = 30 * time.Second

func (m *maker) Ensure(ctx context.Context, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, ensureTime)
	defer cancel()
	if err := m.take(); err != nil {
		return err
	}
	m.log.Info("The task will send records to topic '" + topic + "' for the first time. Checking whether topic exists")
	_, err := m.a.DescribeTopic(ctx, topic)
	switch {
	case err == nil:
		m.log.Info("Topic '" + topic + "' already exists.")
		return nil
	case kafkaio.IsUnknownTopic(err):
		return m.create(ctx, topic)
	case kafkaio.IsForbidden(err):
		return connecterr.Wrap(connecterr.General, err, "Not authorized to describe topic(s) '%s' on the brokers %s", topic, m.bootstrap)
	case connecterr.IsRetriable(err):
		return connecterr.Wrap(connecterr.Retriable, err, "Timed out while describing topics '%s'", topic)
	}
	return connecterr.Wrap(connecterr.General, err, "Error while attempting to describe topics '%s' on the brokers %s", topic, m.bootstrap)
}

func (m *maker) create(ctx context.Context, topic string) error {
	i := slices.IndexFunc(m.groups, func(g Group) bool { return g.matches(topic) })
	g := m.groups[i] // the default group matches everything
	m.log.Info("Creating topic '"+topic+"'", slog.String("group", g.Name), slog.Int("partitions", g.partitions), slog.Int("replication", g.replication))
	made, err := m.a.CreateTopics(ctx, kafkaio.Topic{Name: topic, Partitions: g.partitions, Replication: g.replication, Config: maps.Clone(g.config)})
	if err == nil {
		err = made[topic]
	}
	switch {
	case err == nil:
		m.log.Info("Created topic '" + topic + "' using creation group " + g.Name)
		return nil
	case errors.Is(err, kafkaio.ErrTopicExists): // another task was faster
		return nil
	case kafkaio.IsForbidden(err), kafkaio.IsUnsupported(err):
		return connecterr.Wrap(connecterr.General, err, "Task failed to create new topic (name=%s, numPartitions=%s, replicationFactor=%s, replicasAssignments=null, configs=%s). "+
			"Ensure that the task is authorized to create topics or that the topic exists and restart the task", topic, orDefault(g.partitions), orDefault(g.replication), settings(g.config))
	case kafkaio.IsInvalidConfig(err):
		return connecterr.Wrap(connecterr.General, err, "Unable to create topic(s) '%s'", topic)
	case connecterr.IsRetriable(err):
		return connecterr.Wrap(connecterr.Retriable, err, "Timed out while checking for or creating topic(s) '%s'. This could indicate a connectivity issue, unavailable topic partitions, "+
			"or if this is your first use of the topic it may have taken too long to create.", topic)
	}
	return connecterr.Wrap(connecterr.General, err, "Error while attempting to create/find topic(s) '%s'", topic)
}

// orDefault is a number of partitions or replicas as Kafka's tools show it.
func orDefault(n int) string {
	if n == -1 {
		return "default"
	}
	return strconv.Itoa(n)
}

// settings are a topic's as Java shows a map.
func settings(config map[string]string) string {
	all := make([]string, 0, len(config))
	for _, k := range slices.Sorted(maps.Keys(config)) {
		all = append(all, k+"="+config[k])
	}
	return "{" + strings.Join(all, ", ") + "}"
}
