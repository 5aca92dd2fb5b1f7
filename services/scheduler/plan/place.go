package plan

import (
	"math"
	"slices"

	"github.com/millrace/millrace/controlplane/cluster"
)

// placeAll gives the jobs that run nowhere a runner, or a reason.
func (w *world) placeAll() {
	w.assign = slices.Grow(w.assign, len(w.place))
	for _, i := range w.place {
		j := &w.jobs[i]
		before := j.at
		if before != nobody {
			w.uncount(j)
		}
		to := w.choose(i, nobody)
		if to == nobody {
			w.wait(j, w.whyNot(j))
			if before != nobody {
				w.count(j, before)
			}
			continue
		}
		w.assignTo(j, to)
	}
}

func (w *world) assignTo(j *job, to int) {
	w.assign = append(w.assign, w.decide(cluster.Assign, j, &w.sessions[to], j.why))
	if !w.m.ignoreRoomReserved {
		w.count(j, to)
	}
}

// choose picks a runner for a job: of those that fit and have room, the ones whose load stays within the slack of the
// least loaded; of those, the one with the fewest tasks of the same connector; then the least loaded; then the first by
// id. The preferred session wins when it can take the job at all. nobody when there is none; never except.
func (w *world) choose(i, except int) int {
	j := &w.jobs[i]
	fits := w.kinds[j.kind].fits
	can := func(s int) bool { return s != except && fits[s] && w.room(s) }
	if p := j.prefer; p != nobody && w.sessions[p].takes && can(p) {
		return p
	}
	least := math.Inf(1)
	for _, s := range w.takers {
		if l := w.sessions[s].load; l < least && can(s) {
			least = l
		}
	}
	if math.IsInf(least, 1) {
		return nobody
	}
	limit := least + max(w.slack(least)-j.weight, 0)
	best, bestLoad, bestPeers := nobody, 0.0, 0
	w.countPeers(i, +1)
	defer w.countPeers(i, -1)
	for _, s := range w.takers {
		load := w.sessions[s].load
		if load > limit || !can(s) {
			continue
		}
		peers := w.tally[s]
		if best == nobody || peers < bestPeers || peers == bestPeers && load < bestLoad {
			best, bestLoad, bestPeers = s, load, peers
		}
	}
	return best
}

func (w *world) room(s int) bool {
	c := w.sessions[s].v.Capacity
	return c == 0 || w.sessions[s].jobs < c || w.m.ignoreRoom
}

// countPeers adds n to the tally of each session for each task of the same connector on it; -1 takes that back. An
// instance has no peers: it costs little beside its tasks.
func (w *world) countPeers(i, n int) {
	if w.jobs[i].v.Job.IsInstance() {
		return
	}
	uid := w.jobs[i].v.Job.UID
	first := i
	for first > 0 && w.jobs[first-1].v.Job.UID == uid {
		first--
	}
	for k := first; k < len(w.jobs) && w.jobs[k].v.Job.UID == uid; k++ {
		if j := &w.jobs[k]; k != i && j.at != nobody && !j.v.Job.IsInstance() {
			w.tally[j.at] += n
		}
	}
}

// slack is the load difference that is left alone beside a load.
func (w *world) slack(load float64) float64 {
	return max(w.cfg.RebalanceSlack, w.cfg.RebalanceShare*load)
}

// whyNot says what a job that can't be placed waits for.
func (w *world) whyNot(j *job) cluster.Reason {
	k := &w.kinds[j.kind]
	switch {
	case w.hold && len(w.takers) == 0:
		return cluster.WhyHold
	case len(w.takers) == 0:
		return cluster.WhyNoRunner
	case !k.plugin:
		return cluster.WhyNoPlugin
	case !k.inPool:
		return cluster.WhyNoPool
	}
	return cluster.WhyNoCapacity
}
