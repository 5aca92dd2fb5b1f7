package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
)

// session is a runner's session with what this round knows of it.
type session struct {
	v        *cluster.RunnerView
	suspect  bool // gets nothing new
	vanished bool // counts for the mass-loss hold
	overdue  bool // its heartbeat is LostAfter old
	gone     bool // lost by the rules: its fenced jobs move now
	ended    bool // lost already, or lost by this round: everything it held is free
	takes    bool // may get jobs

	load     float64
	jobs     int
	held     []int // jobs that settled here, ascending
	unfenced int   // held jobs that nothing fences
}

// judgeSessions decides who lives, whether this is a mass loss, and who is lost.
func (w *world) judgeSessions() {
	present := 0
	for i := range w.sessions {
		s := &w.sessions[i]
		if s.v.State == cluster.SessionLost || s.v.State == cluster.SessionClosed {
			s.ended = true
			continue
		}
		s.suspect = s.v.Age >= w.cfg.SuspectAfter || s.v.Unreachable
		s.overdue = s.v.Age > w.cfg.LostAfter
		s.gone = s.overdue || s.v.Unreachable && s.v.Age > w.cfg.ConfirmAfter
		switch {
		case !s.suspect:
			present++
		case s.v.Age <= w.cfg.LostAfter+w.cfg.HoldGrace:
			s.vanished = true
			w.vanished++
		}
		s.takes = s.v.State == cluster.SessionActive && !s.suspect ||
			w.m.assignToSuspect && s.v.State == cluster.SessionActive || w.m.assignToDraining && !s.suspect
		if s.takes {
			w.takers = append(w.takers, i)
		}
	}
	// Invariant 5: a loss this large is as likely our own isolation. All suspects count, not only the lost: heartbeats of
	// runners that vanished together are up to one interval apart, and the first must not move before the last is seen.
	tooMany := w.vanished >= w.cfg.HoldMin && float64(w.vanished) > w.cfg.HoldShare*float64(w.vanished+present)
	nobodyLeft := w.vanished > 0 && present == 0
	w.hold = (tooMany || nobodyLeft) && !w.m.noHold

	for i := range w.sessions {
		s := &w.sessions[i]
		if s.ended || !s.suspect {
			continue
		}
		if w.hold && s.vanished {
			s.gone = false
			w.wake(w.cfg.LostAfter + w.cfg.HoldGrace - s.v.Age + time.Millisecond)
			continue
		}
		switch {
		case s.overdue:
			w.loseSession(s, cluster.WhyHeartbeatLost)
		case s.gone && s.unfenced == 0:
			w.loseSession(s, cluster.WhyConnectionGone)
		default:
			if s.v.Unreachable && !s.gone {
				w.wake(w.cfg.ConfirmAfter - s.v.Age + time.Millisecond)
			}
			w.wake(w.cfg.LostAfter - s.v.Age + time.Millisecond)
		}
	}
}

func (w *world) loseSession(s *session, why cluster.Reason) {
	if w.m.loseNobody {
		s.gone = false
		return
	}
	s.ended = true
	w.lose = append(w.lose, cluster.Decision{Kind: cluster.Lose, Runner: s.v.Runner, Session: s.v.Session, Why: why})
}

func compareSessions(a, b *cluster.RunnerView) int {
	return cmp.Or(cmp.Compare(a.Runner, b.Runner), cmp.Compare(a.Session, b.Session))
}

// kind is what jobs ask of a runner: its class and pool. Jobs share few kinds, so fitness is computed once for each.
type kind struct {
	class, pool string
	fits        []bool // by session
	plugin      bool   // some taker has the plugin
	inPool      bool   // some taker has the plugin and is in the pool
}

func (w *world) newKind(class, pool string) kind {
	k := kind{class: class, pool: pool, fits: make([]bool, len(w.sessions))}
	for i := range w.sessions {
		s := &w.sessions[i]
		if s.ended {
			continue
		}
		_, has := slices.BinarySearch(s.v.Plugins, class)
		if !has { // the contract says sorted; an unsorted list must not hide a plugin
			has = !slices.IsSorted(s.v.Plugins) && slices.Contains(s.v.Plugins, class)
		}
		has = has || w.m.ignorePlugin
		in := pool == "" || s.v.Pool == pool || w.m.ignorePool
		k.fits[i] = has && in
		k.plugin = k.plugin || has && s.takes
		k.inPool = k.inPool || has && in && s.takes
	}
	return k
}
