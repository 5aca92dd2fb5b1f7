package cluster

import "time"

// Author says who asked for a change, and on which terms.
type Author struct {
	Actor     string // user name, or empty when there is no authentication
	RequestID string
	Terms
}

// NewConnector is a validated connector that is to be stored. UID is used only when the connector does not exist yet.
type NewConnector struct {
	UID    UID
	Name   string
	Config Config
	Class  string
	Type   ConnectorType
	Target TargetState // of a new connector; Started when empty
	By     Author
}

// RestartRequest selects what to restart. With Task set only that task; otherwise the connector instance unless
// OnlyFailed and it is not FAILED, and with IncludeTasks its tasks, all or only FAILED ones.
type RestartRequest struct {
	Name         string
	Task         *int
	IncludeTasks bool
	OnlyFailed   bool
	By           Author
}

// RestartTicket is what was selected: the view as read before, and the sequence each selected job will have applied.
type RestartTicket struct {
	View ConnectorView
	Jobs map[JobID]int64
}

// AuditEntry is one change somebody asked for.
type AuditEntry struct {
	Seq       int64
	At        time.Time
	Actor     string
	RequestID string
	Action    string // create, configure, delete, target, restart, …
	Connector string
	UID       UID
	Detail    string
}
