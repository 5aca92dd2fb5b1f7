//go:build unix && !linux

package childproc

import (
	"os"
	"os/exec"
	"syscall"
)

// Only Linux has a death signal; elsewhere an orphan is found and stopped by the
// next start.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}

func probeIdentity() Identity {
	if os.Geteuid() == 0 {
		return Nobody
	}
	return Plain
}

func applyIdentity(cmd *exec.Cmd, i Identity) {
	if i != Nobody {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
}
