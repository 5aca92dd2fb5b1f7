package loop

import (
	"github.com/millrace/millrace/controlplane/wire"
)

// Waker carries "look" to the leader, wherever it is. A wake is a hint: one that is lost costs a poll interval at most.
type Waker struct {
	broadcast func(topic wire.Address, msg []byte) error
	leading   func() bool
	here      chan struct{}
	msg       []byte
}

// NewWaker makes a waker. leading tells whether this replica leads: then nobody else needs to hear.
func NewWaker(broadcast func(topic wire.Address, msg []byte) error, leading func() bool) *Waker {
	msg, err := wire.Encode(wire.KindWake, "", wire.Wake{})
	if err != nil {
		panic(err) // an empty struct always encodes
	}
	return &Waker{broadcast: broadcast, leading: leading, here: make(chan struct{}, 1), msg: msg}
}

// Wake tells the leader to look.
func (w *Waker) Wake() {
	w.Heard(nil)
	if !w.leading() {
		_ = w.broadcast(wire.Wakes, w.msg) // best effort: the leader also polls
	}
}

// Heard is the listener of wire.Wakes: another replica says that there is something to see.
func (w *Waker) Heard([]byte) {
	select {
	case w.here <- struct{}{}:
	default: // it will look anyway
	}
}

// C receives after one or more wakes.
func (w *Waker) C() <-chan struct{} { return w.here }
