package jdbcsink

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

// task writes to one session, which it opens with the first records.
type task struct {
	def       *config.Def
	policy    connect.Policy
	tc        sink.Context
	log       *slog.Logger
	s         *settings
	w         *writer
	remaining int
}

// contestedPause is what the runtime gets to hear from Kafka who holds a partition.
const contestedPause = 500 * time.Millisecond

// Start reads the configuration. It does not connect: a database that is down fails the first records, not the start.
func (t *task) Start(_ context.Context, tc sink.Context) error {
	s, err := read(t.def, tc.Config())
	if err != nil {
		return err
	}
	t.tc, t.log, t.s, t.remaining = tc, tc.Logger(), s, s.maxRetries
	s.connect.Log, s.connect.Policy = t.log, t.policy
	p, err := connect.New(s.connect)
	if err != nil {
		return err
	}
	if unicode, ok := p.Property("sendStringParametersAsUnicode"); ok {
		s.varchar = strings.EqualFold(unicode, "false")
	}
	t.w = &writer{s: s, d: p.Dialect(), provider: p, log: t.log}
	t.w.forget()
	if s.exactly {
		if t.w.ledger, err = newLedger(s, p.Dialect(), tc); err != nil {
			return err
		}
	}
	if s.dateZone != time.UTC && tc.Config()[dateZoneKey] == "" {
		if _, west := time.Unix(0, 0).In(s.zone).Zone(); west < 0 {
			t.log.Warn("With db.timezone west of UTC and no date.timezone, a Date is written as the day before", "db.timezone", s.zone.String())
		}
	}
	polled, err := strconv.Atoi(tc.Config()["consumer.override.max.poll.records"])
	if err != nil {
		polled = 500 // the consumer's default
	}
	if s.batchSize > polled {
		t.log.Info("batch.size is more than the consumer returns at once: consumer.override.max.poll.records is the limit", batchSizeKey, s.batchSize, "max.poll.records", polled)
	}
	return nil
}

