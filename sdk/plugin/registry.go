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
	all   []Plugin // by kind, class, newest version last
	index *Index
}

// New makes a registry. An incomplete plugin, or the same class, kind and version twice, is an error.
func New(list ...Plugin) (*Registry, error) {
	r := &Registry{all: slices.Clone(list)}
	slices.SortStableFunc(r.all, func(a, b Plugin) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Class, b.Class), CompareVersions(a.Version, b.Version))
	})
	names := make([]Name, len(r.all))
	for i, p := range r.all {
		if err := p.complete(); err != nil {
			return nil, err
		}
		names[i] = Name{Kind: p.Kind, Class: p.Class, Version: p.Version}
		if i > 0 && names[i] == names[i-1] {
			return nil, fmt.Errorf("plugin %s version %s is there twice", p.Class, p.Version)
		}
	}
	r.index = NewIndex(names)
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

// All lists the plugins by kind, class and version.
func (r *Registry) All() []Plugin { return slices.Clone(r.all) }

// Find returns the newest version of a plugin of a kind, by full class name or by an alias that no other class claims.
// The error's kind is connecterr.NotFound.
func (r *Registry) Find(kind Kind, name string) (*Plugin, error) {
	if i, ok := r.index.Find(name, kind); ok {
		return &r.all[i], nil
	}
	return nil, connecterr.New(connecterr.NotFound, "Failed to find any class that implements %s and which name matches %s", interfaceOf[kind], name)
}

// interfaceOf is the simple name of the interface of each kind.
var interfaceOf = map[Kind]string{
	Source: "SourceConnector", Sink: "SinkConnector", Transformation: "Transformation", Predicate: "Predicate", Converter: "Converter", HeaderConverter: "HeaderConverter",
}

// Connector returns the newest version of a source or sink connector; see Index.Connector.
func (r *Registry) Connector(name string) (*Plugin, error) {
	i, err := r.index.Connector(name)
	if err != nil {
		return nil, err
	}
	return &r.all[i], nil
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
