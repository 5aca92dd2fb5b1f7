package plan

import (
	"math"

	"github.com/millrace/millrace/controlplane/cluster"
)

// placeAll gives the jobs that run nowhere a runner, or a reason.
func (w *world) placeAll() {
	for _, i := range w.place {
		j := &w.jobs[i]
		to := w.choose(i, nobody)
		if to == nobody {
			w.wait(j, w.whyNot(j))
			if j.v.Releasing && j.holder != nobody && !w.sessions[j.holder].ended {
				w.count(j, j.holder) // it still takes room there
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
	for _, s := range w.takers {
		load := w.sessions[s].load
		if load > limit || !can(s) {
			continue
		}
		peers := w.peers(i, s)
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

// peers counts the tasks of the same connector on a session. An instance has none: it costs little beside its tasks.
func (w *world) peers(i, s int) int {
	if w.jobs[i].v.Job.IsInstance() {
		return 0
	}
	uid, n := w.jobs[i].v.Job.UID, 0
	for k := i - 1; k >= 0 && w.jobs[k].v.Job.UID == uid; k-- {
		if w.jobs[k].at == s && !w.jobs[k].v.Job.IsInstance() {
			n++
		}
	}
	for k := i + 1; k < len(w.jobs) && w.jobs[k].v.Job.UID == uid; k++ {
		if w.jobs[k].at == s {
			n++
		}
	}
	return n
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
