package membus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/membus"
	"github.com/millrace/millrace/controlplane/wire"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// sim is a hub that a test drives, with a trace of what arrived when.
type sim struct {
	*membus.Hub
	t     require.TestingT
	clock *membus.Clock
	trace []string
}

func newSim(t require.TestingT, f membus.Faults) *sim {
	c := membus.NewClock(start)
	return &sim{Hub: membus.New(f, c), t: t, clock: c}
}

func (s *sim) note(format string, args ...any) {
	s.trace = append(s.trace, s.clock.Now().Sub(start).String()+" "+fmt.Sprintf(format, args...))
}

func (s *sim) attach(a wire.Address, name string) {
	_, err := s.Attach(a, func(msg []byte) error { s.note("%s %s", name, msg); return nil })
	require.NoError(s.t, err)
}

// messages is the trace without the times.
func (s *sim) messages() []string {
	var all []string
	for _, line := range s.trace {
		_, m, _ := strings.Cut(line, " ")
		all = append(all, m)
	}
	return all
}

// conversation is a busy run in which everything is used.
func conversation(t require.TestingT, f membus.Faults) *sim {
	s := newSim(t, f)
	s.attach(wire.Commands, "a")
	s.attach(wire.Commands, "b")
	fails := 2
	_, err := s.Attach(wire.Reports, func(msg []byte) error {
		s.note("report %s", msg)
		if fails--; fails >= 0 {
			return errors.New("not now")
		}
		return nil
	})
	require.NoError(t, err)
	_, err = s.Answer(wire.Scheduler, func(msg []byte) ([]byte, error) {
		s.note("asked %s", msg)
		return append([]byte("re "), msg...), s.Send(wire.Commands, "", msg)
	})
	require.NoError(t, err)
	for i := range 2 {
		_, err = s.Hear(wire.Events, func(msg []byte) { s.note("hear %d %s", i, msg) })
		require.NoError(t, err)
	}
	for i := range 30 {
		body := []byte(fmt.Sprint(i))
		require.NoError(t, s.Send(wire.Commands, fmt.Sprint("c", i), body))
		require.NoError(t, s.Send(wire.Reports, fmt.Sprint("r", i), body))
		require.NoError(t, s.Tell(wire.Events, body))
		require.NoError(t, s.Ask(wire.Scheduler, body, time.Second, func(reply []byte, err error) { s.note("reply %s %v", reply, err) }))
		s.Advance(7 * time.Millisecond)
	}
	s.Advance(time.Minute)
	require.Zero(t, s.Pending())
	return s
}

func TestSim_same_seed_same_run_other_seed_other_run(t *testing.T) {
	t.Parallel()
	f := membus.Faults{Seed: 42, Drop: 0.1, Duplicate: 0.1, Reorder: 0.2, Delay: 20 * time.Millisecond}
	one, two := conversation(t, f), conversation(t, f)
	require.Equal(t, one.trace, two.trace)
	require.Positive(t, one.Lost())
	f.Seed = 43
	require.NotEqual(t, one.trace, conversation(t, f).trace)
}

func TestSim_without_faults_nothing_is_lost_doubled_or_overtaken(t *testing.T) {
	t.Parallel()
	s := conversation(t, membus.Faults{})
	require.Zero(t, s.Lost())
	var heard []string
	for _, m := range s.messages() {
		if rest, ok := strings.CutPrefix(m, "hear 0 "); ok {
			heard = append(heard, rest)
		}
	}
	require.Len(t, heard, 30)
	require.True(t, slices.IsSortedFunc(heard, func(a, b string) int { return len(a)*100 + strings.Compare(a, b) - len(b)*100 }), "%v", heard)
}

func TestSim_nothing_happens_without_a_step(t *testing.T) {
	t.Parallel()
	s := newSim(t, membus.Faults{})
	s.attach(wire.Commands, "got")
	require.NoError(t, s.Send(wire.Commands, "1", []byte("x")))
	require.Empty(t, s.trace)
	require.Equal(t, 1, s.Pending(), "the message is under way")
	require.True(t, s.Step(), "it arrives")
	require.Empty(t, s.trace)
	require.True(t, s.Step(), "it is handled")
	require.Equal(t, []string{"0s got x"}, s.trace)
	require.False(t, s.Step())
	require.Zero(t, s.Pending())
	require.Zero(t, s.Queued(wire.Commands))
}

