package sim

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/tests/conformance/storetest"
)

// door is a replica's way to the store: it can be shut, and it watches what goes through.
type door struct {
	storetest.Store
	w *World
	r *replica
	// cut shuts the door for this replica alone.
	cut bool
}

func (d *door) shut() error {
	d.w.calls++
	if d.w.storeDown || d.cut {
		return cluster.Errorf(cluster.Unavailable, "store is away")
	}
	return nil
}

// Snapshot implements the loop's store.
func (d *door) Snapshot(ctx context.Context) (cluster.Snapshot, error) {
	if err := d.shut(); err != nil {
		return cluster.Snapshot{}, err
	}
	return d.Store.Snapshot(ctx)
}

// CommitPlan implements the loop's store.
func (d *door) CommitPlan(ctx context.Context, term cluster.Term, steps []cluster.Decision) ([]cluster.OutboxMessage, error) {
	if err := d.shut(); err != nil {
		return nil, err
	}
	asked := term
	if d.w.broken.NoCompare {
		term, steps = d.w.maxTerm, d.compareNothing(ctx, steps)
	}
	out, err := d.Store.CommitPlan(ctx, term, steps)
	if err == nil {
		d.w.committed(asked, steps)
		d.saw(out)
	}
	return out, err
}

// compareNothing makes a plan fit whatever is stored now, as if the store did not look.
func (d *door) compareNothing(ctx context.Context, steps []cluster.Decision) []cluster.Decision {
	snap, err := d.Store.Snapshot(ctx)
	if err != nil {
		d.w.fail("snapshot: %v", err)
	}
	now := map[cluster.JobID]cluster.Epoch{}
	for _, j := range snap.Jobs {
		now[j.Job] = j.Epoch
	}
	steps = slices.Clone(steps)
	for i, s := range steps {
		if steps[i].Prior = now[s.Job]; s.Kind == cluster.Assign {
			steps[i].Epoch = max(s.Epoch, now[s.Job]+1)
		}
	}
	return steps
}

// saw remembers where messages go.
func (d *door) saw(out []cluster.OutboxMessage) {
	for _, m := range out {
		d.w.outbox[m.ID] = m.Address
	}
}

// PruneSessions implements the loop's store.
func (d *door) PruneSessions(ctx context.Context, keep time.Duration) (int, error) {
	if err := d.shut(); err != nil {
		return 0, err
	}
	return d.Store.PruneSessions(ctx, keep)
}

// Register implements the inbox's store.
func (d *door) Register(ctx context.Context, r cluster.Registration) ([]cluster.PluginRef, []cluster.OutboxMessage, error) {
	if err := d.shut(); err != nil {
		return nil, nil, err
	}
	missing, out, err := d.Store.Register(ctx, r)
	d.saw(out)
	return missing, out, err
}

// DefinePlugins implements the inbox's store.
func (d *door) DefinePlugins(ctx context.Context, plugins []cluster.PluginRecord) error {
	if err := d.shut(); err != nil {
		return err
	}
	return d.Store.DefinePlugins(ctx, plugins)
}

// Heartbeat implements the inbox's store.
func (d *door) Heartbeat(ctx context.Context, hb cluster.Heartbeat) (cluster.HeartbeatReply, []cluster.OutboxMessage, error) {
	if err := d.shut(); err != nil {
		return cluster.HeartbeatReply{}, nil, err
	}
	reply, out, err := d.Store.Heartbeat(ctx, hb)
	d.saw(out)
	return reply, out, err
}

// Specs implements the inbox's store.
func (d *door) Specs(ctx context.Context, s cluster.SessionID, jobs []cluster.JobID) ([]cluster.JobSpec, error) {
	if err := d.shut(); err != nil {
		return nil, err
	}
	return d.Store.Specs(ctx, s, jobs)
}

// StoreStatuses implements the inbox's store.
func (d *door) StoreStatuses(ctx context.Context, statuses []cluster.Status) ([]bool, []cluster.UID, []cluster.OutboxMessage, error) {
	if err := d.shut(); err != nil {
		if d.w.broken.DropInbox {
			return make([]bool, len(statuses)), nil, nil, nil
		}
		return nil, nil, nil, err
	}
	told := statuses
	if d.w.broken.AnyStatus {
		told = d.asCurrent(ctx, statuses)
	}
	accepted, changed, out, err := d.Store.StoreStatuses(ctx, told)
	d.saw(out)
	if err == nil {
		for i, s := range statuses {
			if accepted[i] {
				d.w.statusStored(s)
			}
		}
	}
	return accepted, changed, out, err
}

// asCurrent makes statuses look as if they came from whoever holds the jobs now.
func (d *door) asCurrent(ctx context.Context, statuses []cluster.Status) []cluster.Status {
	snap, err := d.Store.Snapshot(ctx)
	if err != nil {
		d.w.fail("snapshot: %v", err)
	}
	statuses = slices.Clone(statuses)
	for _, j := range snap.Jobs {
		for i := range statuses {
			if statuses[i].Job == j.Job && j.Session != "" {
				statuses[i].Session, statuses[i].Epoch = j.Session, j.Epoch
			}
		}
	}
	return statuses
}

// StoreTaskConfigs implements the inbox's store.
func (d *door) StoreTaskConfigs(ctx context.Context, r cluster.TaskConfigReport) (bool, []cluster.OutboxMessage, error) {
	if err := d.shut(); err != nil {
		if d.w.broken.DropInbox {
			return false, nil, nil
		}
		return false, nil, err
	}
	changed, out, err := d.Store.StoreTaskConfigs(ctx, r)
	d.w.trace("%s reports %d tasks of %v under %d: changed %t, %v", r.Session, len(r.Tasks), r.Job, r.Epoch, changed, err)
	d.saw(out)
	return changed, out, err
}

// ClaimOutbox implements the relay's store.
func (d *door) ClaimOutbox(ctx context.Context, limit int, minAge, claimFor time.Duration) ([]cluster.OutboxMessage, error) {
	if err := d.shut(); err != nil {
		return nil, err
	}
	out, err := d.Store.ClaimOutbox(ctx, limit, minAge, claimFor)
	d.saw(out)
	return slices.DeleteFunc(out, func(m cluster.OutboxMessage) bool { return d.w.uncommitted[m.ID] }), err
}

// MarkPublished implements the relay's store.
func (d *door) MarkPublished(ctx context.Context, ids []int64) error {
	if d.w.forgetful {
		return cluster.Errorf(cluster.Unavailable, "the relay died before it could say what it published")
	}
	if err := d.shut(); err != nil {
		return err
	}
	for _, id := range ids { // those to wire.Commands are said by a wake
		if d.w.outbox[id] != string(wire.Commands) && !d.w.sent[id] {
			d.w.fail("AC-4: message %d to %s is marked as published and was not", id, d.w.outbox[id])
		}
	}
	return d.Store.MarkPublished(ctx, ids)
}

// AcquireLease implements the election's store.
func (d *door) AcquireLease(ctx context.Context, holder string, ttl time.Duration) (cluster.LeaderLease, bool, time.Duration, error) {
	if err := d.shut(); err != nil {
		return cluster.LeaderLease{}, false, 0, err
	}
	return d.Store.AcquireLease(ctx, holder, ttl)
}

// RenewLease implements the election's store.
func (d *door) RenewLease(ctx context.Context, l cluster.LeaderLease) error {
	if err := d.shut(); err != nil {
		return err
	}
	return d.Store.RenewLease(ctx, l)
}
