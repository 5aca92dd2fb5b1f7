// Package cluster is the vocabulary of the control plane: connectors and what is wanted of them, jobs and who runs them,
// runners and their sessions, statuses, errors. It is pure: no I/O, no clock, no logger.
//
// Start reading at Connector, then JobSpec (what a runner is told), Status (what it says back), Snapshot and Decision
// (what the planner sees and decides).
package cluster

import (
	"maps"
	"strconv"
	"strings"
	"time"
)

// UID names one life of a connector. A name can be deleted and created again; a uid is never used twice.
type UID string

// RunnerID is a runner's stable worker id, host:port as REST clients see it in worker_id.
type RunnerID string

// SessionID names one start of a runner: a runner that restarted under the same id is a different holder.
type SessionID string

// Epoch numbers the ownership terms of a job. It only grows, and starts above the cluster's floor (Invariant 2/3).
type Epoch int64

// Term numbers the leaderships of the scheduler. It only grows (Invariant 6).
type Term int64

// Revision numbers the versions of what is wanted of one connector (its generation), or of one job: the generation in
// which the job last changed. It only grows.
type Revision int64

// Config is a connector or task configuration as stored: references unresolved; a nil value is a JSON null.
type Config map[string]*string

// ConfigOf makes a Config from plain strings.
func ConfigOf(m map[string]string) Config {
	c := make(Config, len(m))
	for k, v := range m {
		c[k] = &v
	}
	return c
}

// Get returns the value of a key; false when it is absent or null.
func (c Config) Get(key string) (string, bool) {
	if v := c[key]; v != nil {
		return *v, true
	}
	return "", false
}

// Plain is the configuration without its nulls.
func (c Config) Plain() map[string]string {
	m := make(map[string]string, len(c))
	for k, v := range c {
		if v != nil {
			m[k] = *v
		}
	}
	return m
}

// Clone copies the map; the values are immutable.
func (c Config) Clone() Config { return maps.Clone(c) }

// Equal compares content; null and absent differ.
func (c Config) Equal(d Config) bool {
	if len(c) != len(d) {
		return false
	}
	for k, v := range c {
		w, ok := d[k]
		if !ok || (v == nil) != (w == nil) || (v != nil && *v != *w) {
			return false
		}
	}
	return true
}

// TargetState is what is wanted of a connector. It never mixes with the observed State.
type TargetState string

// The target states.
const (
	Started TargetState = "STARTED"
	Paused  TargetState = "PAUSED"
	Stopped TargetState = "STOPPED"
)

// InitialTarget is the target of a connector that is to begin in a state, by the names of initial_state: RUNNING, PAUSED and
// STOPPED.
func InitialTarget(state string) (t TargetState, ok bool) {
	switch state {
	case "RUNNING":
		return Started, true
	case "PAUSED":
		return Paused, true
	case "STOPPED":
		return Stopped, true
	}
	return "", false
}

// State is what was last seen of a connector instance or task.
type State string

// The observed states, as REST answers show them.
const (
	StateUnassigned State = "UNASSIGNED"
	StateRunning    State = "RUNNING"
	StatePaused     State = "PAUSED"
	StateFailed     State = "FAILED"
	StateRestarting State = "RESTARTING"
	StateStopped    State = "STOPPED"
)

// ConnectorType is source, sink, or unknown when the class can't be found.
type ConnectorType string

// The connector types.
const (
	TypeSource  ConnectorType = "source"
	TypeSink    ConnectorType = "sink"
	TypeUnknown ConnectorType = "unknown"
)

// Connector is one connector and what is wanted of it.
type Connector struct {
	UID           UID
	Name          string
	Config        Config
	ConfigVersion int64         // 1 at creation, raised by every PUT, also with equal content
	Class         string        // full class name, resolved when the config was accepted
	Type          ConnectorType //
	Target        TargetState
	Generation    Revision // raised by every change of anything wanted
	RestartSeq    int64    // raised by every restart request for the connector instance
	TaskSet       int64    // version of the task configs; raised when they are replaced or emptied
	TopicResets   int64    // how often the list of used topics was cleared
	Deleted       bool
}

// TaskConfig is the stored configuration of one task.
type TaskConfig struct {
	Task       int
	Config     Config
	Revision   Revision
	RestartSeq int64
}

