package plugin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
)

// Name is what a plugin is known by.
type Name struct {
	Kind    Kind
	Class   string
	Version string
}

// Index finds plugins among names, without having them: by full class name, by simple name, or by the simple name without
// its kind's word. An alias that two classes claim is nobody's, unless one of them comes from where the name was first. It
// does not change once made.
type Index struct {
	names []Name
	alias map[string][]string // alias → classes that claim it
}

// kindWord is the word at the end of a simple name that an alias may leave out.
var kindWord = map[Kind]string{
	Source: "Connector", Sink: "Connector", Transformation: "Transformation", Predicate: "Predicate", Converter: "Converter", HeaderConverter: "HeaderConverter",
}

// NewIndex makes an index. Its methods answer with places in names.
func NewIndex(names []Name) *Index {
	x := &Index{names: names, alias: map[string][]string{}}
	for _, n := range names {
		simple := SimpleName(n.Class)
		aliases := []string{simple}
		if i := strings.LastIndex(simple, kindWord[n.Kind]); i > 0 {
			aliases = append(aliases, simple[:i])
		}
		for _, a := range aliases {
			if !slices.Contains(x.alias[a], n.Class) {
				x.alias[a] = append(x.alias[a], n.Class)
			}
		}
	}
	return x
}

// origins are whose classes have an alias when others claim it too, first the first: a plain Kafka has Kafka's own, and forks
// came after those they were made of.
var origins = []string{"org.apache.kafka.", "io.confluent."}

// owner is the class that an alias means; false when it is nobody's.
func (x *Index) owner(alias string) (class string, ok bool) {
	claims := x.alias[alias]
	if len(claims) == 1 {
		return claims[0], true
	}
	for _, origin := range origins {
		for _, c := range claims {
			if !strings.HasPrefix(c, origin) {
				continue
			}
			if class != "" {
				return "", false
			}
			class = c
		}
		if class != "" {
			return class, true
		}
	}
	return "", false
}

// SimpleName is a class name after its last dot or dollar sign.
func SimpleName(class string) string {
	return class[strings.LastIndexAny(class, ".$")+1:]
}

// Find returns the place of the newest version of a plugin of one of the kinds.
func (x *Index) Find(name string, kinds ...Kind) (int, bool) {
	if class, ok := x.owner(name); ok {
		name = class
	}
	return x.byClass(name, kinds...)
}

// Class is the full name of the class that a name means, of whatever kind; false when no plugin has it.
func (x *Index) Class(name string) (class string, ok bool) {
	if class, ok := x.owner(name); ok {
		name = class
	}
	return name, slices.ContainsFunc(x.names, func(n Name) bool { return n.Class == name })
}

// Classes lists the classes of a kind, sorted.
func (x *Index) Classes(kind Kind) []string {
	classes := []string{}
	for _, n := range x.names {
		if n.Kind == kind {
			classes = append(classes, n.Class)
		}
	}
	slices.Sort(classes)
	return slices.Compact(classes)
}

// Versions lists the versions of a class from old to new, once for each kind that it has.
func (x *Index) Versions(class string) (versions []string) {
	for _, n := range x.names {
		if n.Class == class {
			versions = append(versions, n.Version)
		}
	}
	slices.SortStableFunc(versions, CompareVersions)
	return versions
}

// Match returns the place of the newest version within a range, of the same class and kind as the one at a place. The
// error's kind is connecterr.NotFound, its text Kafka Connect's.
func (x *Index) Match(i int, r Range) (best int, err error) {
	like, found := x.names[i], false
	for k, n := range x.names {
		if n.Class == like.Class && n.Kind == like.Kind && r.Contains(n.Version) && (!found || CompareVersions(n.Version, x.names[best].Version) > 0) {
			best, found = k, true
		}
	}
	if !found {
		return 0, connecterr.New(connecterr.NotFound, "Plugin %s not found that matches the version range %s, available versions: [%s]",
			like.Class, r, strings.Join(x.Versions(like.Class), ", "))
	}
	return best, nil
}

// At is the plugin at a place.
func (x *Index) At(i int) Name { return x.names[i] }

// Connector returns the place of the newest version of a source or sink connector, found as Find does or by a simple name
// that no other connector has. The error's kind is connecterr.NotFound, its text Kafka Connect's.
func (x *Index) Connector(name string) (int, error) {
	if i, ok := x.Find(name, Source, Sink); ok {
		return i, nil
	}
	var matches []string
	for _, n := range x.names {
		if (n.Kind == Source || n.Kind == Sink) && !slices.Contains(matches, n.Class) {
			if s := SimpleName(n.Class); s == name || s == name+"Connector" {
				matches = append(matches, n.Class)
			}
		}
	}
	switch len(matches) {
	case 1:
		i, _ := x.byClass(matches[0], Source, Sink)
		return i, nil
	case 0:
		return 0, connecterr.New(connecterr.NotFound, "Failed to find any class that implements Connector and which name matches %s, available connectors are: %s",
			name, x.describe(nil))
	}
	return 0, connecterr.New(connecterr.NotFound, "More than one connector matches alias %s. Please use full package and class name instead. Classes found: %s",
		name, x.describe(matches))
}

// byClass finds the newest version of a class of one of the kinds.
func (x *Index) byClass(class string, kinds ...Kind) (best int, ok bool) {
	for i, n := range x.names {
		if n.Class == class && slices.Contains(kinds, n.Kind) && (!ok || CompareVersions(n.Version, x.names[best].Version) > 0) {
			best, ok = i, true
		}
	}
	return best, ok
}

// describe lists connectors, all of them or only some classes, for an error's text.
func (x *Index) describe(classes []string) string {
	var all []string
	for _, n := range x.names {
		if (n.Kind == Source || n.Kind == Sink) && (classes == nil || slices.Contains(classes, n.Class)) {
			all = append(all, fmt.Sprintf("PluginDesc{name='%s', version='%s', type=%s}", n.Class, n.Version, n.Kind))
		}
	}
	return strings.Join(all, ", ")
}
