package childproc

import (
	"os"
	"os/exec"
	"syscall"
)

func setDeathSignal(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

func probeIdentity() Identity {
	cmd := exec.Command("/bin/true") //nolint:noctx // it ends at once
	applyIdentity(cmd, UserNamespace)
	if cmd.Run() == nil {
		return UserNamespace
	}
	if os.Geteuid() == 0 {
		return Nobody
	}
	return Plain
}

func applyIdentity(cmd *exec.Cmd, i Identity) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	switch i {
	case UserNamespace:
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getegid(), Size: 1}}
	case Nobody:
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	case Auto, Plain:
	}
}
