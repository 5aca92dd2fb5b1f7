// Package validate checks connector configurations as Kafka Connect does: the framework's own keys, those of the connector,
// of its transformations, predicates and converters. It is pure: what it needs to know of plugins and of the worker is given
// to it, so that a runner can use it with the plugins, and the api with the definitions that the store keeps.
//
// Start reading at Connector; framework.go has the framework's keys, plugins.go what names plugins, overrides.go the client
// overrides, infos.go the shape of the answer.
package validate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/secretref"
)

// Catalog is what is known of plugins: how they are found, and the definition of the one at a place of the index.
type Catalog struct {
	Index *plugin.Index
	Def   func(place int) (*config.Def, error)
}

// Finding is a message about a key, from a connector's own check.
type Finding struct {
	Key     string
	Message string
}

// Instance is a connector that was not started, where the plugin is at hand.
type Instance interface {
	// Check is its own check of relations between keys. It is asked when the keys of its definition are fine by themselves.
	Check(config map[string]string) []Finding
	// Recommend gives the recommended values of keys that it has to ask the outside for. It is asked after Check, and where there are
	// errors too.
	Recommend(config map[string]string) map[string][]string
	ExactlyOnce(config map[string]string) (connector.Support, error)
	TransactionBoundaries(config map[string]string) (connector.Support, error)
}

// Request is a configuration to check, and what is known of its surroundings.
type Request struct {
	Config cluster.Config
	// Resolved is the configuration with references to secrets replaced; nil: they can't be resolved here, and values with
	// them are not checked.
	Resolved cluster.Config
	Plugins  Catalog
	// Worker is what is known of the workers; nil: nothing, and what depends on them is not checked.
	Worker *cluster.Worker
	// Instance makes an instance of the connector at a place; nil: there is none, and what only it knows is not checked.
	Instance func(place int) Instance
	// Refuse says why a client setting is not allowed beyond the worker's policy; "" when it is. nil: all are.
	Refuse func(key, value string) string
}

// Refusal is why a configuration could not be checked at all.
type Refusal struct {
	Class   string // of the exception that Kafka Connect would name
	Code    cluster.Code
	Message string
}

func (r *Refusal) Error() string { return r.Message }

const (
	badRequest      = "org.apache.kafka.connect.runtime.rest.errors.BadRequestException"
	configException = "org.apache.kafka.common.config.ConfigException"
)

func refuse(format string, args ...any) *Refusal {
	return &Refusal{badRequest, cluster.Invalid, fmt.Sprintf(format, args...)}
}

// Misconfigured is a Refusal for a value that ends the whole check.
func Misconfigured(message string) *Refusal {
	return &Refusal{configException, cluster.Failed, message}
}

// Find finds the newest version of the connector that a configuration names. The error is a *Refusal.
func Find(x *plugin.Index, cfg cluster.Config) (int, error) {
	class, ok := cfg.Get("connector.class")
	if !ok {
		return 0, refuse("Connector config contains no connector type")
	}
	i, err := x.Connector(class)
	if err != nil {
		return 0, refuse("%s", err.Error())
	}
	return i, nil
}

// Keys are the framework's keys for a type of connector.
func Keys(t cluster.ConnectorType) *config.Def {
	switch t {
	case cluster.TypeSink:
		return &config.Def{Keys: append(common(), sink()...)}
	case cluster.TypeSource:
		return &config.Def{Keys: append(common(), source()...)}
	case cluster.TypeUnknown:
	}
	return &config.Def{Keys: common()}
}

// Connector runs the whole procedure. An error is a *Refusal, or says that a stored definition can't be read.
func Connector(r Request) (Infos, error) {
	place, err := Find(r.Plugins.Index, r.Config)
	if err != nil {
		return Infos{}, err
	}
	props, hidden := r.Resolved, map[string]bool{}
	if props == nil {
		props = r.Config.Clone()
		for k, v := range props {
			if v != nil && k != "connector.class" && r.refers(*v) {
				delete(props, k)
				hidden[k] = true
			}
		}
	}
	props = props.Clone()
	class, _ := r.Config.Get("connector.class") // it is looked up as written
	props["connector.class"] = &class
	for k := range props {
		if k == "config.providers" || strings.HasPrefix(k, "config.providers.") {
			delete(props, k)
		}
	}
	name := r.Plugins.Index.At(place)
	c := &check{Request: r, props: props, hidden: hidden, class: name.Class, typ: cluster.ConnectorType(name.Kind), values: map[string]*config.Value{}}
	if want, given := props.Get("connector.plugin.version"); given {
		asked, err := plugin.ParseRange(want)
		if err != nil {
			return Infos{}, refuse("%s", c.discreet("connector.plugin.version", err.Error()))
		}
		if place, err = r.Plugins.Index.Match(place, asked); err != nil {
			return c.noVersion(err.Error()), nil
		}
	}
	if c.own, err = r.Plugins.Def(place); err != nil {
		return Infos{}, err
	}
	if c.own == nil {
		c.own = &config.Def{} // a connector without keys of its own
	}
	if r.Instance != nil {
		c.instance = r.Instance(place)
	}
	c.keys()
	switch c.typ {
	case cluster.TypeSink:
		c.sinkTopics()
		c.sinkGroup()
	case cluster.TypeSource:
		c.exactlyOnce()
		c.boundaries()
	case cluster.TypeUnknown:
	}
	c.nulls()
	c.connector()
	c.recommend()
	if err := c.overrides(); err != nil {
		return Infos{}, err
	}
	c.converters()
	return c.infos(), nil
}

