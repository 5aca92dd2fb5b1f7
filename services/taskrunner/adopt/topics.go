package adopt

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
)

// Topics are what the three internal topics of a Kafka Connect cluster say, record by record. The rules are those of a
// worker that starts and reads them. What can't be read is left out, as a worker does, and counted.
type Topics struct {
	connectors map[string]*stored
	offsets    offsets.Table
	statuses   map[string]map[string]cluster.State // by connector, then by the record's key
	unread     int
}

// stored is what the config topic says of a connector, or of one that is not there (any more).
type stored struct {
	config     cluster.Config // nil: not there
	target     cluster.TargetState
	deferred   map[int]bool // task configs that no commit has followed yet
	tasks      int
	incomplete bool // compaction has taken a part of the last commit
}

// NewTopics are topics without a record.
func NewTopics() *Topics {
	return &Topics{connectors: map[string]*stored{}, offsets: offsets.Table{}, statuses: map[string]map[string]cluster.State{}}
}

// Connector is one that can be taken over.
type Connector struct {
	Name   string
	Config cluster.Config
	Target cluster.TargetState
	// Tasks is how many it was split into. Incomplete: the topic has lost a part of them; they are made anew anyway.
	Tasks      int
	Incomplete bool
	Failed     int // how many of the connector and its tasks had failed
	Busy       int // tasks that worked, as far as workers have told
	Offsets    []offsets.Entry
	Unnamed    int // offsets without a source partition, which the REST API has no way to set
}

// AtRest tells whether no worker works for it, also while workers run.
func (c Connector) AtRest() bool { return c.Target == cluster.Stopped && c.Busy == 0 }

// Connectors lists them by name.
func (t *Topics) Connectors() []Connector {
	var list []Connector
	for _, name := range slices.Sorted(maps.Keys(t.connectors)) {
		s := t.connectors[name]
		if s.config == nil {
			continue
		}
		c := Connector{Name: name, Config: s.config, Target: s.target, Tasks: s.tasks, Incomplete: s.incomplete,
			Offsets: t.offsets.Entries(name)}
		for key, state := range t.statuses[name] {
			switch {
			case state == cluster.StateFailed:
				c.Failed++
			case state != cluster.StateUnassigned && strings.HasPrefix(key, taskStatus):
				c.Busy++
			}
		}
		all := len(c.Offsets)
		c.Offsets = slices.DeleteFunc(c.Offsets, func(e offsets.Entry) bool { return e.Partition == nil })
		c.Unnamed = all - len(c.Offsets)
		if c.Target == "" {
			c.Target = cluster.Started
		}
		list = append(list, c)
	}
	return list
}

// Unread is how many records could not be read.
func (t *Topics) Unread() int { return t.unread }

func (t *Topics) connector(name string) *stored {
	s := t.connectors[name]
	if s == nil {
		s = &stored{deferred: map[int]bool{}}
		t.connectors[name] = s
	}
	return s
}

func (t *Topics) count(err error) {
	if err != nil {
		t.unread++
	}
}

// Config takes a record of the config topic. Kinds are told apart by prefix, in this order.
func (t *Topics) Config(r kafkaio.Record) {
	key := string(r.Key)
	for _, kind := range []struct {
		prefix string
		take   func(rest string, value []byte) error
	}{
		{"target-state-", t.takeTarget}, {"connector-", t.takeConfig}, {"task-", t.takeTask}, {"commit-", t.takeCommit},
		// Requests to restart and log levels are over; what fences tasks and what workers sign with is the former cluster's own.
		{"restart-connector-", ignore}, {"tasks-fencing-", ignore}, {"session-key", ignore}, {"logger-cluster-", ignore},
	} {
		if rest, ok := strings.CutPrefix(key, kind.prefix); ok {
			t.count(kind.take(rest, r.Value))
			return
		}
	}
	t.unread++
}

func ignore(string, []byte) error { return nil }

func (t *Topics) takeTarget(name string, value []byte) error {
	if value == nil {
		t.connector(name).target = ""
		return nil
	}
	var v struct {
		State string `json:"state"`
		V2    string `json:"state.v2"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	state := cluster.TargetState(v.State)
	if v.V2 != "" {
		state = cluster.TargetState(v.V2) // older workers don't know STOPPED, and find PAUSED in its place
	}
	switch state {
	case cluster.Started, cluster.Paused, cluster.Stopped:
		t.connector(name).target = state
		return nil
	}
	return errors.New("unknown target state")
}

func (t *Topics) takeConfig(name string, value []byte) error {
	s := t.connector(name)
	if value == nil {
		*s = stored{target: s.target, deferred: map[int]bool{}}
		return nil
	}
	config, err := properties(value)
	if err == nil {
		s.config = config
	}
	return err
}

func (t *Topics) takeTask(rest string, value []byte) error {
	at := strings.LastIndexByte(rest, '-')
	if at < 0 {
		return errors.New("no number of the task")
	}
	n, err := strconv.Atoi(rest[at+1:])
	if err != nil || n < 0 || value == nil {
		return err
	}
	if _, err := properties(value); err != nil {
		return err
	}
	t.connector(rest[:at]).deferred[n] = true
	return nil
}

// properties reads a configuration. JSON null is a value of its own.
func properties(value []byte) (cluster.Config, error) {
	var v struct {
		Properties cluster.Config `json:"properties"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, err
	}
	if v.Properties == nil {
		return nil, errors.New("no properties")
	}
	return v.Properties, nil
}

// takeCommit makes the task configs before it count, if they are all there.
func (t *Topics) takeCommit(name string, value []byte) error {
	s := t.connector(name)
	if s.config == nil || value == nil {
		s.deferred = map[int]bool{}
		return nil
	}
	var v struct {
		Tasks *int `json:"tasks"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return err
	}
	if v.Tasks == nil || *v.Tasks < 0 {
		return errors.New("no number of tasks")
	}
	s.incomplete = false
	for i := range *v.Tasks {
		s.incomplete = s.incomplete || !s.deferred[i]
	}
	s.tasks, s.deferred = *v.Tasks, map[int]bool{}
	return nil
}

// Offset takes a record of the offsets topic.
func (t *Topics) Offset(r kafkaio.Record) { t.count(t.offsets.Add(r)) }

const (
	connectorStatus = "status-connector-"
	taskStatus      = "status-task-"
)

// Status takes a record of the status topic: it tells what had failed, and what worked. Which topics a connector used is found
// anew.
func (t *Topics) Status(r kafkaio.Record) {
	key := string(r.Key)
	name, ok := strings.CutPrefix(key, connectorStatus)
	if !ok {
		task, isTask := strings.CutPrefix(key, taskStatus)
		at := strings.LastIndexByte(task, '-')
		if !isTask || at < 0 {
			return
		}
		name = task[:at]
	}
	if r.Value == nil {
		delete(t.statuses[name], key)
		return
	}
	var v struct {
		State cluster.State `json:"state"`
	}
	if err := json.Unmarshal(r.Value, &v); err != nil {
		t.unread++
		return
	}
	if t.statuses[name] == nil {
		t.statuses[name] = map[string]cluster.State{}
	}
	t.statuses[name][key] = v.State
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
