package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

const (
	sqlConnectorInsert = `
INSERT INTO connectors (uid, name, config, class, type, target, audit_hash) VALUES ($1, $2, $3::text::json, $4, $5, $6, $7)`
	sqlVersionInsert = `INSERT INTO config_versions (uid, version, config, actor) VALUES ($1, $2, $3::text::json, $4)`
	// History is kept, but not without end.
	sqlVersionPrune = `DELETE FROM config_versions WHERE uid = $1 AND version <= $2 - 100`

	sqlConnectorColumns = `uid, name, config::text AS config, config_version, class, type, target, generation, task_set, task_count,
    published, fenceable, audit_hash, topic_resets, deleted_at IS NOT NULL AS deleted`
	sqlConnectorLock    = `SELECT ` + sqlConnectorColumns + ` FROM connectors WHERE name = $1 AND deleted_at IS NULL FOR NO KEY UPDATE`
	sqlConnectorLockUID = `SELECT ` + sqlConnectorColumns + ` FROM connectors WHERE uid = $1 FOR NO KEY UPDATE`

	// Locked first and read in a statement of its own: a statement that had to wait shows other tables as they were before.
	sqlJobsLock = `SELECT 1 FROM jobs WHERE uid = (SELECT uid FROM connectors WHERE name = $1 AND deleted_at IS NULL)
ORDER BY uid, task FOR NO KEY UPDATE`
	sqlJobsLockUID = `SELECT 1 FROM jobs WHERE uid = $1 ORDER BY uid, task FOR NO KEY UPDATE`
	sqlJobColumns  = `j.uid, j.task, j.wanted, j.gone, j.revision, j.restart_seq, j.task_config::text AS task_config, j.session,
    j.epoch, j.releasing, s.session AS s_session, s.epoch AS s_epoch, s.revision AS s_revision, s.restart_seq AS s_restart_seq,
    s.state AS s_state, s.worker_id AS s_worker_id, s.trace AS s_trace, s.version AS s_version, s.released AS s_released,
    s.reason AS s_reason`
	sqlJobsRead = `SELECT ` + sqlJobColumns + ` FROM jobs j LEFT JOIN statuses s USING (uid, task)
WHERE j.uid = (SELECT uid FROM connectors WHERE name = $1 AND deleted_at IS NULL) ORDER BY j.task`
	sqlJobsReadUID = `SELECT ` + sqlJobColumns + ` FROM jobs j LEFT JOIN statuses s USING (uid, task) WHERE j.uid = $1 ORDER BY j.task`

	sqlConnectorUpdate = `
UPDATE connectors SET config = $2::text::json, config_version = $3, class = $4, type = $5, target = $6, generation = $7,
    task_set = $8, task_count = $9, published = $10, fenceable = $11, audit_hash = $12, topic_resets = $13,
    deleted_at = CASE WHEN $14 THEN clock_timestamp() END
WHERE uid = $1`
	sqlJobsStore = `
INSERT INTO jobs (uid, task, wanted, gone, revision, restart_seq, task_config)
SELECT $1, k.task, k.wanted, k.gone, k.revision, k.restart_seq, k.task_config::json
FROM unnest($2::int[], $3::bool[], $4::bool[], $5::bigint[], $6::bigint[], $7::text[]) AS k (task, wanted, gone, revision, restart_seq, task_config)
ON CONFLICT (uid, task) DO UPDATE SET wanted = excluded.wanted, gone = excluded.gone, revision = excluded.revision,
    restart_seq = excluded.restart_seq, task_config = excluded.task_config`
)

type connectorRow struct {
	UID           string
	Name          string
	Config        string
	ConfigVersion int64
	Class         string
	Type          string
	Target        string
	Generation    int64
	TaskSet       int64
	TaskCount     int
	Published     int64
	Fenceable     bool
	AuditHash     []byte
	TopicResets   int64
	Deleted       bool
}

func (c *connectorRow) connector(restartSeq int64) (cluster.Connector, error) {
	config, err := decodeConfig(c.Config)
	return cluster.Connector{UID: cluster.UID(c.UID), Name: c.Name, Config: config, ConfigVersion: c.ConfigVersion, Class: c.Class,
		Type: cluster.ConnectorType(c.Type), Target: cluster.TargetState(c.Target), Generation: cluster.Revision(c.Generation),
		RestartSeq: restartSeq, TaskSet: c.TaskSet, TopicResets: c.TopicResets, Deleted: c.Deleted}, err
}

// connector is a connector with its jobs and their statuses, all locked.
type connector struct {
	connectorRow
	Jobs    []jobRow // the instance, then tasks ascending
	changed []*jobRow
	before  cluster.Visible // as it was read
}

func (c *connector) instance() *jobRow { return &c.Jobs[0] }

