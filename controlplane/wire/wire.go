// Package wire turns control plane messages into bytes and back, and names who they are for. It is pure. Every message
// can be lost, doubled, late or out of order without harm (Invariant 1); each therefore names the session and epoch, or
// only says "look".
//
// Messages are JSON in an Envelope. Golden bytes in testdata pin every kind; fields may be added, never changed.
package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Version is the version of the envelope. A reader refuses newer majors by setting the message aside.
const Version = 1

// Kind tells what an envelope carries.
type Kind string

// The kinds, with their payload types.
const (
	KindWake     Kind = "wake"     // Wake: api → scheduler
	KindAssign   Kind = "assign"   // cluster.JobSpec: scheduler → runner
	KindRelease  Kind = "release"  // Release: scheduler → runner
	KindReport   Kind = "report"   // Report: runner → scheduler
	KindRegister Kind = "register" // cluster.Registration → RegisterReply
	KindDefine   Kind = "define"   // Define → Ack
	KindBeat     Kind = "beat"     // cluster.Heartbeat → cluster.HeartbeatReply
	KindSpecs    Kind = "specs"    // SpecsRequest → SpecsReply
	KindValidate Kind = "validate" // ValidateRequest → ValidateReply
	KindOffsets  Kind = "offsets"  // OffsetsRequest → OffsetsReply
	KindPing     Kind = "ping"     // Ack: scheduler → runner, is somebody there?
	KindChanged  Kind = "changed"  // Changed: broadcast after a status was stored
	KindLogLevel Kind = "loglevel" // LogLevel: broadcast to every process
	KindError    Kind = "error"    // ErrorReply: answer to any request
	KindAck      Kind = "ack"      // Ack
)

