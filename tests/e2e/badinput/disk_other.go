//go:build !linux

package badinput

func (s suite) mount(string, string) {
	s.Helper()
	s.Skip("left out: a disk of our own: only on Linux")
}
func (s suite) device(string) { s.Helper(); s.Skip("left out: a full device: only on Linux") }

func (s suite) locked(name string) (path string, unlock func()) {
	s.Helper()
	return s.lockedByMode(name)
}
