package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/canary"
	"github.com/millrace/millrace/tests/cluster"
	"github.com/millrace/millrace/tests/servers"
)

// jdbcKills is how many runners each TestJDBCKills_… kills. make kills/jdbc kills fifty in each.
var jdbcKills = flag.Int("jdbc-kills", 2, "how many runners TestJDBCKills_… kill, each")

// Runners are killed while sinks write numbered records to databases. At least once loses none; upserts and offsets in the
// database have each exactly once, the latter in tables without a key too.
func TestJDBCKills_sinks(t *testing.T) {
	f := theFleet(t)
	l := beginSinks(t, f)
	f.asWanted(t)
	moments := []struct {
		name string
		wait func(t *testing.T, s *tableSink)
	}{
		{"in a transaction", func(t *testing.T, s *tableSink) {
			if s.inTransaction == "" {
				f.lasts(t, rand.N(time.Second))
				return
			}
			f.moment(t, func() bool { return one(t, s.db, s.inTransaction) > 0 })
		}},
		{"right after rows were there", func(t *testing.T, s *tableSink) {
			from := s.rows(t)
			f.moment(t, func() bool { return s.rows(t) > from })
		}},
		{"at any time", func(t *testing.T, _ *tableSink) { f.lasts(t, rand.N(1500*time.Millisecond)) }},
	}
	for n := range *jdbcKills {
		s, m := l.sinks[n%len(l.sinks)], moments[n%len(moments)]
		r := f.holder(t, s.name)
		m.wait(t, s)
		require.NoError(t, r.Kill())
		t.Logf("kill %d: a runner of %s, %s", n+1, s.name, m.name)
		f.turn(t)
		require.NoError(t, r.Start())
		f.ready(t, r)
		l.flow(t)
	}
	l.end(t)
}

// tableSink is a sink connector with a table of its own.
type tableSink struct {
	name          string
	table         string
	db            servers.Database
	exact         bool
	inTransaction string // asks how many transactions it has open; "": the database does not tell
}

func (s *tableSink) rows(t *testing.T) int64 { return one(t, s.db, "SELECT count(*) FROM "+s.table) }

// one is the number that a query gives.
func one(t *testing.T, d servers.Database, query string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(d.Rows(t, query)[0], 10, 64)
	require.NoError(t, err)
	return n
}

// sinkLoad is what is written to a topic, and the sinks that read it.
type sinkLoad struct {
	f     *fleet
	sinks []*tableSink
	sent  atomic.Int64
	stop  context.CancelFunc
	done  chan error
}

func beginSinks(t *testing.T, f *fleet) *sinkLoad {
	t.Helper()
	run := time.Now().UnixNano()
	topic := fmt.Sprintf("rows-%d", run)
	kafka, err := kgo.NewClient(kgo.SeedBrokers(f.kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond))
	require.NoError(t, err)
	_, err = kadm.NewClient(kafka).CreateTopic(t.Context(), 4, 1, nil, topic)
	require.NoError(t, err)
	l := &sinkLoad{f: f, done: make(chan error, 1)}
	pg, maria := servers.PostgresDatabase(t), servers.MariaDBDatabase(t)
	lite := servers.SQLiteDatabaseIn(t, filepath.Join(f.Dir, fmt.Sprintf("rows-%d.db", run)))
	const keyless, keyed = "CREATE TABLE %s (id BIGINT NOT NULL, v VARCHAR(20))", "CREATE TABLE %s (id BIGINT NOT NULL PRIMARY KEY, v VARCHAR(20))"
	const once = "millrace.exactly.once"
	for _, s := range []struct {
		*tableSink
		tasks int
		ddl   string
		more  map[string]string
	}{
		{&tableSink{name: "jdbc-once", table: "once", db: pg, exact: true}, 2, keyless, map[string]string{once: "true"}},
		{&tableSink{name: "jdbc-once-maria", table: "once", db: maria, exact: true}, 2, keyless, map[string]string{once: "true"}},
		{&tableSink{name: "jdbc-upsert", table: "upserted", db: pg, exact: true}, 2, keyed, map[string]string{"insert.mode": "upsert", "pk.mode": "record_value", "pk.fields": "id"}},
		{&tableSink{name: "jdbc-once-lite", table: "once", db: lite, exact: true}, 1, keyless, map[string]string{once: "true"}},
		{&tableSink{name: "jdbc-insert", table: "inserted", db: pg}, 2, keyless, nil},
	} {
		if s.db.Product == "postgresql" {
			s.inTransaction = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '" + s.name + "' AND xact_start IS NOT NULL"
		}
		s.db.Exec(t, fmt.Sprintf(s.ddl, s.table))
		l.sinks = append(l.sinks, s.tableSink)
		config := map[string]string{"connector.class": "JdbcSink", "tasks.max": strconv.Itoa(s.tasks), "topics": topic, "connection.url": s.db.JDBC, "table.name.format": s.table,
			"retry.backoff.ms": "100", "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "true"}
		for k, v := range s.more {
			config[k] = v
		}
		put(t, f, s.name, config)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.stop = cancel
	go func() { l.done <- l.send(ctx, kafka, topic) }()
	t.Cleanup(func() { cancel(); kafka.Close() })
	l.flow(t)
	return l
}

// put makes a connector that is deleted at the end of the test.
func put(t *testing.T, f *fleet, name string, config map[string]string) {
	t.Helper()
	_, err := f.REST.Do(t.Context(), http.MethodPut, "/connectors/"+name+"/config", config)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := f.REST.Do(context.WithoutCancel(t.Context()), http.MethodDelete, "/connectors/"+name, nil)
		require.NoError(t, err)
	})
}