// refers tells whether a value refers to a secret.
func (r *Request) refers(value string) bool {
	return slices.ContainsFunc(secretref.Find(value), func(ref secretref.Ref) bool {
		return r.Worker == nil || slices.Contains(r.Worker.Providers, ref.Provider)
	})
}

// check is one run of the procedure.
type check struct {
	Request
	props    cluster.Config  // resolved
	hidden   map[string]bool // keys that were taken out of props: their values are secrets of the workers
	class    string          // of the connector, in full
	typ      cluster.ConnectorType
	own      *config.Def // the connector's
	instance Instance

	def    *config.Def
	values map[string]*config.Value
	order  []*config.Value // of the definition's keys

	unknown []Info // entries without a definition
	extra   []Info // overrides and converters, behind the rest
	groups  []string
}

// keys checks every key against the definition: the framework's, those of named transformations, and the connector's.
func (c *check) keys() {
	framework := Keys(c.typ)
	c.enrich(framework)
	transforms, late := c.aliased("transforms", "transforms.", "Transforms: ", plugin.Transformation)
	predicates, later := c.aliased("predicates", "predicates.", "Predicates: ", plugin.Predicate)
	c.judge(config.Merge(framework, transforms, predicates, c.own))
	for _, f := range append(late, later...) {
		c.fail(f.Key, f.Message)
	}
	c.classes()
	c.converterVersions()
	c.negated()
}

func (c *check) judge(def *config.Def) {
	c.def = def
	for _, v := range def.Check(c.props) {
		if c.hidden[v.Name] {
			raw := c.Config[v.Name]
			v = config.Value{Name: v.Name, Value: raw, Visible: v.Visible}
		}
		c.order = append(c.order, &v)
		c.values[v.Name] = &v
	}
}

// noVersion is the answer when no installed version is the one that is asked for: the common keys alone are judged.
func (c *check) noVersion(message string) Infos {
	framework := Keys(cluster.TypeUnknown)
	for i := range framework.Keys { // Kafka Connect does not get to the converters
		switch k := &framework.Keys[i]; {
		case k.Name == "connector.plugin.version":
			c.versions(k, c.class)
		case strings.HasSuffix(k.Name, ".plugin.version"):
			k.Recommend = config.Hide()
		}
	}
	c.judge(framework)
	c.classes()
	c.fail("connector.class", message)
	c.fail("connector.plugin.version", message)
	c.nulls()
	return c.infos()
}

func (c *check) fail(key, message string) {
	if c.hidden[key] {
		return
	}
	if v := c.values[key]; v != nil {
		v.Errors = append(v.Errors, message)
		return
	}
	c.unknown = append(c.unknown, Info{Value: &ValueInfo{Name: key, Value: c.props[key], Recommended: []string{}, Errors: []string{message}, Visible: true}})
}

func (c *check) text(key string) string {
	if v := c.values[key]; v != nil {
		s, _ := v.Parsed.(string)
		return s
	}
	return ""
}

// sinkTopics checks that a sink has topics in exactly one way, and that its dead letter queue is none of them.
func (c *check) sinkTopics() {
	topics, _ := c.values["topics"].Parsed.([]string)
	regex, dlq := strings.TrimSpace(c.text("topics.regex")), strings.TrimSpace(c.text("errors.deadletterqueue.topic.name"))
	if c.hidden["topics"] || c.hidden["topics.regex"] {
		return
	}
	both := func(message string) { c.fail("topics", message); c.fail("topics.regex", message) }
	switch {
	case len(topics) > 0 && regex != "":
		both("topics and topics.regex are mutually exclusive options, but both are set.")
	case len(topics) == 0 && regex == "":
		both("Must configure one of topics or topics.regex")
	}
	if dlq == "" {
		return
	}
	if slices.Contains(topics, dlq) {
		c.fail("topics", fmt.Sprintf("The DLQ topic '%s' may not be included in the list of topics ('topics=[%s]') consumed by the connector", dlq, strings.Join(topics, ", ")))
	}
	if re, err := regexp.Compile("^(?:" + regex + ")$"); regex != "" && err == nil && re.MatchString(dlq) {
		c.fail("topics.regex", fmt.Sprintf("The DLQ topic '%s' may not be matched by the regex for the topics ('topics.regex=%s') consumed by the connector", dlq, regex))
	}
}

