package servers

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
)

// SmallDisk mounts a file system that is soon full, and says how it grows.
func SmallDisk(t testing.TB) (dir string, grow func()) {
	t.Helper()
	dir = t.TempDir()
	run := func(name string, args ...string) error {
		out, err := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...).CombinedOutput() //nolint:gosec // fixed
		if err != nil {
			return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
		}
		return nil
	}
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	if err := run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir); err != nil {
		Missing(t, fmt.Errorf("a disk that can be full needs the right to mount one: %w", err))
	}
	t.Cleanup(func() { must(run("umount", "-l", dir)) })
	return dir, func() { must(run("mount", "-o", "remount,size=256m", dir)) }
}
