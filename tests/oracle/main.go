// Command oracle asks a real Kafka Connect worker and Millrace the same, and tells where their answers differ:
//
//	oracle [-v] [RECORDING …]
//
// The requests are those of the recordings in tests/e2e/rest; without a name, those that a plain worker answers. Its last line
// is "N requests, M intended differences, K unexplained". Java and Maven are needed.
//
// What Kafka Connect answers is recorded in tests/e2e/rest/testdata, which the tests replay without Java: all validations of every
// key of every connector, which are made up here, and of the other recordings each row whose answer has become another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/embedded/childproc"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/tests/e2e/rest"
	"github.com/millrace/millrace/tests/servers"
)

// plain are the recordings of a worker with the usual configuration, but for names: Kafka Connect 4 refuses many (D7).
var plain = []string{"create", "update", "lifecycle", "transport", "json-bodies", "plugins", "validate", "loggers", "tasks-topics", "offsets", "after-deletion", rest.Validations}

// testdata is where the recordings are, as the command runs at the root of the repository.
const testdata = "tests/e2e/rest/testdata"

// worker is the configuration that both have.
var worker = map[string]string{
	"key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
	"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	"exactly.once.source.support": "disabled", "offset.flush.interval.ms": "1000",
}

func main() {
	verbose := flag.Bool("v", false, "show also the intended differences")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	unexplained, err := run(ctx, flag.Args(), *verbose)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
	if unexplained > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, files []string, verbose bool) (unexplained int, err error) {
	if len(files) == 0 {
		files = plain
	}
	dir, err := os.MkdirTemp("", "millrace-oracle-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "millrace")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./services/allinone").CombinedOutput(); err != nil { //nolint:gosec // our own
		return 0, fmt.Errorf("building millrace: %w\n%s", err, out)
	}
	var asked int
	var differ []rest.Verdict
	for _, file := range files {
		n, d, err := compare(ctx, dir, binary, file)
		asked, differ = asked+n, append(differ, d...)
		if err != nil {
			return 0, err
		}
		fmt.Printf("%s: %d requests, %d differences\n", file, n, len(d))
	}
	for _, d := range differ {
		if d.Intended == "" {
			unexplained++
			fmt.Printf("\nUNEXPLAINED %s %s\n%s\n%s\n", d.File, d.ID, d.Request, d.Difference)
		} else if verbose {
			fmt.Printf("\nintended: %s\n%s %s\n%s\n%s\n", d.Intended, d.File, d.ID, d.Request, d.Difference)
		}
	}
	fmt.Printf("%d requests, %d intended differences, %d unexplained\n", asked, len(differ)-unexplained, unexplained)
	return unexplained, nil
}

// compare plays one recording on a fresh worker of each: the recordings list all connectors.
func compare(ctx context.Context, dir, binary, file string) (n int, differ []rest.Verdict, err error) {
	kafka, err := servers.StartKafka(ctx, servers.KafkaOptions{})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, kafka.Stop(context.WithoutCancel(ctx))) }()
	connect, err := servers.StartConnect(ctx, kafka.Bootstrap(), servers.ConnectOptions{Props: worker})
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, connect.Stop(context.WithoutCancel(ctx))) }()

	theirs, ours := filepath.Join(dir, "connect"), filepath.Join(dir, "millrace-"+file)
	for _, d := range []string{theirs, ours} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return 0, nil, err
		}
	}
	port, err := childproc.FreePort()
	if err != nil {
		return 0, nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	var props []string
	for _, k := range slices.Sorted(maps.Keys(worker)) {
		props = append(props, k+"="+worker[k])
	}
	tail := &childproc.Tail{}
	cmd := exec.Command(binary, "-listen", addr, "-data", ours, "-file-roots", ours, "-log-level", "info", "-worker", strings.Join(props, ",")) //nolint:gosec,noctx // our own; it outlives ctx
	cmd.Stdout, cmd.Stderr = tail, tail
	proc, err := childproc.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return 0, nil, err
	}
	defer func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, proc.Signal(syscall.SIGTERM), proc.Wait(ending))
	}()
	if err := servers.WaitREST(ctx, proc, tail, "http://"+addr+"/connector-plugins", "FileStreamSink"); err != nil {
		return 0, nil, err
	}
	if file == rest.Validations {
		recording, n, differ, err := rest.AskValidations(rest.Target{Base: connect.Base, Dir: theirs, Version: servers.ConnectVersion},
			rest.Target{Base: "http://" + addr, Dir: ours, Version: connectors.Version})
		if err == nil {
			err = rest.Write(testdata, rest.Recorded, recording)
		}
		return n, differ, err
	}
	write := rest.Written[file]
	asked, err := rest.Ask(file, rest.Target{Base: connect.Base, Dir: theirs, Write: write, Version: servers.ConnectVersion},
		rest.Target{Base: "http://" + addr, Dir: ours, Write: write, Version: connectors.Version, Ours: rest.Ours})
	if err == nil && len(asked.Renewed) > 0 {
		fmt.Printf("%s: recorded anew: %s\n", file, strings.Join(asked.Renewed, ", "))
		err = rest.Write(testdata, file, asked.Now)
	}
	return asked.Requests, asked.Differ, err
}
