package validate

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/config"
)

// Plugin is what must be known of a plugin that a configuration names.
type Plugin struct {
	Class string // full class name
	Def   *config.Def
}

// Kind is a kind of plugin that a configuration names, by the interface that error texts show.
type Kind string

// The kinds, beside the connector itself.
const (
	Converter       Kind = "Converter"
	HeaderConverter Kind = "HeaderConverter"
	Transformation  Kind = "Transformation"
	Predicate       Kind = "Predicate"
)

// Finding is a message about a key, from a connector's own check.
type Finding struct {
	Key     string
	Message string
}

// Request is a configuration to check, and what is known of its plugins.
type Request struct {
	Class   string // as given in connector.class
	Type    cluster.ConnectorType
	Version string // newest installed version of the connector
	Config  cluster.Config
	Def     *config.Def // the connector's own keys
	// Find finds another plugin by class or alias; false when there is none. List lists the classes of a kind.
	Find func(kind Kind, name string) (Plugin, bool)
	List func(kind Kind) []string
	// Check is the connector's own check of relations between keys; nil: none. It is asked when the keys of the
	// connector's definition are fine by themselves.
	Check func(config map[string]string) []Finding
	// Refuse says why a client override is not allowed; "" when it is. nil: all are.
	Refuse func(prefix, key, value string) string
}

// The prefixes of client overrides.
var overridePrefixes = []string{"producer.override.", "consumer.override.", "admin.override."}

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

// Connector runs the whole procedure.
func Connector(r Request) Infos {
	props := r.Config.Clone()
	for k := range props {
		if k == "config.providers" || strings.HasPrefix(k, "config.providers.") {
			delete(props, k)
		}
	}
	c := &check{Request: r, props: props, values: map[string]*config.Value{}}
	c.keys()
	c.classes()
	if r.Type == cluster.TypeSink {
		c.sinkTopics()
	}
	c.nulls()
	c.converters()
	c.own()
	c.overrides()
	return c.infos()
}

// check is one run of the procedure.
type check struct {
	Request
	props  cluster.Config
	def    *config.Def
	values map[string]*config.Value
	order  []*config.Value // of the definition's keys

	unknown []Info // entries without a definition
	extra   []Info // overrides and converters, behind the rest
	extraN  int    // how many of them have errors
	groups  []string
}

// keys checks every key against the definition: the framework's, the connector's, and those of named transformations.
func (c *check) keys() {
	defs := []*config.Def{Keys(c.Type)}
	for _, k := range []struct {
		list, prefix, group string
		kind                Kind
	}{{"transforms", "transforms.", "Transforms: ", Transformation}, {"predicates", "predicates.", "Predicates: ", Predicate}} {
		defs = append(defs, c.aliased(k.list, k.prefix, k.group, k.kind))
	}
	c.def = config.Merge(append(defs, c.Def)...)
	for _, v := range c.def.Check(c.props) {
		c.order = append(c.order, &v)
		c.values[v.Name] = &v
	}
}

