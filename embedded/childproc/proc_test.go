//go:build unix

package childproc_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/embedded/childproc"
)

// parentVariable makes this test binary a program that starts a child and waits to be killed.
const parentVariable = "CHILDPROC_TEST_PARENT"

// soon bounds waiting on a machine that is busy with other things.
const soon = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) != "" { //nolint:forbidigo // how a test talks to its second self
		parent()
	}
	os.Exit(m.Run())
}

// parent starts a child that shares its standard output, says the child's id and waits for ever.
func parent() {
	cmd := exec.Command("sleep", "600")
	cmd.Stdout = os.Stdout
	p, err := childproc.Start(cmd, syscall.SIGKILL)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(p.Pid())
	<-p.Done()
	os.Exit(2) // the child must not go first
}

func start(t *testing.T, name string, args ...string) *childproc.Process {
	t.Helper()
	p, err := childproc.Start(exec.Command(name, args...), syscall.SIGKILL)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Kill()) })
	return p
}

func ended(t *testing.T, p *childproc.Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	require.NoError(t, p.Wait(ctx))
}

func TestStart_a_child_dies_with_its_parent_however_that_dies(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("left out: only Linux has a death signal")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), parentVariable+"=1")
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	out := bufio.NewReader(pipe)
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err, "the parent said %q", line)
	require.NoError(t, syscall.Kill(pid, 0), "the child runs")

	require.NoError(t, cmd.Process.Kill())
	closed := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, out) // ends when the last holder of the pipe, the child, is gone
		closed <- err
	}()
	select {
	case err := <-closed:
		require.NoError(t, err)
	case <-time.After(soon):
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		t.Fatal("the child outlived its parent")
	}
	require.Error(t, cmd.Wait())
}

func TestProcess_tells_how_its_child_ended(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		script string
		code   int
	}{
		"well":      {"exit 0", 0},
		"badly":     {"exit 3", 3},
		"by signal": {"kill -9 $$", -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "sh", "-c", tc.script)
			ended(t, p)
			if tc.code == 0 {
				require.NoError(t, p.Err())
			} else {
				var exit *exec.ExitError
				require.ErrorAs(t, p.Err(), &exit)
				require.Equal(t, tc.code, exit.ExitCode())
			}
			require.NoError(t, p.Signal(syscall.SIGINT), "a signal to one that has ended is no error")
			require.NoError(t, p.Kill())
		})
	}
}

func TestProcess_signals_reach_the_child_and_waiting_has_an_end(t *testing.T) {
	t.Parallel()
	p := start(t, "sleep", "600")
	why := errors.New("no time left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	require.ErrorIs(t, p.Wait(ctx), why)
	require.NoError(t, p.Err(), "it still runs")
	require.NoError(t, p.Signal(syscall.SIGTERM))
	ended(t, p)
	require.ErrorContains(t, p.Err(), "terminated")
}

func TestStart_says_which_program_could_not_be_started(t *testing.T) {
	t.Parallel()
	_, err := childproc.Start(exec.Command("/no/such/program"), syscall.SIGKILL)
	require.ErrorContains(t, err, "/no/such/program")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestIdentity_a_program_that_refuses_root_does_not_see_root(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("id", "-u")
	childproc.Auto.Apply(cmd)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotEqual(t, "0", strings.TrimSpace(string(out)), "identity %s", childproc.Unprivileged())
}

func TestIdentity_files_it_makes_are_readable_by_us(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := childproc.Unprivileged()
	if id == childproc.Nobody {
		t.Skip("left out: without user namespaces it needs a folder that others can search")
	}
	require.NoError(t, id.Own(dir))
	cmd := exec.Command("sh", "-c", "umask 077 && echo hello > made")
	cmd.Dir = dir
	id.Apply(cmd)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	text, err := os.ReadFile(dir + "/made")
	require.NoError(t, err)
	require.Equal(t, "hello\n", string(text))
	require.NoError(t, os.Remove(dir+"/made"))
}

func TestIdentity_names(t *testing.T) {
	t.Parallel()
	for id, want := range map[childproc.Identity]string{
		childproc.Auto: "auto", childproc.Plain: "plain", childproc.UserNamespace: "user namespace", childproc.Nobody: "nobody", 9: "Identity(9)",
	} {
		require.Equal(t, want, id.String())
	}
}
