package jdbcsink

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

// ledger keeps a task's positions in the database, in the transactions of the rows (millrace.exactly.once). Two things make a
// record's row come once:
//
//   - A partition is claimed before anything of it is written: its line gets a mark that nobody else has, and the position is
//     read after that. A batch moves the position only where the line still has the mark, in the batch's own transaction. So
//     whoever claimed before, a task that was replaced or a lost session of this one, can't commit any more.
//   - Where Kafka goes on reading does not matter: records below the position are left out, and if some above it are missing
//     they are asked for.
type ledger struct {
	store     *offsetTable
	tc        sink.Context
	fence     sink.Fencing
	log       *slog.Logger
	holder    holder
	positions map[record.TopicPartition]*position
	seeking   []*position // this put has asked for their records from elsewhere
}

// position is what is known of a partition.
type position struct {
	line    line
	mark    string // of the claim
	next    int64  // the offset of the first record that is not written
	began   int64  // where this run has begun, if it made the line; else -1
	claimed bool   // false: it is not known whether the line still has the mark, and next
	steady  bool   // reading began where it had to: if records are missing from here on, transformations have dropped them
	sought  bool   // and none came since
}

// contestedError says that somebody else has claimed a partition.
type contestedError struct{ error }

func newLedger(s *settings, d dialect.Dialect, tc sink.Context) (*ledger, error) {
	f, ok := tc.(sink.Fencing)
	if !ok {
		return nil, connecterr.New(connecterr.Config, "%s=true needs a worker that numbers the runs of a task and tells identities of topics", exactlyOnceKey)
	}
	store, err := newOffsetTable(s, d)
	if err != nil {
		return nil, err
	}
	l := &ledger{store: store, tc: tc, fence: f, log: tc.Logger(), positions: map[record.TopicPartition]*position{}}
	l.holder.task, l.holder.epoch = f.Term()
	return l, nil
}

// span is what a batch has of a partition.
type span struct {
	tp          record.TopicPartition
	first, last int64
}

func readAt(r *record.Sink) record.TopicPartition {
	return record.TopicPartition{Topic: r.OriginalTopic, Partition: r.OriginalPartition}
}

// spans are in one order for all tasks, in which they lock lines.
func spans(batch []record.Sink) (all []span) {
	at := map[record.TopicPartition]int{}
	for i := range batch {
		tp, o := readAt(&batch[i]), batch[i].OriginalOffset
		n, ok := at[tp]
		if !ok {
			n = len(all)
			at[tp] = n
			all = append(all, span{tp, o, o})
		}
		all[n].first, all[n].last = min(all[n].first, o), max(all[n].last, o)
	}
	slices.SortFunc(all, func(a, b span) int {
		return cmp.Or(strings.Compare(a.tp.Topic, b.tp.Topic), cmp.Compare(a.tp.Partition, b.tp.Partition))
	})
	return all
}

// admit tells which records of a batch are to be written. The batch itself is not changed: it may come again.
func (l *ledger) admit(ctx context.Context, conn *sql.Conn, batch []record.Sink) ([]record.Sink, error) {
	if err := l.store.prepare(ctx, conn); err != nil {
		return nil, err
	}
	ids := map[string]string{}
	from := map[record.TopicPartition]int64{} // where what is to be written begins; missing: nothing is
	for _, s := range spans(batch) {
		p := l.positions[s.tp]
		if p == nil || !p.claimed || s.first < p.next {
			var err error
			if p, err = l.claim(ctx, conn, s, p, ids); err != nil {
				return nil, err
			}
		}
		if !p.steady && (s.first > p.next || s.last < p.next) {
			l.seek(s, p)
			continue
		}
		p.steady, p.sought = true, false
		from[s.tp] = p.next
	}
	return l.above(batch, from), nil
}

// claim takes the line of a partition and reads its position. p is what was known of it; a topic that was made anew under its
// name has another identity, and so another line.
func (l *ledger) claim(ctx context.Context, conn *sql.Conn, s span, p *position, ids map[string]string) (*position, error) {
	id, err := l.identity(ctx, s.tp.Topic, ids)
	if err != nil {
		return nil, err
	}
	at := line{s.tp, id}
	if p != nil && p.line != at {
		l.log.Warn("The topic was deleted and made anew: its records are new ones", "topic", s.tp.Topic, "partition", s.tp.Partition, "was_at", p.next, "begins_at", s.first)
		p = nil
	}
	start := s.first
	if p == nil {
		p = &position{line: at, began: -1}
		l.positions[s.tp] = p
	} else if p.mark != "" {
		start = p.began // a database that has lost the line has lost the rows
	}
	mark, next, made, err := l.store.claim(ctx, conn, at, l.holder, start)
	if err != nil {
		return nil, err
	}
	before := p.next
	p.mark, p.next = mark, next
	if made {
		p.began = start
	}
	p.claimed = true
	p.steady = p.steady && before <= p.next && p.next <= s.last+1 // nobody else was there meanwhile
	l.log.Debug("A partition is claimed", "topic", at.Topic, "partition", at.Partition, "goes_on_at", p.next, "read", s.first)
	return p, nil
}

