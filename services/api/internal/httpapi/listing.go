package httpapi

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Lists can be filtered and read in pages: query keys that no client of Kafka Connect sends. Bodies keep their shape.

const maxPage = 1000

// listingKey reads one value of a key into a query; expected says what values the key takes, for people.
type listingKey struct {
	name     string
	typ      string // in the OpenAPI document
	expected string
	doc      string
	read     func(q *cluster.ConnectorQuery, value string) (ok bool)
}

var (
	stateNames = []cluster.State{cluster.StateUnassigned, cluster.StateRunning, cluster.StatePaused, cluster.StateFailed, cluster.StateRestarting, cluster.StateStopped}
	typeNames  = []cluster.ConnectorType{cluster.TypeSource, cluster.TypeSink, cluster.TypeUnknown}
)

// listingKeys is every such key.
var listingKeys = makeListingKeys()

func makeListingKeys() []listingKey {
	states := "one of " + joined(stateNames)
	state := func(list func(*cluster.ConnectorQuery) *[]cluster.State) func(*cluster.ConnectorQuery, string) bool {
		return func(q *cluster.ConnectorQuery, v string) bool {
			return add(list(q), cluster.State(strings.ToUpper(v)), stateNames)
		}
	}
	return []listingKey{
		{"filter.name", "string", "the beginning of a name", "Only connectors whose name begins so.",
			func(q *cluster.ConnectorQuery, v string) bool { q.Prefix = v; return v != "" }},
		{"filter.class", "string", "a class name or its short form", "Only connectors of this class; given several times, of one of them.",
			func(q *cluster.ConnectorQuery, v string) bool { q.Classes = append(q.Classes, v); return v != "" }},
		{"filter.type", "string", "one of " + joined(typeNames), "Only connectors of this type; given several times, of one of them.",
			func(q *cluster.ConnectorQuery, v string) bool {
				return add(&q.Types, cluster.ConnectorType(strings.ToLower(v)), typeNames)
			}},
		{"filter.state", "string", states, "Only connectors that are in this state themselves; given several times, in one of them.",
			state(func(q *cluster.ConnectorQuery) *[]cluster.State { return &q.States })},
		{"filter.task.state", "string", states, "Only connectors with a task in this state; given several times, in one of them.",
			state(func(q *cluster.ConnectorQuery) *[]cluster.State { return &q.TaskStates })},
		{"filter.label", "string", "a label as name:value", "Only connectors with this label, as team:payments for millrace.label.team=payments in the configuration; given several times, with all of them.",
			func(q *cluster.ConnectorQuery, v string) bool {
				name, value, ok := strings.Cut(v, ":")
				q.Labels = append(q.Labels, cluster.Label{Name: name, Value: value})
				return ok && name != ""
			}},
		{pageSize, "integer", "a number from 1 to " + strconv.Itoa(maxPage), "Most connectors of the answer. The header Link has the address of the next page, if there is one.",
			func(q *cluster.ConnectorQuery, v string) bool {
				n, err := strconv.Atoi(v)
				q.Limit = n
				return err == nil && n >= 1 && n <= maxPage
			}},
		{pageAfter, "string", "the last name of a page", "Only connectors whose name comes behind this one; Link has it.",
			func(q *cluster.ConnectorQuery, v string) bool { q.After = v; return v != "" }},
	}
}

const (
	pageSize  = "page.size"
	pageAfter = "page.after"
)

// single are the keys that make no sense twice.
var single = []string{"filter.name", pageSize, pageAfter}

func joined[T ~string](all []T) string {
	var b strings.Builder
	for i, v := range all {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(v))
	}
	return b.String()
}

func add[T comparable](list *[]T, v T, known []T) bool {
	*list = append(*list, v)
	return slices.Contains(known, v)
}

func badValue(key, value, expected string) error {
	return cluster.Errorf(cluster.Invalid, "Invalid value %s for query parameter %s: expected %s", value, key, expected)
}

// listing reads what is to be listed.
func listing(args interface {
	VisitAll(f func(key, value []byte))
}) (q cluster.ConnectorQuery, err error) {
	var seen []string
	args.VisitAll(func(key, value []byte) {
		name, v := string(key), string(value)
		if err != nil || !strings.HasPrefix(name, "filter.") && !strings.HasPrefix(name, "page.") {
			return
		}
		i := slices.IndexFunc(listingKeys, func(k listingKey) bool { return k.name == name })
		switch {
		case i < 0: // a filter that is misspelt must not select everything
			err = cluster.Errorf(cluster.Invalid, "Unknown query parameter %s: there are %s", name, strings.Join(listingNames(), ", "))
		case slices.Contains(seen, name) && slices.Contains(single, name):
			err = badValue(name, v, "one value and not several")
		case !utf8.ValidString(v) || strings.ContainsRune(v, 0) || !listingKeys[i].read(&q, v):
			err = badValue(name, v, listingKeys[i].expected)
		}
		seen = append(seen, name)
	})
	return q, err
}

func listingNames() (names []string) {
	for _, k := range listingKeys {
		names = append(names, k.name)
	}
	return names
}

func listingQuery() (all []query) {
	for _, k := range listingKeys {
		all = append(all, query{k.name, k.typ, k.doc})
	}
	return all
}

// linkNext tells where the next page is: the same request, behind the last name.
func (r *request) linkNext(after string) {
	if after == "" {
		return
	}
	var parts []string
	r.Request().URI().QueryArgs().VisitAll(func(key, value []byte) {
		if string(key) != pageAfter {
			parts = append(parts, url.QueryEscape(string(key))+"="+url.QueryEscape(string(value)))
		}
	})
	parts = append(parts, pageAfter+"="+url.QueryEscape(after))
	r.Set(fiber.HeaderLink, "</connectors?"+strings.Join(parts, "&")+`>; rel="next"`)
}
