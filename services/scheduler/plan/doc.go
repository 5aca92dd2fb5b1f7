// Package plan decides which runner runs which job. It is pure (Invariant 8): Compute is a function from what is seen to
// what should be done, without a clock, randomness, I/O or memory of its own; time arrives as ages in the snapshot.
//
// Start reading at Compute, which walks through its phases in order: who lives (sessions.go), is this a mass loss
// (sessions.go), what does each job need (sort.go), where does it go (place.go), what moves without having to
// (move.go).
//
// # Rules
//
//   - A session is suspect when its heartbeat is SuspectAfter old or the bus says that nobody listens for it: it gets
//     nothing new. It is lost when its heartbeat is LostAfter old, or ConfirmAfter old while nobody listens.
//   - A job that something fences (Kafka a task, the store's epoch check a connector instance) moves as soon as its
//     session is lost. A job that nothing fences moves only when the heartbeat is LostAfter old, also when the
//     connection is known to be gone: until then its runner may still be working, afterwards a runner that follows
//     isolation.policy=stop has stopped it. A session that holds such jobs is therefore not marked lost earlier.
//   - When more than HoldShare of the sessions, and at least HoldMin of them, vanish together, or nobody is left, the
//     fault is as likely ours: nothing moves until their heartbeats are LostAfter+HoldGrace old (Invariant 5).
//   - Draining and misplaced holders: a fenced job is given to another runner at once (start there, then stop here), at
//     most MaxMovesPerRound per round; an unfenced one is released first, and assigned when its holder let go.
//   - Nothing healthy moves without a reason (Invariant 7): rebalancing waits for a quiet moment, moves only fenced jobs,
//     only to runners that have stayed RebalanceAfter, only where the difference exceeds the slack, and only until it no
//     longer does.
package plan
