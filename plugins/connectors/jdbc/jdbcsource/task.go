package jdbcsource

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
)

// limits finds what makes a result end before its rows do.
var limits = regexp.MustCompile(`(?i)\b(limit|fetch|top)\b`)

// jdbcTask reads tables, or a query.
type jdbcTask struct {
	def  *config.Def
	open opener

	s      *settings
	log    *slog.Logger
	cancel context.CancelFunc
	out    chan []record.Source
	failed chan error
	done   chan struct{} // nil: nothing reads
}

func (t *jdbcTask) Start(ctx context.Context, tc source.Context) (err error) {
	t.log = tc.Logger()
	if t.s, err = parsed(t.def, tc.Config()); err != nil {
		return err
	}
	if t.s.query != "" && len(t.s.tables) > 0 {
		return connecterr.New(connecterr.Config, "Invalid configuration: a JdbcSourceTask cannot have both a table and a query assigned to it")
	}
	if t.s.query == "" && len(t.s.tables) == 0 {
		switch {
		case !t.s.fetched:
			t.log.Warn("The connector has not been able to read the list of tables from the database yet.")
		case !strings.EqualFold(t.s.String(noTablesKey), "wait"):
			return connecterr.New(connecterr.Config, noTablesText)
		}
		return nil // it waits for other tables
	}
	open := func(ctx context.Context) (session, error) { return t.open(ctx, t.s, tc.Config(), t.log, false) }
	db, err := open(ctx)
	if err != nil {
		return err
	}
	if t.s.settled {
		why, needless, err := db.settles(ctx)
		if why != "" && err == nil {
			err = connecterr.New(connecterr.Config, "%s: %s", settledKey, why)
		}
		if t.s.settled = !needless; err != nil {
			_ = db.close()
			return err
		}
	}
	r := &reader{s: t.s, log: t.log, open: open, session: db, mapper: newMapper(t.s), out: make(chan []record.Source, max(t.s.buffer/t.s.batch, 1))}
	if r.queue, err = t.readings(ctx, db, tc.Offsets()); err != nil {
		r.drop()
		return err
	}
	if t.s.query != "" && t.s.mode != bulk && !t.s.wrap && hasOwnClauses(t.s.query) {
		t.log.Warn("The query has clauses of its own, and a WHERE clause will be appended to it. Set query.wrap=true, or wrap it by hand: SELECT * FROM (…) AS q")
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel, t.out, t.failed, t.done = cancel, r.out, make(chan error, 1), make(chan struct{})
	go func() {
		defer close(t.done)
		defer r.drop()
		if err := r.run(run); err != nil {
			t.failed <- err
		}
	}()
	return nil
}

// readings are the targets with their positions.
func (t *jdbcTask) readings(ctx context.Context, db session, offsets source.OffsetReader) (all []*reading, err error) {
	if t.s.query != "" {
		r := &reading{target: target{query: t.s.query, wrap: t.s.wrap, id: t.s.String(incrementingKey), stamps: t.s.List(timestampKey), key: t.s.List(recordKeyKey)}, topic: t.s.prefix,
			partition: queryPartition(), bare: queryPartition(), warned: map[string]bool{}}
		if err := t.place(ctx, db, offsets, r, []record.SourcePartition{r.partition}); err != nil {
			return nil, err
		}
		return []*reading{r}, nil
	}
	names := db.names()
	for _, name := range t.s.tables {
		table, err := parseTable(name, names.catalogs)
		if err != nil {
			return nil, connecterr.Wrap(connecterr.Config, err, "reading the names of tables")
		}
		r := &reading{target: target{table: table, key: t.s.List(recordKeyKey)}, topic: t.s.topic(table, names), partition: table.partition(), bare: table.barePartition(), warned: map[string]bool{}}
		if r.id, r.stamps, err = t.s.columnsOf(table); err != nil {
			return nil, err
		}
		if t.s.mode != bulk {
			if err := t.checkColumns(ctx, db, r, name); err != nil {
				return nil, err
			}
		}
		if err := t.place(ctx, db, offsets, r, table.partitions(names.database, !t.s.shared)); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// columnsOf are the columns that a table's rows are ordered by.
func (s *settings) columnsOf(t table) (id string, stamps []string, err error) {
	id, stamps = s.String(incrementingKey), s.List(timestampKey)
	if len(s.include) == 0 {
		return id, stamps, nil
	}
	if s.byTimestamp() && len(s.timestampMap) > 0 {
		if stamps, err = mapped(s.timestampMap, t, timestamp); err != nil {
			return "", nil, err
		}
	}
	if s.byID() && len(s.incrementingMap) > 0 {
		columns, err := mapped(s.incrementingMap, t, incrementing)
		if err != nil {
			return "", nil, err
		}
		id = columns[0]
	}
	return id, stamps, nil
}

// mapped finds the one mapping of a table.
func mapped(all []mapping, t table, what string) (columns []string, err error) {
	for _, m := range all {
		ok, err := m.matches(t.String())
		if err != nil {
			return nil, err
		}
		if ok && columns != nil {
			return nil, connecterr.New(connecterr.Config, "Error while validating %s column mappings: Included table '%s' matches more than one of the provided regexes", what, t)
		}
		if ok {
			columns = m.columns
		}
	}
	if columns == nil {
		return nil, connecterr.New(connecterr.Config, "Error while validating %s column mappings: Included table '%s' does not match any of the provided regexes", what, t)
	}
	return columns, nil
}

// checkColumns finds the incrementing column if it has no name, and sees that columns exist and can't be null.
func (t *jdbcTask) checkColumns(ctx context.Context, db session, r *reading, name string) error {
	columns, err := db.columns(ctx, r.table)
	if err != nil {
		return connecterr.Wrap(connecterr.General, err, "Failed trying to validate that columns used for offsets exist")
	}
	find := func(name string) (tableColumn, bool) {
		if i := slices.IndexFunc(columns, func(c tableColumn) bool { return c.name == name }); i >= 0 {
			return columns[i], true
		}
		if i := slices.IndexFunc(columns, func(c tableColumn) bool { return strings.EqualFold(c.name, name) }); i >= 0 {
			return columns[i], true
		}
		return tableColumn{}, false
	}
	if t.s.byID() {
		if r.id == "" {
			i := slices.IndexFunc(columns, func(c tableColumn) bool { return c.auto })
			if i < 0 {
				return connecterr.New(connecterr.Config, "No incrementing column was configured and no auto-incrementing column was found in table %s", r.table)
			}
			r.id = columns[i].name
		}
		c, ok := find(r.id)
		if !ok {
			return connecterr.New(connecterr.Config, "Incrementing column: %s does not exist in table '%s'", r.id, r.table)
		}
		if r.id = c.name; c.nullable && t.s.Bool(nonNullKey) {
			return connecterr.New(connecterr.General, "Cannot make incremental queries using incrementing column %s on %s because this column is nullable.", c.name, name)
		}
	}
	if !t.s.byTimestamp() {
		return nil
	}
	var missing []string
	nullable := true
	for i, s := range r.stamps {
		c, ok := find(s)
		if !ok {
			missing = append(missing, s)
			continue
		}
		r.stamps[i] = c.name
		nullable = nullable && c.nullable
	}
	if missing != nil {
		return connecterr.New(connecterr.Config, "Timestamp columns: %s do not exist in table '%s'", strings.Join(missing, ", "), r.table)
	}
	if nullable && (t.s.Bool(nonNullKey) || len(r.stamps) == 0) {
		return connecterr.New(connecterr.General, "Cannot make incremental queries using timestamp columns %s on %s because all of these columns are nullable.", strings.Join(r.stamps, ","), name)
	}
	return nil
}

// place finds where the reading of a target goes on: at the first stored offset of the partitions, or at the beginning that the
// configuration says.
func (t *jdbcTask) place(ctx context.Context, db session, offsets source.OffsetReader, r *reading, partitions []record.SourcePartition) error {
	if t.s.mode == bulk {
		return nil
	}
	stored, err := offsets.Offsets(ctx, partitions)
	if err != nil {
		return err
	}
	for i, o := range stored {
		if o != nil {
			r.from, err = readOffset(partitions[i], o)
			return err
		}
	}
	if r.from.id = t.s.Int(firstIDKey); t.s.Has(firstIDKey) && r.from.id != -1 {
		r.from.hasID = t.s.byID()
	}
	if t.s.initial == nil || !t.s.byTimestamp() {
		return nil
	}
	r.from.at, r.from.hasAt = time.UnixMilli(*t.s.initial).UTC(), true
	if *t.s.initial == -1 {
		r.from.at, err = db.now(ctx, t.s.clock, t.s.timeQuery)
	}
	return err
}

func (t *jdbcTask) Poll(ctx context.Context) ([]record.Source, error) {
	select {
	case batch := <-t.out: // nil where nothing reads
		return batch, nil
	case err := <-t.failed:
		select {
		case batch := <-t.out: // what came before it
			t.failed <- err
			return batch, nil
		default:
			return nil, err
		}
	case <-ctx.Done():
		return nil, nil
	}
}

func (t *jdbcTask) Stop(ctx context.Context) error {
	if t.done == nil {
		return nil
	}
	t.cancel()
	timeout := time.NewTimer(t.s.shutdown)
	defer timeout.Stop()
	select {
	case <-t.done:
	case <-ctx.Done():
	case <-timeout.C:
	}
	return nil
}
