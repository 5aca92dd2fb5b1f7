// Command bench measures Millrace as a cluster of processes beside a real Kafka broker:
//
//	bench [-keep FOLDER] [-compare FOLDER] [-n N] [-rows N] [-only WAY] [-profile FOLDER] B1|B2|B3|B4|B5|B6|B7|B8|B9|B10|start
//	bench -compare FOLDER -result FILE
//
// It prints one JSON object a line, {"bench","metric","value","unit","n"}, and a table. With -compare it ends with 1 where a
// ratio is worse than the one that the folder keeps.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/millrace/millrace/tests/cluster"
	"github.com/millrace/millrace/tests/servers"
)

// bench is one benchmark: about says what is measured, for the page in docs/bench.
type bench struct {
	about   string
	alone   bool // it starts all that it needs itself
	apiOnly bool // it needs neither schedulers nor runners
	runners int  // 0: three
	worker  string
	run     func(ctx context.Context, b *bed, r *report) error
}

var benches = map[string]bench{
	"B1": {about: "Kafka→file with the file sink and StringConverter, one task, 8 partitions compressed with snappy, values of 100 B and of 1 KB, offsets committed every second, by default settings. " +
		"The rate is what the file grew from its first line to its last; the numbers in it are checked, so that nothing is lost. CPU is that of the worker processes, from the request on. " +
		"The limit is a program that reads the partitions with franz-go and writes lines, without group, offsets and conversion. The peer is a real Kafka Connect worker (G1, -Xmx1g) on the same broker, once by default and once with larger polls. " +
		"\"millrace again\" is the same arm once more: differences of that size mean nothing. Figures are medians over the rounds, peaks the greatest, of all three runners together where one has the task; spread is the greatest by the smallest.", run: toFile},
	"B2": {about: "Kafka→file through InsertField, ReplaceField and Cast: JSON objects of about 210 B without a schema (JsonConverter), one task, 8 partitions, by default settings. " +
		"Counting, peer and control are as in B1. The limit is a program that reads the partitions with franz-go, decodes, changes and encodes the objects with go-json on all cores, and keeps no order.", run: transformed},
	"B3": {about: "Kafka→PostgreSQL by inserts into a table without a key: eight columns, JSON with schemas, a topic of four partitions compressed with lz4, one task; offsets committed every second, by default settings. " +
		jdbcAbout + "The limit is COPY of a file with the same rows, in one statement.", run: toTable},
	"B4": {about: "Kafka→PostgreSQL by upserts into a table with a primary key that has every second of the rows already; otherwise as B3. " +
		jdbcAbout + "The limit is INSERT … SELECT FROM unnest … ON CONFLICT with arrays of 5,000 rows that were made beforehand, a transaction each.", run: ontoTable},
	"B5": {about: "PostgreSQL→Kafka: a table of eight columns with a primary key, read in mode incrementing (batch.max.rows=2000), as JSON without schemas into a topic of four partitions, one task. " +
		"Rows are counted by the topic's end as those see it who read what is committed, from the first that is seen to the last; then each must be there once. CPU is that of the workers, from the request on. " +
		"The limit is a program that selects the table and produces the same JSON with franz-go. The peer is Debezium's source for PostgreSQL on a real Kafka Connect worker (G1, -Xmx1g), which takes a snapshot of the table, " +
		"unwrapped to plain rows, once by default and once with larger batches, queues and fetches: no Java connector that queries tables could be had. \"millrace again\" is the same arm once more: differences of that size mean nothing. " +
		"Figures are medians over the rounds, peaks the greatest, of all three runners together where one has the task; spread is the greatest by the smallest.", run: fromTable},
	"B6": {about: "The Kafka client alone, against a real broker with 8 partitions, nothing compressed: a program reads a topic, or fills one, and does nothing with the records. \"c\" is a loop in C over the librdkafka that all ways have in common: " +
		"2,000 messages at a time, of which it copies nothing, or one call for each record it produces. \"plain\" is confluent-kafka-go as its documentation has it. All have the settings of Millrace's clients (fetch.queue.backoff.ms=10, acks=all, idempotence, linger.ms=5). " +
		"What is consumed is counted in the program, where the offsets of each partition have to follow each other; what is produced, by the ends of the topic at the broker. The rate is from the first record to the last, " +
		"CPU and peak are of the whole process. \"millrace again\" is the same arm once more: differences of that size mean nothing. Figures are medians over the rounds, peaks the greatest; spread is the greatest by the smallest.", alone: true, run: clientLayer},
	"B7": {about: "From POST to RUNNING to the first record at the destination: one connector at a time on a cluster that is warm, then 100 and 1,000 at once. " +
		"One api, two schedulers and three runners as processes, Kafka, Postgres and NATS beside them on the same machine. " +
		"The source is the verifiable one, exactly once, and its destination is its topic, read with read_committed; the sink is the file sink, and its destination is its file. " +
		"The limit of the 1,000 is a program that takes the fences of 1,000 transactional ids, 16 at a time, and nothing else; that of one source is the same program with one at a time.", run: startLatency},
	"B8": {about: "Density: a runner with 1,000 idle connectors, all parked: file sinks, and then, once these are deleted, file sources (exactly once), each with one task, one file, and a topic with one partition. " +
		"Memory is what Linux calls resident, with all connectors less without any; CPU is the runner's over half a minute in which nothing happens. " +
		"Then one task after another is woken, at any phase of the watcher: of sinks from the producing of a record to the line in the file, with group.initial.rebalance.delay.ms=0, " +
		"of sources from the line in the file to the record, read with read_committed; the plugin looks at its file every 50 ms, and after ten quiet seconds every 250 ms. Tasks are parked after 5 s.",
		runners: 1, worker: "millrace.parking.idle.ms=" + fmt.Sprint(b8Idle.Milliseconds()), run: density},
	"B9": {about: "What a pipeline feels when a runner is killed (kill -9), is drained, or the leading scheduler is killed. " +
		"The gap is the longest time in which no line reached the file at the end of a pipeline that had a job on that runner. " +
		"Twenty pipelines from a verifiable source, exactly once, over a topic to a file, at 25 records a second each.", run: failover},
	"B10": {about: "What reads cost with 10,000 connectors of one task each, all RUNNING, written to the store as an api, a scheduler and a runner would, of which none but the api runs then. " +
		"The list has the configurations and the statuses of all, asked for by one client. " +
		"Statuses are asked for by 32 connections of one client on the same machine, in turn of the api (any of the 10,000), of the same api whose store has one constant answer at hand (constant), " +
		"of an HTTP server of the same framework that has but one handler and answers that body (framework), and of Kafka Connect (any of 20 connectors). Rates are medians over the rounds, spread is the greatest by the smallest.", apiOnly: true, run: reads},
	"start": {about: "All in one process on embedded parts: from the start of the process to 200 of /health, with a data folder that has been used before (cold: with an empty one), " +
		"without connectors, again and again. Then the last one is left alone: after a few seconds, the memory that is resident, and the CPU over half a minute in percent of a core, " +
		"of the process and of the Postgres that it has started. Memory that Postgres' processes share is counted once.", alone: true, run: startUp},
}