// Put writes a batch in one transaction.
func (t *task) Put(ctx context.Context, batch []record.Sink) error {
	if len(batch) == 0 {
		return nil
	}
	err := t.w.put(ctx, batch, t.tc.ErrantRecords())
	if err == nil {
		t.remaining = t.s.maxRetries
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var contested contestedError
	if errors.As(err, &contested) {
		t.log.Warn("Another holder of a partition is at work in the database", "error", err)
		t.tc.Timeout(contestedPause)
		return connecterr.Wrap(connecterr.Retriable, err, "")
	}
	var db *dbError
	if !errors.As(err, &db) {
		return err
	}
	shown := t.w.explain(err)
	t.w.provider.Drop() // with it the transaction ends
	if t.remaining == 0 {
		return shown
	}
	t.log.Warn(fmt.Sprintf("Write of %d records failed, remainingRetries=%d", len(batch), t.remaining), "error", shown.Error())
	t.remaining--
	t.w.again()
	t.tc.Timeout(t.s.backoff)
	return connecterr.Wrap(connecterr.Retriable, shown, "Write of %d records failed and is tried again", len(batch))
}

// PreCommit implements sink.PreCommitter.
func (t *task) PreCommit(ctx context.Context, current sink.Offsets) (sink.Offsets, error) {
	if t.w.ledger == nil {
		return current, nil
	}
	return t.w.ledger.commit(ctx, t.w.provider.Conn, current), nil
}

// Open implements sink.PartitionAware. Partitions are claimed with their first records: a database that is down fails these only.
func (t *task) Open(context.Context, []record.TopicPartition) error { return nil }

// Close implements sink.PartitionAware.
func (t *task) Close(_ context.Context, parts []record.TopicPartition) error {
	if t.w.ledger != nil {
		t.w.ledger.forget(parts)
	}
	return nil
}

// Stop closes the session.
func (t *task) Stop(context.Context) error {
	if t.w != nil {
		t.w.provider.Close()
	}
	return nil
}

// put writes a batch; with a reporter, records that can't be written are reported and the others written.
func (w *writer) put(ctx context.Context, batch []record.Sink, reporter sink.ErrantRecordReporter) (err error) {
	conn, err := w.provider.Conn(ctx)
	if err != nil {
		return &dbError{error: err}
	}
	if w.ledger != nil {
		all := batch
		if batch, err = w.ledger.admit(ctx, conn, all); err == nil && len(batch) > 0 {
			err = w.write(ctx, conn, batch, reporter)
		}
		if err != nil {
			w.ledger.doubt()
			return asDB(err, nil, &all[0])
		}
		w.ledger.done(batch)
		return nil
	}
	return w.write(ctx, conn, batch, reporter)
}

// write writes records in one transaction; in another one without the rows that have ended it.
func (w *writer) write(ctx context.Context, conn *sql.Conn, batch []record.Sink, reporter sink.ErrantRecordReporter) error {
	rows, bad, err := w.plan(ctx, conn, batch, reporter != nil)
	if err != nil {
		return err
	}
	for {
		err := w.commit(ctx, conn, batch, rows, slices.Clone(bad), reporter)
		if !errors.As(err, new(doomedError)) {
			return err
		}
		more, failed := w.probe(ctx, conn, rows)
		if failed != nil || len(more) == 0 {
			return cmp.Or(failed, err)
		}
		bad, rows = append(bad, more...), without(rows, more)
	}
}

// commit writes rows in a transaction.
func (w *writer) commit(ctx context.Context, conn *sql.Conn, batch []record.Sink, rows []row, bad []setAside, reporter sink.ErrantRecordReporter) (err error) {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return asDB(err, nil, &batch[0])
	}
	defer func() {
		if err == nil {
			return
		}
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) && ctx.Err() == nil && !w.ended(back) {
			err = errors.Join(err, fmt.Errorf("rolling back: %w", back))
		}
	}()
	if err := w.writeRows(ctx, conn, rows, &bad, reporter != nil); err != nil {
		return err
	}
	if w.ledger != nil { // last, so that the lines are locked for a moment only
		if err := w.ledger.advance(ctx, conn, batch); err != nil {
			return asDB(err, nil, &batch[0])
		}
	}
	slices.SortStableFunc(bad, func(a, b setAside) int { return indexIn(batch, a.r) - indexIn(batch, b.r) })
	for _, one := range bad {
		if err := reporter.Report(ctx, one.r, one.cause); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return &dbError{error: fmt.Errorf("committing: %w", err), at: &batch[0]}
	}
	return nil
}

func (w *writer) writeRows(ctx context.Context, conn *sql.Conn, rows []row, bad *[]setAside, aside bool) error {
	if !aside {
		return w.send(ctx, conn, rows)
	}
	more, err := w.halve(ctx, conn, rows, 0)
	*bad = append(*bad, more...)
	return err
}

// indexIn is a record's place in its batch.
func indexIn(batch []record.Sink, r *record.Sink) int {
	return slices.IndexFunc(batch, func(o record.Sink) bool {
		return o.OriginalTopic == r.OriginalTopic && o.OriginalPartition == r.OriginalPartition && o.OriginalOffset == r.OriginalOffset && o.Topic == r.Topic
	})
}

// again drops what is known of tables before a batch comes again, but that rows must be sent one by one.
func (w *writer) again() {
	old := w.targets
	w.forget()
	for topic, t := range old {
		if t.oneByOn {
			w.targets[topic] = &target{d: t.d, name: t.name, text: t.text, oneByOn: true, warned: t.warned}
		}
	}
}

// explain makes the error that users see of a database's.
func (w *writer) explain(err error) error {
	var db *dbError
	if !errors.As(err, &db) {
		return err
	}
	var b strings.Builder
	b.WriteString("Exception chain:\n" + w.fault(db.error))
	var noted notedError
	if errors.As(err, &noted) {
		b.WriteString("\n" + noted.note)
	}
	if db.t != nil {
		b.WriteString("\nTable " + db.t.text)
	}
	if db.at != nil {
		b.WriteString("\nFirst record " + place(db.at))
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if !errors.As(e, new(*dbError)) {
				b.WriteString("\n" + w.fault(e))
			}
		}
	}
	return connecterr.New(connecterr.General, "%s", b.String())
}
