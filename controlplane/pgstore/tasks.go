package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

const sqlFenceable = `UPDATE connectors SET fenceable = $2 WHERE uid = $1`

// StoreTaskConfigs implements the store.
func (s *Store) StoreTaskConfigs(ctx context.Context, r cluster.TaskConfigReport) (changed bool, out []cluster.OutboxMessage, err error) {
	if !r.Job.IsInstance() {
		return false, nil, cluster.Errorf(cluster.Invalid, "task configs come from a connector instance, not from %s", r.Job)
	}
	configs := make([]string, len(r.Tasks))
	for i, c := range r.Tasks {
		if configs[i], err = encodeConfig(c); err != nil {
			return false, nil, err
		}
	}
	err = s.inTx(ctx, "storing task configs", func(ctx context.Context, t *tx) error {
		changed, out = false, nil
		c, err := lock(ctx, t, string(r.Job.UID), sqlConnectorLockUID, sqlJobsLockUID, sqlJobsReadUID)
		if err != nil {
			return err
		}
		if err := c.accepts(r); err != nil {
			return err
		}
		if !c.differs(r.ConfigVersion, configs) {
			if c.Fenceable == r.Fenceable {
				return nil
			}
			b := &pgx.Batch{}
			b.Queue(sqlFenceable, c.UID, r.Fenceable)
			return t.commit(ctx, b)
		}
		changed = true
		c.Fenceable = r.Fenceable
		c.replaceTasks(r.ConfigVersion, configs)
		notes, err := c.tell([]note{wake(c.UID, c.Generation)})
		if err != nil {
			return err
		}
		out, err = s.store(ctx, t, &pgx.Batch{}, c, notes)
		return err
	})
	return changed && err == nil, out, err
}

// accepts judges a report: it must come from the instance's current holder (Invariant 3) and fit what is wanted now.
func (c *connector) accepts(r cluster.TaskConfigReport) error {
	if c == nil || r.Session == "" || !c.instance().held(r.Session, r.Epoch) {
		return cluster.Errorf(cluster.StaleEpoch, "session %s does not hold %s under epoch %d", r.Session, r.Job, r.Epoch)
	}
	switch {
	case c.Deleted:
		return cluster.Errorf(cluster.Conflict, "connector %s is deleted", c.Name)
	case c.Target != string(cluster.Started):
		return cluster.Errorf(cluster.Conflict, "connector %s is %s", c.Name, c.Target)
	case c.ConfigVersion != r.ConfigVersion:
		return cluster.Errorf(cluster.Conflict, "task configs are of version %d of connector %s, which has version %d", r.ConfigVersion, c.Name, c.ConfigVersion)
	}
	return nil
}

// differs compares texts: encodeConfig writes equal configs alike, and the column keeps the text as it is.
func (c *connector) differs(version int64, configs []string) bool {
	if c.Published != version || c.TaskCount != len(configs) {
		return true
	}
	for _, j := range c.Jobs[1:] {
		if j.Wanted && (j.Task >= len(configs) || j.TaskConfig == nil || *j.TaskConfig != configs[j.Task]) {
			return true
		}
	}
	return false
}

// replaceTasks makes the task set these configs. Every task of the set is restarted with its new config.
func (c *connector) replaceTasks(version int64, configs []string) {
	c.Generation++
	c.TaskSet++
	c.Published, c.TaskCount = version, len(configs)
	known := map[int]int{}
	for i := range c.Jobs {
		known[c.Jobs[i].Task] = i
	}
	for task := range configs {
		if _, ok := known[task]; !ok {
			known[task] = len(c.Jobs)
			c.Jobs = append(c.Jobs, jobRow{UID: c.UID, Task: task})
		}
	}
	for i := range c.Jobs {
		j := &c.Jobs[i]
		switch {
		case j.Task < 0:
		case j.Task < len(configs):
			j.Wanted, j.Gone, j.Revision, j.TaskConfig = true, false, c.Generation, &configs[j.Task]
			c.change(j)
		case j.Wanted:
			j.unwant()
			c.change(j)
		}
	}
}
