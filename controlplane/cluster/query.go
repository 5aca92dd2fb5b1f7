package cluster

import (
	"slices"
	"strings"
)

// LabelPrefix begins the keys of a connector's configuration that are its labels: millrace.label.team=payments.
const LabelPrefix = "millrace.label."

// Label is a label that a connector must have.
type Label struct{ Name, Value string }

// ConnectorQuery selects live connectors. Of the lists of values one must fit, of the labels all; an empty list fits all.
type ConnectorQuery struct {
	Prefix     string // of the name
	Classes    []string
	Types      []ConnectorType
	States     []State // of the connector instance, as readers see it
	TaskStates []State // at least one task has one of them
	Labels     []Label

	After string // names behind this one, in byte order; "" = from the first
	Limit int    // most connectors; 0 = all
}

// Matches tells whether a connector is selected, whatever After and Limit say.
func (q ConnectorQuery) Matches(v ConnectorView) bool {
	if !strings.HasPrefix(v.Name, q.Prefix) || !oneOf(q.Classes, v.Class) || !oneOf(q.Types, v.Type) {
		return false
	}
	if len(q.States) > 0 && (v.Status == nil || !oneOf(q.States, v.Status.State)) {
		return false
	}
	if len(q.TaskStates) > 0 {
		if !slices.ContainsFunc(v.TaskStatuses, func(s Status) bool { return slices.Contains(q.TaskStates, s.State) }) {
			return false
		}
	}
	for _, l := range q.Labels {
		if value, ok := v.Config.Get(LabelPrefix + l.Name); !ok || strings.ReplaceAll(value, "\x00", "") != l.Value {
			return false
		}
	}
	return true
}

func oneOf[T comparable](all []T, v T) bool { return len(all) == 0 || slices.Contains(all, v) }
