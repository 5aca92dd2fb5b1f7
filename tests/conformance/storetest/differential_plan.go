package storetest

import (
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
)

func (d *duel) acquire(t *rapid.T, name string) {
	holder := pick(t, []string{"x", "y"}, "", "holder")
	got, err := d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		l, ok, _, err := s.AcquireLease(d.ctx, holder, time.Hour)
		return answer{l, ok}, nil, err
	})
	if err != nil {
		return
	}
	if l, ok := got[0].(cluster.LeaderLease); ok && l.Term > 0 {
		d.leases = append(d.leases, l)
	}
}

// lease draws the newest lease, mostly.
func (d *duel) lease(t *rapid.T) cluster.LeaderLease {
	if len(d.leases) == 0 || rarely(t, 6, "an older lease") {
		return pick(t, d.leases, cluster.LeaderLease{Holder: "x", Term: 99, TTL: time.Hour}, "lease")
	}
	return d.leases[len(d.leases)-1]
}

func (d *duel) renew(t *rapid.T, name string) {
	l := d.lease(t)
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) { return nil, nil, s.RenewLease(d.ctx, l) })
}

func (d *duel) resign(t *rapid.T, name string) {
	if !rarely(t, 3, "resigns") {
		t.Skip("leaders should lead for a while")
	}
	l := d.lease(t)
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) { return nil, nil, s.ResignLease(d.ctx, l) })
}

func (d *duel) commit(t *rapid.T, name string, steps ...cluster.Decision) {
	term := d.lease(t).Term
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		out, err := s.CommitPlan(d.ctx, term, steps)
		return nil, out, err
	})
}

// assignment gives a job to a session under the next epoch.
func (d *duel) assignment(t *rapid.T, jobs []cluster.JobView) cluster.Decision {
	j := rapid.SampledFrom(jobs).Draw(t, "job")
	return cluster.Decision{Kind: cluster.Assign, Job: j.Job, Session: d.taker(t), Prior: j.Epoch, Epoch: max(j.Epoch, d.snap.Floor) + 1}
}

// taker is a session that takes jobs, mostly.
func (d *duel) taker(t *rapid.T) cluster.SessionID {
	var active []cluster.SessionID
	for _, r := range d.snap.Runners {
		if r.State == cluster.SessionActive {
			active = append(active, r.Session)
		}
	}
	return pick(t, active, pick(t, d.sessions, "never", "ended session"), "session")
}

// assign keeps the world going: without owners hardly anything else succeeds.
func (d *duel) assign(t *rapid.T, name string) {
	wanted := d.jobs(func(j cluster.JobView) bool { return j.Wanted })
	if len(wanted) == 0 {
		t.Skip("nothing is wanted")
	}
	d.commit(t, name, d.assignment(t, wanted))
}

func (d *duel) forget(t *rapid.T, name string) {
	free := d.jobs(func(j cluster.JobView) bool { return !j.Wanted && !held(j) })
	if len(free) == 0 {
		t.Skip("nothing can be forgotten")
	}
	j := rapid.SampledFrom(free).Draw(t, "job")
	d.commit(t, name, cluster.Decision{Kind: cluster.Forget, Job: j.Job, Prior: j.Epoch})
}

// plan is several steps at once, some of them wrong: all or none are stored.
func (d *duel) plan(t *rapid.T, name string) {
	if len(d.snap.Jobs) == 0 {
		t.Skip("there are no jobs")
	}
	var steps []cluster.Decision
	for range rapid.IntRange(1, 4).Draw(t, "steps") {
		step := d.assignment(t, d.snap.Jobs)
		if have := d.jobs(held); len(have) > 0 && rapid.Bool().Draw(t, "of a held job") {
			j := rapid.SampledFrom(have).Draw(t, "job")
			step = cluster.Decision{Kind: cluster.Release, Job: j.Job, Session: j.Session, Prior: j.Epoch}
			if rarely(t, 4, "the session instead") {
				step = cluster.Decision{Kind: cluster.Lose, Session: j.Session}
			}
		}
		switch rapid.IntRange(0, 19).Draw(t, "wrong") {
		case 19:
			step.Prior++
		case 18:
			step.Session = pick(t, d.sessions, "never", "session")
		case 17:
			step.Kind = cluster.Forget
		case 16:
			step.Epoch = step.Prior
		case 15:
			step.Kind = "nonsense"
		}
		steps = append(steps, step)
	}
	d.commit(t, name, steps...)
}

func (d *duel) claim(t *rapid.T, name string) {
	limit := rapid.IntRange(0, 5).Draw(t, "limit")
	minAge := rapid.SampledFrom([]time.Duration{0, 0, time.Hour}).Draw(t, "min age")
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		claimed, err := s.ClaimOutbox(d.ctx, limit, minAge, time.Hour)
		return answer{claimed}, nil, err
	})
}

func (d *duel) published(t *rapid.T, name string) {
	var marked [2][]int64
	for _, ids := range d.outbox {
		if rarely(t, 3, "published") {
			marked[0], marked[1] = append(marked[0], ids[0]), append(marked[1], ids[1])
		}
	}
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		ids := marked[0]
		if s == d.subject {
			ids = marked[1]
		}
		return nil, nil, s.MarkPublished(d.ctx, ids)
	})
}

func (d *duel) pruneOutbox(t *rapid.T, name string) {
	age := rapid.SampledFrom([]time.Duration{time.Hour, time.Hour, 0}).Draw(t, "max age")
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		n, err := s.PruneOutbox(d.ctx, age)
		return answer{n}, nil, err
	})
}
