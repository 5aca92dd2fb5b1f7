package sourcetask_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/source"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// ledger is a producer that notes its transactions; a commit waits for its verdict.
type ledger struct {
	prompt
	verdicts chan error

	mu        sync.Mutex
	refusals  int        // Sends that are refused for now
	open      []string   // values of the open transaction
	committed [][]string // of each that was committed
	closed    bool
}

func (l *ledger) Begin() error { l.mu.Lock(); defer l.mu.Unlock(); l.open = nil; return nil }
func (l *ledger) Abort(context.Context) error {
	return l.Begin()
}
func (l *ledger) Send(ctx context.Context, batch []kafkaio.Record, done func(int, record.Produced, error)) (int, error) {
	l.mu.Lock()
	if l.refusals > 0 {
		l.refusals--
		l.mu.Unlock()
		return 0, connecterr.New(connecterr.Retriable, "not now")
	}
	for i := range batch {
		if batch[i].Topic != "offsets" {
			l.open = append(l.open, batch[i].Topic)
		}
	}
	l.mu.Unlock()
	return l.prompt.Send(ctx, batch, done)
}

func (l *ledger) Commit(ctx context.Context) error {
	select {
	case err := <-l.verdicts:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.committed = append(l.committed, slices.Clone(l.open))
	return nil
}

func (l *ledger) Close(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

// transactions are those that were committed, each as the names of its records.
func (l *ledger) transactions() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, names := range l.committed {
		all = append(all, strings.Join(names, ""))
	}
	return all
}

// dealt is a source that hands out what it is dealt, each name a record, and notes what is durable. Dealt "!" it fails; "." ends a
// transaction.
type dealt struct {
	hands   chan string
	durable []string
	tc      source.Context
}

func (d *dealt) Start(_ context.Context, tc source.Context) error { d.tc = tc; return nil }
func (*dealt) Stop(context.Context) error                         { return nil }
func (d *dealt) Poll(ctx context.Context) (rs []record.Source, err error) {
	select {
	case names := <-d.hands:
		if names == "!" {
			return nil, errors.New("broken")
		}
		for _, n := range names {
			if n == '.' {
				d.tc.Transactions().Commit()
				continue
			}
			rs = append(rs, record.Source{Partition: part, Offset: data.MapOf("n", int64(n)), Topic: string(n), Value: "v"})
		}
	case <-ctx.Done():
	}
	return rs, nil
}

func (d *dealt) CommitRecords(_ context.Context, done []source.Committed) error {
	for _, c := range done {
		d.durable = append(d.durable, c.Record.Topic)
	}
	return nil
}

// committer is told of commits.
type committer struct {
	dealt
	told int
}

func (c *committer) Commit(context.Context) error { c.told++; return nil }

func transactional(string, int) string { return "id" }

// dealing runs a source that is dealt hands.
func dealing(t *testing.T) (l *ledger, d *dealt, stop func() error) {
	t.Helper()
	l, d = &ledger{verdicts: make(chan error)}, &dealt{hands: make(chan string)}
	return l, d, runWith(t, d, l, transactional, nil)
}

func TestGroup_polls_that_come_while_one_is_committed_are_committed_together(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d, stop := dealing(t)
		d.hands <- "ab" // alone: it does not wait for others
		synctest.Wait()
		l.verdicts <- nil
		synctest.Wait()
		require.Equal(t, []string{"ab"}, l.transactions())
		require.Equal(t, []string{"a", "b"}, d.durable, "told while the next poll waits")

		d.hands <- "c"
		d.hands <- "de"
		d.hands <- "f"
		d.hands <- "g"
		l.verdicts <- nil
		l.verdicts <- nil
		synctest.Wait()
		require.Equal(t, []string{"ab", "c", "defg"}, l.transactions())

		d.hands <- "h"
		d.hands <- "i"
		synctest.Wait()
		close(l.verdicts) // all are good
		require.NoError(t, stop())
		require.Equal(t, []string{"ab", "c", "defg", "h", "i"}, l.transactions(), "a stop commits what waits")
		require.Equal(t, "abcdefghi", strings.Join(d.durable, ""))
		require.True(t, l.closed)
	})
}