// perTick records are sent each tick.
const (
	sendTick = 10 * time.Millisecond
	perTick  = 4
)

// send numbers records until ctx ends; all that it has numbered are there then.
func (l *sinkLoad) send(ctx context.Context, kafka *kgo.Client, topic string) error {
	tick := time.NewTicker(sendTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return kafka.Flush(context.WithoutCancel(ctx))
		case <-tick.C:
		}
		for range perTick {
			n := l.sent.Add(1) - 1
			value := fmt.Sprintf(`{"schema":{"type":"struct","fields":[{"field":"id","type":"int64"},{"field":"v","type":"string"}]},"payload":{"id":%d,"v":"v%d"}}`, n, n)
			kafka.Produce(context.WithoutCancel(ctx), &kgo.Record{Topic: topic, Partition: int32(n % 4), Value: []byte(value)}, nil) // a lost one is missing in the tables
		}
	}
}

// flow waits until each sink has written records that were sent after the call.
func (l *sinkLoad) flow(t *testing.T) {
	t.Helper()
	from := l.sent.Load()
	for _, s := range l.sinks {
		l.f.until(t, settled, func(context.Context) error {
			if most := one(t, s.db, "SELECT COALESCE(max(id), -1) FROM "+s.table); most <= from {
				return fmt.Errorf("%s has not written what was sent after %d; the last is %d", s.name, from, most)
			}
			return nil
		})
	}
}

// end stops the load, waits until all is there, and counts.
func (l *sinkLoad) end(t *testing.T) {
	t.Helper()
	l.stop()
	require.NoError(t, <-l.done)
	sent := l.sent.Load()
	for _, s := range l.sinks {
		l.f.until(t, settled, func(context.Context) error {
			if n := one(t, s.db, "SELECT count(DISTINCT id) FROM "+s.table); n != sent {
				return fmt.Errorf("%s: %d of %d records are there", s.name, n, sent)
			}
			return nil
		})
		rows := s.rows(t)
		t.Logf("%s (%s): %d records sent, 0 lost, %d rows more", s.name, s.db.Product, sent, rows-sent)
		if s.exact {
			require.Equal(t, sent, rows, "%s has written some twice", s.name)
		}
		require.Zero(t, one(t, s.db, "SELECT count(*) FROM "+s.table+" WHERE v <> "+map[bool]string{true: "concat('v', id)", false: "'v' || id"}[s.db.Product == "mariadb"]))
	}
}

// Runners are killed while a source reads a table that grows: each row comes exactly once.
func TestJDBCKills_source(t *testing.T) { killedSource(t, theFleet(t)) }