func TestSim_a_failed_message_comes_again_after_growing_pauses_and_grows_old(t *testing.T) {
	t.Parallel()
	s := newSim(t, membus.Faults{})
	_, err := s.Attach(wire.Reports, func([]byte) error { s.note("try"); return errors.New("never") })
	require.NoError(t, err)
	require.NoError(t, s.Send(wire.Reports, "1", []byte("x")))
	s.Advance(10 * time.Minute)
	require.Equal(t, []string{"0s try", "50ms try", "150ms try", "350ms try", "750ms try", "1.55s try"}, s.trace[:6])
	require.Less(t, len(s.trace), 40)
	require.Zero(t, s.Queued(wire.Reports), "after minutes a hint is worth nothing")
	require.Zero(t, s.Pending())
}

func TestSim_poison_and_panics_are_set_aside(t *testing.T) {
	t.Parallel()
	s := newSim(t, membus.Faults{})
	_, err := s.Attach(wire.Reports, func(msg []byte) error {
		if string(msg) == "bomb" {
			panic("boom")
		}
		return &wire.PoisonError{Reason: "no"}
	})
	require.NoError(t, err)
	require.NoError(t, s.Send(wire.Reports, "1", []byte("x")))
	require.NoError(t, s.Send(wire.Reports, "2", []byte("bomb")))
	s.Advance(0)
	require.Equal(t, []membus.Aside{
		{Address: wire.Reports, ID: "1", Reason: "no", Msg: []byte("x")},
		{Address: wire.Reports, ID: "2", Reason: "handler panicked: boom", Msg: []byte("bomb")},
	}, s.SetAside())
}

func TestSim_a_cut_loses_what_goes_to_the_address_and_only_that(t *testing.T) {
	t.Parallel()
	s := newSim(t, membus.Faults{})
	s.attach(wire.Runner("s-1"), "one")
	s.attach(wire.Runner("s-2"), "two")
	_, err := s.Answer(wire.RunnerCall("s-1"), func(msg []byte) ([]byte, error) { return msg, nil })
	require.NoError(t, err)
	ask := func(a wire.Address) {
		require.NoError(t, s.Ask(a, []byte("q"), time.Second, func(reply []byte, err error) {
			s.note("%s nobody=%v timeout=%v", reply, errors.Is(err, wire.ErrNobody), cluster.Is(err, cluster.Timeout))
		}))
	}
	s.Cut(wire.Runner("s-1"), wire.RunnerCall("s-1"))
	require.NoError(t, s.Send(wire.Runner("s-1"), "1", []byte("lost")))
	require.NoError(t, s.Send(wire.Runner("s-2"), "2", []byte("x")))
	ask(wire.RunnerCall("s-1"))
	ask(wire.RunnerCall("nobody"))
	s.Advance(2 * time.Second)
	require.Equal(t, []string{"0s  nobody=true timeout=false", "0s two x", "1s  nobody=false timeout=true"}, s.trace)
	s.trace = nil
	s.Heal()
	require.NoError(t, s.Send(wire.Runner("s-1"), "3", []byte("y")))
	ask(wire.RunnerCall("s-1"))
	s.Advance(2 * time.Second)
	require.Equal(t, []string{"one y", "q nobody=false timeout=false"}, s.messages())
}

func TestSim_an_outage_loses_what_is_under_way_and_keeps_what_is_stored(t *testing.T) {
	t.Parallel()
	s := newSim(t, membus.Faults{})
	require.NoError(t, s.Send(wire.Commands, "1", []byte("stored")))
	s.Advance(0)
	require.NoError(t, s.Send(wire.Commands, "2", []byte("under way")))
	require.NoError(t, s.Ask(wire.Scheduler, nil, time.Minute, func(_ []byte, err error) { s.note("%s", cluster.CodeOf(err)) }))
	s.Down()
	require.Equal(t, []string{"0s unavailable"}, s.trace, "whoever waits is told at once")
	require.True(t, cluster.Is(s.Send(wire.Commands, "3", nil), cluster.Unavailable))
	require.True(t, cluster.Is(s.Tell(wire.Events, nil), cluster.Unavailable))
	require.True(t, cluster.Is(s.Drop(wire.Runner("s")), cluster.Unavailable))
	s.attach(wire.Commands, "got")
	s.Advance(time.Second)
	s.Up()
	s.Advance(2 * time.Minute)
	require.Equal(t, []string{"1s got stored"}, s.trace[1:])
	require.Zero(t, s.Pending())
}

