package jdbcsink

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/plugins/connectors/jdbc/connect"
	"github.com/millrace/millrace/plugins/connectors/jdbc/dialect"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
)

// offsetTable is the table of positions (millrace.offsets.table): a line for each partition of each consumer group.
type offsetTable struct {
	d     dialect.Dialect
	name  dialect.Name
	text  string // in statements
	group string
	there bool // it was seen, or made
}

// line says which line of the group's. A topic that is made anew has another identity.
type line struct {
	record.TopicPartition
	topicID string
}

// holder is who claims.
type holder struct {
	task  string
	epoch int64
}

// move is a step of a position.
type move struct {
	line
	mark     string
	from, to int64
}

// newOffsetTable says where the table is; it is only for databases where the tests have seen that it works.
func newOffsetTable(s *settings, d dialect.Dialect) (*offsetTable, error) {
	switch d.Kind() {
	case dialect.PostgreSQL, dialect.MySQL, dialect.SQLite:
	default:
		return nil, connecterr.New(connecterr.Config, "Invalid value true for configuration %s: it works on PostgreSQL, MySQL, MariaDB and SQLite, and was not tried on %s", exactlyOnceKey, d.Product())
	}
	n, err := dialect.ParseName(d, s.offsets)
	if err != nil {
		return nil, err
	}
	return &offsetTable{d: d, name: n, text: n.Text(d, true), group: s.group}, nil
}

// The types of columns, of columns in the key, and what ends the statement. Keys of MySQL have a length, which is 767 bytes
// before 5.7, and must not take two cases for one.
var offsetTypes = map[dialect.Kind][3]string{
	dialect.PostgreSQL: {"TEXT", "TEXT", ""}, dialect.SQLite: {"TEXT", "TEXT", ""},
	dialect.MySQL: {"VARCHAR(255)" + mysqlText, "VARCHAR(191)" + mysqlText, " ENGINE=InnoDB"},
}

const mysqlText = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

// definition is the statement that makes the table.
func (o *offsetTable) definition() string {
	types := offsetTypes[o.d.Kind()]
	text, key := types[0]+" NOT NULL", types[1]+" NOT NULL"
	return "CREATE TABLE " + o.text + " (\nconsumer_group " + key + ",\ntopic " + text + ",\ntopic_partition INT NOT NULL,\ntopic_id " + key +
		",\nnext_offset BIGINT NOT NULL,\ntask " + text + ",\nepoch BIGINT NOT NULL,\nclaim " + text + ",\nPRIMARY KEY(consumer_group, topic_id, topic_partition))" + types[2]
}

// find looks for the table.
func (o *offsetTable) find(ctx context.Context, conn *sql.Conn) (bool, error) {
	t, err := o.d.Table(ctx, conn, o.name)
	switch {
	case err != nil || t == nil:
		return false, err
	case t.NoTransactions != "":
		return false, noTransactions(o.text, t.NoTransactions)
	}
	o.there = true
	return true, nil
}

// noTransactions is the error of a table whose rows stay when a transaction does not.
func noTransactions(table, engine string) error {
	return unfitTable("Table %s has the storage engine %s, which has no transactions, as %s=true needs: ALTER TABLE %s ENGINE=InnoDB", table, engine, exactlyOnceKey, table)
}

// prepare makes the table if it is missing.
func (o *offsetTable) prepare(ctx context.Context, conn *sql.Conn) error {
	if o.there {
		return nil
	}
	if found, err := o.find(ctx, conn); err != nil || found {
		return err
	}
	if _, err := conn.ExecContext(ctx, o.definition()); err != nil {
		if found, again := o.find(ctx, conn); again == nil && found { // another task was faster
			return nil
		}
		return notedError{err, fmt.Sprintf("The table of offsets (%s) could not be made. Somebody who may can make it with\n%s", offsetTableKey, o.definition())}
	}
	o.there = true
	return nil
}

// notedError has more to say than the database's error.
type notedError struct {
	error
	note string
}

func (e notedError) Unwrap() error { return e.error }

// sql puts the table's name and the database's marks into a statement, which has ? for parameters.
func (o *offsetTable) sql(text string) string {
	var b strings.Builder
	for n := 1; ; n++ {
		before, after, more := strings.Cut(text, "?")
		b.WriteString(before)
		if !more {
			return strings.Replace(b.String(), "OFFSETS", o.text, 1)
		}
		b.WriteString(o.d.Mark(n))
		text = after
	}
}

const ofLine = " WHERE consumer_group = ? AND topic_id = ? AND topic_partition = ?"

func (o *offsetTable) key(at line) []any { return []any{o.group, at.topicID, at.Partition} }

