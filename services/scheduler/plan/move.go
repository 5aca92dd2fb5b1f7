package plan

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/controlplane/cluster"
)

// moveAll takes jobs away from draining runners and from those that no longer suit them, a batch per round.
func (w *world) moveAll() {
	if w.hold {
		return // nothing moves
	}
	for _, i := range w.move {
		j := &w.jobs[i]
		to := w.choose(i, j.holder)
		if to == nobody {
			continue // where it runs is better than nowhere
		}
		if w.budget <= 0 && !w.m.noBudget {
			w.wait(j, cluster.WhyBudget)
			w.wake(w.cfg.MoveInterval)
			continue
		}
		w.budget--
		from := &w.sessions[j.holder]
		if !fenced(j.v) && !w.m.stealUnfenced {
			w.release = append(w.release, w.decide(cluster.Release, j, from, j.why))
			continue
		}
		w.uncount(j)
		w.assignTo(j, to)
	}
}

// rebalance evens out what joining and leaving runners left uneven. It is lazy: only in a quiet round, only beyond the
// slack, one job at a time until the difference is within it.
func (w *world) rebalance() {
	if w.m.noRebalance || w.hold || w.vanished > 0 ||
		len(w.lose)+len(w.forget)+len(w.release)+len(w.assign) > 0 {
		return
	}
	order := slices.Clone(w.takers)
	for {
		slices.SortFunc(order, func(a, b int) int { // busiest first
			return cmp.Or(cmp.Compare(w.sessions[b].load, w.sessions[a].load), cmp.Compare(a, b))
		})
		i, to := w.bestMove(order)
		if i == nobody {
			return
		}
		if w.budget <= 0 && !w.m.noBudget {
			w.wake(w.cfg.MoveInterval)
			return
		}
		w.budget--
		j := &w.jobs[i]
		from := &w.sessions[j.holder]
		w.uncount(j)
		from.held = slices.DeleteFunc(from.held, func(k int) bool { return k == i })
		j.why = cluster.WhyRebalance
		w.assignTo(j, to)
	}
}

// bestMove finds the most uneven pair of runners between which a job can move, and the job: the one that leaves the
// tasks of its connector best spread, then the one whose load halves the difference best. order is busiest first.
func (w *world) bestMove(order []int) (i, to int) {
	for _, from := range order {
		hi := &w.sessions[from]
		for _, lo := range slices.Backward(order) {
			diff := hi.load - w.sessions[lo].load
			if diff <= w.slack(hi.load) {
				break // the others have more
			}
			if !w.room(lo) {
				continue
			}
			if joined := w.sessions[lo].v.Joined; joined < w.cfg.RebalanceAfter {
				w.wake(w.cfg.RebalanceAfter - joined)
				continue
			}
			if i := w.bestJob(hi, from, lo, diff); i != nobody {
				return i, lo
			}
		}
	}
	return nobody, nobody
}

func (w *world) bestJob(hi *session, from, lo int, diff float64) int {
	best, bestSpread, bestRest := nobody, 0, 0.0
	for _, i := range hi.held {
		j := &w.jobs[i]
		// A job as heavy as the difference would only turn the unevenness around.
		if !fenced(j.v) || j.weight >= diff || !w.kinds[j.kind].fits[lo] {
			continue
		}
		w.countPeers(i, +1)
		spread := w.tally[lo] - w.tally[from]
		w.countPeers(i, -1)
		rest := diff - 2*j.weight
		if rest < 0 {
			rest = -rest
		}
		if best == nobody || spread < bestSpread || spread == bestSpread && rest < bestRest {
			best, bestSpread, bestRest = i, spread, rest
		}
	}
	return best
}
