package plugin

import (
	"cmp"
	"fmt"
	"slices"

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

// All lists the plugins by kind, class and version. Index's places are places in it.
func (r *Registry) All() []Plugin { return slices.Clone(r.all) }

// Index is how the plugins are found.
func (r *Registry) Index() *Index { return r.index }

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
