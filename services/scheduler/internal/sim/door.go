package sim

import (
	"context"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
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
	out, err := d.Store.CommitPlan(ctx, term, steps)
	if err == nil {
		d.w.committed(term, steps)
	}
	return out, err
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
	return d.Store.Register(ctx, r)
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
	return d.Store.Heartbeat(ctx, hb)
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
		return nil, nil, nil, err
	}
	accepted, changed, out, err := d.Store.StoreStatuses(ctx, statuses)
	if err == nil {
		for i, s := range statuses {
			if accepted[i] {
				d.w.statusStored(s)
			}
		}
	}
	return accepted, changed, out, err
}

// StoreTaskConfigs implements the inbox's store.
func (d *door) StoreTaskConfigs(ctx context.Context, r cluster.TaskConfigReport) (bool, []cluster.OutboxMessage, error) {
	if err := d.shut(); err != nil {
		return false, nil, err
	}
	return d.Store.StoreTaskConfigs(ctx, r)
}

// ClaimOutbox implements the relay's store.
func (d *door) ClaimOutbox(ctx context.Context, limit int, minAge, claimFor time.Duration) ([]cluster.OutboxMessage, error) {
	if err := d.shut(); err != nil {
		return nil, err
	}
	return d.Store.ClaimOutbox(ctx, limit, minAge, claimFor)
}

// MarkPublished implements the relay's store.
func (d *door) MarkPublished(ctx context.Context, ids []int64) error {
	if d.w.forgetful {
		return cluster.Errorf(cluster.Unavailable, "the relay died before it could say what it published")
	}
	if err := d.shut(); err != nil {
		return err
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