// change notes that a job's row must be stored.
func (c *connector) change(j *jobRow) { c.changed = append(c.changed, j) }

func encodeConfig(c cluster.Config) (string, error) {
	if c == nil {
		c = cluster.Config{}
	}
	b, err := json.Marshal(c)
	return string(b), err
}

func decodeConfig(text string) (cluster.Config, error) {
	var c cluster.Config
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return nil, fmt.Errorf("reading stored config: %w", err)
	}
	return c, nil
}

// lockConnector reads a live connector by name; nil when there is none.
func lockConnector(ctx context.Context, t *tx, name string) (*connector, error) {
	return lock(ctx, t, name, sqlConnectorLock, sqlJobsLock, sqlJobsRead)
}

// lockFor is lockConnector for a change that needs the connector and that the author's conditions allow.
func lockFor(ctx context.Context, t *tx, name string, by cluster.Author) (*connector, error) {
	c, err := lockConnector(ctx, t, name)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, unknown(name)
	}
	return c, c.meets(by, name)
}

// meets tells whether the author's conditions hold. The row is locked: they hold until the transaction ends.
func (c *connector) meets(by cluster.Author, name string) error {
	if c == nil {
		return by.If.Check(name, nil)
	}
	return by.If.Check(name, &cluster.Connector{UID: cluster.UID(c.UID), ConfigVersion: c.ConfigVersion})
}

func lock(ctx context.Context, t *tx, key, sqlConnector, sqlLockJobs, sqlJobs string) (*connector, error) {
	var row *connectorRow
	c := &connector{}
	b := &pgx.Batch{}
	b.Queue(sqlConnector, key).Query(intoOne(&row))
	b.Queue(sqlLockJobs, key)
	b.Queue(sqlJobs, key).Query(into(&c.Jobs))
	if err := t.send(ctx, b); err != nil {
		return nil, err
	}
	if row == nil || len(c.Jobs) == 0 {
		return nil, nil
	}
	c.connectorRow = *row
	c.before = c.visible()
	return c, nil
}

// store queues what changed of a connector, with the events and messages about it, and commits.
func (s *Store) store(ctx context.Context, t *tx, b *pgx.Batch, c *connector, notes []note) ([]cluster.OutboxMessage, error) {
	b.Queue(sqlConnectorUpdate, c.UID, c.Config, c.ConfigVersion, c.Class, c.Type, c.Target, c.Generation, c.TaskSet, c.TaskCount,
		c.Published, c.Fenceable, c.AuditHash, c.TopicResets, c.Deleted)
	if n := len(c.changed); n > 0 {
		tasks, wanted, gone := make([]int, n), make([]bool, n), make([]bool, n)
		revisions, restarts, configs := make([]int64, n), make([]int64, n), make([]*string, n)
		for i, j := range c.changed {
			tasks[i], wanted[i], gone[i], revisions[i], restarts[i], configs[i] = j.Task, j.Wanted, j.Gone, j.Revision, j.RestartSeq, j.TaskConfig
		}
		b.Queue(sqlJobsStore, c.UID, tasks, wanted, gone, revisions, restarts, configs)
	}
	if err := queueEvents(b, cluster.Changes(c.before, c.visible())); err != nil {
		return nil, err
	}
	out, err := s.notes(ctx, t, b, notes)
	if err != nil {
		return nil, err
	}
	if err := t.commit(ctx, b); err != nil {
		return nil, err // what did not commit is not to be published (Invariant 2)
	}
	return out, nil
}

// tell adds messages for the holders of the jobs that changed: they need not wait for the scheduler.
func (c *connector) tell(notes []note) ([]note, error) {
	for _, j := range c.changed {
		if !j.told() {
			continue
		}
		spec, err := j.spec(&c.connectorRow)
		if err != nil {
			return nil, err
		}
		notes = append(notes, note{wire.Runner(spec.Session), wire.KindAssign, spec})
	}
	return notes, nil
}

func unknown(name string) error {
	return cluster.Errorf(cluster.NotFound, "Connector %s not found", name)
}

// CreateConnector implements the store.
func (s *Store) CreateConnector(ctx context.Context, n cluster.NewConnector) (c cluster.Connector, out []cluster.OutboxMessage, err error) {
	err = s.inTx(ctx, "creating connector", func(ctx context.Context, t *tx) error {
		if err := claimKey(ctx, t, n.By.Once); err != nil {
			return err
		}
		c, out, err = s.create(ctx, t, n)
		return err
	})
	return c, out, err
}