// aliased are the keys of the transformations or predicates that a list names.
func (c *check) aliased(list, prefix, group string, kind Kind) *config.Def {
	def := &config.Def{}
	names, _ := c.props.Get(list)
	parsed, err := config.ParseValue(config.List, list, names)
	aliases, _ := parsed.([]string)
	if err != nil || names == "" {
		return def
	}
	var done []string
	for _, a := range aliases {
		if slices.Contains(done, a) {
			continue
		}
		done = append(done, a)
		base, g, word := prefix+a+".", group+a, string(kind)
		def.Keys = append(def.Keys, config.Key{Name: base + "type", Type: config.Class, Required: true, Importance: config.High, Width: config.WidthLong, Group: g, Order: 0,
			DisplayName: word + " type for " + a, Doc: "Class of this " + strings.ToLower(word) + ".", Recommend: config.Recommend(c.List(kind)...)},
			config.Key{Name: base + "plugin.version", Type: config.String, Importance: config.High, Width: config.WidthLong, Group: g, Order: 1,
				DisplayName: word + " version for " + a, Doc: "Which installed version of it to use."})
		class, _ := c.props.Get(base + "type")
		p, ok := c.Find(kind, strings.TrimSpace(class))
		if !ok {
			continue
		}
		var rest []config.Key
		if kind == Transformation {
			rest = append(rest, config.Key{Name: base + "predicate", Type: config.String, Importance: config.Medium, DisplayName: "predicate", Doc: "Name of the predicate that decides which records this transformation sees."},
				config.Key{Name: base + "negate", Type: config.Boolean, Default: config.Default("false"), Importance: config.Medium, DisplayName: "negate", Doc: "Apply the transformation where the predicate does not hold."})
		}
		if p.Def != nil {
			for _, k := range p.Def.Keys {
				k.DisplayName = orElse(k.DisplayName, k.Name)
				k.Name = base + k.Name
				rest = append(rest, k)
			}
		}
		slices.SortStableFunc(rest, func(x, y config.Key) int { return strings.Compare(sortKey(x), sortKey(y)) })
		for i, k := range rest {
			if k.Group != "" {
				k.Group = g + ": " + k.Group
			} else {
				k.Group = g
			}
			k.Order = 2 + i
			def.Keys = append(def.Keys, k)
		}
	}
	return def
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// sortKey orders the keys of a transformation: ungrouped ones first, then by group and order; among equals required before
// optional, then by importance, then by name.
func sortKey(k config.Key) string {
	need := "1"
	if k.Required {
		need = "0"
	}
	imp := map[config.Importance]string{config.High: "0", config.Medium: "1", config.Low: "2"}[k.Importance]
	return fmt.Sprintf("%s\x00%06d\x00%s%s%s", k.Group, k.Order, need, imp, k.Name)
}

func (c *check) fail(key, message string) {
	if v := c.values[key]; v != nil {
		v.Errors = append(v.Errors, message)
	}
}

// classes checks that classes can be found, and shows their full names.
func (c *check) classes() {
	for _, v := range c.order {
		k, _ := c.def.Key(v.Name)
		if k.Type != config.Class || v.Parsed == nil {
			continue
		}
		kind, ok := classKind(v.Name)
		if !ok {
			continue
		}
		name, _ := v.Parsed.(string)
		if p, found := c.Find(kind, name); found {
			v.Value = &p.Class
		} else {
			v.Value = nil
			v.Errors = append(v.Errors, fmt.Sprintf("Invalid value %s for configuration %s: Class %s could not be found.", name, v.Name, name))
		}
	}
	for _, k := range []struct {
		key  string
		kind Kind
	}{{"key.converter", Converter}, {"value.converter", Converter}, {"header.converter", HeaderConverter}} {
		if v := c.values[k.key]; v != nil {
			v.Recommended = c.List(k.kind)
		}
		if v := c.values[k.key+".plugin.version"]; v != nil {
			_, v.Visible = c.props.Get(k.key)
		}
	}
	if v := c.values["connector.plugin.version"]; v != nil && c.Version != "" {
		v.Recommended = []string{c.Version}
		if v.Value == nil && v.Parsed == nil {
			v.Value = &c.Version
		}
		c.version(v)
	}
	for _, v := range c.order {
		alias, ok := strings.CutSuffix(strings.TrimPrefix(v.Name, "transforms."), ".negate")
		if !ok || !strings.HasPrefix(v.Name, "transforms.") {
			continue
		}
		_, negated := c.props[v.Name]
		if _, has := c.props.Get("transforms." + alias + ".predicate"); negated && !has {
			c.fail("transforms."+alias+".type", fmt.Sprintf("Config 'transforms.%s.negate' was provided but there is no config 'transforms.%s.predicate' defining a predicate to be negated.", alias, alias))
		}
	}
}

// version checks a wanted version against the one that is there: "latest", itself, or nothing.
func (c *check) version(v *config.Value) {
	want, given := c.props.Get("connector.plugin.version")
	if !given || want == "latest" || want == c.Version {
		return
	}
	message := fmt.Sprintf("Plugin %s not found that matches the version range [%s,%s], available versions: [%s]", c.Class, want, want, c.Version)
	v.Errors = append(v.Errors, message)
	c.fail("connector.class", message)
}

func classKind(key string) (Kind, bool) {
	switch {
	case key == "key.converter", key == "value.converter":
		return Converter, true
	case key == "header.converter":
		return HeaderConverter, true
	case strings.HasPrefix(key, "transforms.") && strings.HasSuffix(key, ".type"):
		return Transformation, true
	case strings.HasPrefix(key, "predicates.") && strings.HasSuffix(key, ".type"):
		return Predicate, true
	}
	return "", false
}

// sinkTopics checks that a sink has topics in exactly one way, and that its dead letter queue is none of them.
func (c *check) sinkTopics() {
	topics, _ := c.values["topics"].Parsed.([]string)
	regex, _ := c.values["topics.regex"].Parsed.(string)
	dlq, _ := c.values["errors.deadletterqueue.topic.name"].Parsed.(string)
	regex, dlq = strings.TrimSpace(regex), strings.TrimSpace(dlq)
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

const nullMessage = "Null value can not be supplied as the configuration value."

// nulls refuses null values, except for keys of the connector's own definition.
func (c *check) nulls() {
	for _, k := range slices.Sorted(maps.Keys(c.props)) {
		if c.props[k] != nil {
			continue
		}
		if _, own := c.Def.Key(k); own {
			continue
		}
		if v := c.values[k]; v != nil {
			v.Errors = append(v.Errors, nullMessage)
			continue
		}
		c.unknown = append(c.unknown, Info{Value: &ValueInfo{Name: k, Recommended: []string{}, Errors: []string{nullMessage}, Visible: true}})
	}
}

// own asks the connector's own check, once its keys are fine by themselves.
func (c *check) own() {
	if c.Check == nil {
		return
	}
	if c.Def != nil {
		for _, k := range c.Def.Keys {
			if v := c.values[k.Name]; v != nil && len(v.Errors) > 0 {
				return
			}
		}
	}
	for _, f := range c.Check(c.props.Plain()) {
		if c.values[f.Key] != nil {
			c.fail(f.Key, f.Message)
			continue
		}
		value, _ := c.props.Get(f.Key)
		c.unknown = append(c.unknown, Info{Value: &ValueInfo{Name: f.Key, Value: &value, Recommended: []string{}, Errors: []string{f.Message}, Visible: true}})
	}
}

// overrides checks the client overrides that are looked at for this type of connector.
func (c *check) overrides() {
	for _, prefix := range overridePrefixes {
		if !c.looksAt(prefix) {
			continue
		}
		for _, k := range slices.Sorted(maps.Keys(c.props)) {
			name, ok := strings.CutPrefix(k, prefix)
			value := c.props[k]
			if !ok || value == nil {
				continue
			}
			v := ValueInfo{Name: k, Value: value, Recommended: []string{}, Errors: []string{}, Visible: true}
			if strings.Contains(name, "password") || strings.Contains(name, "jaas") || strings.Contains(name, "keystore.key") {
				hidden := config.Hidden
				v.Value = &hidden
			}
			if c.Refuse != nil {
				if why := c.Refuse(prefix, name, *value); why != "" {
					v.Errors = append(v.Errors, why)
					c.extraN++
				}
			}
			c.extra = append(c.extra, Info{Value: &v})
		}
	}
}

func (c *check) looksAt(prefix string) bool {
	dlq, _ := c.props.Get("errors.deadletterqueue.topic.name")
	sink := c.Type == cluster.TypeSink
	switch prefix {
	case "producer.override.":
		return !sink || strings.TrimSpace(dlq) != ""
	case "consumer.override.":
		return sink
	}
	if sink {
		return strings.TrimSpace(dlq) != ""
	}
	for k := range c.props {
		if strings.HasPrefix(k, "topic.creation.") {
			return true
		}
	}
	return false
}

// converters checks the keys of converters that the connector itself names.
func (c *check) converters() {
	for _, k := range []struct {
		key, use string
		kind     Kind
	}{{"header.converter", "header", HeaderConverter}, {"key.converter", "key", Converter}, {"value.converter", "value", Converter}} {
		class, given := c.props.Get(k.key)
		p, found := c.Find(k.kind, strings.TrimSpace(class))
		if !given || !found || p.Def == nil {
			continue
		}
		sub := map[string]*string{"converter.type": &k.use}
		for name, v := range c.props {
			if rest, ok := strings.CutPrefix(name, k.key+"."); ok && rest != "plugin.version" {
				sub[rest] = v
			}
		}
		for i, v := range p.Def.Check(sub) {
			def := KeyInfoOf(p.Def.Keys[i])
			def.Name = k.key + "." + def.Name
			if def.Group != nil {
				c.group(*def.Group)
			}
			value := valueInfo(v)
			value.Name = def.Name
			if len(value.Errors) > 0 {
				c.extraN++
			}
			c.extra = append(c.extra, Info{Definition: &def, Value: &value})
		}
	}
}

func (c *check) group(name string) {
	if name != "" && !slices.Contains(c.groups, name) {
		c.groups = append(c.groups, name)
	}
}

func valueInfo(v config.Value) ValueInfo {
	out := ValueInfo{Name: v.Name, Value: v.Value, Recommended: v.Recommended, Errors: v.Errors, Visible: v.Visible}
	if out.Recommended == nil {
		out.Recommended = []string{}
	}
	if out.Errors == nil {
		out.Errors = []string{}
	}
	return out
}

// infos puts the answer together.
func (c *check) infos() Infos {
	class, _ := c.props.Get("connector.class")
	late := c.groups
	c.groups = nil
	out := Infos{Name: class, ErrorCount: c.extraN, Configs: c.unknown}
	for _, u := range c.unknown {
		out.ErrorCount += len(u.Value.Errors)
	}
	for i, v := range c.order {
		def, value := KeyInfoOf(c.def.Keys[i]), valueInfo(*v)
		out.ErrorCount += len(value.Errors)
		c.group(c.def.Keys[i].Group)
		out.Configs = append(out.Configs, Info{Definition: &def, Value: &value})
	}
	for _, g := range late {
		c.group(g)
	}
	out.Groups = c.groups
	out.Configs = append(out.Configs, c.extra...)
	return out
}
