package session

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/sleep"
)

// beats sends heartbeats until ctx ends or the session is over. It has its goroutine to itself: no plugin, no status and
// no message can delay it (G7).
func (s *Session) beats(ctx context.Context, id cluster.SessionID, log *slog.Logger) {
	missed := 0
	for {
		began := time.Now()
		over, err := s.beatOnce(ctx, id, s.state())
		switch {
		case ctx.Err() != nil:
			return
		case over:
			log.Warn("the session is over, starting a new one")
			return
		case err != nil:
			s.o.Metrics.missed.Inc()
			if missed++; missed == 3 || missed%60 == 0 {
				log.Warn("no scheduler answers; jobs go on", slog.Int("missed_beats", missed), slog.Any(obs.KeyErr, err))
			}
		default:
			if missed >= 3 {
				log.Info("a scheduler answers again", slog.Int("missed_beats", missed))
			}
			missed = 0
			s.tellKafkaID(ctx, id, log)
		}
		s.o.Metrics.answered.Set(boolGauge(err == nil))
		wait := time.NewTimer(max(s.o.Heartbeat-time.Since(began), s.o.Heartbeat/10))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-s.o.Outbox.beat:
			wait.Stop()
		case <-wait.C:
		}
	}
}

func boolGauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (s *Session) state() cluster.SessionState {
	if s.draining.Load() {
		return cluster.SessionDraining
	}
	return cluster.SessionActive
}

// beatOnce sends one heartbeat and acts on the answer. over: the store does not know the session or has ended it.
func (s *Session) beatOnce(ctx context.Context, id cluster.SessionID, state cluster.SessionState) (over bool, err error) {
	h := s.o.Jobs.Holding()
	hb := cluster.Heartbeat{Runner: s.o.Registration.Runner, Session: id, State: state, Digest: cluster.DigestHeld(h.Held),
		StatusDigest: cluster.DigestStatuses(h.Statuses), Jobs: len(h.Held)}
	if c := s.o.Registration.Capacity; c > 0 {
		hb.Load = float64(len(h.Held)) / float64(c)
	}
	reply, err := ask[cluster.HeartbeatReply](ctx, s.door, wire.KindBeat, hb, wire.KindBeat)
	if err != nil {
		return false, err
	}
	if !reply.Known || reply.State == cluster.SessionLost || reply.State == cluster.SessionClosed {
		return true, nil
	}
	missing := s.o.Jobs.Correct(h, reply)
	if reply.ResendStatuses {
		s.o.Metrics.resent.Inc()
		s.o.Outbox.again(s.o.Jobs.Holding().Statuses)
	}
	return false, s.fetch(ctx, id, missing)
}

// fetch asks for the specs of jobs that are ours and unknown here.
func (s *Session) fetch(ctx context.Context, id cluster.SessionID, missing []cluster.JobID) error {
	for part := range slices.Chunk(missing, wire.MaxSpecs) {
		reply, err := ask[wire.SpecsReply](ctx, s.door, wire.KindSpecs, wire.SpecsRequest{Session: id, Jobs: part}, wire.KindSpecs)
		if err != nil {
			return err
		}
		s.o.Metrics.healed.Add(float64(len(reply.Specs)))
		for _, spec := range reply.Specs {
			s.o.Jobs.Apply(spec)
		}
	}
	return nil
}

// send tells what the outbox holds until ctx ends.
func (s *Session) send(ctx context.Context) {
	resync := time.NewTimer(around(s.o.Resync))
	defer resync.Stop()
	for try := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-resync.C:
			resync.Reset(around(s.o.Resync))
			s.o.Outbox.resync()
			continue
		case <-s.o.Outbox.wake:
		}
		b := s.o.Outbox.take()
		if b.empty() {
			continue
		}
		if rest := s.sendBatch(ctx, b); !rest.empty() {
			s.o.Outbox.putBack(rest)
			if !sleep.For(ctx, backoff(try)) {
				return
			}
			try++
			poke(s.o.Outbox.wake)
			continue
		}
		try = 0
	}
}

