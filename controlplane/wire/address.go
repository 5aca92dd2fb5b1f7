package wire

import (
	"encoding/hex"
	"errors"
	"strings"

	"github.com/millrace/millrace/controlplane/cluster"
)

// Address names the receiver of messages or requests. Buses turn it into their own subject.
//
// Queued addresses (Commands, Reports, Runner) keep a message until a consumer acknowledged it or the bus lost it.
// Endpoints (Scheduler, RunnerCall, Validator, Offsets) answer requests: one of those that serve an endpoint gets each request.
// Topics (Events, Wakes, LogLevels) are broadcast to whoever listens now.
type Address string

// Fixed addresses.
const (
	Commands  Address = "commands"  // queue: api → any scheduler
	Reports   Address = "reports"   // queue: runner → any scheduler
	Scheduler Address = "scheduler" // endpoint: register, define, beat, specs; any scheduler answers
	Events    Address = "events"    // topic: Changed
	Wakes     Address = "wakes"     // topic: any scheduler replica → the one that leads: look now
	LogLevels Address = "loglevels" // topic: LogLevel, for every process
)

// Runner is the queue of one session: assign, release.
func Runner(s cluster.SessionID) Address { return Address("runner." + token(string(s))) }

// RunnerCall is the endpoint of one session: ping, questions about its jobs, and handing one over.
func RunnerCall(s cluster.SessionID) Address { return Address("call." + token(string(s))) }

// Validator is the endpoint shared by all runners that have a plugin class.
func Validator(class string) Address { return Address("validate." + token(class)) }

// Offsets is the endpoint for the offsets of a plugin class's connectors, shared by all runners that have it.
func Offsets(class string) Address { return Address("offsets." + token(class)) }

// token makes any text safe as one part of a subject; two texts never share a token. Plain words stay readable, all else
// becomes "x" and hex digits, as does a word that looks like that already.
func token(s string) string {
	plain := s != "" && !strings.HasPrefix(s, "x")
	if strings.HasPrefix(s, "x") {
		_, err := hex.DecodeString(s[1:])
		plain = err != nil
	}
	for i := 0; plain && i < len(s); i++ {
		c := s[i]
		plain = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
	}
	if plain {
		return s
	}
	return "x" + hex.EncodeToString([]byte(s))
}

// Role tells what kind of receiver an address names.
type Role string

// The roles. An address that no function of this package makes has NoRole.
const (
	NoRole   Role = ""
	Queue    Role = "queue"
	Endpoint Role = "endpoint"
	Topic    Role = "topic"
)

// Role tells whether the address is a queue, an endpoint or a topic.
func (a Address) Role() Role {
	kind, key, keyed := strings.Cut(string(a), ".")
	if keyed {
		if key == "" || strings.ContainsAny(key, ".*> \t\r\n") {
			return NoRole
		}
		switch kind {
		case "runner":
			return Queue
		case "call", "validate", "offsets":
			return Endpoint
		}
		return NoRole
	}
	switch a {
	case Commands, Reports:
		return Queue
	case Scheduler:
		return Endpoint
	case Events, Wakes, LogLevels:
		return Topic
	}
	return NoRole
}

// Family is the address without the session or class it names, one of few values: fit for a metric's label.
func (a Address) Family() string {
	kind, _, _ := strings.Cut(string(a), ".")
	return kind
}

// ErrNobody says that nobody serves an endpoint, which differs from "it said no" and from "it did not answer".
var ErrNobody = errors.New("nobody serves this endpoint")
