package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/servers"
)

const (
	jdbcRounds = 5
	jdbcRows   = 1_000_000
)

func inBase64(cents int) string {
	return base64.StdEncoding.EncodeToString(data.NewDecimal(int64(cents), 2).Bytes())
}

// tables is a benchmark that fills tables: with inserts, or with upserts of which half meet a row.
type tables struct {
	*orders
	upserts bool
	topic   string
	file    string // the rows as COPY reads them
	bare    string // the program that does only what must be done
	java    *servers.ConnectProcess
}

// toTable measures Kafka→PostgreSQL by inserts (B3).
func toTable(ctx context.Context, b *bed, r *report) error { return fillTables(ctx, b, r, false) }

// ontoTable measures Kafka→PostgreSQL by upserts (B4).
func ontoTable(ctx context.Context, b *bed, r *report) error { return fillTables(ctx, b, r, true) }

func fillTables(ctx context.Context, b *bed, r *report, upserts bool) (err error) {
	t := &tables{upserts: upserts, topic: "orders"}
	if t.orders, err = openOrders(ctx, cmp.Or(b.rows, jdbcRows)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close(ctx)) }()
	if t.bare, err = build(ctx, b.Dir, "./tests/bench/baresql"); err != nil {
		return err
	}
	if t.java, err = servers.StartConnect(ctx, b.kafka, servers.ConnectOptions{JVM: []string{"-Xmx1g", "-XX:+UseG1GC"}, Debezium: true}); err != nil {
		return err
	}
	defer func() { _ = t.java.Stop(context.WithoutCancel(ctx)) }()
	if err := t.fill(ctx, b.kafka, t.topic); err != nil {
		return err
	}
	if t.file, err = t.write(b.Dir); err != nil {
		return err
	}
	if err := t.exec(ctx, "CREATE TABLE right_ones ("+fmt.Sprintf(ordersColumns, "")+")"); err != nil {
		return err
	}
	if err := t.copyInto(ctx, t.file, "right_ones"); err != nil {
		return err
	}
	bench, toLimit, toPeer := "B3", "≥ 0.6", "≥ 4"
	if upserts {
		bench, toLimit, toPeer = "B4", "≥ 0.75", "≥ 3"
	}
	ours := t.way(b.REST.Base, pids(b.Cluster), t.ours())
	ways := []*way{
		{name: limitWay, move: t.limit},
		{name: oursWay, move: ours},
		{name: "connect", move: t.way(t.java.Base, []int{t.java.Pid()}, t.theirs(false))},
		{name: controlWay, move: ours},
		{name: "connect, tuned", move: t.way(t.java.Base, []int{t.java.Pid()}, t.theirs(true))},
	}
	if err := b.alternate(ctx, bench, t.n, jdbcRounds, ways); err != nil || b.only != "" {
		return err
	}
	r.tellWays(ways, figures{rate: "rows_per_s", toLimit: toLimit, toPeer: toPeer})
	r.add("differing_rows", 0, "rows", (len(ways))*len(ways[0].rates)*t.n, "0") // else it had ended
	return nil
}

func (t *tables) ours() map[string]string {
	c := map[string]string{"connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "connection.url": t.jdbc(), "connection.user": t.db.Config().User, "table.name.format": "TABLE"}
	if t.upserts {
		maps.Copy(c, map[string]string{"insert.mode": "upsert", "pk.mode": "record_key", "pk.fields": "id"})
	}
	return c
}

func (t *tables) theirs(tuned bool) map[string]string {
	c := map[string]string{"connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "connection.url": t.jdbc(), "connection.username": t.db.Config().User, "connection.password": "",
		"collection.name.format": "TABLE", "insert.mode": "insert"}
	if t.upserts {
		maps.Copy(c, map[string]string{"insert.mode": "upsert", "primary.key.mode": "record_key"})
	}
	if tuned {
		maps.Copy(c, map[string]string{"consumer.override.max.poll.records": "5000", "batch.size": "5000", "consumer.override.fetch.min.bytes": "100000",
			"consumer.override.max.partition.fetch.bytes": "4194304"})
		c["connection.url"] += "&reWriteBatchedInserts=true"
	}
	return c
}

// prepare makes the table of a round: empty, or with every second row in it, but for what it says.
func (t *tables) prepare(ctx context.Context, table string) error {
	key := " NOT NULL"
	if t.upserts {
		key = " PRIMARY KEY"
	}
	if err := t.exec(ctx, "CREATE TABLE "+table+" ("+fmt.Sprintf(ordersColumns, key)+")"); err != nil || !t.upserts {
		return errors.Join(err, t.exec(ctx, "CHECKPOINT"))
	}
	return t.exec(ctx, "INSERT INTO "+table+" SELECT id, customer, name, NULL, amount, quantity, paid, created FROM right_ones WHERE id % 2 = 0", "VACUUM ANALYZE "+table, "CHECKPOINT")
}

// written is the number of rows that are as they should be in the end: those that have a city.
func (t *tables) written(ctx context.Context, table string) (n int, err error) {
	err = t.db.QueryRow(ctx, "SELECT count(city) FROM "+table).Scan(&n)
	return n, err
}

// limit does only what must be done: COPY of a file, or upserts of arrays.
func (t *tables) limit(ctx context.Context, round string) (taken, error) {
	if err := t.prepare(ctx, round); err != nil {
		return taken{}, err
	}
	mode := "copy"
	if t.upserts {
		mode = "upsert"
	}
	cmd := exec.CommandContext(ctx, t.bare, "-mode", mode, "-db", t.pg.URL(), "-table", round, "-file", t.file) //nolint:gosec // our own
	return t.run(cmd, func() error { return t.finish(ctx, round) })
}

// run runs the bare program, which prints the seconds that it took.
func (o *orders) run(cmd *exec.Cmd, check func() error) (taken, error) {
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return taken{}, err
	}
	if err := cmd.Start(); err != nil {
		return taken{}, err
	}
	text, err := io.ReadAll(out)
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return taken{}, err
	}
	var seconds, peak float64
	if _, err := fmt.Sscan(string(text), &seconds, &peak); err != nil {
		return taken{}, fmt.Errorf("the bare program says %q: %w", text, err)
	}
	if err := check(); err != nil {
		return taken{}, err
	}
	return taken{rate: float64(o.n) / seconds, cpu: cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime(), peak: peak}, nil
}

