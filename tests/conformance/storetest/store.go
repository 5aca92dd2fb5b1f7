// Package storetest says what a control plane store is: the whole method set (Store), and a suite that pgstore and its
// in-memory twin memstore both pass. Users of a store declare the few methods they need themselves; this interface is
// for the suite alone.
package storetest

import (
	"context"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Store is every method of a store. Errors are *cluster.Error with the codes named. Every method that changes something
// is one transaction; the outbox messages it returns are committed in it and not yet published.
//
// Every change of a connector that an author asks for keeps to the author's terms (cluster.Terms): it happens only if the
// precondition holds at the moment of its commit (PreconditionFailed; where the connector has to be there, NotFound comes
// first). A create, put, delete or restart with a key happens once: when it has happened, *cluster.Recorded is returned
// instead; KeyReused when the key is another request's, InProgress while its answer is preliminary.
type Store interface {
	// --- what the api service uses

	// CreateConnector stores a new connector with config version 1 and its target state. AlreadyExists
	// ("Connector NAME already exists") when a live connector has the name.
	CreateConnector(ctx context.Context, n cluster.NewConnector) (cluster.Connector, []cluster.OutboxMessage, error)
	// PutConnector creates or replaces a connector's config; an update raises ConfigVersion and Generation and keeps
	// target and tasks. created tells which it was.
	PutConnector(ctx context.Context, n cluster.NewConnector) (c cluster.Connector, created bool, out []cluster.OutboxMessage, err error)
	// DeleteConnector frees the name at once; jobs, statuses and rows go as their holders let go. NotFound.
	DeleteConnector(ctx context.Context, name string, by cluster.Author) ([]cluster.OutboxMessage, error)
	// SetTarget changes the target state; Stopped also empties the task set, in the same transaction. Setting the same
	// target again changes nothing and is no error. NotFound.
	SetTarget(ctx context.Context, name string, target cluster.TargetState, by cluster.Author) ([]cluster.OutboxMessage, error)
	// RequestRestart raises the restart sequence of the selected jobs, in one transaction with reading their statuses.
	// A job that still has an unapplied restart request keeps it (one in flight). NotFound for the connector
	// ("Unknown connector: NAME") or, with Task set, for the task ("Unknown task: NAME-N").
	RequestRestart(ctx context.Context, r cluster.RestartRequest) (cluster.RestartTicket, []cluster.OutboxMessage, error)
	// Connector reads one live connector with tasks and statuses in one statement. NotFound.
	Connector(ctx context.Context, name string) (cluster.ConnectorView, error)
	// LastConnector is the state of a live connector or, when there is no live one, of the most recently deleted connector of
	// the name whose jobs have not all ended (Deleted is set). Config and Tasks are left out. NotFound.
	LastConnector(ctx context.Context, name string) (cluster.Shown, error)
	// ActiveTopics lists, sorted, the topics that a live connector's tasks have used since it was created or the list was
	// last cleared; none for an unknown connector.
	ActiveTopics(ctx context.Context, name string) ([]string, error)
	// ResetTopics clears that list, and has the holders of the connector's tasks tell again what they use from now on. It
	// does nothing for an unknown connector.
	ResetTopics(ctx context.Context, name string, by cluster.Author) ([]cluster.OutboxMessage, error)
	// FormerTasks is one more than the highest number of a task that a connector of the name, live or deleted and not yet
	// forgotten, has or has had: tasks that may still believe that they have to write.
	FormerTasks(ctx context.Context, name string) (int, error)
	// CheckKey looks whether a change that is to happen once has happened: nil when it has not, else the errors of such a
	// change.
	CheckKey(ctx context.Context, o cluster.Once) error
	// RecordAnswer keeps the final answer to a request that changed nothing, or whose change left a preliminary one (then
	// o.Pending is set). When a final answer is kept already, that one is returned, as by CheckKey.
	RecordAnswer(ctx context.Context, o cluster.Once, a cluster.Answer) error
	// FindNames lists the live connectors that a query selects, in byte order; FindConnectors reads them as Connector does, in
	// one statement.
	FindNames(ctx context.Context, q cluster.ConnectorQuery) ([]string, error)
	FindConnectors(ctx context.Context, q cluster.ConnectorQuery) ([]cluster.ConnectorView, error)
	// ListConnectors is FindConnectors for lists, which show less.
	ListConnectors(ctx context.Context, q cluster.ConnectorQuery) ([]cluster.Shown, error)
	// Events reads up to limit events behind a token, in their order, which is the same for everybody and for ever: whoever
	// reads on from the token of the last one it has got misses none and gets none twice. Those of one connector come in the
	// order of its changes. Gone when the token's place is not known: events behind it may have been deleted.
	Events(ctx context.Context, after cluster.EventToken, limit int) ([]cluster.Event, error)
	// LastEvent is the token of the last event. What changes from now on comes behind it.
	LastEvent(ctx context.Context) (cluster.EventToken, error)
	// Plugins lists the plugins of sessions that are not ended or, when there are none, of all ever registered; sorted
	// by kind, class, version, without duplicates.
	Plugins(ctx context.Context) ([]cluster.PluginRecord, error)
	// KafkaClusterID is what the runners last reported, or "".
	KafkaClusterID(ctx context.Context) (string, error)
	// Ping proves that the store answers.
	Ping(ctx context.Context) error

	// --- outbox: api and relay

	// ClaimOutbox takes up to limit unpublished messages older than minAge, skipping those another relay has claimed and
	// never by "id above the last". A claim ends by itself after claimFor.
	ClaimOutbox(ctx context.Context, limit int, minAge, claimFor time.Duration) ([]cluster.OutboxMessage, error)
	// MarkPublished ends messages; unknown ids are ignored.
	MarkPublished(ctx context.Context, ids []int64) error
	// PruneOutbox deletes published messages, and unpublished ones older than maxAge (they are hints: Invariant 1).
	PruneOutbox(ctx context.Context, maxAge time.Duration) (deleted int, err error)
	// OutboxStats is the number of unpublished messages and the age of the oldest.
	OutboxStats(ctx context.Context) (n int, oldest time.Duration, err error)

	// --- what the scheduler's inbox uses (any replica)

	// Register stores a session; an older session of the same runner becomes Closed. The plugins whose definitions are
	// not stored yet are returned. Registering the same session again is no error.
	Register(ctx context.Context, r cluster.Registration) (missing []cluster.PluginRef, out []cluster.OutboxMessage, err error)
	// DefinePlugins stores plugin definitions; the same again is no error.
	DefinePlugins(ctx context.Context, plugins []cluster.PluginRecord) error
	// Heartbeat stores that the session lives (database clock) and answers where it differs from what is wanted. A
	// lost or closed session stays so. State=closed ends the session and its holdings at once.
	Heartbeat(ctx context.Context, hb cluster.Heartbeat) (cluster.HeartbeatReply, []cluster.OutboxMessage, error)
	// Specs returns the specs of those of the jobs that the session holds and is not told to release.
	Specs(ctx context.Context, session cluster.SessionID, jobs []cluster.JobID) ([]cluster.JobSpec, error)
	// StoreStatuses stores those statuses whose session and epoch are current (Invariant 3), and says of each whether it
	// was accepted. Released ends the holding (and, where the job is no longer wanted, leaves it to Forget). A status
	// never changes the target state. out wakes the leader when something was released; changed lists the connectors
	// whose visible status changed.
	StoreStatuses(ctx context.Context, statuses []cluster.Status) (accepted []bool, changed []cluster.UID, out []cluster.OutboxMessage, err error)
	// StoreTaskConfigs replaces a connector's task set if the report's session and epoch are current (else StaleEpoch),
	// the connector is live and STARTED, and the report was computed from its current ConfigVersion (else Conflict). It
	// changes nothing and says so if number and content are unchanged and the ConfigVersion is the one last published.
	StoreTaskConfigs(ctx context.Context, r cluster.TaskConfigReport) (changed bool, out []cluster.OutboxMessage, err error)

	// StoreTopics adds to the lists of used topics what tasks report, where the report's session and epoch are current
	// (Invariant 3), the connector is live and its list was not cleared since (TopicResets), and says of each report
	// whether it was accepted. The same again changes nothing.
	StoreTopics(ctx context.Context, reports []cluster.TopicReport) (accepted []bool, err error)

	// --- what the scheduler's leader uses

	// AcquireLease takes the leadership if it is free or its lease ran out by the store's clock; the term grows each
	// time. ok=false: somebody else holds it, look again after wait.
	AcquireLease(ctx context.Context, holder string, ttl time.Duration) (l cluster.LeaderLease, ok bool, wait time.Duration, err error)
	// RenewLease prolongs it. StaleEpoch when the term has passed.
	RenewLease(ctx context.Context, l cluster.LeaderLease) error
	// ResignLease gives it up at once; no error when it has passed already.
	ResignLease(ctx context.Context, l cluster.LeaderLease) error
	// Snapshot is one consistent read for the planner.
	Snapshot(ctx context.Context) (cluster.Snapshot, error)
	// CommitPlan stores decisions in one transaction that names the leader's term (StaleEpoch otherwise) and every
	// expected prior epoch and session (Conflict otherwise, and nothing is stored). Assign and Release come back as
	// messages to the runners.
	CommitPlan(ctx context.Context, term cluster.Term, steps []cluster.Decision) ([]cluster.OutboxMessage, error)
	// RaiseEpochFloor makes every later epoch exceed floor (Invariant 3); a lower floor changes nothing.
	RaiseEpochFloor(ctx context.Context, floor cluster.Epoch) error
	// PruneSessions deletes ended sessions that hold nothing and ended more than keep ago, and deleted connectors
	// without jobs.
	PruneSessions(ctx context.Context, keep time.Duration) (deleted int, err error)
	// PruneEvents deletes the oldest events, down to a number and those older than maxAge; the last one stays.
	PruneEvents(ctx context.Context, maxAge time.Duration, most int) (deleted int, err error)

	// PruneKeys forgets keys whose answers are older than keep.
	PruneKeys(ctx context.Context, keep time.Duration) (deleted int, err error)

	// --- history

	// RecordAction adds an entry about something that changes nothing here: a change in Kafka, say. NotFound.
	RecordAction(ctx context.Context, name, action, detail string, by cluster.Author) error
	// Audit lists the newest entries first.
	Audit(ctx context.Context, limit int) ([]cluster.AuditEntry, error)
}
