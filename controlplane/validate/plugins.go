package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/plugin"
)

// interfaceOf is the simple name of each kind's interface, as error texts show it; javaInterface its full name.
var (
	interfaceOf = map[plugin.Kind]string{plugin.Converter: "Converter", plugin.HeaderConverter: "HeaderConverter",
		plugin.Transformation: "Transformation", plugin.Predicate: "Predicate"}
	javaInterface = map[string]plugin.Kind{
		"org.apache.kafka.connect.storage.Converter":               plugin.Converter,
		"org.apache.kafka.connect.storage.HeaderConverter":         plugin.HeaderConverter,
		"org.apache.kafka.connect.transforms.Transformation":       plugin.Transformation,
		"org.apache.kafka.connect.transforms.predicates.Predicate": plugin.Predicate,
	}
)

// converterKeys are the keys that name converters, in the order of the answer.
var converterKeys = []struct {
	key, use string
	kind     plugin.Kind
}{{"header.converter", "header", plugin.HeaderConverter}, {"key.converter", "key", plugin.Converter}, {"value.converter", "value", plugin.Converter}}

// classOf finds the class that a key names; ok is false when there is no such plugin of the kind.
func (c *check) classOf(key string, kind plugin.Kind) (place int, ok bool) {
	name, given := c.props.Get(key)
	if !given {
		return 0, false
	}
	return c.Plugins.Index.Find(trim(name), kind)
}

