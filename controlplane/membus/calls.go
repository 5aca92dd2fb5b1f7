package membus

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// server is one that serves an endpoint.
type server struct {
	offer func(msg []byte, answer func(reply []byte, err error)) // under the hub's lock; must not block
}

// call is a request that waits for its answer.
type call struct {
	to   wire.Address
	done func(reply []byte, err error) // under the hub's lock; must not block
}

// ask starts a request. done is called at most once; giveUp makes it never be called.
func (h *Hub) ask(to wire.Address, msg []byte, done func(reply []byte, err error)) (giveUp func(), err error) {
	if to.Role() != wire.Endpoint {
		return nil, cluster.Errorf(cluster.Invalid, "address %q is not an endpoint", string(to))
	}
	if len(wire.Pack(msg)) > maxMessage {
		return nil, cluster.Errorf(cluster.Invalid, "request to %s has %d bytes, more than the bus takes", to, len(msg))
	}
	c := &call{to: to, done: done}
	h.do(func() {
		if h.net.Down() {
			err = errAway()
			return
		}
		h.calls[c] = struct{}{}
		msg := slices.Clone(msg)
		h.net.Send(h.now(), to, func() { h.arrive(c, msg) })
	})
	return func() { h.do(func() { delete(h.calls, c) }) }, err
}

// arrive gives a request to one of its servers.
func (h *Hub) arrive(c *call, msg []byte) {
	servers := h.endpoints[c.to]
	if servers == nil || len(servers.all) == 0 {
		h.finish(c, nil, wire.ErrNobody)
		return
	}
	s, _ := servers.next(func(*server) bool { return true })
	s.offer(msg, func(reply []byte, err error) {
		if err != nil {
			reply = wire.EncodeError(requestID(msg), err)
		}
		if len(wire.Pack(reply)) > maxMessage {
			reply = wire.EncodeError(requestID(msg), cluster.Errorf(cluster.Internal, "the answer has %d bytes, more than the bus takes", len(reply)))
		}
		reply = slices.Clone(reply)
		h.do(func() { h.net.Send(h.now(), c.to, func() { h.finish(c, reply, nil) }) })
	})
}

func (h *Hub) finish(c *call, reply []byte, err error) {
	if _, waits := h.calls[c]; waits {
		delete(h.calls, c)
		c.done(reply, err)
	}
}

// serve adds a server of an endpoint.
func (h *Hub) serve(at wire.Address, s *server) (leave func(), err error) {
	if at.Role() != wire.Endpoint {
		return nil, cluster.Errorf(cluster.Invalid, "address %q is not an endpoint", string(at))
	}
	h.do(func() {
		if h.endpoints[at] == nil {
			h.endpoints[at] = &ring[*server]{}
		}
		h.endpoints[at].add(s)
	})
	return func() { h.do(func() { h.endpoints[at].remove(s) }) }, nil
}

func requestID(msg []byte) string {
	e, err := wire.Open(msg)
	if err != nil {
		return ""
	}
	return e.ID
}

// listener is one that listens to a topic.
type listener struct {
	offer func(msg []byte) // under the hub's lock; must not block
}

// tell is a broadcast: each listener's copy has its own fate.
func (h *Hub) tell(topic wire.Address, msg []byte) error {
	if topic.Role() != wire.Topic {
		return cluster.Errorf(cluster.Invalid, "address %q is not a topic", string(topic))
	}
	var err error
	h.do(func() {
		if h.net.Down() {
			err = errAway()
			return
		}
		for _, l := range h.topics[topic] {
			msg := slices.Clone(msg)
			h.net.Send(h.now(), topic, func() {
				if slices.Contains(h.topics[topic], l) {
					l.offer(msg)
				}
			})
		}
	})
	return err
}

// listen adds a listener to a topic.
func (h *Hub) listen(topic wire.Address, l *listener) (leave func(), err error) {
	if topic.Role() != wire.Topic {
		return nil, cluster.Errorf(cluster.Invalid, "address %q is not a topic", string(topic))
	}
	h.do(func() { h.topics[topic] = append(slices.Clone(h.topics[topic]), l) })
	return func() {
		h.do(func() {
			h.topics[topic] = slices.DeleteFunc(slices.Clone(h.topics[topic]), func(x *listener) bool { return x == l })
		})
	}, nil
}

// safely turns a panic of a handler into a PoisonError: the next attempt would panic, too.
func safely(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &wire.PoisonError{Reason: fmt.Sprintf("handler panicked: %v", p)}
		}
	}()
	return f()
}

// answering runs a request's handler; a panic is an error of code Internal.
func answering(f func() ([]byte, error)) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			reply, err = nil, cluster.Errorf(cluster.Internal, "answering failed: %v", p)
		}
	}()
	return f()
}
