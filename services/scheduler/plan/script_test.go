package plan

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/*.txt")

// TestScripts runs the scenario scripts. A script is a text of blocks: commands, a line "----", the expected output, an
// empty line. Commands:
//
//	runner ID [session=S] [state=draining] [pool=P] [cap=N] [plugins=A,B] [age=2s] [joined=1m] [gone]   adds or changes a session
//	job ID[..N] [class=A] [pool=P] [unwanted|wanted] [fence] [on=S] [epoch=N] [load=X] [releasing|free]   adds or changes jobs
//	floor N · moves N · pass DURATION (all who are not gone beat) · silence DURATION (nobody beats)
//	plan (prints) · apply (prints and stores)
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			sc := script{cfg: DefaultConfig()}
			got := sc.run(t, string(b))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Empty(t, cmp.Diff(string(b), got), "run with -update and read the difference")
		})
	}
}

type script struct {
	cfg Config
	s   cluster.Snapshot
}

func (sc *script) run(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		commands, _, _ := strings.Cut(block, "\n----")
		out.WriteString(commands)
		var printed strings.Builder
		for line := range strings.SplitSeq(commands, "\n") {
			if line != "" && !strings.HasPrefix(line, "#") {
				sc.command(t, &printed, strings.Fields(line))
			}
		}
		if printed.Len() > 0 {
			out.WriteString("\n----\n" + strings.TrimSuffix(printed.String(), "\n"))
		}
		out.WriteString("\n\n")
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func (sc *script) command(t *testing.T, out *strings.Builder, f []string) {
	t.Helper()
	switch f[0] {
	case "runner":
		sc.runner(t, f[1], f[2:])
	case "job":
		sc.job(t, f[1], f[2:])
	case "floor":
		sc.s.Floor = cluster.Epoch(atoi(t, f[1]))
	case "moves":
		sc.cfg.MaxMovesPerRound = atoi(t, f[1])
	case "pass", "silence":
		d := duration(t, f[1])
		for i := range sc.s.Runners {
			r := &sc.s.Runners[i]
			r.Joined += d
			if r.Age += d; f[0] == "pass" && !r.Unreachable {
				r.Age = 0
			}
		}
	case "plan", "apply":
		d := Compute(sc.cfg, sc.s)
		show(out, d)
		if f[0] == "apply" {
			require.NoError(t, apply(&sc.s, d.Steps))
		}
	default:
		t.Fatalf("unknown command %q", f[0])
	}
}

func (sc *script) runner(t *testing.T, id string, args []string) {
	t.Helper()
	fresh := cluster.RunnerView{Runner: cluster.RunnerID(id), Session: cluster.SessionID("s" + id), State: cluster.SessionActive,
		Plugins: []string{"A"}, Joined: time.Minute}
	r := &fresh
	for i := range sc.s.Runners {
		if sc.s.Runners[i].Runner == fresh.Runner && sc.s.Runners[i].State != cluster.SessionLost {
			r = &sc.s.Runners[i]
		}
	}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		switch k {
		case "session":
			r.Session = cluster.SessionID(v)
		case "state":
			r.State = cluster.SessionState(v)
		case "pool":
			r.Pool = v
		case "cap":
			r.Capacity = atoi(t, v)
		case "plugins":
			r.Plugins = strings.Split(v, ",")
		case "age":
			r.Age = duration(t, v)
		case "joined":
			r.Joined = duration(t, v)
		case "gone":
			r.Unreachable = true
		default:
			t.Fatalf("unknown argument %q", a)
		}
	}
	if r == &fresh {
		sc.s.Runners = append(sc.s.Runners, fresh)
	}
}

func (sc *script) job(t *testing.T, id string, args []string) {
	t.Helper()
	first, last, many := strings.Cut(id, "..")
	j, err := cluster.ParseJobID(first)
	require.NoError(t, err)
	end := j.Task
	if many {
		end = atoi(t, last)
	}
	for ; j.Task <= end; j.Task++ {
		v := findJob(&sc.s, j)
		if v == nil {
			sc.s.Jobs = append(sc.s.Jobs, cluster.JobView{Job: j, Class: "A", Wanted: true, Load: 1})
			v = &sc.s.Jobs[len(sc.s.Jobs)-1]
		}
		for _, a := range args {
			key, val, _ := strings.Cut(a, "=")
			switch key {
			case "class":
				v.Class = val
			case "pool":
				v.Pool = val
			case "wanted", "unwanted":
				v.Wanted = key == "wanted"
			case "fence":
				v.Fenceable = true
			case "on":
				v.Session = cluster.SessionID(val)
				v.Epoch = max(v.Epoch, 1)
			case "epoch":
				v.Epoch = cluster.Epoch(atoi(t, val))
			case "load":
				v.Load = float64(atoi(t, val))
			case "releasing":
				v.Releasing = true
			case "free":
				v.Session, v.Releasing = "", false
			default:
				t.Fatalf("unknown argument %q", a)
			}
		}
	}
}

func show(out *strings.Builder, d cluster.Decisions) {
	for _, s := range d.Steps {
		switch s.Kind {
		case cluster.Lose:
			fmt.Fprintf(out, "lose %s (%s)  %s\n", s.Runner, s.Session, s.Why)
		case cluster.Forget:
			fmt.Fprintf(out, "forget %s  %s\n", s.Job, s.Why)
		case cluster.Release:
			fmt.Fprintf(out, "release %s from %s  %s\n", s.Job, s.Runner, s.Why)
		case cluster.Assign:
			fmt.Fprintf(out, "assign %s to %s epoch %d after %d  %s\n", s.Job, s.Runner, s.Epoch, s.Prior, s.Why)
		}
	}
	for _, w := range d.Waiting {
		fmt.Fprintf(out, "waits %s  %s\n", w.Job, w.Why)
	}
	if d.Hold {
		out.WriteString("hold\n")
	}
	if d.WakeAt > 0 {
		fmt.Fprintf(out, "wake %s\n", d.WakeAt)
	}
	if len(d.Steps)+len(d.Waiting) == 0 && !d.Hold && d.WakeAt == 0 {
		out.WriteString("nothing to do\n")
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

func duration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	require.NoError(t, err)
	return d
}
