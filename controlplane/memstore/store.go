// Package memstore is the control plane store in memory: the twin of pgstore. It is the oracle of the store suite
// (tests/conformance/storetest), and what simulations and tests without a database run on. It is deterministic: equal
// calls at equal times give equal answers, in equal order.
//
// Start reading at Store, then connectors.go (what users change), statuses.go (what runners say), leader.go (what the
// scheduler decides).
package memstore

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// Store is safe for concurrent use. Every method is atomic under one mutex.
type Store struct {
	now func() time.Time

	mu         sync.Mutex
	connectors map[cluster.UID]*connector
	names      map[string]*connector // the live ones
	used       map[cluster.UID]bool  // uids that ever were: none comes again
	deletions  int64
	sessions   map[cluster.SessionID]*session
	kafka      string
	plugins    map[pluginKey]cluster.PluginRecord
	outbox     []*message // ascending by id
	lastID     int64
	audit      []cluster.AuditEntry
	keys       map[string]keyed
	events     []cluster.Event // ascending by number
	lastEvent  int64
	floor      cluster.Epoch
	leader     struct {
		holder  string
		term    cluster.Term
		expires time.Time
	}
}

// New makes an empty store. now is its clock, what the database's clock is to pgstore; it must not go backwards.
func New(now func() time.Time) *Store {
	return &Store{
		now:        now,
		connectors: map[cluster.UID]*connector{},
		names:      map[string]*connector{},
		used:       map[cluster.UID]bool{},
		sessions:   map[cluster.SessionID]*session{},
		plugins:    map[pluginKey]cluster.PluginRecord{},
		keys:       map[string]keyed{},
	}
}

// connector is one life of a name.
type connector struct {
	cluster.Connector
	fenceable bool
	published int64 // config version of the task set; 0: none
	deletedAt int64 // order of deletions
	jobs      map[int]*job
	topics    map[string]bool // that its tasks used
}

// job is one slot: what is wanted of it, who owns it, what was last said of it.
type job struct {
	id         cluster.JobID
	wanted     bool
	gone       bool // forgotten; kept for its numbers, which must not fall (Invariants 2 and 3)
	releasing  bool
	revision   cluster.Revision
	restartSeq int64
	config     cluster.Config // wanted tasks only
	session    cluster.SessionID
	epoch      cluster.Epoch
	status     *cluster.Status
}

// unwant ends what is wanted of a job. One that never had an owner has nothing to wait for.
func (j *job) unwant() {
	j.wanted, j.config = false, nil
	if j.epoch == 0 {
		j.gone, j.status = true, nil
	}
}

// told says whether the holder should run the job, so that it must hear of changes.
func (j *job) told() bool { return j.wanted && j.session != "" && !j.releasing }

// shown is the status as readers see it: RESTARTING between a restart request and the first report that knows of it.
func (j *job) shown() *cluster.Status {
	if j.status == nil {
		return nil
	}
	s := *j.status
	if j.wanted && s.RestartSeq < j.restartSeq && s.State != cluster.StateUnassigned {
		s.State = cluster.StateRestarting
	}
	return &s
}

// tasks lists the jobs of tasks in order.
func (c *connector) tasks() []*job {
	all := c.all()
	return all[1:]
}

// all lists the instance, then the tasks in order.
func (c *connector) all() []*job {
	all := make([]*job, 0, len(c.jobs))
	for _, j := range c.jobs {
		all = append(all, j)
	}
	slices.SortFunc(all, func(a, b *job) int { return cmp.Compare(a.id.Task, b.id.Task) })
	return all
}

func (c *connector) instance() *job { return c.jobs[cluster.InstanceTask] }

func (c *connector) taskCount() int {
	n := 0
	for _, j := range c.jobs {
		if j.wanted && !j.id.IsInstance() {
			n++
		}
	}
	return n
}

func (c *connector) public() cluster.Connector {
	p := c.Connector
	p.Config = p.Config.Clone()
	p.RestartSeq = c.instance().restartSeq
	return p
}