const jdbcAbout = "Rows are counted in the table, from the first that is seen to the last; then the table must be equal to one that COPY filled, so that no row is lost, doubled or wrong. " +
	"Postgres syncs to disk in all arms. CPU is that of the workers, from the request on, not the database's. The peer is Debezium's JDBC sink on a real Kafka Connect worker (G1, -Xmx1g) on the same broker, " +
	"once by default and once tuned (5,000 records a poll and a batch, reWriteBatchedInserts; its unnest inserts are left out, since they lose the milliseconds of timestamps). \"millrace again\" is the same arm once more: differences of that size mean nothing. " +
	"Figures are medians over the rounds, peaks the greatest, of all three runners together where one has the task; spread is the greatest by the smallest. "

// bed is what a benchmark runs on.
type bed struct {
	*cluster.Cluster
	kafka string
	n     int // rounds; 0: as many as a published figure needs
	rows  int // of tables, or records; 0: as many as a smoke run needs

	only, profile string // see the flags
}

// scaled is n, or as many as go with the rows that are asked for instead of so many.
func (b *bed) scaled(n, of int) int {
	if b.rows == 0 {
		return n
	}
	return int(int64(n) * int64(b.rows) / int64(of))
}

func main() {
	keep := flag.String("keep", "", "folder where the result is kept, for example docs/bench")
	n := flag.Int("n", 0, "rounds; 0: as many as a published figure needs")
	rows := flag.Int("rows", 0, "rows of tables, or records of 100 B, others in proportion; 0: as many as a smoke run needs")
	only := flag.String("only", "", "go one way only, for example millrace, and tell no ratios; of B7: one or many; of B8: sinks or sources")
	profile := flag.String("profile", "", "folder for CPU profiles of our processes")
	against := flag.String("compare", "", "folder with kept results to compare with, for example docs/bench")
	result := flag.String("result", "", "file with a printed result to compare, instead of measuring one")
	flag.Parse()
	if *against != "" && *result != "" {
		fresh, err := readLines(*result)
		if err == nil {
			err = compareWithKept(os.Stdout, *against, fresh)
		}
		end(err)
		return
	}
	b, ok := benches[flag.Arg(0)]
	if !ok {
		fmt.Fprintln(os.Stderr, "usage: bench [-keep FOLDER] [-compare FOLDER] [-n N] [-rows N] [-only WAY] [-profile FOLDER] B1|B2|B3|B4|B5|B6|B7|B8|B9|B10|start, or bench -compare FOLDER -result FILE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := measure(ctx, flag.Arg(0), b, bed{n: *n, rows: *rows, only: *only, profile: *profile})
	if err == nil {
		err = r.print(os.Stdout)
	}
	var judged error // what is kept is kept whatever the comparison says
	if err == nil && *against != "" {
		judged = compareWithKept(os.Stdout, *against, r.lines)
	}
	if err == nil && *keep != "" {
		err = r.keep(*keep, b.about)
	}
	end(errors.Join(err, judged))
}

func end(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, name string, b bench, on bed) (r *report, err error) {
	r = &report{bench: name}
	if b.alone {
		return r, b.run(ctx, &on, r)
	}
	kafka, err := servers.StartKafka(ctx, servers.KafkaOptions{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, kafka.Stop(context.WithoutCancel(ctx))) }()
	c, err := cluster.Start(ctx, cluster.Options{Kafka: kafka.Bootstrap(), Schedulers: 2, Runners: cmp.Or(b.runners, 3), APIOnly: b.apiOnly, Worker: b.worker})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close(context.WithoutCancel(ctx))) }()
	on.Cluster, on.kafka = c, kafka.Bootstrap()
	return r, b.run(ctx, &on, r)
}

func source(topic string, throughput int) map[string]string {
	return map[string]string{"connector.class": "VerifiableSourceConnector", "tasks.max": "1", "topic": topic, "throughput": fmt.Sprint(throughput), "enable.stdout": "false",
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
}

func sink(topic, file string) map[string]string {
	return map[string]string{"connector.class": "FileStreamSink", "tasks.max": "1", "topics": topic, "file": file,
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
}