// sinkGroup checks that a sink's consumers do not join the group that names the workers.
func (c *check) sinkGroup() {
	const key = consumerPrefix + "group.id"
	group, given := c.props.Get(key)
	name := c.text("name")
	given = given || c.hidden[key]
	conflict := func(g string) bool { return c.Worker != nil && c.Worker.GroupID != "" && g == c.Worker.GroupID }
	switch {
	case given:
		entry := ValueInfo{Name: key, Value: c.Config[key], Recommended: []string{}, Errors: []string{}, Visible: true}
		if conflict(group) {
			entry.Errors = append(entry.Errors, fmt.Sprintf("Consumer group %s conflicts with Connect worker group %s", group, group))
		}
		c.unknown = append(c.unknown, Info{Value: &entry})
	case conflict("connect-" + name):
		c.fail("name", fmt.Sprintf("Consumer group for sink connector named %s conflicts with Connect worker group connect-%s", name, name))
	}
}

// exactlyOnce asks a source whether it can do what exactly.once.support requires of it.
func (c *check) exactlyOnce() {
	v := c.values["exactly.once.support"]
	if v == nil || len(v.Errors) > 0 || !strings.EqualFold(c.text(v.Name), "required") {
		return
	}
	if c.Worker != nil && !c.Worker.ExactlyOnce {
		c.fail(v.Name, "This worker does not have exactly-once source support enabled.")
	}
	if c.instance == nil {
		return
	}
	support, err := c.instance.ExactlyOnce(c.props.Plain())
	switch {
	case err != nil:
		c.fail(v.Name, unexpected(err))
	case support == connector.Unsupported:
		c.fail(v.Name, "The connector does not support exactly-once semantics with the provided configuration.")
	case support == connector.SupportUnknown:
		c.fail(v.Name, "The connector does not implement the API required for preflight validation of exactly-once source support. Please consult the documentation for the "+
			"connector to determine whether it supports exactly-once semantics, and then consider reconfiguring the connector to use the value \"requested\" for this "+
			"property (which will disable this preflight check and allow the connector to be created).")
	}
}

// boundaries asks a source whether it can draw its own transaction boundaries.
func (c *check) boundaries() {
	v := c.values["transaction.boundary"]
	if v == nil || len(v.Errors) > 0 || !strings.EqualFold(c.text(v.Name), "connector") || c.instance == nil {
		return
	}
	support, err := c.instance.TransactionBoundaries(c.props.Plain())
	switch {
	case err != nil:
		c.fail(v.Name, unexpected(err))
	case support != connector.Supported:
		c.fail(v.Name, "The connector does not support connector-defined transaction boundaries with the given configuration. Please reconfigure it to use a different transaction boundary definition.")
	}
}

func unexpected(err error) string {
	if err.Error() == "" {
		return "An unexpected error occurred during validation; please see the worker logs for more details."
	}
	return "An unexpected error occurred during validation: " + err.Error()
}

const nullMessage = "Null value can not be supplied as the configuration value."

// nulls refuses null values, except for keys of the connector's own definition.
func (c *check) nulls() {
	for _, k := range slices.Sorted(maps.Keys(c.props)) {
		if _, own := c.own.Key(k); c.props[k] == nil && !own {
			c.fail(k, nullMessage)
		}
	}
}

// recommend adds what the connector itself recommends.
func (c *check) recommend() {
	if c.instance == nil {
		return
	}
	for k, values := range c.instance.Recommend(c.props.Plain()) {
		if v := c.values[k]; v != nil {
			v.Recommended = values
		}
	}
}

// connector asks the connector's own check, once its keys are fine by themselves.
func (c *check) connector() {
	if c.instance == nil {
		return
	}
	for _, k := range c.own.Keys {
		if v := c.values[k.Name]; v != nil && len(v.Errors) > 0 {
			return
		}
	}
	for _, f := range c.instance.Check(c.props.Plain()) {
		c.fail(f.Key, f.Message)
	}
}