// sendBatch returns what could not be sent.
func (s *Session) sendBatch(ctx context.Context, b batch) (rest batch) {
	s.mu.Lock()
	id := s.id
	s.mu.Unlock()
	// Releases, task configs and topics: until they are known to be stored. With them go the statuses, which are then stored too.
	if len(b.releases)+len(b.tasks)+len(b.topics) > 0 {
		r := wire.Report{Session: id, Statuses: append(b.statuses, b.releases...), TaskConfigs: b.tasks, Topics: b.topics}
		if err := s.confirm(ctx, r); err != nil {
			s.log.Debug("report not stored yet", slog.Any(obs.KeyErr, err))
			return b
		}
		return batch{}
	}
	r := wire.Report{Session: id, Statuses: b.statuses}
	if s.o.Bus.Connected() > 0 {
		msg, err := wire.Encode(wire.KindReport, "", r)
		if err == nil {
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			err = s.o.Bus.Publish(ctx, wire.Reports, "", msg)
			cancel()
		}
		if err == nil {
			return batch{}
		}
		s.log.Debug("status not published", slog.Any(obs.KeyErr, err))
	}
	if err := s.confirm(ctx, r); err != nil {
		return b
	}
	return batch{}
}

// confirm sends a report and waits until it is stored. A report that can never be stored is dropped, with a line.
func (s *Session) confirm(ctx context.Context, r wire.Report) error {
	_, err := ask[wire.Ack](ctx, s.door, wire.KindReport, r, wire.KindAck)
	if cluster.Is(err, cluster.Invalid) {
		s.log.Error("a report was refused for good", slog.Any(obs.KeyErr, err))
		return nil
	}
	return err
}

// handoverTime is how long a successor waits for the former holder to finish. After that the fence cuts it off.
const handoverTime = 300 * time.Millisecond

// Handover asks the former holder of a job to finish what it has in hand and let go, and waits a moment for that. One that
// can't be reached is cut off by the fence.
func (s *Session) Handover(ctx context.Context, id cluster.JobID, former cluster.Former) {
	if s.o.Bus.Connected() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handoverTime)
	defer cancel()
	msg, err := wire.Encode(wire.KindRelease, uuid.NewString(), wire.Release{Job: id, Session: former.Session, Epoch: former.Epoch})
	if err == nil {
		_, err = s.o.Bus.Request(ctx, wire.RunnerCall(former.Session), msg)
	}
	if err != nil {
		s.log.Debug("the former holder did not let go", slog.Any(obs.KeyErr, err))
	}
}

// Drain announces that the runner is leaving and waits until its jobs have moved elsewhere or ctx ends.
func (s *Session) Drain(ctx context.Context) {
	s.draining.Store(true)
	s.o.Jobs.Leave()
	s.o.Outbox.Beat()
	for len(s.o.Jobs.Holding().Held) > 0 {
		if !sleep.For(ctx, drainLook) {
			return
		}
	}
}

// drainLook is how often a draining runner looks whether it is empty.
const drainLook = 50 * time.Millisecond

// Goodbye tells what is still to be told and ends the session, so that nobody has to wait for its silence. When no scheduler
// answers before ctx ends, the silence has to do: that is no fault of a runner that was told to stop. Run must have ended, and
// all jobs must have stopped.
func (s *Session) Goodbye(ctx context.Context) error {
	s.mu.Lock()
	id, registered := s.id, s.registered
	s.mu.Unlock()
	if !registered {
		return nil
	}
	for try := 0; s.o.Outbox.pending(); try++ {
		if rest := s.sendBatch(ctx, s.o.Outbox.take()); !rest.empty() {
			s.o.Outbox.putBack(rest)
			if !sleep.For(ctx, backoff(try)) {
				break
			}
		}
	}
	for try := 0; ; try++ {
		_, err := s.beatOnce(ctx, id, cluster.SessionClosed)
		if err == nil {
			return nil
		}
		if !sleep.For(ctx, backoff(try)) {
			s.log.Warn("no scheduler answers the goodbye; they will notice the silence", slog.Any(obs.KeyErr, err))
			return nil
		}
	}
}

// around is d, give or take a fifth, so that a fleet does not speak in step.
func around(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5+1) }

// backoff grows from 100 ms to 2 s, give or take half, so that a fleet does not ask in step.
func backoff(try int) time.Duration {
	d := min(100*time.Millisecond<<min(try, 10), 2*time.Second)
	return d/2 + rand.N(d)
}