func trim(s string) string { return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' }) }

// enrich fills in what depends on the plugins that are there and on the worker: defaults and recommendations.
func (c *check) enrich(def *config.Def) {
	x := c.Plugins.Index
	for i := range def.Keys {
		k := &def.Keys[i]
		if k.Name == "connector.plugin.version" {
			c.versions(k, c.class)
			continue
		}
		for _, conv := range converterKeys {
			if k.Name != conv.key && k.Name != conv.key+".plugin.version" {
				continue
			}
			inherited := ""
			if c.Worker != nil {
				inherited = c.Worker.Converters[conv.key]
			}
			if k.Name == conv.key {
				k.Recommend = config.Recommend(x.Classes(conv.kind)...)
				if inherited != "" {
					k.Default = &inherited
				}
				continue
			}
			c.converterVersion(k, conv.key, conv.kind, inherited)
		}
	}
}

// converterVersion fills in the key of a converter's version, with the quirks of Kafka Connect.
func (c *check) converterVersion(k *config.Key, key string, kind plugin.Kind, inherited string) {
	x := c.Plugins.Index
	name, given := c.props.Get(key)
	_, there := c.props[key]
	place, found := c.classOf(key, kind)
	switch {
	case !there:
		c.versions(k, inherited)
	case !given: // null: the worker's is used, and nothing is shown
		c.versions(k, inherited)
		k.Recommend = config.Hide()
	case found:
		c.versions(k, x.At(place).Class)
		if name != trim(name) {
			k.Default = nil
		}
	case c.known(trim(name)): // it is no such converter: shown, with nothing to choose from
	default:
		k.Recommend = config.Hide()
	}
}

// known tells whether a name is that of a class or interface that Kafka Connect would find.
func (c *check) known(name string) bool {
	_, class := c.Plugins.Index.Class(name)
	_, iface := javaInterface[name]
	return class || iface
}

// versions makes a class's newest version the default of a key, and recommends all; without a class the key is not shown.
func (c *check) versions(k *config.Key, class string) {
	all := slices.Compact(c.Plugins.Index.Versions(class))
	if len(all) == 0 {
		if class == "" {
			k.Recommend = config.Hide()
		}
		return
	}
	k.Default = &all[len(all)-1]
	k.Recommend = config.Recommend(all...)
}

// aliased are the keys of the transformations or predicates that a list names, and what is wrong with their versions.
func (c *check) aliased(list, prefix, group string, kind plugin.Kind) (*config.Def, []Finding) {
	def := &config.Def{}
	var found []Finding
	names, _ := c.props.Get(list)
	parsed, _ := config.ParseValue(config.List, list, names) // text is always a list
	aliases, _ := parsed.([]string)
	var done []string
	for _, a := range aliases {
		if slices.Contains(done, a) {
			continue
		}
		done = append(done, a)
		base, g, word := prefix+a+".", group+a, interfaceOf[kind]
		version := config.Key{Name: base + "plugin.version", Type: config.String, Importance: config.High, Width: config.WidthLong, Group: g, Order: 1,
			DisplayName: word + " version for " + a, Doc: "Which installed version of it to use."}
		place, ok := c.classOf(base+"type", kind)
		if ok {
			c.versions(&version, c.Plugins.Index.At(place).Class)
		}
		def.Keys = append(def.Keys, config.Key{Name: base + "type", Type: config.Class, Required: true, Importance: config.High, Width: config.WidthLong, Group: g, Order: 0,
			DisplayName: word + " type for " + a, Doc: "Class of this " + strings.ToLower(word) + ".", Recommend: config.Recommend(c.Plugins.Index.Classes(kind)...)}, version)
		if !ok {
			continue
		}
		place, why := c.wanted(version.Name, place)
		if why != "" {
			found = append(found, Finding{base + "type", why}, Finding{version.Name, why})
			continue
		}
		own, err := c.Plugins.Def(place)
		if err != nil {
			found = append(found, Finding{base + "type", fmt.Sprintf("Invalid value %s for configuration %stype: Error getting config definition from %s: %v", c.Plugins.Index.At(place).Class, base, word, err)})
			continue
		}
		def.Keys = append(def.Keys, aliasedKeys(own, base, g, kind)...)
	}
	return def, found
}

// wanted finds the version that a key asks for. why says what is wrong with it; "" when nothing is.
func (c *check) wanted(key string, place int) (_ int, why string) {
	want, given := c.props.Get(key)
	if !given {
		return place, ""
	}
	asked, err := plugin.ParseRange(want)
	if err != nil {
		return place, err.Error()
	}
	match, err := c.Plugins.Index.Match(place, asked)
	if err != nil {
		return place, err.Error()
	}
	return match, ""
}

// aliasedKeys are the keys of one transformation or predicate behind its class and version.
func aliasedKeys(own *config.Def, base, group string, kind plugin.Kind) (keys []config.Key) {
	if kind == plugin.Transformation {
		keys = append(keys, config.Key{Name: "predicate", Type: config.String, Importance: config.Medium, Doc: "Name of the predicate that decides which records this transformation sees."},
			config.Key{Name: "negate", Type: config.Boolean, Default: config.Default("false"), Importance: config.Medium, Doc: "Apply the transformation where the predicate does not hold."})
	}
	if own != nil {
		for _, k := range own.Keys {
			if kind != plugin.Transformation || k.Name != "predicate" && k.Name != "negate" {
				keys = append(keys, k)
			}
		}
	}
	slices.SortStableFunc(keys, func(x, y config.Key) int { return strings.Compare(sortKey(x), sortKey(y)) })
	for i := range keys {
		k := &keys[i]
		if k.DisplayName == "" {
			k.DisplayName = k.Name
		}
		k.Bare, k.Name = k.Name, base+k.Name
		if k.Group != "" {
			k.Group = group + ": " + k.Group
		} else {
			k.Group = group
		}
		k.Order = 2 + i
	}
	return keys
}

// sortKey orders the keys of a transformation: ungrouped ones first, then by group and order; among equals required before
// optional, then by importance, then by name.
func sortKey(k config.Key) string {
	need, order := "1", k.Order
	if k.Required {
		need = "0"
	}
	if k.Group == "" {
		order = 0
	}
	imp := map[config.Importance]string{config.High: "0", config.Medium: "1", config.Low: "2"}[k.Importance]
	return fmt.Sprintf("%s\x00%06d\x00%s%s%s", k.Group, order, need, imp, k.Name)
}

// classes checks that classes can be found, and shows their full names.
func (c *check) classes() {
	for _, v := range c.order {
		kind, ok := classKind(v.Name)
		raw := c.props[v.Name]
		if !ok || raw == nil {
			continue
		}
		if k, _ := c.def.Key(v.Name); k.Type != config.Class {
			continue // redefined by the connector
		}
		shown, why := c.findClass(kind, v.Name, *raw)
		v.Value = shown
		if why != "" {
			v.Errors = append(v.Errors, why)
		}
	}
}

// findClass finds a class by the name given, and says what is wrong with it; shown is the class that the name means.
func (c *check) findClass(kind plugin.Kind, key, raw string) (shown *string, why string) {
	x, name, wanted := c.Plugins.Index, trim(raw), interfaceOf[kind]
	if place, ok := x.Find(name, kind); ok {
		class := x.At(place).Class
		return &class, ""
	}
	if class, known := x.Class(name); known {
		return &class, fmt.Sprintf("Class class %s does not implement the %s interface", class, wanted)
	}
	if of, is := javaInterface[name]; is && of != kind {
		return &name, fmt.Sprintf("Class interface %s does not implement the %s interface", name, wanted)
	} else if is {
		return &name, "This class is abstract and cannot be created."
	}
	var inner []string // X of X$Key and X$Value
	for _, class := range x.Classes(kind) {
		if strings.HasPrefix(class, name+"$") {
			inner = append(inner, class)
		}
	}
	if inner != nil {
		return &name, "This class is abstract and cannot be created. Did you mean " + strings.Join(inner, ", ") + "?"
	}
	return nil, fmt.Sprintf("Invalid value %s for configuration %s: Class %s could not be found.", raw, key, raw)
}

func classKind(key string) (plugin.Kind, bool) {
	switch {
	case key == "key.converter", key == "value.converter":
		return plugin.Converter, true
	case key == "header.converter":
		return plugin.HeaderConverter, true
	case strings.HasPrefix(key, "transforms.") && strings.HasSuffix(key, ".type"):
		return plugin.Transformation, true
	case strings.HasPrefix(key, "predicates.") && strings.HasSuffix(key, ".type"):
		return plugin.Predicate, true
	}
	return "", false
}

// converterVersions checks the versions asked of converters. One whose class is not named is only read.
func (c *check) converterVersions() {
	for _, conv := range converterKeys {
		key := conv.key + ".plugin.version"
		want, given := c.props.Get(key)
		if !given {
			continue
		}
		asked, err := plugin.ParseRange(want)
		if err != nil {
			c.fail(key, err.Error())
			continue
		}
		if place, ok := c.classOf(conv.key, conv.kind); ok {
			if _, err := c.Plugins.Index.Match(place, asked); err != nil {
				c.fail(conv.key, err.Error())
				c.fail(key, err.Error())
			}
		}
	}
}

// negated refuses transformations that negate no predicate.
func (c *check) negated() {
	for _, v := range c.order {
		alias, ok := strings.CutSuffix(strings.TrimPrefix(v.Name, "transforms."), ".negate")
		if !ok || !strings.HasPrefix(v.Name, "transforms.") {
			continue
		}
		_, negated := c.props[v.Name]
		if _, has := c.props.Get("transforms." + alias + ".predicate"); negated && !has && !c.hidden["transforms."+alias+".predicate"] {
			c.fail("transforms."+alias+".type", fmt.Sprintf("Config 'transforms.%s.negate' was provided but there is no config 'transforms.%s.predicate' defining a predicate to be negated.", alias, alias))
		}
	}
}

// converters checks the keys of converters that the connector itself names.
func (c *check) converters() {
	for _, conv := range converterKeys {
		name, given := c.props.Get(conv.key)
		if v := c.values[conv.key]; !given || v == nil || len(v.Errors) > 0 {
			continue
		}
		place, found := c.Plugins.Index.Find(name, conv.kind)
		if !found { // its class was found by the name without the white space around it
			c.fail(conv.key, fmt.Sprintf("Failed to load class %s: %s", name, name))
			continue
		}
		place, why := c.wanted(conv.key+".plugin.version", place)
		if why != "" {
			continue
		}
		def, err := c.Plugins.Def(place)
		if err != nil {
			c.fail(conv.key, fmt.Sprintf("Failed to load ConfigDef from %s converter: %v", conv.use, err))
			continue
		}
		if def == nil {
			continue
		}
		sub := map[string]*string{"converter.type": &conv.use}
		for k, v := range c.props {
			if rest, ok := strings.CutPrefix(k, conv.key+"."); ok && rest != "plugin.version" {
				sub[rest] = v
			}
		}
		for i, v := range def.Check(sub) {
			if key := conv.key + "." + v.Name; c.hidden[key] {
				v = config.Value{Name: v.Name, Value: c.Config[key], Visible: v.Visible}
			}
			info := KeyInfoOf(def.Keys[i])
			info.Name = conv.key + "." + info.Name
			if info.Group != nil && !slices.Contains(c.groups, *info.Group) {
				c.groups = append(c.groups, *info.Group)
			}
			value := valueInfo(v)
			value.Name = info.Name
			c.extra = append(c.extra, Info{Definition: &info, Value: &value})
		}
	}
}
