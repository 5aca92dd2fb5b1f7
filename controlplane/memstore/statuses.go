package memstore

import (
	"context"
	"maps"
	"slices"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// StoreStatuses implements the store.
func (s *Store) StoreStatuses(ctx context.Context, statuses []cluster.Status) (accepted []bool, changed []cluster.UID, out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		accepted = make([]bool, len(statuses))
		var woken []cluster.UID
		was, showed := map[*job]*cluster.Status{}, map[*job]*cluster.Status{} // of those that are spoken of, before the batch
		for i, st := range statuses {
			j := s.job(st.Job)
			// Invariant 3: only the current holder speaks for a job.
			if j == nil || st.Session == "" || j.session != st.Session || j.epoch != st.Epoch {
				continue
			}
			accepted[i] = true
			if _, again := was[j]; !again {
				was[j], showed[j] = j.status, j.shown()
			}
			st.Trace, st.Version, st.Reason, st.WorkerID = clean(st.Trace), clean(st.Version), clean(st.Reason), cluster.RunnerID(clean(string(st.WorkerID)))
			j.status = &st
			if st.Released {
				j.session, j.releasing = "", false
				st.State, st.Trace = cluster.StateUnassigned, ""
				if !j.wanted {
					j.status = nil
				}
				woken = append(woken, st.Job.UID)
			}
		}
		for j, before := range was {
			if before == nil || j.status == nil || *before != *j.status {
				changed = append(changed, j.id.UID)
			}
		}
		for _, j := range slices.SortedFunc(maps.Keys(showed), func(a, b *job) int { return cluster.CompareJobs(a.id, b.id) }) {
			if c := s.connectors[j.id.UID]; !c.Deleted {
				if e, seen := cluster.StateChange(c.Name, j.id, showed[j], j.shown()); seen {
					s.emit(e)
				}
			}
		}
		slices.Sort(changed)
		changed = slices.Compact(changed)
		slices.Sort(woken)
		for _, uid := range slices.Compact(woken) {
			out = append(out, s.wake(s.connectors[uid]))
		}
		return nil
	})
	return accepted, changed, out, err
}

// StoreTaskConfigs implements the store.
func (s *Store) StoreTaskConfigs(ctx context.Context, r cluster.TaskConfigReport) (changed bool, out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		if !r.Job.IsInstance() {
			return cluster.Errorf(cluster.Invalid, "task configs come from a connector instance, not from %s", r.Job)
		}
		j := s.job(r.Job)
		if j == nil || r.Session == "" || j.session != r.Session || j.epoch != r.Epoch {
			return cluster.Errorf(cluster.StaleEpoch, "session %s does not hold %s under epoch %d", r.Session, r.Job, r.Epoch)
		}
		c := s.connectors[r.Job.UID]
		switch {
		case c.Deleted:
			return cluster.Errorf(cluster.Conflict, "connector %s is deleted", c.Name)
		case c.Target != cluster.Started:
			return cluster.Errorf(cluster.Conflict, "connector %s is %s", c.Name, c.Target)
		case c.ConfigVersion != r.ConfigVersion:
			return cluster.Errorf(cluster.Conflict, "task configs are of version %d of connector %s, which has version %d", r.ConfigVersion, c.Name, c.ConfigVersion)
		}
		c.fenceable = r.Fenceable
		if changed = s.differ(c, r); !changed {
			return nil
		}
		before := c.visible()
		c.Generation++
		c.TaskSet++
		c.published = r.ConfigVersion
		for i, cfg := range r.Tasks {
			t := c.jobs[i]
			if t == nil {
				t = &job{id: cluster.TaskJob(c.UID, i)}
				c.jobs[i] = t
			}
			t.wanted, t.gone, t.config, t.revision = true, false, cfg.Clone(), c.Generation
		}
		for _, t := range c.tasks() {
			if t.id.Task >= len(r.Tasks) && t.wanted {
				t.unwant()
			}
		}
		s.emit(cluster.Changes(before, c.visible())...)
		out = s.tell(c, append(out, s.wake(c)))
		return nil
	})
	return changed, out, err
}

func (s *Store) differ(c *connector, r cluster.TaskConfigReport) bool {
	if c.published != r.ConfigVersion || c.taskCount() != len(r.Tasks) {
		return true
	}
	for i, cfg := range r.Tasks {
		if !c.jobs[i].config.Equal(cfg) {
			return true
		}
	}
	return false
}

// Specs implements the store.
func (s *Store) Specs(ctx context.Context, id cluster.SessionID, jobs []cluster.JobID) (specs []cluster.JobSpec, err error) {
	err = s.enter(ctx, func() error {
		for _, j := range s.heldBy(id) {
			if slices.Contains(jobs, j.id) {
				specs = append(specs, s.connectors[j.id.UID].spec(j))
			}
		}
		return nil
	})
	return specs, err
}

// heldBy lists what a session should run.
func (s *Store) heldBy(id cluster.SessionID) []*job {
	return slices.DeleteFunc(s.everyJob(), func(j *job) bool { return !j.told() || j.session != id })
}

// Heartbeat implements the store.
func (s *Store) Heartbeat(ctx context.Context, hb cluster.Heartbeat) (reply cluster.HeartbeatReply, out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		v := s.sessions[hb.Session]
		if v == nil {
			return nil
		}
		reply.Known = true
		if !v.ended() {
			v.beat, v.load, v.jobs = s.now(), hb.Load, hb.Jobs
			switch hb.State {
			case cluster.SessionActive, cluster.SessionLost: // the latter is nobody's to say of itself
			case cluster.SessionDraining:
				v.State = cluster.SessionDraining // there is no way back
			case cluster.SessionClosed:
				s.end(v, cluster.SessionClosed)
				out = append(out, s.note(wire.Commands, wire.KindWake, wire.Wake{}))
			}
		}
		if reply.State = v.State; v.ended() {
			return nil
		}
		var held []cluster.HeldJob
		var statuses []cluster.Status
		for _, j := range s.everyJob() {
			if j.session == hb.Session && !j.told() {
				reply.LetGo = append(reply.LetGo, cluster.HeldJob{Job: j.id, Epoch: j.epoch, Revision: j.revision})
			}
		}
		for _, j := range s.heldBy(hb.Session) {
			held = append(held, cluster.HeldJob{Job: j.id, Epoch: j.epoch, Revision: j.revision})
			if j.status != nil && j.status.Session == j.session && j.status.Epoch == j.epoch {
				statuses = append(statuses, *j.status)
			}
		}
		if reply.Differs = cluster.DigestHeld(held) != hb.Digest; reply.Differs {
			reply.Held = held
		}
		reply.ResendStatuses = cluster.DigestStatuses(statuses) != hb.StatusDigest
		return nil
	})
	return reply, out, err
}
