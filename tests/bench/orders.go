package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/embedded/pgembed"
)

// orders are the rows of B3, B4 and B5: eight columns, as many as -rows says, the same ones each time.
type orders struct {
	n  int
	pg *pgembed.Server
	db *pgx.Conn
}

const (
	ordersPartitions = 4
	ordersColumns    = `id bigint%s, customer integer NOT NULL, name text NOT NULL, city text, amount numeric(12,2) NOT NULL, quantity integer NOT NULL, paid boolean NOT NULL, created timestamp(3) NOT NULL`
	ordersSchema     = `{"type":"struct","optional":false,"name":"orders","fields":[` +
		`{"type":"int64","optional":false,"field":"id"},{"type":"int32","optional":false,"field":"customer"},` +
		`{"type":"string","optional":false,"field":"name"},{"type":"string","optional":true,"field":"city"},` +
		`{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"field":"amount"},` +
		`{"type":"int32","optional":false,"field":"quantity"},{"type":"boolean","optional":false,"field":"paid"},` +
		`{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"created"}]}`
	ordersKeySchema = `{"type":"struct","optional":false,"name":"key","fields":[{"type":"int64","optional":false,"field":"id"}]}`
)

var cities = []string{"Berlin", "São Paulo", "Paris", "Kyōto", "Łódź", "New York", "Nairobi", "Melbourne"}

// order is one row.
type order struct {
	id                 int
	customer, quantity int
	name, city         string
	cents              int
	paid               bool
	created            time.Time
}

func orderOf(i int) order {
	return order{id: i, customer: i * 7919 % 100_003, quantity: 1 + i%17, name: "customer of order " + strconv.Itoa(i), city: cities[i%len(cities)], cents: i*31%1_000_000 + 1, paid: i%3 == 0,
		created: time.UnixMilli(1_600_000_000_000 + int64(i)*977).UTC()}
}

// openOrders starts a Postgres server for the rows, which syncs to disk as servers do by default.
func openOrders(ctx context.Context, n int) (*orders, error) {
	pg, err := pgembed.Start(ctx, pgembed.Options{Fetch: true, Settings: []string{"wal_level=logical", "shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=30min"}})
	if err != nil {
		return nil, err
	}
	db, err := pgx.Connect(ctx, pg.URL())
	if err != nil {
		return nil, errors.Join(err, pg.Close(ctx))
	}
	return &orders{n: n, pg: pg, db: db}, nil
}

func (o *orders) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	return errors.Join(o.db.Close(ctx), o.pg.Close(ctx))
}

func (o *orders) jdbc() string {
	c := o.db.Config()
	return fmt.Sprintf("jdbc:postgresql://%s:%d/%s?sslmode=disable", c.Host, c.Port, c.Database)
}

func (o *orders) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := o.db.Exec(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

// fill makes a topic of all rows, with schemas, and their ids as keys.
func (o *orders) fill(ctx context.Context, kafka, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedBytes(64<<20), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, ordersPartitions, 1, nil, topic); err != nil {
		return err
	}
	return produce(ctx, client, o.n, func(i int) *kgo.Record {
		r := orderOf(i)
		value := fmt.Appendf(make([]byte, 0, 1024), `{"schema":%s,"payload":{"id":%d,"customer":%d,"name":%q,"city":%q,"amount":%q,"quantity":%d,"paid":%t,"created":%d}}`,
			ordersSchema, r.id, r.customer, r.name, r.city, inBase64(r.cents), r.quantity, r.paid, r.created.UnixMilli())
		key := fmt.Appendf(nil, `{"schema":%s,"payload":{"id":%d}}`, ordersKeySchema, r.id)
		return &kgo.Record{Partition: int32(i / 1000 % ordersPartitions), Key: key, Value: value} //nolint:gosec // few
	})
}

// write writes all rows to a file as COPY reads them.
func (o *orders) write(dir string) (file string, err error) {
	file = filepath.Join(dir, "orders.copy")
	f, err := os.Create(file) //nolint:gosec // ours
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriterSize(f, 1<<20)
	for i := range o.n {
		r := orderOf(i)
		_, _ = fmt.Fprintf(out, "%d\t%d\t%s\t%s\t%d.%02d\t%d\t%t\t%s\n", r.id, r.customer, r.name, r.city, r.cents/100, r.cents%100, r.quantity, r.paid, r.created.Format("2006-01-02 15:04:05.000")) // Flush tells
	}
	return file, out.Flush()
}

// copyInto fills a table with a file by COPY.
func (o *orders) copyInto(ctx context.Context, file, table string) error {
	f, err := os.Open(file) //nolint:gosec // ours
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	_, err = o.db.PgConn().CopyFrom(ctx, f, "COPY "+table+" FROM STDIN")
	return err
}

// differing counts the rows of a table that are lost, doubled or not what they should be, by a table that COPY filled.
func (o *orders) differing(ctx context.Context, table, right string) (n int, err error) {
	err = o.db.QueryRow(ctx, "SELECT (SELECT count(*) FROM (SELECT * FROM "+table+" EXCEPT ALL SELECT * FROM "+right+") a) + (SELECT count(*) FROM (SELECT * FROM "+right+" EXCEPT ALL SELECT * FROM "+
		table+") b)").Scan(&n)
	return n, err
}
