package sinktask

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

func tpN(n int32) record.TopicPartition { return record.TopicPartition{Topic: "t", Partition: n} }

// TestPositionsNeverCommitWhatThePluginHasNotAccepted drives the core with random events beside a model that keeps, per
// partition, the highest offset the plugin has accepted.
func TestPositionsNeverCommitWhatThePluginHasNotAccepted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := newPositions()
		type model struct{ polled, accepted, committed int64 }
		world := map[record.TopicPartition]*model{}
		part := rapid.Map(rapid.Int32Range(0, 3), tpN)
		t.Repeat(map[string]func(*rapid.T){
			"assign": func(t *rapid.T) {
				tp := part.Draw(t, "partition")
				if world[tp] != nil {
					return
				}
				start := rapid.Int64Range(0, 50).Draw(t, "start")
				world[tp] = &model{start, start, start}
				p.assign(tp, start)
			},
			"assign with unknown start": func(t *rapid.T) {
				tp := part.Draw(t, "partition")
				if world[tp] == nil {
					world[tp] = &model{none, none, none}
					p.assign(tp, none)
				}
			},
			"revoke": func(t *rapid.T) {
				tp := part.Draw(t, "partition")
				delete(world, tp)
				p.forget([]record.TopicPartition{tp})
				require.Empty(t, p.offer([]record.TopicPartition{tp}), "revoked partitions are forgotten")
			},
			"poll": func(t *rapid.T) {
				tp, n := part.Draw(t, "partition"), rapid.Int64Range(1, 20).Draw(t, "records")
				m := world[tp]
				if m == nil {
					p.consume(tp, 5, 5+n) // a record of a partition that went away in the same poll
					return
				}
				first := m.polled
				if first == none {
					first = rapid.Int64Range(0, 50).Draw(t, "first")
					m.accepted, m.committed = first, first
				}
				m.polled = first + n
				p.consume(tp, first, first+n-1)
			},
			"accept": func(*rapid.T) {
				for _, m := range world {
					m.accepted = m.polled
				}
				p.accept()
			},
			"rewind": func(t *rapid.T) {
				back := p.rewind()
				for tp, m := range world {
					if m.committed == none {
						require.NotContains(t, back, tp)
						continue
					}
					require.Equal(t, m.committed, back[tp], "a rewind goes back to the last commit")
					m.polled, m.accepted = m.committed, m.committed
				}
			},
			"seek": func(t *rapid.T) {
				tp, o := part.Draw(t, "partition"), rapid.Int64Range(0, 60).Draw(t, "offset")
				if m := world[tp]; m != nil {
					*m = model{o, o, o}
				}
				p.seek(sink.Offsets{tp: o})
			},
			"commit": func(t *rapid.T) {
				asked := p.offer(p.assigned())
				for tp, o := range asked {
					require.Equal(t, world[tp].accepted, o)
				}
				answer := sink.Offsets{}
				for range rapid.IntRange(0, 4).Draw(t, "answers") {
					answer[part.Draw(t, "partition")] = rapid.Int64Range(-2, 90).Draw(t, "offset")
				}
				commit, refused := p.choose(asked, answer)
				for tp, o := range commit {
					require.Contains(t, answer, tp, "only what the plugin answered is committed")
					require.Equal(t, answer[tp], o)
					require.NotNil(t, world[tp], "only assigned partitions are committed")
					require.LessOrEqual(t, o, world[tp].accepted, "never beyond what the plugin has accepted")
					require.GreaterOrEqual(t, o, int64(0))
					require.NotEqual(t, world[tp].committed, o, "nothing is committed twice")
				}
				for _, r := range refused {
					require.NotContains(t, commit, r.tp)
					require.Equal(t, world[r.tp] != nil, r.assigned)
				}
				if rapid.Bool().Draw(t, "Kafka took it") {
					p.commit(commit)
					for tp, o := range commit {
						world[tp].committed = o
					}
				}
			},
			"": func(t *rapid.T) {
				require.Len(t, p.assigned(), len(world))
				for tp, m := range world {
					got := p.parts[tp]
					require.Equal(t, model{got.consumed, got.current, got.committed}, *m)
				}
				require.GreaterOrEqual(t, p.active(), int64(0))
			},
		})
	})
}

func TestOfferedOffsetsThatWerePartlyAnsweredCommitOnlyThose(t *testing.T) {
	t.Parallel()
	p := newPositions()
	for n := range int32(3) {
		p.assign(tpN(n), 10)
		p.consume(tpN(n), 10, 19)
	}
	p.accept()
	commit, refused := p.choose(p.offer([]record.TopicPartition{tpN(0), tpN(1)}),
		sink.Offsets{tpN(0): 15, tpN(1): 21, tpN(2): 12, tpN(9): 1})
	require.Equal(t, sink.Offsets{tpN(0): 15}, commit)
	require.Equal(t, []refusal{
		{tp: tpN(1), asked: 21, current: 20, assigned: true},
		{tp: tpN(9), asked: 1},
	}, refused)
}
