package badinput

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/stretchr/testify/require"
)

// mount makes a disk in memory, for as long as the test runs.
func (s suite) mount(name, options string) {
	s.Helper()
	require.NoError(s, os.Mkdir(s.file(name), 0o750))
	var flags uintptr
	switch options {
	case "ro":
		flags, options = syscall.MS_RDONLY, ""
	case "nodev":
		flags, options = syscall.MS_NODEV, ""
	}
	if err := syscall.Mount("tmpfs", s.file(name), "tmpfs", flags, options); err != nil {
		s.Skip("left out: a disk of our own: mounting it: " + err.Error())
	}
	s.Cleanup(func() { _ = syscall.Unmount(s.file(name), syscall.MNT_DETACH) }) // a task that is stopping may still use it
}

// locked makes a file that this user may not open until unlock. The superuser may open every file but a device on a disk that
// has none.
func (s suite) locked(name string) (path string, unlock func()) {
	s.Helper()
	if os.Geteuid() != 0 {
		return s.lockedByMode(name)
	}
	s.mount(name, "nodev")
	path = filepath.Join(s.file(name), "file")
	const null = 1<<8 | 3
	require.NoError(s, syscall.Mknod(path, syscall.S_IFCHR|0o600, null))
	return path, func() {
		require.NoError(s, os.Remove(path))
		require.NoError(s, os.WriteFile(path, []byte("1\n"), 0o600))
	}
}

// device makes a device like /dev/full, which never has room.
func (s suite) device(name string) {
	s.Helper()
	const full = 1<<8 | 7
	if err := syscall.Mknod(s.file(name), syscall.S_IFCHR|0o666, full); err != nil {
		s.Skip("left out: a full device: making it: " + err.Error())
	}
	f, err := os.OpenFile(s.file(name), os.O_WRONLY, 0)
	if err != nil {
		s.Skip("left out: a full device: opening it: " + err.Error())
	}
	require.NoError(s, f.Close())
}
