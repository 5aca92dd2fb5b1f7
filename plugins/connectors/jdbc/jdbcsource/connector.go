package jdbcsource

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/data"
)

// jdbcConnector watches the database's tables and divides them among tasks.
type jdbcConnector struct {
	def  *config.Def
	open opener

	s      *settings
	cc     connector.Context
	log    *slog.Logger
	watch  *watch
	cancel context.CancelFunc
	done   sync.WaitGroup

	asked bool     // the database was, in a validation
	known []string // names of tables, from then

	mu    sync.Mutex
	quote string // of the database, once it was asked
	names parts
}

// opener opens a session. once: with one attempt.
type opener func(ctx context.Context, s *settings, props map[string]string, log *slog.Logger, once bool) (session, error)

func (c *jdbcConnector) Start(_ context.Context, cc connector.Context) (err error) {
	c.cc, c.log = cc, cc.Logger()
	if c.s, err = parsed(c.def, cc.Config()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	if c.s.query != "" {
		return nil
	}
	if len(c.s.used(listKeys...)) == 0 {
		c.log.Warn("No table filter is configured: all tables that the connection shows will be read")
	}
	if c.s.mode == timestamp && limits.MatchString(c.s.suffix) {
		c.log.Warn("query.suffix limits the rows of a query in mode timestamp: rows that have the timestamp of the last one are lost. Use timestamp+incrementing.")
	}
	l := &lister{c: c}
	c.watch = newWatch(c.s.monitor, cc.RequestTaskReconfiguration, c.log, l.list)
	c.done.Go(func() {
		defer l.drop()
		c.watch.run(ctx)
	})
	return nil
}

// lister lists the tables that are to be read. It opens its session when it is first asked, in the background so that a slow
// database holds up nobody, and keeps it.
type lister struct {
	c    *jdbcConnector
	open session
	ever bool // there was a session
}

func (l *lister) drop() {
	if l.open != nil {
		_ = l.open.close() // it may be dead
		l.open = nil
	}
}

func (l *lister) list(ctx context.Context) (kept []table, missing []string, err error) {
	defer func() {
		if err != nil {
			l.drop()
		}
	}()
	c := l.c
	if l.open == nil {
		if l.open, err = c.open(ctx, c.s, c.cc.Config(), c.log, false); err != nil {
			if !l.ever && ctx.Err() == nil {
				c.cc.RaiseError(err)
			}
			return nil, nil, err
		}
		l.ever = true
	}
	all, err := l.open.tables(ctx, c.s)
	if err != nil {
		return nil, nil, err
	}
	c.mu.Lock()
	c.quote, c.names = l.open.mark(), l.open.names()
	c.mu.Unlock()
	if f := c.s.judgeNaming(l.open.names()); f != nil {
		c.cc.RaiseError(connecterr.New(connecterr.Config, "%s", f[0].Message))
		return nil, nil, connecterr.New(connecterr.Config, "%s", f[0].Message)
	}
	if kept, missing, err = c.s.filter(all, l.open.mark()); err != nil {
		c.cc.RaiseError(connecterr.Wrap(connecterr.General, err, unreadableTables))
		return nil, nil, err
	}
	if len(kept) == 0 {
		c.log.Warn(noTablesText + nearMisses(missing))
	}
	return kept, missing, nil
}

func nearMisses(missing []string) string {
	if len(missing) == 0 {
		return ""
	}
	return " Not found: " + strings.Join(missing, ", ")
}

const noTablesText = "Task is being killed because it was not assigned a table nor a query to execute. If run in table mode please make sure that the tables exist on the database. " +
	"If the table does exist on the database, we recommend using the fully qualified table name."

func (c *jdbcConnector) TaskConfigs(ctx context.Context, maxTasks int) ([]map[string]string, error) {
	task := func(tables string, fetched bool) map[string]string {
		t := maps.Clone(c.cc.Config())
		t[tablesKey], t[fetchedKey] = tables, fmt.Sprint(fetched)
		return t
	}
	if c.s.query != "" {
		return []map[string]string{task("", true)}, nil
	}
	tables, ok := c.watch.found(ctx, c.s.startup)
	if !ok {
		c.log.Warn("The connector has not been able to read the list of tables from the database yet.")
		return []map[string]string{task("", false)}, nil
	}
	c.mu.Lock()
	quote, names := c.quote, c.names
	c.mu.Unlock()
	if err := c.s.duplicates(tables, quote, names); err != nil {
		return nil, err
	}
	share := shareNames(tables)
	if len(tables) == 0 {
		return []map[string]string{task("", true)}, nil
	}
	var all []map[string]string
	for _, group := range split(tables, maxTasks) {
		t := task(joinTables(group, quote, c.s.quote), true)
		if share {
			t[sharedKey] = "true"
		}
		all = append(all, t)
	}
	return all, nil
}

func (c *jdbcConnector) Stop(context.Context) error {
	if c.cancel != nil {
		c.cancel()
	}
	c.done.Wait()
	return nil
}

// preparation bounds the question whether a query is valid.
const preparation = 60 * time.Second

// Validate implements connector.Validator.
func (c *jdbcConnector) Validate(ctx context.Context, props map[string]string) []connector.Finding {
	s, found, after := judge(c.def, props)
	if len(found) > 0 {
		return found
	}
	c.asked = true
	open, err := c.open(ctx, s, props, slog.New(slog.DiscardHandler), true)
	if err != nil {
		return forKeys("Could not connect to database. "+err.Error(), urlKey)
	}
	defer func() { _ = open.close() }()
	c.look(ctx, open, s)
	if s.query != "" {
		ctx, cancel := context.WithTimeout(ctx, preparation)
		defer cancel()
		if err := open.check(ctx, s.checked()); err != nil {
			if f := open.failure(err); f.final || f.noTable {
				return forKeys(invalidQuery(f), s.queryKey)
			}
		}
	}
	if s.timeQuery != "" {
		ctx, cancel := context.WithTimeout(ctx, preparation)
		defer cancel()
		if _, err := open.now(ctx, s.clock, s.timeQuery); err != nil {
			return forKeys(noTime(err), timeQueryKey)
		}
	}
	if s.settled {
		if why, _, err := open.settles(ctx); err == nil && why != "" {
			return forKeys("Invalid value true for configuration "+settledKey+": "+why, settledKey)
		}
	}
	return append(s.judgeNaming(open.names()), after...)
}

func noTime(err error) string {
	return "The query of " + timeQueryKey + " does not give a time: " + err.Error() + ". It has to give one row of one column, a timestamp."
}

func invalidQuery(f failure) string {
	var known []string
	if f.state != "" {
		known = append(known, "SQLState: "+f.state)
	}
	if f.code != 0 {
		known = append(known, fmt.Sprintf("errorCode: %d", f.code))
	}
	text := "The configured query is not valid and has database/connection errors. Please provide the correct query by validating the query syntax and the existing table/column names " +
		"with the database being connected"
	if known != nil {
		text += " (" + strings.Join(known, ", ") + ")"
	}
	return text
}

// ExactlyOnceSupport implements connector.ExactlyOnce: only where each record has a position of its own.
func (c *jdbcConnector) ExactlyOnceSupport(props map[string]string) (connector.Support, error) {
	if m := props[modeKey]; m == incrementing || m == both {
		return connector.Supported, nil
	}
	return connector.Unsupported, nil
}

// AlterOffsets implements connector.SourceOffsetAlterer.
func (c *jdbcConnector) AlterOffsets(_ context.Context, _ map[string]string, entries []connector.SourceOffsetEntry) (bool, error) {
	for _, e := range entries {
		_, isQuery := e.Partition.Get(queryField)
		_, isTable := e.Partition.Get(tableField)
		if !isQuery && !isTable {
			return false, connecterr.New(connecterr.General, `Invalid partition %s: expected {"protocol":"1","table":"<full name>"} or {"query":"query"}`, data.Text(e.Partition))
		}
		if _, err := readOffset(e.Partition, e.Offset); err != nil {
			return false, err
		}
		if e.Offset == nil {
			continue
		}
		for k := range e.Offset.All() {
			if k != idField && k != timestampField && k != nanosField {
				return false, connecterr.New(connecterr.General, "Invalid offset for partition %s: unknown field %s, expected incrementing, timestamp or timestamp_nanos", data.Text(e.Partition), data.Text(k))
			}
		}
	}
	return true, nil
}