func TestGroup_a_transaction_that_has_to_be_repeated_is_repeated_before_the_next(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d, stop := dealing(t)
		d.hands <- "a"
		d.hands <- "b"
		l.verdicts <- connecterr.New(connecterr.Retriable, "not now")
		l.verdicts <- connecterr.New(connecterr.Retriable, "nor now")
		d.hands <- "c"
		synctest.Wait()
		require.Empty(t, d.durable)
		close(l.verdicts)
		require.NoError(t, stop())
		require.Equal(t, []string{"a", "bc"}, l.transactions())
		require.Equal(t, []string{"a", "b", "c"}, d.durable)
	})
}

func TestGroup_after_a_commit_that_fails_nothing_is_committed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d, stop := dealing(t)
		d.hands <- "a"
		d.hands <- "b"
		synctest.Wait()
		l.verdicts <- errors.New("no")
		synctest.Wait()
		close(l.verdicts)
		require.ErrorContains(t, stop(), "no")
		require.Empty(t, l.transactions())
		require.Empty(t, d.durable)
		require.True(t, l.closed)
	})
}

func TestGroup_the_failure_of_a_poll_does_not_take_back_the_polls_before_it(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d, stop := dealing(t)
		d.hands <- "a"
		d.hands <- "b"
		d.hands <- "!"
		synctest.Wait()
		require.Empty(t, l.transactions())
		l.verdicts <- nil
		l.verdicts <- nil
		require.ErrorContains(t, stop(), "broken")
		require.Equal(t, []string{"a", "b"}, l.transactions())
		require.Equal(t, []string{"a", "b"}, d.durable)
	})
}

func TestGroup_after_a_failure_Kafka_is_not_waited_for_without_end(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d, stop := dealing(t)
		d.hands <- "a"
		d.hands <- "b"
		d.hands <- "!"
		require.ErrorContains(t, stop(), "broken")
		require.Empty(t, l.transactions())
		require.Empty(t, d.durable)
		require.True(t, l.closed)
	})
}

func TestGroup_what_waits_is_bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d, stop := dealing(t)
		hand, taken := strings.Repeat("x", 1000), 0
		for {
			synctest.Wait()
			select {
			case d.hands <- hand:
				taken++
				continue
			default:
			}
			break
		}
		require.Equal(t, 1+33, taken, "the one under way, and 33,000 records that wait")
		close(l.verdicts)
		require.NoError(t, stop())
		require.Len(t, d.durable, taken*1000)
	})
}

func TestGroup_a_plugin_that_is_told_of_commits_is_told_before_it_is_polled_again(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, c := &ledger{verdicts: make(chan error)}, &committer{dealt: dealt{hands: make(chan string)}}
		stop := runWith(t, c, l, transactional, nil)
		c.hands <- "a"
		synctest.Wait()
		select {
		case c.hands <- "b":
			t.Fatal("polled before the commit")
		default:
		}
		l.verdicts <- nil
		synctest.Wait()
		require.Equal(t, 1, c.told)
		c.hands <- "b"
		close(l.verdicts)
		require.NoError(t, stop())
		require.Equal(t, []string{"a", "b"}, l.transactions())
		require.Equal(t, 2, c.told)
	})
}

// A transaction that has to be repeated ends where the connector says, not where it was repeated.
func TestTransactions_that_are_repeated_keep_the_connectors_boundaries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d := &ledger{verdicts: make(chan error)}, &dealt{hands: make(chan string)}
		close(l.verdicts) // all are good
		stop := runWith(t, d, l, transactional, map[string]string{"transaction.boundary": "connector"})
		d.hands <- "a"
		synctest.Wait()
		l.mu.Lock()
		l.refusals = 1
		l.mu.Unlock()
		d.hands <- "b"
		d.hands <- "c."
		d.hands <- "d."
		require.NoError(t, stop())
		require.Equal(t, []string{"abc", "d"}, l.transactions())
		require.Equal(t, []string{"a", "b", "c", "d"}, d.durable)
	})
}
