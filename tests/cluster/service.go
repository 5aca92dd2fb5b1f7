package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millrace/millrace/embedded/childproc"
)

// Service is one process of the cluster; it keeps its arguments, so that it can be killed and started again.
type Service struct {
	Name  string
	Admin string // host:port of its health and metrics; "" without

	path string
	args []string
	log  string // file

	mu   sync.Mutex
	proc *childproc.Process
}

// endWithin bounds what a process takes to end in order; a runner's drain alone may take 25 s.
const endWithin = 60 * time.Second

// Start starts the process, or starts it again.
func (s *Service) Start() (err error) {
	f, err := os.OpenFile(s.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }() // the child has its own
	cmd := exec.Command(s.path, s.args...)               //nolint:gosec,noctx // our own program; it outlives any ctx
	cmd.Stdout, cmd.Stderr = f, f
	proc, err := childproc.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc = proc
	s.mu.Unlock()
	return nil
}

func (s *Service) process() *childproc.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

// Pid is the process's id.
func (s *Service) Pid() int { return s.process().Pid() }

// Kill ends the process as a crash would.
func (s *Service) Kill() error { return s.process().Kill() }

// Ask asks the process to end in order, and does not wait.
func (s *Service) Ask() error { return s.process().Signal(syscall.SIGTERM) }

// Freeze stops all threads of the process; Thaw lets them go on.
func (s *Service) Freeze() error { return s.process().Signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (s *Service) Thaw() error { return s.process().Signal(syscall.SIGCONT) }

// Terminate asks the process to end in order and waits. An error means that it ended with another code than 0.
func (s *Service) Terminate(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, endWithin, fmt.Errorf("%s did not end within %s", s.Name, endWithin))
	defer cancel()
	p := s.process()
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := p.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), p.Kill())
		}
		return fmt.Errorf("%s ended: %w\n%s", s.Name, err, s.Tail())
	}
	return nil
}

// Running tells whether the process lives.
func (s *Service) Running() bool {
	select {
	case <-s.process().Done():
		return false
	default:
		return true
	}
}

// Revive brings the process back, whatever was done to it.
func (s *Service) Revive() error {
	if err := s.Thaw(); err == nil && s.Running() {
		return nil
	}
	return s.Start()
}

// Log is all that the process has written, over all its starts.
func (s *Service) Log() string {
	b, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Tail is the end of the log.
func (s *Service) Tail() string {
	lines := strings.Split(strings.TrimSpace(s.Log()), "\n")
	return strings.Join(lines[max(0, len(lines)-30):], "\n")
}

// Faults are lines of the log that no process may write: panics and data races.
func (s *Service) Faults() []string {
	var found []string
	for line := range strings.SplitSeq(s.Log(), "\n") {
		if strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.Contains(line, "goroutine panicked") {
			found = append(found, s.Name+": "+line)
		}
	}
	return found
}

// build compiles the programs of the cluster into dir.
func build(ctx context.Context, dir string, race bool) error {
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if race {
		args = append(args, "-race")
	}
	args = append(args, "github.com/millrace/millrace/services/api", "github.com/millrace/millrace/services/scheduler",
		"github.com/millrace/millrace/services/taskrunner", "github.com/millrace/millrace/tests/servers/cmd/natsd")
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput() //nolint:gosec // fixed
	if err != nil {
		return fmt.Errorf("building the services: %w\n%s", err, out)
	}
	return nil
}

// Metric is the sum of a metric's series, or one of them where the name has labels; 0 where there is none.
func (s *Service) Metric(ctx context.Context, name string) (sum float64, err error) {
	status, body, err := get(ctx, "http://"+s.Admin+"/metrics")
	if err == nil && status != 200 {
		err = fmt.Errorf("the metrics of %s answer %d", s.Name, status)
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(body)) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if bare, _, _ := strings.Cut(series, "{"); bare == name || series == name {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, fmt.Errorf("reading %q of %s: %w", line, s.Name, err)
			}
			sum += n
		}
	}
	return sum, nil
}
