package cluster

import (
	"slices"
	"time"
)

// Terms are what an author attaches to a change beyond the change itself; the zero value attaches nothing.
type Terms struct {
	// If is looked at inside the change's transaction, whatever the change is.
	If Precondition
	// Once makes a create, put, delete or restart happen once for a key; nil: each call is a change of its own. Other changes,
	// which do nothing when they come twice, don't look at it.
	Once *Once
}

// ConfigRef names one version of the configuration in one life of a connector.
type ConfigRef struct {
	UID     UID
	Version int64
}

// Ref names the connector's current configuration.
func (c Connector) Ref() ConfigRef { return ConfigRef{c.UID, c.ConfigVersion} }

// Precondition is what must be true of a connector at the moment of a change, or the change fails with PreconditionFailed.
type Precondition struct {
	Exists bool        // it is there
	Match  []ConfigRef // unless nil: it is there, and its configuration is one of these
	Absent bool        // it is not there
	Differ []ConfigRef // its configuration is none of these
}

// IsZero tells that nothing is asked for.
func (p Precondition) IsZero() bool {
	return !p.Exists && p.Match == nil && !p.Absent && len(p.Differ) == 0
}

// Check holds the condition against a connector, nil when there is none of the name.
func (p Precondition) Check(name string, c *Connector) error {
	failed := func(format string, args ...any) error { return Errorf(PreconditionFailed, format, args...) }
	switch {
	case c == nil && (p.Exists || p.Match != nil):
		return failed("Connector %s does not exist, and the request is for one that does (If-Match). If it was deleted on purpose, leave it; else send the request without If-Match to create it", name)
	case c == nil:
		return nil
	case p.Absent:
		return failed("Connector %s exists, and the request is to create a new one (If-None-Match: *). Take another name, or read the connector and replace its configuration with its ETag in If-Match", name)
	case p.Match != nil && !slices.Contains(p.Match, c.Ref()):
		return failed("Connector %s is not what it was when its ETag in If-Match was read: it was changed, or deleted and created again. Read it, make the change to what is there now, and send it with the new ETag", name)
	case slices.Contains(p.Differ, c.Ref()):
		return failed("Connector %s is at a version that the request excludes (If-None-Match). Read it to see what is there", name)
	}
	return nil
}

// Lives of keys.
const (
	// KeyLife is how long a key is remembered.
	KeyLife = 24 * time.Hour
	// PendingTime is how long a preliminary answer is held back: longer than any request may take, so that afterwards
	// whoever was to replace it has died.
	PendingTime = 2 * time.Minute
)

// Once makes a change happen once for a key that its author chose.
//
// The key and the answer are stored in the transaction of the change. So there is no moment at which one is there without
// the other: of a process that dies before the commit nothing is left, and a repetition makes the change; of one that dies
// after it, or whose answer is lost, the repetition finds the answer and changes nothing. Two that come at once are put in a
// row by the store: the second waits for the end of the first one's transaction and then finds its answer.
type Once struct {
	Key    string
	Digest [32]byte // of everything that makes the request this one: author, method, path, body
	// Answer words the answer to the change that is about to be committed. It runs inside the transaction, and again when that
	// has to be repeated.
	Answer func(Outcome) Answer
	// Pending says that the answer is preliminary: the change is followed by something that the author waits for. It stands in
	// for the final one when nobody lives to record that.
	Pending bool
}

// Outcome is what a change has done, as far as answers show it.
type Outcome struct {
	View    ConnectorView // of a create or put, after it
	Created bool
	Ticket  RestartTicket // of a restart
}

// Answer is what an author was answered. Stores don't look into it.
type Answer struct {
	Status int
	Header map[string]string
	Body   []byte
}

// KeyRecord is what is kept of a key.
type KeyRecord struct {
	Digest  [32]byte
	Pending bool
	Answer  Answer
	Age     time.Duration
}

// Check holds a request against what is kept of its key, nil for nothing: nil means that the change is to be made, *Recorded
// that it was made.
func (o Once) Check(kept *KeyRecord) error {
	switch {
	case kept == nil || kept.Age >= KeyLife:
		return nil
	case kept.Digest != o.Digest:
		return Errorf(KeyReused, "The key in Idempotency-Key was used for another request (another author, method, path, condition or body) in the last 24 hours. A new request needs a new key")
	case kept.Pending && kept.Age < PendingTime:
		return Errorf(InProgress, "The first request with this Idempotency-Key has made its change and is still waiting for the effect. Repeat this one a little later to get its answer")
	}
	return &Recorded{kept.Answer}
}

// CheckRecord is Check for an answer that was made outside of the change's transaction. Pending says that the request itself
// has left a preliminary one, which is then replaced.
func (o Once) CheckRecord(kept *KeyRecord) error {
	if o.Pending && kept != nil && kept.Pending && kept.Digest == o.Digest {
		return nil
	}
	return o.Check(kept)
}

// Recorded is returned in the place of a change that was made before under the same key.
type Recorded struct{ Answer Answer }

func (r *Recorded) Error() string { return "the change was made before under the same key" }
