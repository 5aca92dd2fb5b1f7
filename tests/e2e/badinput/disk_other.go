//go:build !linux

package badinput

import (
	"os"

	"github.com/stretchr/testify/require"
)

func (s suite) mount(string, string) {
	s.Helper()
	s.Skip("left out: a disk of our own: only on Linux")
}
func (s suite) device(string) { s.Helper(); s.Skip("left out: a full device: only on Linux") }

func (s suite) locked(name string) (path string, unlock func()) {
	s.Helper()
	path = s.file(name)
	s.write(name, "1\n")
	require.NoError(s, os.Chmod(path, 0))
	return path, func() { require.NoError(s, os.Chmod(path, 0o600)) }
}
