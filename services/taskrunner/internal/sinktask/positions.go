package sinktask

import (
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

// none marks an unknown offset.
const none = -1

// positions keeps three next offsets of every assigned partition. It is pure, and its properties are tested as such:
//
//	committed <= current <= consumed
//
// consumed is what was polled; current is what the plugin has accepted; committed is what Kafka has. Nothing that the
// plugin has not accepted is ever offered for a commit, and of what it is offered nothing that it did not answer is
// committed.
type positions struct {
	parts map[record.TopicPartition]*mark
}

type mark struct {
	consumed, current, committed int64
	// sealed: committed is the partition's end, though that lies beyond current; what is between are no records.
	sealed bool
}

func newPositions() *positions { return &positions{parts: map[record.TopicPartition]*mark{}} }

// assign begins to keep a partition that is read from start (none: unknown until a record comes).
func (p *positions) assign(tp record.TopicPartition, start int64) {
	p.parts[tp] = &mark{consumed: start, current: start, committed: start}
}

// forget ends it: whatever was read is the next owner's to read again.
func (p *positions) forget(parts []record.TopicPartition) {
	for _, tp := range parts {
		delete(p.parts, tp)
	}
}

// consume notes that the record at offset was polled. It is called for the newest record of each run, also when it is dropped
// later. first is the offset of the run's first record: where reading began if that was unknown.
func (p *positions) consume(tp record.TopicPartition, first, offset int64) {
	m := p.parts[tp]
	if m == nil {
		return
	}
	if m.consumed == none {
		m.current, m.committed = first, first
	}
	m.consumed, m.sealed = offset+1, false
}

// accept notes that the plugin took everything that was polled.
func (p *positions) accept() {
	for _, m := range p.parts {
		m.current = m.consumed
	}
}

// offer is what a commit of parts may contain at most.
func (p *positions) offer(parts []record.TopicPartition) sink.Offsets {
	out := make(sink.Offsets, len(parts))
	for _, tp := range parts {
		if m := p.parts[tp]; m != nil && m.current != none {
			out[tp] = m.current
		}
	}
	return out
}

// refusal is an offset that a plugin should not have answered.
type refusal struct {
	tp             record.TopicPartition
	asked, current int64
	assigned       bool
}

// choose takes from the plugin's answer what may be committed: partitions that were asked about and are assigned, at most
// up to what it has accepted, and only where Kafka has something else. Committing back below the committed offset is
// allowed, as in Kafka Connect.
func (p *positions) choose(asked, answer sink.Offsets) (commit sink.Offsets, refused []refusal) {
	commit = sink.Offsets{}
	for tp, o := range answer {
		m := p.parts[tp]
		if m == nil {
			refused = append(refused, refusal{tp: tp, asked: o})
			continue
		}
		if _, ok := asked[tp]; !ok {
			continue
		}
		if m.current == none || o > m.current || o < 0 {
			refused = append(refused, refusal{tp: tp, asked: o, current: m.current, assigned: true})
			continue
		}
		if o != m.committed && (!m.sealed || o != m.current) {
			commit[tp] = o
		}
	}
	slices.SortFunc(refused, func(a, b refusal) int { return compareParts(a.tp, b.tp) })
	return commit, refused
}

// commit notes what Kafka has taken.
func (p *positions) commit(offsets sink.Offsets) {
	for tp, o := range offsets {
		if m := p.parts[tp]; m != nil {
			m.committed, m.sealed = o, false
		}
	}
}

// settled tells whether everything that was polled was accepted and is committed.
func (p *positions) settled() bool {
	for _, m := range p.parts {
		if m.consumed != m.current || m.current != m.committed && !m.sealed {
			return false
		}
	}
	return true
}

// seal notes that ends are committed, and that nothing is to be read before them.
func (p *positions) seal(ends sink.Offsets) {
	for tp, o := range ends {
		m := p.parts[tp]
		switch {
		case m == nil:
		case m.current == none:
			*m = mark{consumed: o, current: o, committed: o}
		default:
			m.committed, m.sealed = o, o > m.current
		}
	}
}

// known are the committed offsets as far as they are known.
func (p *positions) known() sink.Offsets {
	out := make(sink.Offsets, len(p.parts))
	for tp, m := range p.parts {
		if m.committed != none {
			out[tp] = m.committed
		}
	}
	return out
}

// seek notes that reading goes on elsewhere because the plugin asked for it.
func (p *positions) seek(offsets sink.Offsets) {
	for tp, o := range offsets {
		if m := p.parts[tp]; m != nil {
			*m = mark{consumed: o, current: o, committed: o}
		}
	}
}

// rewind goes back to what is committed and returns where that is. A partition of which nothing was read has nothing to go
// back to.
func (p *positions) rewind() sink.Offsets {
	out := sink.Offsets{}
	for tp, m := range p.parts {
		if m.committed == none {
			continue
		}
		m.consumed, m.current, m.sealed = m.committed, m.committed, false
		out[tp] = m.committed
	}
	return out
}

// active counts what was polled and not committed yet.
func (p *positions) active() int64 {
	var n int64
	for _, m := range p.parts {
		if m.committed != none {
			n += max(0, m.consumed-m.committed)
		}
	}
	return n
}

// assigned lists the partitions in order.
func (p *positions) assigned() []record.TopicPartition {
	return slices.SortedFunc(maps.Keys(p.parts), compareParts)
}

func compareParts(a, b record.TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}
