package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// AcquireLease implements the store.
func (s *Store) AcquireLease(ctx context.Context, holder string, ttl time.Duration) (l cluster.LeaderLease, ok bool, wait time.Duration, err error) {
	err = s.enter(ctx, func() error {
		if holder == "" {
			return cluster.Errorf(cluster.Invalid, "a lease needs a holder")
		}
		// The same holder name is no exception: it may be a clone (SB-4).
		if s.leader.holder != "" && s.leader.expires.After(s.now()) {
			wait = s.leader.expires.Sub(s.now())
			return nil
		}
		s.leader.holder, s.leader.expires = holder, s.now().Add(ttl)
		s.leader.term++
		l, ok = cluster.LeaderLease{Holder: holder, Term: s.leader.term, TTL: ttl}, true
		return nil
	})
	return l, ok, wait, err
}

// leads refuses every term but the current one (Invariant 6).
func (s *Store) leads(term cluster.Term) error {
	if s.leader.term != term || s.leader.holder == "" || !s.leader.expires.After(s.now()) {
		return cluster.Errorf(cluster.StaleEpoch, "term %d has passed", term)
	}
	return nil
}

// RenewLease implements the store.
func (s *Store) RenewLease(ctx context.Context, l cluster.LeaderLease) error {
	return s.enter(ctx, func() error {
		if err := s.leads(l.Term); err != nil {
			return err
		}
		s.leader.expires = s.now().Add(l.TTL)
		return nil
	})
}

// ResignLease implements the store.
func (s *Store) ResignLease(ctx context.Context, l cluster.LeaderLease) error {
	return s.enter(ctx, func() error {
		if s.leader.term == l.Term {
			s.leader.holder, s.leader.expires = "", s.now()
		}
		return nil
	})
}

// RaiseEpochFloor implements the store.
func (s *Store) RaiseEpochFloor(ctx context.Context, floor cluster.Epoch) error {
	return s.enter(ctx, func() error {
		s.floor = max(s.floor, floor)
		return nil
	})
}

// Snapshot implements the store.
func (s *Store) Snapshot(ctx context.Context) (snap cluster.Snapshot, err error) {
	err = s.enter(ctx, func() error {
		snap.Floor = s.floor
		for _, v := range s.everySession() {
			if v.State == cluster.SessionClosed {
				continue
			}
			r := cluster.RunnerView{Runner: v.Runner, Session: v.Session, State: v.State, Pool: v.Pool, Capacity: v.Capacity,
				Age: s.now().Sub(v.beat), Joined: s.now().Sub(v.joined)}
			for _, p := range v.Plugins {
				if p.Kind == string(cluster.TypeSource) || p.Kind == string(cluster.TypeSink) {
					r.Plugins = append(r.Plugins, p.Class)
				}
			}
			slices.Sort(r.Plugins)
			r.Plugins = slices.Compact(r.Plugins)
			snap.Runners = append(snap.Runners, r)
		}
		for _, j := range s.everyJob() {
			if j.gone {
				continue
			}
			c := s.connectors[j.id.UID]
			pool, _ := c.Config.Get(cluster.PoolKey)
			pool = clean(pool)
			snap.Jobs = append(snap.Jobs, cluster.JobView{Job: j.id, Name: c.Name, Class: c.Class, Pool: pool, Wanted: j.wanted,
				Fenceable: c.fenceable && !j.id.IsInstance(), Revision: j.revision, Load: 1, Session: j.session, Epoch: j.epoch, Releasing: j.releasing})
		}
		return nil
	})
	return snap, err
}

// CommitPlan implements the store.
func (s *Store) CommitPlan(ctx context.Context, term cluster.Term, steps []cluster.Decision) (out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		if err := s.leads(term); err != nil {
			return err
		}
		undo := s.remember()
		var told []func() cluster.OutboxMessage
		ended := s.lingering(steps)
		for _, d := range steps {
			tell, err := s.step(d)
			if err != nil {
				undo() // SA-4: all or nothing
				return err
			}
			if tell != nil {
				told = append(told, tell)
			}
		}
		s.emit(ended...)
		for _, tell := range told {
			out = append(out, tell())
		}
		return nil
	})
	return out, err
}

