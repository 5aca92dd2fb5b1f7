package jdbcsource

import (
	"context"
	"time"
)

// session is one connection to a database, with what the source has to know of its kind. One goroutine uses it, and one
// statement at a time.
type session interface {
	// mark is the character around quoted names.
	mark() string
	// names tells which parts names of tables have. A connected database that they do not name may be in old offsets.
	names() parts
	// tables lists the tables of the settings' types that their patterns and lists can mean.
	tables(ctx context.Context, s *settings) ([]table, error)
	// columns are a table's, in order.
	columns(ctx context.Context, t table) ([]tableColumn, error)
	// now is the database's time, as its clock and the source's zone have it, or what a query says instead of it; "": none.
	now(ctx context.Context, c clock, query string) (time.Time, error)
	// last is the greatest id that there is; false: there are no rows.
	last(ctx context.Context, t target, quote bool) (id int64, there bool, err error)
	// transactions are those that run and may write rows, but for the session's own. It is asked outside of one.
	transactions(ctx context.Context) (transactions, error)
	// settles tells whether transactions can be asked: why not; or that it need not be, as those that write are never at the same time.
	settles(ctx context.Context) (why string, needless bool, err error)
	// begin begins a transaction; readOnly where nothing can want to write.
	begin(ctx context.Context, level string, readOnly bool) error
	// end ends it; what was read is read.
	end(ctx context.Context) error
	// query runs the statement that q describes.
	query(ctx context.Context, q query) (rows, error)
	// check finds out whether a query can be run, without running it.
	check(ctx context.Context, sql string) error
	// levels are the isolation levels that begin takes.
	levels() []string
	// failure says what kind of error one of the database is.
	failure(err error) failure
	ping(ctx context.Context) error
	close() error
}

// tableColumn is a column of a table.
type tableColumn struct {
	name     string
	nullable bool
	auto     bool // it numbers rows by itself
}

// query is what is to be read: the rows of a target behind a position.
type query struct {
	target
	mode   string
	suffix string
	quote  bool
	clock  clock
	from   position
	until  time.Time
	lastID *int64           // the greatest id that is read; nil: whatever there is
	said   func(sql string) // is told of the statement before it runs
}

// rows are the rows of a result as they arrive.
type rows interface {
	// columns are those of the result.
	columns() []column
	// next reads a row; false: there is none, or it failed.
	next() bool
	// raw are the row's values: nil, bool, int64, float64, string, *text, []byte or time.Time. They are good until next.
	raw() []any
	close() error
}

// text is a value as text that is no string before it has to be.
type text []byte

// failure is what an error of a database means.
type failure struct {
	state string // SQLState, where there is one
	code  int    // the vendor's code, where there is one
	// final: the same again would fail again.
	final bool
	// noTable: the table is not there; it may come, or the monitor may learn that it went.
	noTable bool
	// broken: the connection is of no more use.
	broken bool
}
