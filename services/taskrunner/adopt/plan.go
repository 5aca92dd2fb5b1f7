package adopt

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Here is what Millrace says of one connector that is to be taken over.
type Here struct {
	// Type of a connector of that class; "" when there is no such class.
	Type cluster.ConnectorType
	// Wrong are the keys of the configuration that are refused here.
	Wrong  []string
	Exists bool
	Config cluster.Config // if it exists
	Target cluster.TargetState
}

// Action is what becomes of a connector.
type Action string

// The actions.
const (
	Create  Action = "create"  // it is not here yet
	Finish  Action = "finish"  // it is here and stopped, as an adoption leaves it that has not ended
	Nothing Action = "nothing" // it is here
	Refuse  Action = "refuse"  // it can't be taken over
)

// Step is what becomes of one connector.
type Step struct {
	Connector
	Action Action
	Type   cluster.ConnectorType
	Why    string // of Refuse and Nothing
}

// Decide says what becomes of a connector. Pure.
func Decide(c Connector, here Here) Step {
	s := Step{Connector: c, Type: here.Type}
	refuse := func(format string, args ...any) Step {
		s.Action, s.Why = Refuse, fmt.Sprintf(format, args...)
		return s
	}
	class, _ := c.Config.Get("connector.class")
	switch {
	case here.Exists && !same(here.Config, c.Config):
		return refuse("a connector of this name is here, with another configuration; delete it, or go on with it as it is")
	case here.Exists && here.Target == cluster.Stopped && c.Target != cluster.Stopped:
		s.Action = Finish
		return s
	case here.Exists && here.Target == cluster.Stopped && here.Type == cluster.TypeSource && len(c.Offsets) > 0:
		s.Action = Finish // its offsets may not be here yet
		return s
	case here.Exists:
		s.Action, s.Why = Nothing, "it is here already"
		return s
	case class == "":
		return refuse("its configuration names no connector.class")
	case here.Type == "":
		return refuse("there is no connector %s here", class)
	case len(here.Wrong) > 0:
		return refuse("its configuration is refused here, because of %s", strings.Join(shown(c.Config, here.Wrong), ", "))
	}
	s.Action = Create
	return s
}

// same compares configurations; both have the name in them, or not.
func same(a, b cluster.Config) bool {
	a, b = a.Clone(), b.Clone()
	delete(a, "name")
	delete(b, "name")
	return a.Equal(b)
}

// shown names keys. Values may be secrets and are not shown, except for classes: they are what is missing most often.
func shown(config cluster.Config, keys []string) []string {
	out := slices.Sorted(slices.Values(keys))
	for i, key := range out {
		v, ok := config.Get(key)
		if ok && (strings.HasSuffix(key, ".converter") || strings.HasSuffix(key, ".type") && (strings.HasPrefix(key, "transforms.") || strings.HasPrefix(key, "predicates."))) {
			out[i] = key + " (" + v + ")"
		}
	}
	return slices.Compact(out)
}

// String is the step as the operator reads it. It shows no value of the configuration but classes.
func (s Step) String() string {
	line := fmt.Sprintf("%-8s %s", s.Action, s.Name)
	var more []string
	switch s.Action {
	case Refuse, Nothing:
		return line + ": " + s.Why
	case Create, Finish:
		class, _ := s.Config.Get("connector.class")
		more = append(more, strings.ToLower(string(s.Type))+" "+class)
	}
	state := "RUNNING"
	if s.Target != cluster.Started {
		state = string(s.Target)
	}
	more = append(more, state)
	switch {
	case s.Type == cluster.TypeSink:
		more = append(more, "goes on with its consumer group")
	case len(s.Offsets) > 0:
		more = append(more, plural(len(s.Offsets), "offset"))
	default:
		more = append(more, "no offsets: it begins at its beginning")
	}
	if s.Unnamed > 0 {
		more = append(more, plural(s.Unnamed, "offset")+" without a partition, kept only in a shared offsets topic")
	}
	if s.Failed > 0 {
		more = append(more, fmt.Sprintf("%d of it had FAILED and start anew", s.Failed))
	}
	return line + ": " + strings.Join(more, ", ")
}