// claim takes a line for a holder. It waits for a transaction that moves the position; whoever claimed before moves it no more.
// A partition that has no line gets one that begins at start, unless that is -1.
func (o *offsetTable) claim(ctx context.Context, conn *sql.Conn, at line, h holder, start int64) (mark string, next int64, made bool, err error) {
	mark = rand.Text()
	if start >= 0 {
		if made, err = o.insert(ctx, conn, at, h, mark, start); err != nil || made {
			return mark, start, made, err
		}
	}
	err = inTx(ctx, conn, func() error {
		res, err := conn.ExecContext(ctx, o.sql("UPDATE OFFSETS SET task = ?, epoch = ?, claim = ?, topic = ?"+ofLine+" AND NOT (task = ? AND epoch > ?)"),
			append(append([]any{h.task, h.epoch, mark, at.Topic}, o.key(at)...), h.task, h.epoch)...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil {
			return err
		}
		var epoch int64
		err = conn.QueryRowContext(ctx, o.sql("SELECT next_offset, epoch FROM OFFSETS"+ofLine), o.key(at)...).Scan(&next, &epoch)
		switch {
		case errors.Is(err, sql.ErrNoRows) && start < 0:
			return connecterr.New(connecterr.General, "The line of partition %d of topic %s is gone from the table of offsets %s: its offsets were reset, or the database was put back. "+
				"Nothing of this batch was written. When the task is restarted, it goes on at Kafka's offset, which may be changed before", at.Partition, at.Topic, o.text)
		case errors.Is(err, sql.ErrNoRows):
			return contested(at, "was reset at this moment")
		case err == nil && n == 0:
			return superseded(h.task, h.epoch, epoch)
		}
		return err
	})
	return mark, next, false, err
}

// insert makes a line where there is none. It looks first and does it outside of a transaction: MySQL locks the gap where a
// transaction has found nothing, and two tasks that start together would be a deadlock.
func (o *offsetTable) insert(ctx context.Context, conn *sql.Conn, at line, h holder, mark string, start int64) (made bool, err error) {
	look := func() error {
		var there int
		return conn.QueryRowContext(ctx, o.sql("SELECT 1 FROM OFFSETS"+ofLine), o.key(at)...).Scan(&there)
	}
	if err = look(); !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	_, err = conn.ExecContext(ctx, o.sql("INSERT INTO OFFSETS (consumer_group, topic_id, topic_partition, topic, next_offset, task, epoch, claim) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
		append(o.key(at), at.Topic, start, h.task, h.epoch, mark)...)
	if err != nil && o.d.Fault(err).Class == dialect.Data && look() == nil {
		return false, nil // somebody has made it meanwhile
	}
	return err == nil, err
}

// move moves positions in the open transaction. Each line must have its claim's mark and be where it was.
func (o *offsetTable) move(ctx context.Context, conn *sql.Conn, moves []move) error {
	text := o.sql("UPDATE OFFSETS SET next_offset = ?" + ofLine + " AND claim = ? AND next_offset = ?")
	args := func(m move) []any { return append(append([]any{m.to}, o.key(m.line)...), m.mark, m.from) }
	check := func(m move, n int64) error {
		if n != 1 {
			return contested(m.line, "was claimed by another holder, or its offset was changed")
		}
		return nil
	}
	if o.d.Kind() == dialect.PostgreSQL && len(moves) > 1 {
		return connect.Postgres(conn, func(c *pgx.Conn) (err error) {
			b := &pgx.Batch{}
			for _, m := range moves {
				b.Queue(text, args(m)...)
			}
			answers := c.SendBatch(ctx, b)
			defer func() { err = errors.Join(err, answers.Close()) }()
			for _, m := range moves {
				tag, err := answers.Exec()
				if err == nil {
					err = check(m, tag.RowsAffected())
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	for _, m := range moves {
		res, err := conn.ExecContext(ctx, text, args(m)...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err == nil {
			err = check(m, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// alter sets positions of partitions that have lines and removes those whose offset is -1. Partitions without a line follow
// Kafka's offset. No claim survives.
func (o *offsetTable) alter(ctx context.Context, conn *sql.Conn, offsets map[record.TopicPartition]int64) error {
	return inTx(ctx, conn, func() error {
		for tp, to := range offsets {
			text, args := "UPDATE OFFSETS SET claim = '', next_offset = ?", []any{to}
			if to < 0 {
				text, args = "DELETE FROM OFFSETS", nil
			}
			if _, err := conn.ExecContext(ctx, o.sql(text+" WHERE consumer_group = ? AND topic = ? AND topic_partition = ?"), append(args, o.group, tp.Topic, tp.Partition)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// reset removes the group's positions.
func (o *offsetTable) reset(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, o.sql("DELETE FROM OFFSETS WHERE consumer_group = ?"), o.group)
	return err
}

// inTx runs f in a transaction of the session.
func inTx(ctx context.Context, conn *sql.Conn, f func() error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) && ctx.Err() == nil {
			return errors.Join(err, fmt.Errorf("rolling back: %w", back))
		}
		return err
	}
	return tx.Commit()
}