// identity asks for each topic once.
func (l *ledger) identity(ctx context.Context, topic string, known map[string]string) (string, error) {
	if id, ok := known[topic]; ok {
		return id, nil
	}
	id, err := l.fence.TopicID(ctx, topic)
	if err == nil && id == "" {
		err = connecterr.New(connecterr.General, "Kafka tells no identity of topic %s, so that its offsets can't be told from those of a topic that is made anew under the name: %s=true needs Kafka 2.8 or later", topic, exactlyOnceKey)
	}
	known[topic] = id
	return id, err
}

// seek asks for the records at a position. It is done once for each claim: what Kafka does not have any more does not come.
func (l *ledger) seek(s span, p *position) {
	if s.first > p.next {
		l.log.Warn("The table of offsets is behind what Kafka was told; the rows are as old as the table, so that reading goes on at its offset",
			"topic", s.tp.Topic, "partition", s.tp.Partition, "read", s.first, "goes_on_at", p.next)
	} else {
		l.log.Info("Records are written already; reading goes on behind them", "topic", s.tp.Topic, "partition", s.tp.Partition, "read", s.first, "goes_on_at", p.next)
	}
	p.sought = true
	l.seeking = append(l.seeking, p)
	l.tc.Rewind(sink.Offsets{s.tp: p.next})
}

// above are the records that are not written yet.
func (l *ledger) above(batch []record.Sink, from map[record.TopicPartition]int64) []record.Sink {
	written := func(r record.Sink) bool {
		next, ok := from[readAt(&r)]
		return !ok || r.OriginalOffset < next
	}
	if !slices.ContainsFunc(batch, written) {
		return batch
	}
	fresh := slices.DeleteFunc(slices.Clone(batch), written)
	l.log.Info("Records that are written already, or are to be read again, are left out", "records", len(batch)-len(fresh))
	return fresh
}

// advance moves the positions behind a batch's records, in the open transaction that has their rows.
func (l *ledger) advance(ctx context.Context, conn *sql.Conn, batch []record.Sink) error {
	var moves []move
	for _, s := range spans(batch) {
		p := l.positions[s.tp]
		moves = append(moves, move{p.line, p.mark, p.next, s.last + 1})
	}
	return l.store.move(ctx, conn, moves)
}

// done notes that a put succeeded; batch is what it has written.
func (l *ledger) done(batch []record.Sink) {
	for _, s := range spans(batch) {
		l.positions[s.tp].next = s.last + 1
	}
	for _, p := range l.seeking {
		p.steady = true
	}
	l.seeking = nil
}

// doubt notes that a put failed: it is not known what the database has. Partitions are claimed again, with other marks.
func (l *ledger) doubt() {
	for _, p := range l.positions {
		p.claimed = false
	}
	for _, p := range l.seeking { // the batch comes again, with what was not to be written
		p.steady = false
	}
	l.seeking = nil
	l.store.there = false
}

// commit chooses what Kafka is told, which is never more than the table has. Where transformations have dropped records behind
// the last row, the table follows.
func (l *ledger) commit(ctx context.Context, session func(context.Context) (*sql.Conn, error), current sink.Offsets) sink.Offsets {
	var moves []move
	for tp, o := range current {
		if p := l.positions[tp]; p != nil && o > p.next {
			current[tp] = p.next
			if p.claimed && p.steady && !p.sought {
				moves = append(moves, move{p.line, p.mark, p.next, o})
			}
		}
	}
	if len(moves) == 0 {
		return current
	}
	conn, err := session(ctx)
	if err == nil {
		err = inTx(ctx, conn, func() error { return l.store.move(ctx, conn, moves) })
	}
	if err != nil {
		l.doubt()
		l.log.Warn("The table of offsets could not follow records that wrote no row; they may be read again", "error", err)
		return current
	}
	for _, m := range moves {
		l.positions[m.TopicPartition].next = m.to
		current[m.TopicPartition] = m.to
	}
	return current
}

// forget is told of partitions that go: their next holder may be another task.
func (l *ledger) forget(parts []record.TopicPartition) {
	for _, tp := range parts {
		delete(l.positions, tp)
	}
}

// superseded is the error of a task that was replaced.
func superseded(task string, ours, theirs int64) error {
	return connecterr.New(connecterr.General, "Task %s was taken over: its run %d is at work in the database and this is run %d, which may write nothing any more", task, theirs, ours)
}

func contested(at line, why string) error {
	return contestedError{fmt.Errorf("partition %d of topic %s %s; nothing of this batch was written", at.Partition, at.Topic, why)}
}