func (c *connector) view() cluster.ConnectorView {
	v := cluster.ConnectorView{Connector: c.public(), Status: c.instance().shown()}
	for _, j := range c.tasks() {
		if j.wanted {
			v.Tasks = append(v.Tasks, cluster.TaskConfig{Task: j.id.Task, Config: j.config.Clone(), Revision: j.revision, RestartSeq: j.restartSeq})
		}
		if s := j.shown(); s != nil {
			v.TaskStatuses = append(v.TaskStatuses, *s)
		}
	}
	return v
}

func (c *connector) spec(j *job) cluster.JobSpec {
	s := cluster.JobSpec{Job: j.id, Name: c.Name, Type: c.Type, Class: c.Class, Session: j.session, Epoch: j.epoch, Revision: j.revision,
		ConfigVersion: c.ConfigVersion, Config: c.Config.Clone(), Target: c.Target, RestartSeq: j.restartSeq}
	if !j.id.IsInstance() {
		s.TaskConfig, s.TaskCount, s.TopicResets = j.config.Clone(), c.taskCount(), c.TopicResets
	}
	return s
}

// everyConnector lists all lives by uid.
func (s *Store) everyConnector() []*connector {
	all := make([]*connector, 0, len(s.connectors))
	for _, c := range s.connectors {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *connector) int { return cmp.Compare(a.UID, b.UID) })
	return all
}

// everyJob lists all jobs by id.
func (s *Store) everyJob() []*job {
	var all []*job
	for _, c := range s.everyConnector() {
		all = append(all, c.all()...)
	}
	return all
}

func (s *Store) job(id cluster.JobID) *job {
	if c := s.connectors[id.UID]; c != nil {
		return c.jobs[id.Task]
	}
	return nil
}

// Ping implements the store.
func (s *Store) Ping(ctx context.Context) error { return s.enter(ctx, func() error { return nil }) }

// enter runs f under the mutex unless ctx has ended.
func (s *Store) enter(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return cluster.Wrapf(cluster.Timeout, err, "store was not asked")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// note adds a message to the outbox.
func (s *Store) note(to wire.Address, kind wire.Kind, payload any) cluster.OutboxMessage {
	s.lastID++
	b, err := wire.Encode(kind, strconv.FormatInt(s.lastID, 10), payload)
	if err != nil {
		panic(err) // our own structs of strings and numbers always encode
	}
	m := &message{OutboxMessage: cluster.OutboxMessage{ID: s.lastID, Address: string(to), Payload: b}, at: s.now()}
	s.outbox = append(s.outbox, m)
	return m.OutboxMessage
}

func (s *Store) wake(c *connector) cluster.OutboxMessage {
	return s.note(wire.Commands, wire.KindWake, wire.Wake{UID: c.UID, Generation: c.Generation})
}

// tell tells the holders of a connector's jobs that changed in this generation.
func (s *Store) tell(c *connector, out []cluster.OutboxMessage) []cluster.OutboxMessage {
	for _, j := range c.all() {
		if j.told() && j.revision == c.Generation {
			out = append(out, s.note(wire.Runner(j.session), wire.KindAssign, c.spec(j)))
		}
	}
	return out
}

func (s *Store) log(by cluster.Author, action string, c *connector, detail string) {
	s.audit = append(s.audit, cluster.AuditEntry{Seq: int64(len(s.audit) + 1), At: s.now(), Actor: clean(by.Actor), RequestID: clean(by.RequestID),
		Action: action, Connector: c.Name, UID: c.UID, Detail: detail})
}

// RecordAction implements the store.
func (s *Store) RecordAction(ctx context.Context, name, action, detail string, by cluster.Author) error {
	return s.enter(ctx, func() error {
		c, err := s.named(name, by)
		if err != nil {
			return err
		}
		s.log(by, action, c, detail)
		return nil
	})
}

// Audit implements the store.
func (s *Store) Audit(ctx context.Context, limit int) (entries []cluster.AuditEntry, err error) {
	err = s.enter(ctx, func() error {
		entries = slices.Clone(s.audit[max(0, len(s.audit)-limit):])
		slices.Reverse(entries)
		return nil
	})
	return entries, err
}

// clean makes any text storable, as Postgres needs it.
func clean(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}
