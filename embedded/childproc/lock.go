//go:build unix

package childproc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrFolderInUse says that another live process holds the folder's lock.
var ErrFolderInUse = errors.New("folder is in use by another process")

// FolderLock is a lock on a folder that the kernel gives back when its holder
// dies. Children do not inherit it.
type FolderLock struct{ f *os.File }

// LockFolder creates dir if needed (0700) and takes its lock, kept in a file
// named "lock" inside. A second holder, in this process or another, gets
// ErrFolderInUse.
func LockFolder(dir string) (*FolderLock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("creating folder %s: %w", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening lock of %s: %w", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", dir, ErrFolderInUse)
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return &FolderLock{f: f}, nil
}

// WaitFolder is LockFolder that waits for the present holder until ctx is done.
func WaitFolder(ctx context.Context, dir string) (*FolderLock, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		l, err := LockFolder(dir)
		if !errors.Is(err, ErrFolderInUse) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// Unlock gives the lock back. Idempotent; nil is allowed.
func (l *FolderLock) Unlock() {
	if l == nil || l.f == nil {
		return
	}
	// Closing alone would not do: a program that another goroutine is just starting has a copy of the file until it runs.
	_ = syscall.Flock(int(l.f.Fd()), syscall.LOCK_UN)
	_ = l.f.Close() // nothing was written
	l.f = nil
}
