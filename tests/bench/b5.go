package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/servers"
)

// fromTable measures PostgreSQL→Kafka: a full table, as JSON without schemas (B5).
func fromTable(ctx context.Context, b *bed, r *report) (err error) {
	o, err := openOrders(ctx, cmp.Or(b.rows, jdbcRows))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close(ctx)) }()
	bare, err := build(ctx, b.Dir, "./tests/bench/baresql")
	if err != nil {
		return err
	}
	java, err := servers.StartConnect(ctx, b.kafka, servers.ConnectOptions{JVM: []string{"-Xmx1g", "-XX:+UseG1GC"}, Debezium: true})
	if err != nil {
		return err
	}
	defer func() { _ = java.Stop(context.WithoutCancel(ctx)) }()
	file, err := o.write(b.Dir)
	if err != nil {
		return err
	}
	if err := o.exec(ctx, "CREATE TABLE orders ("+fmt.Sprintf(ordersColumns, " PRIMARY KEY")+")"); err != nil {
		return err
	}
	if err := o.copyInto(ctx, file, "orders"); err != nil {
		return err
	}
	if err := o.exec(ctx, "VACUUM ANALYZE orders"); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	s := &stream{orders: o, kafka: b.kafka, admin: kadm.NewClient(client), url: o.jdbc()}
	ours := s.way(b.REST.Base, pids(b.Cluster), s.ours())
	ways := []*way{
		{name: limitWay, move: func(ctx context.Context, round string) (taken, error) {
			topic := round + "-orders"
			if err := s.prepare(ctx, topic); err != nil {
				return taken{}, err
			}
			cmd := exec.CommandContext(ctx, bare, "-mode", "produce", "-db", o.pg.URL(), "-table", "orders", "-kafka", b.kafka, "-topic", topic) //nolint:gosec // our own
			return o.run(cmd, func() error { return s.check(ctx, topic) })
		}},
		{name: oursWay, move: ours},
		{name: "debezium", move: s.way(java.Base, []int{java.Pid()}, s.theirs(false))},
		{name: controlWay, move: ours},
		{name: "debezium, tuned", move: s.way(java.Base, []int{java.Pid()}, s.theirs(true))},
	}
	if err := b.alternate(ctx, "B5", o.n, jdbcRounds, ways); err != nil || b.only != "" {
		return err
	}
	r.tellWays(ways, figures{rate: "rows_per_s", toLimit: "≥ 0.55", toPeer: "≥ 4"})
	r.add("lost_or_doubled_rows", 0, "rows", len(ways)*len(ways[0].rates)*o.n, "0") // else it had ended
	return nil
}

// stream is a benchmark that empties a table into topics.
type stream struct {
	*orders
	kafka string
	admin *kadm.Client
	url   string
}

func (s *stream) ours() map[string]string {
	return map[string]string{"connector.class": "io.confluent.connect.jdbc.JdbcSourceConnector", "connection.url": s.url, "connection.user": s.db.Config().User,
		"mode": "incrementing", "incrementing.column.name": "id", "table.whitelist": "public.orders", "topic.prefix": "ROUND-", "batch.max.rows": "2000"}
}

func (s *stream) theirs(tuned bool) map[string]string {
	db := s.db.Config()
	c := map[string]string{"connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput", "slot.name": "ROUND", "publication.name": "ROUND", "slot.drop.on.stop": "true",
		"snapshot.mode": "initial_only", "database.hostname": db.Host, "database.port": strconv.Itoa(int(db.Port)), "database.user": db.User, "database.password": "none", "database.dbname": db.Database,
		"database.sslmode": "disable", "table.include.list": "public.orders", "topic.prefix": "ROUND", "decimal.handling.mode": "string", "transforms": "unwrap,route",
		"transforms.unwrap.type": "io.debezium.transforms.ExtractNewRecordState", "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
		"transforms.route.regex": `(.*)\.public\.orders`, "transforms.route.replacement": "$1-orders"}
	if tuned {
		maps.Copy(c, map[string]string{"max.batch.size": "20480", "max.queue.size": "81920", "snapshot.fetch.size": "20000", "producer.override.batch.size": "262144", "producer.override.linger.ms": "5"})
	}
	return c
}

func (s *stream) prepare(ctx context.Context, topic string) error {
	_, err := s.admin.CreateTopic(ctx, ordersPartitions, 1, nil, topic)
	return err
}

// way runs a source connector over a REST API until all rows are in the topic.
func (s *stream) way(base string, workers []int, config map[string]string) func(context.Context, string) (taken, error) {
	return func(ctx context.Context, round string) (taken, error) {
		topic := round + "-orders"
		if err := s.prepare(ctx, topic); err != nil {
			return taken{}, err
		}
		c := maps.Clone(config)
		for k, v := range c {
			c[k] = strings.ReplaceAll(v, "ROUND", round)
		}
		c["tasks.max"], c["key.converter"] = "1", "org.apache.kafka.connect.json.JsonConverter"
		c["value.converter"], c["value.converter.decimal.format"] = c["key.converter"], "NUMERIC"
		c["key.converter.schemas.enable"], c["value.converter.schemas.enable"] = "false", "false"
		took, err := worked(ctx, base, workers, round, c, func() (float64, error) {
			count := func() (int, error) { return s.count(ctx, topic) }
			return watched(ctx, s.n, func() (bool, error) { n, err := count(); return n > 0, err }, count)
		})
		if err != nil {
			return taken{}, err
		}
		return took, s.check(ctx, topic)
	}
}

// count is where the topic's partitions end, as those see it who read what is committed.
func (s *stream) count(ctx context.Context, topic string) (n int, err error) {
	ends, err := s.admin.ListCommittedOffsets(ctx, topic)
	ends.Each(func(o kadm.ListedOffset) { n += int(o.Offset); err = errors.Join(err, o.Err) })
	return n, err
}

// check requires that each row is in a topic once, and removes the topic.
func (s *stream) check(ctx context.Context, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	seen, n := make([]bool, s.n), 0
	for n < s.n {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			return fmt.Errorf("%d of %d rows are in %s: %w", n, s.n, topic, err)
		}
		for r := range fetched.RecordsAll() {
			text, ok := bytes.CutPrefix(r.Value, []byte(`{"id":`))
			digits, _, _ := bytes.Cut(text, []byte(","))
			id, err := strconv.Atoi(string(digits))
			if !ok || err != nil || id >= s.n || seen[id] {
				return fmt.Errorf("%s has a row that is doubled or none of ours: %s", topic, r.Value)
			}
			seen[id] = true
			n++
		}
	}
	_, err = s.admin.DeleteTopic(ctx, topic)
	return err
}