func TestSim_purge_takes_also_what_is_handled_and_waits_for_its_next_try(t *testing.T) {
	t.Parallel()
	s := newSim(t, membus.Faults{})
	_, err := s.Attach(wire.Commands, func(msg []byte) error { s.note("%s", msg); return errors.New("again") })
	require.NoError(t, err)
	require.NoError(t, s.Send(wire.Commands, "1", []byte("x")))
	s.Advance(60 * time.Millisecond)
	require.Len(t, s.trace, 2)
	s.Purge()
	s.Advance(time.Minute)
	require.Len(t, s.trace, 2)
	require.Zero(t, s.Queued(wire.Commands))
}

func TestSim_a_queue_of_a_dead_session_is_bounded_and_keeps_the_newest(t *testing.T) {
	t.Parallel()
	s := newSim(t, membus.Faults{})
	for i := range 6_000 {
		require.NoError(t, s.Send(wire.Runner("dead"), "", fmt.Append(nil, i)))
	}
	s.Advance(0)
	require.Equal(t, 5_000, s.Queued(wire.Runner("dead")))
	s.attach(wire.Runner("dead"), "got")
	s.Advance(0)
	require.Equal(t, "got 1000", s.messages()[0])
	require.Equal(t, "got 5999", s.messages()[4999])
}

// Whatever a network does, a sender that repeats until it hears of the effect gets every message through (Invariant 1).
func TestSim_repeating_gets_everything_through_any_network(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := membus.Faults{
			Seed: rapid.Uint64().Draw(t, "seed"), Drop: rapid.Float64Range(0, 0.6).Draw(t, "drop"), Duplicate: rapid.Float64Range(0, 0.5).Draw(t, "duplicate"),
			Reorder: rapid.Float64Range(0, 1).Draw(t, "reorder"), Delay: time.Duration(rapid.IntRange(0, 1000).Draw(t, "delay")) * time.Millisecond,
		}
		s := newSim(t, f)
		got := map[string]bool{}
		_, err := s.Attach(wire.Commands, func(msg []byte) error { got[string(msg)] = true; return nil })
		require.NoError(t, err)
		for round := range 200 {
			if len(got) == 10 {
				break
			}
			for i := range 10 {
				if m := fmt.Sprint(i); !got[m] {
					require.NoError(t, s.Send(wire.Commands, fmt.Sprint(round, "/", i), []byte(m)))
				}
			}
			s.Advance(time.Second)
		}
		require.Len(t, got, 10)
	})
}

func TestNetwork_keeps_the_order_to_each_address_unless_told_otherwise(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := membus.NewNetwork(membus.Faults{Seed: rapid.Uint64().Draw(t, "seed"), Delay: 50 * time.Millisecond, Drop: 0.2, Duplicate: 0.2})
		got := map[wire.Address][]int{}
		now := start
		for i := range 50 {
			to := rapid.SampledFrom([]wire.Address{wire.Commands, wire.Reports}).Draw(t, "to")
			n.Send(now, to, func() { got[to] = append(got[to], i) })
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Millisecond)
			n.Deliver(now)
		}
		n.Deliver(now.Add(time.Second))
		require.Zero(t, n.Pending())
		require.True(t, slices.IsSorted(got[wire.Commands]), "%v", got)
		require.True(t, slices.IsSorted(got[wire.Reports]), "%v", got)
	})
}

func TestNetwork_faults_happen_about_as_often_as_asked(t *testing.T) {
	t.Parallel()
	const sent = 20_000
	n := membus.NewNetwork(membus.Faults{Seed: 7, Drop: 0.3, Duplicate: 0.2, Reorder: 0.3, Delay: time.Second})
	var got []int
	for i := range sent {
		n.Send(start.Add(time.Duration(i)*time.Millisecond), wire.Commands, func() { got = append(got, i) })
	}
	n.Deliver(start.Add(time.Hour))
	require.InDelta(t, 0.3*sent, n.Lost(), 0.02*sent)
	require.InDelta(t, 0.7*sent+0.7*0.2*sent, len(got), 0.02*sent)
	require.False(t, slices.IsSorted(got))
}

func TestNetwork_a_cancelled_timer_does_not_fire(t *testing.T) {
	t.Parallel()
	n := membus.NewNetwork(membus.Faults{})
	fired := ""
	cancel := n.At(start, func() { fired += "a" })
	n.At(start, func() { fired += "b" })
	require.Equal(t, 2, n.Pending())
	cancel()
	require.Equal(t, 1, n.Pending())
	require.Equal(t, 1, n.Deliver(start))
	require.Equal(t, "b", fired)
	_, ok := n.Next()
	require.False(t, ok)
}