// lingering are the events of statuses that end when their jobs are forgotten, of connectors that live.
func (s *Store) lingering(steps []cluster.Decision) (events []cluster.Event) {
	var forgotten []*job
	for _, d := range steps {
		if j := s.job(d.Job); d.Kind == cluster.Forget && j != nil && !s.connectors[d.Job.UID].Deleted {
			forgotten = append(forgotten, j)
		}
	}
	slices.SortFunc(forgotten, func(a, b *job) int { return cluster.CompareJobs(a.id, b.id) })
	for _, j := range forgotten {
		if e, changed := cluster.StateChange(s.connectors[j.id.UID].Name, j.id, j.shown(), nil); changed {
			events = append(events, e)
		}
	}
	return events
}

// remember copies what a plan can change and returns how to put it back.
func (s *Store) remember() func() {
	jobs := map[*job]job{}
	for _, j := range s.everyJob() {
		jobs[j] = *j
	}
	sessions := map[*session]session{}
	for _, v := range s.sessions {
		sessions[v] = *v
	}
	return func() {
		for j, was := range jobs {
			*j = was
		}
		for v, was := range sessions {
			*v = was
		}
	}
}

// step applies one decision and returns what its runner is told once all are applied.
func (s *Store) step(d cluster.Decision) (func() cluster.OutboxMessage, error) {
	if d.Kind == cluster.Lose {
		v := s.sessions[d.Session]
		if v == nil || v.ended() {
			return nil, cluster.Errorf(cluster.Conflict, "session %s has ended already", d.Session)
		}
		s.end(v, cluster.SessionLost)
		return nil, nil
	}
	j := s.job(d.Job)
	if j == nil || j.gone || j.epoch != d.Prior {
		return nil, cluster.Errorf(cluster.Conflict, "job %s is not at epoch %d any more", d.Job, d.Prior)
	}
	switch d.Kind {
	case cluster.Assign:
		v := s.sessions[d.Session]
		switch {
		case !j.wanted:
			return nil, cluster.Errorf(cluster.Conflict, "job %s is not wanted any more", d.Job)
		case d.Epoch <= d.Prior || d.Epoch <= s.floor:
			return nil, cluster.Errorf(cluster.Conflict, "epoch %d of job %s must be above %d and the floor %d", d.Epoch, d.Job, d.Prior, s.floor)
		case v == nil || v.State != cluster.SessionActive:
			return nil, cluster.Errorf(cluster.Conflict, "session %s takes no jobs", d.Session)
		}
		var former *cluster.Former
		if j.session != "" && j.session != d.Session {
			former = &cluster.Former{Session: j.session, Epoch: d.Prior}
		}
		j.session, j.epoch, j.releasing = d.Session, d.Epoch, false
		return func() cluster.OutboxMessage {
			spec := s.connectors[d.Job.UID].spec(j)
			spec.Former = former
			return s.note(wire.Runner(d.Session), wire.KindAssign, spec)
		}, nil
	case cluster.Release:
		if j.session == "" || j.session != d.Session {
			return nil, cluster.Errorf(cluster.Conflict, "session %s does not hold %s", d.Session, d.Job)
		}
		j.releasing = true
		return func() cluster.OutboxMessage {
			return s.note(wire.Runner(d.Session), wire.KindRelease, wire.Release{Job: d.Job, Session: d.Session, Epoch: d.Prior})
		}, nil
	case cluster.Forget:
		if j.wanted || j.session != "" {
			return nil, cluster.Errorf(cluster.Conflict, "job %s is wanted or held", d.Job)
		}
		j.gone, j.status = true, nil
		return nil, nil
	case cluster.Lose: // of a session, not of a job
	}
	return nil, cluster.Errorf(cluster.Invalid, "there is no decision %q", d.Kind)
}