// create takes one round trip, without a key. The unique index on live names decides who comes first.
func (s *Store) create(ctx context.Context, t *tx, n cluster.NewConnector) (cluster.Connector, []cluster.OutboxMessage, error) {
	config, err := encodeConfig(n.Config)
	if err != nil {
		return cluster.Connector{}, nil, err
	}
	if n.Target == "" {
		n.Target = cluster.Started
	}
	if n.UID == "" {
		return cluster.Connector{}, nil, cluster.Errorf(cluster.Invalid, "uid %q is empty or was used before", n.UID)
	}
	c := connectorRow{UID: string(n.UID), Name: n.Name, Config: config, ConfigVersion: 1, Class: n.Class, Type: string(n.Type),
		Target: string(n.Target), Generation: 1}
	entry := &pgx.Batch{}
	audit(entry, &c, n.By, "create", c.Target)
	b := &pgx.Batch{}
	b.Queue(sqlConnectorInsert, c.UID, c.Name, c.Config, c.Class, c.Type, c.Target, c.AuditHash)
	b.Queue(sqlVersionInsert, c.UID, 1, c.Config, clean(n.By.Actor))
	b.Queue(sqlJobsStore, c.UID, []int{cluster.InstanceTask}, []bool{true}, []bool{false}, []int64{1}, []int64{0}, []*string{nil})
	b.QueuedQueries = append(b.QueuedQueries, entry.QueuedQueries...)
	p, err := c.connector(0)
	if err != nil {
		return cluster.Connector{}, nil, err
	}
	if err := keepAnswer(b, n.By.Once, cluster.Outcome{View: cluster.ConnectorView{Connector: p}, Created: true}); err != nil {
		return cluster.Connector{}, nil, err
	}
	if err := queueEvents(b, []cluster.Event{cluster.Created(p)}); err != nil {
		return cluster.Connector{}, nil, err
	}
	out, err := s.notes(ctx, t, b, []note{wake(c.UID, 1)})
	if err != nil {
		return cluster.Connector{}, nil, err
	}
	if err := t.commit(ctx, b); err != nil {
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23505" {
			switch pg.ConstraintName {
			case "connectors_live_name":
				return cluster.Connector{}, nil, cluster.Errorf(cluster.AlreadyExists, "Connector %s already exists", n.Name)
			case "connectors_pkey", "audit_no_fork":
				return cluster.Connector{}, nil, cluster.Errorf(cluster.Invalid, "uid %q is empty or was used before", n.UID)
			}
		}
		return cluster.Connector{}, nil, err
	}
	return p, out, nil
}

// PutConnector implements the store.
func (s *Store) PutConnector(ctx context.Context, n cluster.NewConnector) (p cluster.Connector, created bool, out []cluster.OutboxMessage, err error) {
	for range putAttempts {
		err = s.inTx(ctx, "storing connector config", func(ctx context.Context, t *tx) error {
			created = false
			if err := claimKey(ctx, t, n.By.Once); err != nil {
				return err
			}
			c, err := lockConnector(ctx, t, n.Name)
			if err != nil {
				return err
			}
			if err := c.meets(n.By, n.Name); err != nil {
				return err
			}
			if created = c == nil; created {
				p, out, err = s.create(ctx, t, n)
				return err
			}
			p, out, err = s.configure(ctx, t, c, n)
			return err
		})
		if !created || !cluster.Is(err, cluster.AlreadyExists) {
			break // else somebody created it since we looked: now it is an update
		}
	}
	return p, created && err == nil, out, err
}

const putAttempts = 5

func (s *Store) configure(ctx context.Context, t *tx, c *connector, n cluster.NewConnector) (cluster.Connector, []cluster.OutboxMessage, error) {
	config, err := encodeConfig(n.Config)
	if err != nil {
		return cluster.Connector{}, nil, err
	}
	c.Config, c.Class, c.Type = config, n.Class, string(n.Type)
	c.ConfigVersion++
	c.Generation++
	// The instance alone: its next task configs decide about the tasks.
	c.instance().Revision = c.Generation
	c.change(c.instance())
	notes, err := c.tell([]note{wake(c.UID, c.Generation)})
	if err != nil {
		return cluster.Connector{}, nil, err
	}
	b := &pgx.Batch{}
	b.Queue(sqlVersionInsert, c.UID, c.ConfigVersion, c.Config, clean(n.By.Actor))
	b.Queue(sqlVersionPrune, c.UID, c.ConfigVersion)
	audit(b, &c.connectorRow, n.By, "configure", fmt.Sprintf("version %d", c.ConfigVersion))
	if n.By.Once != nil {
		v, err := c.view()
		if err != nil {
			return cluster.Connector{}, nil, err
		}
		if err := keepAnswer(b, n.By.Once, cluster.Outcome{View: v}); err != nil {
			return cluster.Connector{}, nil, err
		}
	}
	out, err := s.store(ctx, t, b, c, notes)
	if err != nil {
		return cluster.Connector{}, nil, err
	}
	p, err := c.connector(c.instance().RestartSeq)
	return p, out, err
}