// killedSource kills the runner of a source. Without transactions rows may come again, but none that the committed offset says
// is there.
func killedSource(t *testing.T, f *fleet) {
	t.Helper()
	d := servers.PostgresDatabase(t)
	table := fmt.Sprintf("src_%d", time.Now().UnixNano())
	topic := "jdbc-" + table
	d.Exec(t, "CREATE TABLE "+table+" (id BIGINT GENERATED BY DEFAULT AS IDENTITY (MINVALUE 0 START 0) PRIMARY KEY)")
	ctx, stop := context.WithCancel(t.Context())
	grown := make(chan error, 1)
	go func() { grown <- grow(ctx, d, table) }()
	w, err := canary.Watch(f.kafka, []string{topic}, nil)
	require.NoError(t, err)
	defer w.Close()
	name := "jdbc-source-" + table
	put(t, f, name, map[string]string{"connector.class": "JdbcSource", "tasks.max": "1", "connection.url": d.JDBC, "mode": "incrementing", "table.whitelist": table, "topic.prefix": "jdbc-",
		"poll.interval.ms": "10", "batch.max.rows": "500", "value.converter": "org.apache.kafka.connect.storage.StringConverter",
		"transforms": "id", "transforms.id.type": "org.apache.kafka.connect.transforms.ExtractField$Value", "transforms.id.field": "id"})
	flow := func() {
		t.Helper()
		from := one(t, d, "SELECT COALESCE(max(id), 0) FROM "+table)
		f.until(t, settled, func(context.Context) error {
			r := w.Topic(topic)
			if r.Err != nil || !f.atLeastOnce && r.Doubled > 0 {
				return cluster.Final(fmt.Errorf("%s: %s", name, r))
			}
			if r.Next <= from || r.Lost > 0 {
				return fmt.Errorf("%s: %s; above %d wanted", name, r, from)
			}
			return nil
		})
	}
	flow()
	var longest time.Duration
	committed := int64(-1)
	for n := range *jdbcKills {
		r := f.holder(t, name)
		what := "at any time"
		if n%2 == 0 {
			what = "after its offset was committed anew"
			from := committed
			f.moment(t, func() bool { return f.committed(t, name) > from })
		}
		f.lasts(t, rand.N(1500*time.Millisecond))
		committed = f.committed(t, name)
		w.Mark()
		at := w.Topic(topic).Next
		require.NoError(t, r.Kill())
		killed := time.Now()
		require.NoError(t, r.Start())
		f.ready(t, r)
		flow()
		took := time.Since(killed)
		longest = max(longest, took)
		t.Logf("kill %d: the runner of %s, %s (%d, its topic at %d); rows that came meanwhile were there after %s", n+1, name, what, committed, at, took.Round(time.Millisecond))
		if again := w.Topic(topic).Again; again >= 0 {
			require.Greater(t, again, committed, "a row came again although the committed offset says that it is there")
		}
	}
	stop()
	require.NoError(t, <-grown)
	total := one(t, d, "SELECT count(*) FROM "+table)
	f.until(t, settled, func(context.Context) error {
		if r := w.Topic(topic); r.Next != total || r.Lost > 0 {
			return fmt.Errorf("%s: %s of %d rows", name, r, total)
		}
		return nil
	})
	r := w.Topic(topic)
	t.Logf("%s: %d rows, %d kills, 0 lost, %d came again, none of them up to the committed offset; longest catch-up %s", name, total, *jdbcKills, r.Doubled, longest.Round(time.Millisecond))
	if !f.atLeastOnce {
		require.Zero(t, r.Doubled)
	}
}

// grow inserts rows until ctx ends.
func grow(ctx context.Context, d servers.Database, table string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := d.DB.ExecContext(context.WithoutCancel(ctx), "INSERT INTO "+table+" SELECT FROM generate_series(1, 5)"); err != nil {
			return err
		}
	}
}

// committed is a JDBC source's offset as the REST API shows it; -1: none.
func (f *fleet) committed(t *testing.T, name string) int64 {
	t.Helper()
	n := int64(-1)
	f.until(t, settled, func(ctx context.Context) error {
		b, err := f.REST.Do(ctx, http.MethodGet, "/connectors/"+name+"/offsets", nil)
		if err != nil {
			return err
		}
		var got struct {
			Offsets []struct {
				Offset struct{ Incrementing json.Number }
			}
		}
		if err := json.Unmarshal(b, &got); err != nil {
			return errors.Join(err, errors.New(strings.ToValidUTF8(string(b), "?")))
		}
		if len(got.Offsets) > 0 {
			n, err = got.Offsets[0].Offset.Incrementing.Int64()
		}
		return err
	})
	return n
}
