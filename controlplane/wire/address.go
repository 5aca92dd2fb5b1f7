package wire

import (
	"encoding/hex"
	"errors"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Address names the receiver of messages or requests. Buses turn it into their own subject.
//
// Queued addresses (Commands, Reports, Runner) keep a message until a consumer acknowledged it or the bus lost it.
// Endpoints (Scheduler, RunnerCall, Validator) answer requests: one of those that serve an endpoint gets each request.
// Topics (Events, Wakes) are broadcast to whoever listens now.
type Address string

// Fixed addresses.
const (
	Commands  Address = "commands"  // queue: api → any scheduler
	Reports   Address = "reports"   // queue: runner → any scheduler
	Scheduler Address = "scheduler" // endpoint: register, define, beat, specs; any scheduler answers
	Events    Address = "events"    // topic: Changed
	Wakes     Address = "wakes"     // topic: any scheduler replica → the one that leads: look now
)

// Runner is the queue of one session: assign, release.
func Runner(s cluster.SessionID) Address { return Address("runner." + token(string(s))) }

// RunnerCall is the endpoint of one session: ping and questions about its jobs.
func RunnerCall(s cluster.SessionID) Address { return Address("call." + token(string(s))) }

// Validator is the endpoint shared by all runners that have a plugin class.
func Validator(class string) Address { return Address("validate." + token(class)) }

// token makes any text safe as one part of a subject.
func token(s string) string {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return "x" + hex.EncodeToString([]byte(s))
		}
	}
	return s
}

// ErrNobody says that nobody serves an endpoint, which differs from "it said no" and from "it did not answer".
var ErrNobody = errors.New("nobody serves this endpoint")