// ConnectorView is a connector with its tasks and last statuses, read in one statement. Status is nil before the first
// report; Tasks and TaskStatuses ascend by task.
type ConnectorView struct {
	Connector
	Tasks        []TaskConfig
	Status       *Status
	TaskStatuses []Status
}

// Shown is what lists and statuses show of a connector. Its configuration is the text that is stored: nobody reads it between
// the store and a client.
type Shown struct {
	Name    string
	Type    ConnectorType
	Deleted bool
	Config  string // a JSON object; "" where only the state was asked for
	Tasks   []int  // those that have a configuration

	Status       *ShownState // nil before the first report
	TaskStatuses []ShownState
}

// ShownState is the state of a connector instance or a task as readers see it.
type ShownState struct {
	Task     int // InstanceTask for the connector instance
	State    State
	WorkerID RunnerID
	Trace    string
	Version  string
}

// Shown is a status as readers see it.
func (s Status) Shown() ShownState {
	return ShownState{Task: s.Job.Task, State: s.State, WorkerID: s.WorkerID, Trace: s.ShownTrace(), Version: s.Version}
}

// InstanceTask is the JobID.Task of a connector instance.
const InstanceTask = -1

// JobID names what a runner runs: a connector instance or one task.
type JobID struct {
	UID  UID
	Task int // InstanceTask for the connector instance, else the task number
}

// InstanceJob is the job of a connector instance.
func InstanceJob(uid UID) JobID { return JobID{UID: uid, Task: InstanceTask} }

// TaskJob is the job of a task.
func TaskJob(uid UID, task int) JobID { return JobID{UID: uid, Task: task} }

// IsInstance tells whether the job is a connector instance.
func (j JobID) IsInstance() bool { return j.Task == InstanceTask }

// String is "UID" for an instance and "UID/3" for a task; ParseJobID reads it back.
func (j JobID) String() string {
	if j.IsInstance() {
		return string(j.UID)
	}
	return string(j.UID) + "/" + strconv.Itoa(j.Task)
}

// ParseJobID reads JobID.String.
func ParseJobID(s string) (JobID, error) {
	uid, task, found := strings.Cut(s, "/")
	if uid == "" {
		return JobID{}, Errorf(Invalid, "job id %q has no uid", s)
	}
	if !found {
		return InstanceJob(UID(uid)), nil
	}
	n, err := strconv.Atoi(task)
	if err != nil || n < 0 {
		return JobID{}, Errorf(Invalid, "job id %q: task must be a number from 0", s)
	}
	return TaskJob(UID(uid), n), nil
}

// Less orders job ids: by uid, the instance first, then by task.
func (j JobID) Less(k JobID) bool {
	if j.UID != k.UID {
		return j.UID < k.UID
	}
	return j.Task < k.Task
}

// JobSpec is everything a runner needs to run a job. It is valid for one session and epoch.
type JobSpec struct {
	Job           JobID
	Name          string // connector name
	Type          ConnectorType
	Class         string
	Session       SessionID
	Epoch         Epoch
	Revision      Revision
	ConfigVersion int64
	Config        Config // the connector's, references unresolved
	TaskConfig    Config // tasks only
	TaskCount     int    // size of the task set; tasks only
	Target        TargetState
	RestartSeq    int64
	// Former is who still runs the job when it moves away from a healthy runner; nil else. Only the message that says so
	// has it: it is a hint about whom to tell, not a part of the assignment.
	Former      *Former `json:",omitempty"`
	TopicResets int64   `json:",omitempty"` // topics that were used before this clearing are to be told again when they are used
}

// Former is a holder that a newer one follows.
type Former struct {
	Session SessionID
	Epoch   Epoch
}

// Status is what a runner says of a job. It is stored only if Session and Epoch are those of the current assignment.
type Status struct {
	Job        JobID
	Session    SessionID
	Epoch      Epoch
	Revision   Revision // of the spec that is applied
	RestartSeq int64    // of the spec that is applied
	State      State
	WorkerID   RunnerID
	Trace      string // only with FAILED
	Version    string // of the plugin; empty when unknown
	Released   bool   // the job has ended here and its holder lets go of it
	Reason     string // our own reason code, for example FENCED or STUCK_STOPPING; empty normally
}

