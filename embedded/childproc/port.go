package childproc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Ports that we hand out. The kernel takes the ports of outgoing connections
// from 32768 upwards: a server port from there can be taken by a stranger's
// connection between a stop and the next start.
const (
	lowestPort  = 10000
	highestPort = 32767
)

// Listen listens on 127.0.0.1 at a free port below 32768.
func Listen() (net.Listener, error) {
	var last error
	for range 200 {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // does not block
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		last = err
	}
	return nil, fmt.Errorf("looking for a free port below %d: %w", highestPort+1, last)
}

// given are the ports that this process has handed out: the servers of two may not have begun to listen yet, or be down for a moment.
var given sync.Map

// FreePort returns a port of 127.0.0.1 below 32768 that nobody listens on, and never the same one twice. It is
// not reserved: whoever gives it to a server must be ready to try another, since other processes may take it.
func FreePort() (int, error) {
	for range highestPort - lowestPort {
		l, err := Listen()
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return 0, fmt.Errorf("giving back port %d: %w", port, err)
		}
		if _, before := given.LoadOrStore(port, true); !before {
			return port, nil
		}
	}
	return 0, fmt.Errorf("looking for a free port below %d: all were given away", highestPort+1)
}
