package childproc

import (
	"fmt"
	"os/exec"
	"sync"
)

// nobody is the id under which programs that refuse root see themselves. It has
// a passwd entry nearly everywhere.
const nobody = 65534

// Identity is a way to run a program that refuses to run as root.
type Identity int

const (
	// Auto chooses by Unprivileged.
	Auto Identity = iota
	// Plain runs the program as we are.
	Plain
	// UserNamespace shows the program uid and gid 65534 while it really has
	// ours: files keep their owner, and folders closed to others stay usable.
	UserNamespace
	// Nobody runs it as uid and gid 65534: its files must belong to that id and
	// every parent folder must be searchable for it. Needs root.
	Nobody
)

func (i Identity) String() string {
	switch i {
	case Auto:
		return "auto"
	case Plain:
		return "plain"
	case UserNamespace:
		return "user namespace"
	case Nobody:
		return "nobody"
	default:
		return fmt.Sprintf("Identity(%d)", int(i))
	}
}

// Apply makes cmd run under the identity. For Nobody use Own on what the program
// must read and write.
func (i Identity) Apply(cmd *exec.Cmd) {
	if i == Auto {
		i = Unprivileged()
	}
	applyIdentity(cmd, i)
}

// Unprivileged says which identity a program that refuses root can have here:
// a user namespace if the kernel allows one (tried with /bin/true), else uid
// 65534 if we are root, else our own. The answer is found once per process.
func Unprivileged() Identity { return unprivileged() }

var unprivileged = sync.OnceValue(probeIdentity)
