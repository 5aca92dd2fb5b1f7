package plugin

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
)

// Registry finds plugins by the names people have in their configurations. It does not change once made.
type Registry struct {
	all   []Plugin            // by kind, class, newest version last
	alias map[string][]string // simple and pruned name → classes that claim it
}

// kindWord is the word at the end of a simple name that an alias may leave out.
var kindWord = map[Kind]string{
	Source: "Connector", Sink: "Connector", Transformation: "Transformation", Predicate: "Predicate", Converter: "Converter", HeaderConverter: "HeaderConverter",
}

// New makes a registry. An incomplete plugin, or the same class, kind and version twice, is an error.
func New(list ...Plugin) (*Registry, error) {
	r := &Registry{all: slices.Clone(list), alias: map[string][]string{}}
	slices.SortStableFunc(r.all, func(a, b Plugin) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Class, b.Class), CompareVersions(a.Version, b.Version))
	})
	for i, p := range r.all {
		if err := p.complete(); err != nil {
			return nil, err
		}
		if i > 0 {
			if q := r.all[i-1]; q.Kind == p.Kind && q.Class == p.Class && q.Version == p.Version {
				return nil, fmt.Errorf("plugin %s version %s is there twice", p.Class, p.Version)
			}
		}
		for _, name := range p.aliases() {
			if !slices.Contains(r.alias[name], p.Class) {
				r.alias[name] = append(r.alias[name], p.Class)
			}
		}
	}
	return r, nil
}

// complete checks that the factories of the plugin's kind are set.
func (p Plugin) complete() error {
	ok := p.Class != ""
	switch p.Kind {
	case Source:
		ok = ok && p.NewConnector != nil && p.NewSourceTask != nil && p.TaskClass != ""
	case Sink:
		ok = ok && p.NewConnector != nil && p.NewSinkTask != nil && p.TaskClass != ""
	case Converter:
		ok = ok && p.NewConverter != nil
	case HeaderConverter:
		ok = ok && p.NewHeaderConverter != nil
	case Transformation:
		ok = ok && p.NewTransformation != nil
	case Predicate:
		ok = ok && p.NewPredicate != nil
	default:
		return fmt.Errorf("plugin %s has the unknown kind %q", p.Class, p.Kind)
	}
	if !ok {
		return fmt.Errorf("plugin %q of kind %s lacks its class or a factory", p.Class, p.Kind)
	}
	return nil
}

// SimpleName is a class name after its last dot or dollar sign.
func SimpleName(class string) string {
	return class[strings.LastIndexAny(class, ".$")+1:]
}

func (p Plugin) aliases() []string {
	simple := SimpleName(p.Class)
	names := []string{simple}
	if i := strings.LastIndex(simple, kindWord[p.Kind]); i > 0 {
		names = append(names, simple[:i])
	}
	return names
}

// All lists the plugins by kind, class and version.
func (r *Registry) All() []Plugin { return slices.Clone(r.all) }

// Find returns the newest version of a plugin of a kind, by full class name or by an alias that no other class claims.
// The error's kind is connecterr.NotFound.
func (r *Registry) Find(kind Kind, name string) (*Plugin, error) {
	if p := r.byClass(r.resolve(name), kind); p != nil {
		return p, nil
	}
	return nil, connecterr.New(connecterr.NotFound, "Failed to find any class that implements %s and which name matches %s", interfaceOf[kind], name)
}

// interfaceOf is the simple name of the interface of each kind.
var interfaceOf = map[Kind]string{
	Source: "SourceConnector", Sink: "SinkConnector", Transformation: "Transformation", Predicate: "Predicate", Converter: "Converter", HeaderConverter: "HeaderConverter",
}

// Connector returns the newest version of a source or sink connector, by full class name, by alias, or by a simple name
// that no other connector has. The error's kind is connecterr.NotFound, its text Kafka Connect's.
func (r *Registry) Connector(name string) (*Plugin, error) {
	if p := r.byClass(r.resolve(name), Source, Sink); p != nil {
		return p, nil
	}
	var matches []string
	for _, p := range r.all {
		if (p.Kind == Source || p.Kind == Sink) && !slices.Contains(matches, p.Class) {
			if s := SimpleName(p.Class); s == name || s == name+"Connector" {
				matches = append(matches, p.Class)
			}
		}
	}
	switch len(matches) {
	case 1:
		return r.byClass(matches[0], Source, Sink), nil
	case 0:
		return nil, connecterr.New(connecterr.NotFound, "Failed to find any class that implements Connector and which name matches %s, available connectors are: %s",
			name, r.describe(nil))
	}
	return nil, connecterr.New(connecterr.NotFound, "More than one connector matches alias %s. Please use full package and class name instead. Classes found: %s",
		name, r.describe(matches))
}

// resolve turns an alias into the class that alone claims it.
func (r *Registry) resolve(name string) string {
	if classes := r.alias[name]; len(classes) == 1 {
		return classes[0]
	}
	return name
}

// byClass returns the newest version of a class of one of the kinds, or nil.
func (r *Registry) byClass(class string, kinds ...Kind) *Plugin {
	for i := len(r.all) - 1; i >= 0; i-- {
		if p := r.all[i]; p.Class == class && slices.Contains(kinds, p.Kind) {
			return &p
		}
	}
	return nil
}

// describe lists connectors, all of them or only some classes, for an error's text.
func (r *Registry) describe(classes []string) string {
	var all []string
	for _, p := range r.all {
		if (p.Kind == Source || p.Kind == Sink) && (classes == nil || slices.Contains(classes, p.Class)) {
			all = append(all, fmt.Sprintf("PluginDesc{name='%s', version='%s', type=%s}", p.Class, p.Version, p.Kind))
		}
	}
	return strings.Join(all, ", ")
}

// CompareVersions compares dotted versions number by number; parts that are no numbers compare as text and sort before
// numbers, so that 1.0-rc1 is older than 1.0.1.
func CompareVersions(a, b string) int {
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(c rune) bool { return c == '.' || c == '-' || c == '_' || c == '+' })
	}
	x, y := split(a), split(b)
	for i := range max(len(x), len(y)) {
		switch {
		case i >= len(x):
			return -extra(y[i])
		case i >= len(y):
			return extra(x[i])
		}
		m, errM := strconv.Atoi(x[i])
		n, errN := strconv.Atoi(y[i])
		var c int
		switch {
		case errM == nil && errN == nil:
			c = cmp.Compare(m, n)
		case errM == nil:
			c = 1
		case errN == nil:
			c = -1
		default:
			c = cmp.Compare(x[i], y[i])
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// extra tells what a further part does to a version: a number makes it newer, a word (rc1, SNAPSHOT) older.
func extra(part string) int {
	if _, err := strconv.Atoi(part); err == nil {
		return 1
	}
	return -1
}