// ReasonTooManyTasks is the reason of a connector instance that started and then failed, because it makes more tasks than it
// may.
const ReasonTooManyTasks = "TOO_MANY_TASKS"

// TaskConfigReport is a connector instance's answer to "split yourself".
type TaskConfigReport struct {
	Job           JobID // the instance
	Session       SessionID
	Epoch         Epoch
	ConfigVersion int64 // of the config it was computed from
	Tasks         []Config
	Fenceable     bool // Kafka fences these tasks, so a successor may start before the old one stopped
}

// TopicReport names topics that a task has used: a source wrote a record to them, a sink read one from them. It is stored
// only if Session and Epoch are those of the current assignment, and no clearing came after TopicResets.
type TopicReport struct {
	Job         JobID
	Session     SessionID
	Epoch       Epoch
	TopicResets int64 // of the spec under which they were used
	Topics      []string
}

// Errors that a TaskConfigReport can't carry are reported as a FAILED status instead.

// SessionState is the life of a session.
type SessionState string

// The session states. Lost and Closed are final.
const (
	SessionActive   SessionState = "active"
	SessionDraining SessionState = "draining" // runs what it has, gets nothing new
	SessionLost     SessionState = "lost"     // given up by the scheduler; a new session is needed
	SessionClosed   SessionState = "closed"   // ended by its runner, or replaced by its next session
)

// PluginRef names a plugin that a runner has.
type PluginRef struct {
	Class   string
	Version string
	Kind    string // source, sink, transformation, predicate, converter, header_converter
	Digest  string // of the definition; tells whether the store has it
}

// PluginRecord is a plugin as Postgres keeps it. Definition is the JSON of an sdk/config.Def.
type PluginRecord struct {
	PluginRef
	TaskClass  string
	Doc        string
	Definition []byte
}

// KindWorker is the kind of the record that holds, beside the definitions of a runner's plugins, the JSON of its Worker. The
// last one stored counts: it is used only where no runner can be asked.
const KindWorker = "worker"

// Worker is what a configuration's check has to know of the workers that will run it.
type Worker struct {
	Converters        map[string]string `json:"converters,omitempty"` // full class by key: key.converter, value.converter, header.converter
	GroupID           string            `json:"group_id,omitempty"`
	ExactlyOnce       bool              `json:"exactly_once,omitempty"` // sources write in transactions
	OverridePolicy    string            `json:"override_policy,omitempty"`
	OverrideAllowlist []string          `json:"override_allowlist,omitempty"`
	Providers         []string          `json:"providers,omitempty"` // of secrets, by the names that references use
}

// Registration is a runner's first message of a session.
type Registration struct {
	Runner         RunnerID
	Session        SessionID
	Pool           string
	Labels         map[string]string
	Capacity       int // most jobs it takes; 0 = no limit
	Plugins        []PluginRef
	KafkaClusterID string
	InternalURL    string // where the runner answers internal HTTP calls; may be empty
	Version        string
}

// Heartbeat is what a runner says every second.
type Heartbeat struct {
	Runner       RunnerID
	Session      SessionID
	State        SessionState // active, draining, or closed as a goodbye
	Digest       string       // DigestHeld of what it holds
	StatusDigest string       // DigestStatuses of what it last reported of each job
	Jobs         int
	Load         float64 // share of its capacity in use, 0..1, where known
}

// HeldJob is one entry of what a session should hold.
type HeldJob struct {
	Job      JobID
	Epoch    Epoch
	Revision Revision
}

// HeartbeatReply tells a runner where it differs from what is wanted.
type HeartbeatReply struct {
	// State is the session's state as stored. Lost or Closed: stop everything and register a new session.
	State SessionState
	// Known is false when the store has never heard of the session (a restored database, say): register again.
	Known bool
	// Differs is true when Held should replace what the runner holds.
	Differs bool
	Held    []HeldJob
	// LetGo lists what the session is to let go of and has not said that it did: also what it never heard that it had.
	LetGo []HeldJob `json:",omitempty"`
	// ResendStatuses asks for all statuses again: what is stored differs from what was reported.
	ResendStatuses bool
}

// OutboxMessage is a message that was committed together with the change it tells of.
type OutboxMessage struct {
	ID      int64
	Address string // wire.Address of the receiver
	Payload []byte // encoded wire.Envelope
	Age     time.Duration
}
