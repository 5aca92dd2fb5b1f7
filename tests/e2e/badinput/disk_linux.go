package badinput

import (
	"os"
	"syscall"

	"github.com/stretchr/testify/require"
)

// mount makes a disk in memory, for as long as the test runs.
func (s suite) mount(name, options string) {
	s.Helper()
	require.NoError(s, os.Mkdir(s.file(name), 0o750))
	var flags uintptr
	if options == "ro" {
		flags, options = syscall.MS_RDONLY, ""
	}
	if err := syscall.Mount("tmpfs", s.file(name), "tmpfs", flags, options); err != nil {
		s.Skip("left out: a disk of our own: mounting it: " + err.Error())
	}
	s.Cleanup(func() { _ = syscall.Unmount(s.file(name), syscall.MNT_DETACH) }) // a task that is stopping may still use it
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
