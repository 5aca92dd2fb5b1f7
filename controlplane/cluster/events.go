package cluster

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// EventType says what has changed.
type EventType string

// The types of events. What a deleted connector's tasks still do on their way out is not told: the deletion is the last
// event of a uid.
const (
	EventCreated     EventType = "connector.created"
	EventConfig      EventType = "connector.config"
	EventTarget      EventType = "connector.target"
	EventTasks       EventType = "connector.tasks"
	EventState       EventType = "connector.state"
	EventTaskState   EventType = "task.state"
	EventTaskDeleted EventType = "task.deleted"
	EventDeleted     EventType = "connector.deleted"
)

// EventTypes lists every type.
func EventTypes() []EventType {
	return []EventType{EventCreated, EventConfig, EventTarget, EventTasks, EventState, EventTaskState, EventTaskDeleted, EventDeleted}
}

// Event is one change that readers can see, stored in the transaction of the change. It says how things are after it, so that
// a reader who gets it once more, or who misses those before it, ends with the same picture. Fields that its type does not
// speak of are zero.
type Event struct {
	Seq           int64       `json:"-"` // place among all events; without gaps, from 1
	At            time.Time   `json:"-"`
	Type          EventType   `json:"type"`
	Connector     string      `json:"connector"`
	UID           UID         `json:"uid"`
	Task          *int        `json:"task,omitempty"`
	Target        TargetState `json:"target,omitempty"`
	State         State       `json:"state,omitempty"`
	WorkerID      RunnerID    `json:"worker_id,omitempty"`
	Version       string      `json:"version,omitempty"` // of the plugin
	Trace         string      `json:"trace,omitempty"`   // with FAILED and RESTARTING, up to MaxEventTrace bytes
	Tasks         *int        `json:"tasks,omitempty"`   // size of the task set
	ConfigVersion int64       `json:"config_version,omitempty"`
	Generation    Revision    `json:"generation,omitempty"` // of states: that whose wishes have been applied
}

// MaxEventTrace bounds the trace of an event; the whole is in the status.
const MaxEventTrace = 4 << 10

// Token is the place right after the event.
func (e Event) Token() EventToken { return EventToken{Seq: e.Seq, Stamp: e.At.UnixMicro()} }

// EventToken is a place in the order of events: right after the event with the number and the time. The zero token is the
// place before the first. The time tells a history from another that has the same numbers, after a backup was restored.
type EventToken struct{ Seq, Stamp int64 }

// String is what clients keep; ParseEventToken reads it back.
func (t EventToken) String() string {
	return strconv.FormatInt(t.Seq, 36) + "-" + strconv.FormatInt(t.Stamp, 36)
}

// ParseEventToken reads EventToken.String. Invalid.
func ParseEventToken(s string) (EventToken, error) {
	seq, stamp, _ := strings.Cut(s, "-")
	var t EventToken
	var err, err2 error
	t.Seq, err = strconv.ParseInt(seq, 36, 64)
	t.Stamp, err2 = strconv.ParseInt(stamp, 36, 64)
	if err != nil || err2 != nil || t.Seq < 0 || t.Stamp < 0 || t.String() != s {
		return EventToken{}, Errorf(Invalid, "%q is no place in the order of events", s)
	}
	return t, nil
}

// EventsGone is the error for a token whose place is not known any more.
func EventsGone(t EventToken) error {
	return Errorf(Gone, "The events after %s are not kept any more: list the connectors and watch anew, from now", t)
}

// Visible is what events tell of a connector.
type Visible struct {
	Connector
	TaskCount int
	States    []Status // as readers see them: the instance's, then the tasks', ascending; those that have one
}

// Created is the event of a new connector.
func Created(c Connector) Event {
	return Event{Type: EventCreated, Connector: c.Name, UID: c.UID, Target: c.Target, ConfigVersion: c.ConfigVersion, Generation: c.Generation}
}

// Changes lists the events of a change of one connector, in a fixed order.
func Changes(before, after Visible) []Event {
	event := func(t EventType) Event {
		return Event{Type: t, Connector: after.Name, UID: after.UID, Generation: after.Generation}
	}
	if after.Deleted {
		if before.Deleted {
			return nil
		}
		return []Event{event(EventDeleted)}
	}
	var all []Event
	if after.ConfigVersion != before.ConfigVersion {
		e := event(EventConfig)
		e.ConfigVersion = after.ConfigVersion
		all = append(all, e)
	}
	if after.Target != before.Target {
		e := event(EventTarget)
		e.Target = after.Target
		all = append(all, e)
	}
	if after.TaskSet != before.TaskSet {
		e := event(EventTasks)
		e.Tasks, e.ConfigVersion = &after.TaskCount, after.ConfigVersion
		all = append(all, e)
	}
	was := map[int]*Status{}
	for i := range before.States {
		was[before.States[i].Job.Task] = &before.States[i]
	}
	for i := range after.States {
		now := &after.States[i]
		if e, changed := StateChange(after.Name, now.Job, was[now.Job.Task], now); changed {
			all = append(all, e)
		}
	}
	return all
}

// StateChange is the event of a job's status that has become another one, nil for none; changed is false when no reader could
// tell them apart.
func StateChange(connector string, job JobID, before, after *Status) (e Event, changed bool) {
	e = Event{Type: EventTaskState, Connector: connector, UID: job.UID}
	if job.IsInstance() {
		e.Type = EventState
	} else {
		e.Task = &job.Task
	}
	if after == nil {
		e.Type = EventTaskDeleted
		return e, before != nil && !job.IsInstance()
	}
	if before != nil && before.State == after.State && before.WorkerID == after.WorkerID && before.ShownTrace() == after.ShownTrace() &&
		before.Version == after.Version {
		return Event{}, false
	}
	e.State, e.WorkerID, e.Version, e.Generation = after.State, after.WorkerID, after.Version, after.Revision
	e.Trace = bounded(after.ShownTrace(), MaxEventTrace)
	return e, true
}

// ShownTrace is the trace as readers see it: only of a state that has failed, or is being restarted after that.
func (s Status) ShownTrace() string {
	if s.State == StateFailed || s.State == StateRestarting {
		return s.Trace
	}
	return ""
}

const cutMark = "\n[cut]"

// bounded cuts a text to n bytes, between characters.
func bounded(s string, n int) string {
	if len(s) <= n {
		return s
	}
	n -= len(cutMark)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + cutMark
}