// Envelope is the outer form of every message.
type Envelope struct {
	V       int             `json:"v"`
	Kind    Kind            `json:"kind"`
	ID      string          `json:"id,omitempty"` // outbox id, or a request id
	SentAt  time.Time       `json:"sent_at,omitzero"`
	Trace   string          `json:"trace,omitempty"` // W3C traceparent
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Wake says: look at this connector, something of at least this generation is wanted.
type Wake struct {
	UID        cluster.UID      `json:"uid,omitempty"`
	Generation cluster.Revision `json:"generation,omitempty"`
}

// Release tells a holder to let go of a job.
type Release struct {
	Job     cluster.JobID     `json:"job"`
	Session cluster.SessionID `json:"session"`
	Epoch   cluster.Epoch     `json:"epoch"`
}

// Report carries statuses, task configs and used topics from a runner.
type Report struct {
	Session     cluster.SessionID          `json:"session"`
	Statuses    []cluster.Status           `json:"statuses,omitempty"`
	TaskConfigs []cluster.TaskConfigReport `json:"task_configs,omitempty"`
	Topics      []cluster.TopicReport      `json:"topics,omitempty"`
}

// RegisterReply lists the plugins whose definitions the store lacks.
type RegisterReply struct {
	Missing []cluster.PluginRef `json:"missing,omitempty"`
}

// Define carries plugin definitions, few at a time to stay below the bus's message limit.
type Define struct {
	Plugins []cluster.PluginRecord `json:"plugins"`
}

// SpecsRequest asks for the specs of jobs that the session holds; at most MaxSpecs at a time.
type SpecsRequest struct {
	Session cluster.SessionID `json:"session"`
	Jobs    []cluster.JobID   `json:"jobs"`
}

// MaxSpecs bounds a SpecsRequest so that the reply stays below the bus's message limit.
const MaxSpecs = 32

// SpecsReply holds the specs of those jobs that the session really holds.
type SpecsReply struct {
	Specs []cluster.JobSpec `json:"specs"`
}

// ValidateRequest asks a runner that has the plugin to check a connector configuration.
type ValidateRequest struct {
	Config cluster.Config `json:"config"`
	// OnlyErrors asks whether it is valid, and for no more than what is wrong with it.
	OnlyErrors bool `json:"only_errors,omitempty"`
}

// ValidateReply is the result: Infos is the JSON of a validate.Infos; Class and Type are what the config resolved to.
type ValidateReply struct {
	Infos json.RawMessage       `json:"infos,omitempty"`
	Class string                `json:"class,omitempty"`
	Type  cluster.ConnectorType `json:"type,omitempty"`
	// Refused is why the configuration can't be checked at all; then there are no Infos.
	Refused *Refusal `json:"refused,omitempty"`
}

// Refusal is an answer of a runner that is no failure of it. Class is the exception that Kafka Connect would name.
type Refusal struct {
	Class   string       `json:"class"`
	Code    cluster.Code `json:"code"`
	Message string       `json:"message"`
}

// OffsetsAction is what is to be done with a connector's offsets.
type OffsetsAction string

// The actions.
const (
	ListOffsets  OffsetsAction = "list"
	AlterOffsets OffsetsAction = "alter"
	ResetOffsets OffsetsAction = "reset" // remove all
)

// OffsetsRequest asks a runner that has the plugin for a connector's offsets, or to change them. Whoever asks for a change
// has seen that the connector is stopped and has no tasks.
type OffsetsRequest struct {
	Action    OffsetsAction         `json:"action"`
	Connector string                `json:"connector"`
	UID       cluster.UID           `json:"uid"`
	Type      cluster.ConnectorType `json:"type"`
	Config    cluster.Config        `json:"config"`
	// FormerTasks is how many tasks the connector has had: as many may still believe that they have to write.
	FormerTasks int           `json:"former_tasks,omitempty"`
	Changes     []OffsetEntry `json:"changes,omitempty"` // of alter; of equal partitions the last counts
	After       string        `json:"after,omitempty"`   // of list: go on behind this; OffsetsReply.Next
}

// Failed is the text that users of Kafka Connect know for a request that could not be carried out.
func (r OffsetsRequest) Failed() string {
	sink := r.Type == cluster.TypeSink
	switch {
	case r.Action == ListOffsets && sink:
		return "Failed to retrieve consumer group offsets for sink connector " + r.Connector
	case r.Action == ListOffsets:
		return "Failed to retrieve offsets for source connector " + r.Connector
	case r.Action == AlterOffsets && sink:
		return "Failed to alter consumer group offsets for connector " + r.Connector
	case sink:
		return "Failed to reset consumer group offsets for sink connector " + r.Connector
	}
	return "Failed to modify offsets for source connector " + r.Connector
}

// OffsetEntry is a partition with its offset, each a JSON object as the user wrote it or is to read it. No Offset, or
// null, removes the partition's.
type OffsetEntry struct {
	Partition json.RawMessage `json:"partition,omitempty"`
	Offset    json.RawMessage `json:"offset,omitempty"`
}

// OffsetsReply answers list with as many entries as fit a message; Next is set when there are more. After a change, Handled
// tells that the connector vouches for the result.
type OffsetsReply struct {
	Offsets []OffsetEntry `json:"offsets,omitempty"`
	Next    string        `json:"next,omitempty"`
	Handled bool          `json:"handled,omitempty"`
}

// Changed tells that something about a connector's statuses or tasks was stored.
type Changed struct {
	UIDs []cluster.UID `json:"uids"`
}

// LogLevel sets the level of a logger in whoever listens now. It is kept nowhere: a process that starts later begins with
// its own levels.
type LogLevel struct {
	Logger string `json:"logger"`
	Level  string `json:"level"`
}

// HearLogLevels is a listener of LogLevels; what can't be read is dropped.
func HearLogLevels(set func(logger, level string)) func(msg []byte) {
	return func(msg []byte) {
		e, err := Open(msg)
		if err != nil {
			return
		}
		if l, err := Decode[LogLevel](e, KindLogLevel); err == nil {
			set(l.Logger, l.Level)
		}
	}
}

// Ack is an empty answer.
type Ack struct{}

// ErrorReply is a request's failure.
type ErrorReply struct {
	Code    cluster.Code `json:"code"`
	Message string       `json:"message"`
}

// Encode wraps a payload. It fails only for payloads that JSON can't hold, which is a mistake in code.
func Encode(kind Kind, id string, payload any) ([]byte, error) {
	p, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encoding %s payload: %w", kind, err)
	}
	return json.Marshal(Envelope{V: Version, Kind: kind, ID: id, Payload: p})
}

// PoisonError says that a message can never be understood; it is set aside, counted and shown (Invariant 10).
type PoisonError struct{ Reason string }

func (e *PoisonError) Error() string { return "poison message: " + e.Reason }

// Open reads an envelope. Its errors are *PoisonError.
func Open(b []byte) (Envelope, error) {
	var e Envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return e, &PoisonError{Reason: err.Error()}
	}
	if e.V != Version {
		return e, &PoisonError{Reason: fmt.Sprintf("envelope version %d, want %d", e.V, Version)}
	}
	return e, nil
}

// Decode reads the payload of an envelope of the wanted kind. A KindError envelope comes back as its *cluster.Error;
// other failures are *PoisonError.
func Decode[T any](e Envelope, want Kind) (T, error) {
	var v T
	if e.Kind == KindError {
		var r ErrorReply
		if err := json.Unmarshal(e.Payload, &r); err != nil {
			return v, &PoisonError{Reason: err.Error()}
		}
		return v, &cluster.Error{Code: r.Code, Message: r.Message}
	}
	if e.Kind != want {
		return v, &PoisonError{Reason: fmt.Sprintf("kind %q, want %q", e.Kind, want)}
	}
	if err := json.Unmarshal(e.Payload, &v); err != nil {
		return v, &PoisonError{Reason: fmt.Sprintf("%s payload: %v", want, err)}
	}
	return v, nil
}

// EncodeError is the answer of a request that failed.
func EncodeError(id string, err error) []byte {
	b, encErr := Encode(KindError, id, ErrorReply{Code: cluster.CodeOf(err), Message: err.Error()})
	if encErr != nil { // two strings always encode
		panic(encErr)
	}
	return b
}
