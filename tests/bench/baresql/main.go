// Command baresql does with a database only what must be done, and nothing else: no group, no offsets, no schemas, no conversion
// that can be known beforehand. It is the limit beside which the JDBC connectors are measured, and prints the seconds that it took
// and its greatest memory in MB.
//
//	baresql -mode copy|upsert -db URL -table TABLE -file FILE
//	baresql -mode produce -db URL -table TABLE -kafka HOST:PORT -topic TOPIC
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	mode := flag.String("mode", "", "copy, upsert or produce")
	db := flag.String("db", "", "a Postgres URL")
	table := flag.String("table", "", "where to write or read")
	file := flag.String("file", "", "the rows as COPY reads them")
	kafka := flag.String("kafka", "", "a broker")
	topic := flag.String("topic", "", "where to produce")
	flag.Parse()
	if err := run(context.Background(), *mode, *db, *table, *file, *kafka, *topic); err != nil {
		fmt.Fprintln(os.Stderr, "baresql:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, mode, url, table, file, kafka, topic string) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	var work func() error
	switch mode {
	case "copy":
		f, err := os.Open(file) //nolint:gosec // what the caller asks for
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // only read
		work = func() error {
			_, err := conn.PgConn().CopyFrom(ctx, f, "COPY "+table+" FROM STDIN")
			return err
		}
	case "upsert":
		all, err := load(file)
		if err != nil {
			return err
		}
		work = func() error { return upsert(ctx, conn, table, all) }
	case "produce":
		client, err := kgo.NewClient(kgo.SeedBrokers(kafka), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(5*time.Millisecond),
			kgo.MaxBufferedRecords(100_000))
		if err != nil {
			return err
		}
		defer client.Close()
		if err := client.Ping(ctx); err != nil {
			return err
		}
		work = func() error { return produce(ctx, conn, table, client) }
	default:
		return fmt.Errorf("-mode is %q: copy, upsert or produce is expected", mode)
	}
	began := time.Now()
	if err := work(); err != nil {
		return err
	}
	took := time.Since(began)
	peak, err := peak()
	if err != nil {
		return err
	}
	_, err = fmt.Println(took.Seconds(), peak)
	return err
}

// peak is the process's greatest memory so far, in MB.
func peak() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, text, ok := strings.Cut(string(status), "VmHWM:")
	if !ok {
		return 0, errors.New("/proc/self/status has no VmHWM")
	}
	kb, err := strconv.Atoi(strings.Fields(text)[0])
	return float64(kb) / 1000, err
}

// batch are the columns of as many rows as one statement writes.
type batch struct {
	id                 []int64
	customer, quantity []int32
	name, city         []string
	amount             []pgtype.Numeric
	paid               []bool
	created            []time.Time
}

const perStatement = 5000

// load reads rows as COPY has them.
func load(file string) (all []*batch, err error) {
	f, err := os.Open(file) //nolint:gosec // what the caller asks for
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	in := bufio.NewScanner(f)
	for in.Scan() {
		if len(all) == 0 || len(all[len(all)-1].id) == perStatement {
			all = append(all, &batch{})
		}
		if err := all[len(all)-1].add(strings.Split(in.Text(), "\t")); err != nil {
			return nil, fmt.Errorf("%q: %w", in.Text(), err)
		}
	}
	return all, in.Err()
}

func (b *batch) add(columns []string) error {
	id, err := strconv.ParseInt(columns[0], 10, 64)
	b.id = append(b.id, id)
	for _, n := range []struct {
		to   *[]int32
		text string
	}{{&b.customer, columns[1]}, {&b.quantity, columns[5]}} {
		i, bad := strconv.ParseInt(n.text, 10, 32)
		*n.to, err = append(*n.to, int32(i)), errors.Join(err, bad)
	}
	b.name, b.city = append(b.name, columns[2]), append(b.city, columns[3])
	var amount pgtype.Numeric
	err = errors.Join(err, amount.Scan(columns[4]))
	b.amount = append(b.amount, amount)
	b.paid = append(b.paid, columns[6] == "true")
	created, bad := time.Parse("2006-01-02 15:04:05", columns[7])
	b.created = append(b.created, created)
	return errors.Join(err, bad)
}

// upsert writes rows as one would by hand: arrays, one statement and one transaction for each batch.
func upsert(ctx context.Context, conn *pgx.Conn, table string, all []*batch) error {
	text := "INSERT INTO " + table + ` (id, customer, name, city, amount, quantity, paid, created)
 SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::numeric[], $6::integer[], $7::boolean[], $8::timestamp[])
 ON CONFLICT (id) DO UPDATE SET customer = EXCLUDED.customer, name = EXCLUDED.name, city = EXCLUDED.city, amount = EXCLUDED.amount,
 quantity = EXCLUDED.quantity, paid = EXCLUDED.paid, created = EXCLUDED.created`
	for _, b := range all {
		if _, err := conn.Exec(ctx, text, b.id, b.customer, b.name, b.city, b.amount, b.quantity, b.paid, b.created); err != nil {
			return err
		}
	}
	return nil
}

// produce sends all rows of a table as JSON.
func produce(ctx context.Context, conn *pgx.Conn, table string, client *kgo.Client) error {
	rows := conn.PgConn().ExecParams(ctx, "SELECT id, customer, name, city, amount, quantity, paid, (extract(epoch FROM created) * 1000)::bigint FROM "+table, nil, nil, nil, nil)
	failed := make(chan error, 1)
	for rows.NextRow() {
		v := rows.Values()
		b := make([]byte, 0, 192)
		b = append(append(b, `{"id":`...), v[0]...)
		b = append(append(b, `,"customer":`...), v[1]...)
		b = appendText(append(b, `,"name":`...), v[2])
		b = appendText(append(b, `,"city":`...), v[3])
		b = append(append(b, `,"amount":`...), v[4]...)
		b = append(append(b, `,"quantity":`...), v[5]...)
		b = append(append(b, `,"paid":`...), map[byte]string{'t': "true", 'f': "false"}[v[6][0]]...)
		b = append(append(append(b, `,"created":`...), v[7]...), '}')
		client.Produce(ctx, &kgo.Record{Value: b}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	_, err := rows.Close()
	if err = errors.Join(err, client.Flush(ctx)); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// appendText writes a text as JSON; the rows have none that needs more than quotes, or it takes the long way.
func appendText(b, text []byte) []byte {
	for _, c := range text {
		if c < ' ' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(string(text)) // a text always has a form
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), text...), '"')
}