// finish requires that all rows are in the table and right, and drops it.
func (t *tables) finish(ctx context.Context, table string) error {
	n, err := t.differing(ctx, table, "right_ones")
	if err != nil {
		return err
	}
	if n != 0 {
		var wrong, right string
		err := t.db.QueryRow(ctx, "SELECT a::text, b::text FROM "+table+" a JOIN right_ones b USING (id) WHERE a.*::text <> b.*::text LIMIT 1").Scan(&wrong, &right)
		return errors.Join(fmt.Errorf("%d rows of %s are lost, doubled or wrong, for example %s instead of %s", n, table, wrong, right), err)
	}
	return t.exec(ctx, "DROP TABLE "+table)
}

// way runs a sink connector over a REST API until the table is full. The CPU is that of the workers from the request on.
func (t *tables) way(base string, workers []int, config map[string]string) func(context.Context, string) (taken, error) {
	return func(ctx context.Context, round string) (taken, error) {
		if err := t.prepare(ctx, round); err != nil {
			return taken{}, err
		}
		c := maps.Clone(config)
		for k, v := range c {
			c[k] = strings.ReplaceAll(v, "TABLE", round)
		}
		c["topics"], c["tasks.max"] = t.topic, "1"
		for _, of := range []string{"key", "value"} {
			c[of+".converter"], c[of+".converter.schemas.enable"] = "org.apache.kafka.connect.json.JsonConverter", "true"
		}
		took, err := worked(ctx, base, workers, round, c, func() (float64, error) { return t.watch(ctx, round) })
		if err != nil {
			return taken{}, err
		}
		return took, t.finish(ctx, round)
	}
}

// watch counts the rows that have been written until all are. The rate is counted from the first look that saw some.
func (t *tables) watch(ctx context.Context, table string) (float64, error) {
	size := func() (n int64, err error) {
		err = t.db.QueryRow(ctx, "SELECT pg_relation_size($1::text::regclass)", table).Scan(&n)
		return n, err
	}
	before, err := size()
	if err != nil {
		return 0, err
	}
	return watched(ctx, t.n, func() (bool, error) { now, err := size(); return now != before, err }, func() (int, error) { return t.written(ctx, table) })
}

// watched looks at what grows to n, seldom while the end is far: looking takes the time of what is measured. begun tells
// cheaply whether there is any.
func watched(ctx context.Context, n int, begun func() (bool, error), count func() (int, error)) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var first int
	var began time.Time
	for wait := 2 * time.Millisecond; ; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d rows: %w", first, n, context.Cause(ctx))
		}
		if began.IsZero() {
			any, err := begun()
			if err != nil {
				return 0, err
			}
			if !any {
				continue
			}
		}
		at := time.Now()
		now, err := count()
		switch {
		case err != nil:
			return 0, err
		case now == 0: // not committed yet
			continue
		case now >= n && began.IsZero():
			return 0, errors.New("all rows came at once: more are needed")
		case now >= n:
			return float64(now-first) / at.Sub(began).Seconds(), nil
		case began.IsZero():
			first, began, wait = now, at, 50*time.Millisecond
			continue
		}
		if rate := float64(now-first) / at.Sub(began).Seconds(); rate > 0 {
			left := time.Duration(float64(n-now) / rate * float64(time.Second))
			wait = min(max(left/2, 2*time.Millisecond), time.Second)
		}
	}
}