// DeleteConnector implements the store.
func (s *Store) DeleteConnector(ctx context.Context, name string, by cluster.Author) (out []cluster.OutboxMessage, err error) {
	err = s.inTx(ctx, "deleting connector", func(ctx context.Context, t *tx) error {
		out = nil
		if err := claimKey(ctx, t, by.Once); err != nil {
			return err
		}
		c, err := lockFor(ctx, t, name, by)
		if err != nil {
			return err
		}
		c.Deleted = true
		c.Generation++
		for i := range c.Jobs {
			c.Jobs[i].unwant()
			c.change(&c.Jobs[i])
		}
		c.TaskCount = 0
		b := &pgx.Batch{}
		b.Queue(sqlTopicsDelete, c.UID)
		audit(b, &c.connectorRow, by, "delete", "")
		if err := keepAnswer(b, by.Once, cluster.Outcome{}); err != nil {
			return err
		}
		out, err = s.store(ctx, t, b, c, []note{wake(c.UID, c.Generation)})
		return err
	})
	return out, err
}

// SetTarget implements the store.
func (s *Store) SetTarget(ctx context.Context, name string, target cluster.TargetState, by cluster.Author) (out []cluster.OutboxMessage, err error) {
	err = s.inTx(ctx, "setting target state", func(ctx context.Context, t *tx) error {
		out = nil
		c, err := lockFor(ctx, t, name, by)
		if err != nil {
			return err
		}
		if c.Target == string(target) {
			return nil
		}
		c.Target = string(target)
		c.Generation++
		if target == cluster.Stopped {
			c.TaskSet++
			c.TaskCount, c.Published = 0, 0
		}
		for i := range c.Jobs {
			j := &c.Jobs[i]
			if !j.Wanted {
				continue
			}
			if target == cluster.Stopped && j.Task >= 0 {
				j.unwant()
			} else {
				j.Revision = c.Generation
			}
			c.change(j)
		}
		notes, err := c.tell([]note{wake(c.UID, c.Generation)})
		if err != nil {
			return err
		}
		b := &pgx.Batch{}
		audit(b, &c.connectorRow, by, "target", c.Target)
		out, err = s.store(ctx, t, b, c, notes)
		return err
	})
	return out, err
}

// RequestRestart implements the store.
func (s *Store) RequestRestart(ctx context.Context, r cluster.RestartRequest) (ticket cluster.RestartTicket, out []cluster.OutboxMessage, err error) {
	err = s.inTx(ctx, "requesting a restart", func(ctx context.Context, t *tx) error {
		ticket, out = cluster.RestartTicket{}, nil
		if err := claimKey(ctx, t, r.By.Once); err != nil {
			return err
		}
		c, err := lockConnector(ctx, t, r.Name)
		if err != nil {
			return err
		}
		if c == nil {
			return cluster.Errorf(cluster.NotFound, "Unknown connector: %s", r.Name)
		}
		if err := c.meets(r.By, r.Name); err != nil {
			return err
		}
		view, err := c.view()
		if err != nil {
			return err
		}
		selected := c.selectRestarts(r)
		if r.Task != nil && len(selected) == 0 {
			return cluster.Errorf(cluster.NotFound, "Unknown task: %s-%d", r.Name, *r.Task)
		}
		ticket = cluster.RestartTicket{View: view, Jobs: map[cluster.JobID]int64{}}
		for _, j := range selected {
			if !j.restartInFlight() {
				if len(c.changed) == 0 {
					c.Generation++
				}
				j.RestartSeq++
				j.Revision = c.Generation
				c.change(j)
			}
			ticket.Jobs[j.id()] = j.RestartSeq
		}
		b := &pgx.Batch{}
		if err := keepAnswer(b, r.By.Once, cluster.Outcome{Ticket: ticket}); err != nil {
			return err
		}
		if len(c.changed) == 0 {
			return t.commit(ctx, b)
		}
		notes, err := c.tell([]note{wake(c.UID, c.Generation)})
		if err != nil {
			return err
		}
		audit(b, &c.connectorRow, r.By, "restart", fmt.Sprintf("%d jobs", len(c.changed)))
		out, err = s.store(ctx, t, b, c, notes)
		return err
	})
	return ticket, out, err
}

func (c *connector) selectRestarts(r cluster.RestartRequest) []*jobRow {
	var selected []*jobRow
	for i := range c.Jobs {
		j := &c.Jobs[i]
		switch {
		case !j.Wanted:
		case r.Task != nil:
			if j.Task == *r.Task && j.Task >= 0 {
				selected = append(selected, j)
			}
		case j.Task >= 0 && !r.IncludeTasks:
		case r.OnlyFailed && j.shownState() != cluster.StateFailed:
		default:
			selected = append(selected, j)
		}
	}
	return selected
}
