package jdbcsource

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
)

// childVariable makes this program a worker that is to be killed: it has the worker's order as JSON.
const childVariable = "MILLRACE_TEST_JDBC_CHILD"

// order is what a child is to do.
type order struct {
	Config map[string]string
	File   string // that stands for Kafka: each line is a batch with its position, written at once
}

// commit is a batch that is there whole or not at all, as in a transaction.
type commit struct {
	IDs    []int
	Offset map[string]int64
}

// commits reads what was committed; the end of a line that a kill tore is none.
func commits(file string) (all []commit, err error) {
	f, err := os.Open(file) //nolint:gosec // a test's
	if err != nil {
		if os.IsNotExist(err) {
			return nil, nil
		}
		return nil, err
	}
	defer func() { _ = f.Close() }() // read only
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return all, nil // the end, or a torn line
		}
		var c commit
		if json.Unmarshal([]byte(line), &c) == nil {
			all = append(all, c)
		}
	}
}

// child polls a task and commits what comes, until it is killed.
func child(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	before, err := commits(o.File)
	if err != nil {
		return err
	}
	var from stored
	if n := len(before); n > 0 && len(before[n-1].Offset) > 0 {
		m := data.NewMap(3)
		for k, v := range before[n-1].Offset {
			m.Set(k, v)
		}
		from = stored{{Partition: table{schema: "public", name: "t"}.partition(), Offset: m}}
	}
	f, err := os.OpenFile(o.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()               // a kill comes first
	if _, err := f.WriteString("\n"); err != nil { // ends a torn line
		return err
	}
	t := Plugins(Options{Version: "1"})[0].NewSourceTask()
	ctx := context.Background()
	if err := t.Start(ctx, &testContext{config: o.Config, offsets: from, log: slog.New(slog.DiscardHandler)}); err != nil {
		return err
	}
	for {
		batch, err := t.Poll(ctx)
		if err != nil {
			return err
		}
		c := commit{Offset: map[string]int64{}}
		for _, r := range batch {
			id, err := r.Value.(*data.Struct).Get("id")
			if err != nil {
				return err
			}
			c.IDs = append(c.IDs, int(id.(int32)))
			if r.Offset != nil {
				for k, v := range r.Offset.All() {
					c.Offset[k.(string)] = v.(int64)
				}
			}
		}
		line, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if _, err := f.Write(append(line, '\n')); err != nil {
			return err
		}
	}
}

// Workers are killed with SIGKILL while rows come in. What was committed before a kill does not come again where each row has
// its position; with timestamps alone only rows of one timestamp may. Nothing is lost.
func TestFiftyKills(t *testing.T) {
	t.Parallel()
	const kills, more = 50, 57 * 7
	for _, mode := range []string{incrementing, both, timestamp} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			// Seven rows have the same timestamp, and come in one transaction.
			d := pg(t, "CREATE TABLE t (id serial PRIMARY KEY, at timestamp NOT NULL)")
			o := order{File: filepath.Join(t.TempDir(), "topic"), Config: d.config(modeKey, mode, timestampKey, "at", tablesKey, `"public"."t"`, fetchedKey, "true", batchKey, "10", pollKey, "1")}
			text, err := json.Marshal(o)
			require.NoError(t, err)
			total := 0
			feed := func() {
				d.do(t, fmt.Sprintf("INSERT INTO t (at) SELECT timestamp '2024-05-05 10:00:00' + ((%d + g) / 7) * interval '1 ms' FROM generate_series(0, %d) g", total, more-1))
				total += more
			}
			size := func() int64 {
				i, err := os.Stat(o.File)
				if err != nil {
					return 0
				}
				return i.Size()
			}
			var cmd *exec.Cmd
			begin := func() {
				cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$") //nolint:gosec // this program
				cmd.Env = append(os.Environ(), childVariable+"="+string(text))
				cmd.Stderr = os.Stderr
				require.NoError(t, cmd.Start())
			}
			end := func() {
				require.NoError(t, cmd.Process.Kill())
				_ = cmd.Wait() // it was killed
			}
			for range kills {
				from := size()
				feed()
				begin()
				require.Eventually(t, func() bool { return size() > from+10 }, soon, time.Millisecond, "the child commits nothing")
				for range rand.N(2000) { // somewhere in its work
					_ = size()
				}
				end()
			}
			begin()
			count := map[int]int{}
			require.Eventually(t, func() bool {
				all, err := commits(o.File)
				clear(count)
				for _, c := range all {
					for _, id := range c.IDs {
						count[id]++
					}
				}
				return err == nil && len(count) == total
			}, soon, 20*time.Millisecond, "rows were lost")
			end()
			twice := 0
			for _, n := range count {
				if n > 1 {
					twice++
				}
			}
			t.Logf("%s: %d rows, %d kills, %d rows came more than once", mode, total, kills, twice)
			if mode == timestamp {
				require.LessOrEqual(t, twice, kills*(10+7), "no more than a batch and the rows of a timestamp for each kill")
			} else {
				require.Zero(t, twice)
			}
		})
	}
}
