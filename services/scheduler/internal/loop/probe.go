package loop

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

const (
	trustAfter   = 3 * time.Second        // our own connection must have been up this long before "nobody" means anything
	probeTimeout = 200 * time.Millisecond // for the answer of a runner that lives
	probeFresh   = 250 * time.Millisecond // an answer is good for this long
	probesAtOnce = 32
	silentNews   = 10 * time.Second // silence is news for this long: until the rules have had time to call it a loss
)

// prober asks sessions whether somebody is there. "Nobody serves this endpoint" is the bus's word that the connection is
// gone; no answer in time proves nothing, but makes the leader look more often.
type prober struct {
	bus Bus
	now func() time.Time

	mu       sync.Mutex // guards the fields below
	sessions []cluster.SessionID
	last     map[cluster.SessionID]probe
}

type probe struct {
	at          time.Time
	nobody      bool
	silent      bool
	silentSince time.Time
}

func (p *prober) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions, p.last = nil, map[cluster.SessionID]probe{}
}

// remember keeps the sessions that are worth asking and drops what is known of others.
func (p *prober) remember(runners []cluster.RunnerView) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := make(map[cluster.SessionID]probe, len(runners))
	p.sessions = p.sessions[:0]
	for _, r := range runners {
		if r.State == cluster.SessionLost || r.State == cluster.SessionClosed {
			continue
		}
		p.sessions = append(p.sessions, r.Session)
		if a, ok := p.last[r.Session]; ok {
			last[r.Session] = a
		}
	}
	p.last = last
}

// mark fills Unreachable. It asks those whose heartbeat is older than age; if one of them is gone it asks everybody, for
// a mass loss must be seen as one.
func (p *prober) mark(ctx context.Context, runners []cluster.RunnerView, age time.Duration) {
	ask := func(all bool) (gone bool) {
		var who []cluster.SessionID
		for _, r := range runners {
			if (all || r.Age > age) && r.State != cluster.SessionLost && r.State != cluster.SessionClosed {
				who = append(who, r.Session)
			}
		}
		answers := p.ask(ctx, who, probeFresh)
		for i := range runners {
			if a, ok := answers[runners[i].Session]; ok {
				runners[i].Unreachable = a.nobody
				gone = gone || a.nobody
			}
		}
		return gone
	}
	if ask(false) {
		ask(true)
	}
}

// silent tells whether somebody has stopped answering a short while ago. A runner that never answers but beats, by HTTP
// say, is no news.
func (p *prober) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.last {
		if a.silent && a.at.Sub(a.silentSince) < silentNews {
			return true
		}
	}
	return false
}

// ask pings sessions in parallel, except those whose last answer is younger than fresh.
func (p *prober) ask(ctx context.Context, who []cluster.SessionID, fresh time.Duration) map[cluster.SessionID]probe {
	answers := make(map[cluster.SessionID]probe, len(who))
	var stale []cluster.SessionID
	p.mu.Lock()
	for _, s := range who {
		if a, ok := p.last[s]; ok && p.now().Sub(a.at) < fresh {
			answers[s] = a
		} else {
			stale = append(stale, s)
		}
	}
	p.mu.Unlock()
	got := make([]probe, len(stale))
	var wg sync.WaitGroup
	slots := make(chan struct{}, probesAtOnce)
	for i, s := range stale {
		slots <- struct{}{}
		wg.Go(func() {
			got[i] = p.ping(ctx, s)
			<-slots
		})
	}
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, s := range stale {
		a := got[i]
		a.silentSince = a.at
		if old, ok := p.last[s]; ok && old.silent && a.silent {
			a.silentSince = old.silentSince
		}
		answers[s] = a
		p.last[s] = a
	}
	return answers
}

func (p *prober) ping(ctx context.Context, s cluster.SessionID) probe {
	msg, err := wire.Encode(wire.KindPing, "", wire.Ack{})
	if err != nil {
		panic(err) // an empty struct always encodes
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err = p.bus.Request(ctx, wire.RunnerCall(s), msg)
	return probe{at: p.now(), nobody: errors.Is(err, wire.ErrNobody), silent: err != nil}
}

// run asks every session each interval and wakes the leader when one does not answer, so that a killed runner is noticed
// before its heartbeat is due, without reading the store in between.
func (p *prober) run(ctx context.Context, every time.Duration, wake func()) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if p.bus.Connected() < trustAfter {
			continue
		}
		p.mu.Lock()
		who := append([]cluster.SessionID(nil), p.sessions...)
		p.mu.Unlock()
		p.ask(ctx, who, probeFresh)
		if p.silent() && ctx.Err() == nil {
			wake()
		}
	}
}
