// Package bustest says what a message bus is: the whole method set (Bus), and a suite that natsbus and its in-memory twin
// membus both pass. Users of a bus declare the few methods they need themselves; this interface is for the suite alone.
package bustest

import (
	"context"
	"time"

	"github.com/millrace/millrace/controlplane/wire"
)

// Bus is every method of a bus. Messages are encoded wire.Envelopes.
type Bus interface {
	// Publish puts a message into a queued address (wire.Commands, wire.Reports, wire.Runner). id makes the bus drop a
	// repetition (same address, id and content) it still remembers; it is a help, not a rule. It returns once the bus
	// stored the message, or an error with code Unavailable when ctx ends or the bus is away, Invalid when the address is
	// no queue or the message too large.
	Publish(ctx context.Context, to wire.Address, id string, msg []byte) error
	// Consume hands the messages of a queued address to h, one after another per call, until ctx ends (it returns nil)
	// or the bus is closed; all who consume the same address share its messages. nil from h acknowledges;
	// *wire.PoisonError, or a panic, sets the message aside and counts it; any other error offers the message again
	// after a growing pause. Streams or consumers that vanish (purged, deleted, server replaced) are made again without
	// the caller noticing.
	Consume(ctx context.Context, from wire.Address, h func(ctx context.Context, msg []byte) error) error
	// Forget ends a session's queue that nobody will consume any more. Unknown ones are no error, shared ones are.
	Forget(ctx context.Context, a wire.Address) error

	// Request asks an endpoint and waits for the answer until ctx ends. wire.ErrNobody at once when nobody serves it;
	// other failures have code Unavailable or Timeout. Answers of kind error come back as bytes like any other.
	Request(ctx context.Context, to wire.Address, msg []byte) ([]byte, error)
	// Serve answers requests to an endpoint with h, concurrently up to a bound, until stop is called; stop waits for
	// running handlers. An error from h is answered as wire.EncodeError.
	Serve(at wire.Address, h func(ctx context.Context, msg []byte) ([]byte, error)) (stop func(), err error)

	// Broadcast tells whoever listens now; best effort, never blocks long.
	Broadcast(topic wire.Address, msg []byte) error
	// Listen hands broadcasts to h until stop is called. h must not block.
	Listen(topic wire.Address, h func(msg []byte)) (stop func(), err error)

	// Connected tells for how long the connection has been up without a break; 0 when it is down.
	Connected() time.Duration
	// Close drains and ends the connection; ctx bounds it. Safe to call twice.
	Close(ctx context.Context) error
}
