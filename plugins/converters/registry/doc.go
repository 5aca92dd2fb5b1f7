// Package registry is the client of a Schema Registry with Confluent's REST interface, and what converters over one have in
// common: their keys, subjects, the frame of a message, and when a schema is registered or looked up.
//
// Start reading at Serde: it is all that a converter sees. client.go speaks HTTP, mock.go is a registry inside the process.
package registry

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/sdk/connecterr"
)

// The types of schema.
const (
	Avro     = "AVRO"
	Protobuf = "PROTOBUF"
	JSON     = "JSON"
)

// Schema is a schema as a registry keeps it.
type Schema struct {
	Type       string // "" is Avro
	Text       string
	References []Reference
}

// Is refuses a schema of another type.
func (s Schema) Is(kind string) error {
	if s.Type == kind {
		return nil
	}
	return connecterr.New(connecterr.Data, "the schema in the registry is of type %s, and not of type %s", s.Type, kind)
}

// Reference is another schema that one makes use of, by the name that it has there.
type Reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// Registered is a schema that a registry has, and where.
type Registered struct {
	Schema
	ID      int32
	Version int // 0: not known
}

// Named is a schema that others refer to.
type Named struct{ Name, Text string }

// api is what a registry can be asked.
type api interface {
	// Register makes a schema a version of a subject, if it is none, and returns its id.
	Register(ctx context.Context, subject string, s Schema, normalize bool) (int32, error)
	// Lookup finds a schema among the versions of a subject, deleted ones too if asked.
	Lookup(ctx context.Context, subject string, s Schema, normalize, deleted bool) (Registered, error)
	// ByID returns the schema of an id. The subject tells in which context; it may be "".
	ByID(ctx context.Context, id int32, subject string) (Schema, error)
	// Version returns a version of a subject; 0 is the latest.
	Version(ctx context.Context, subject string, version int) (Registered, error)
	Close()
}

// Error is what a registry answers when it can't do what is asked.
type Error struct {
	Status  int
	Code    int
	Message string
}

// Error is the text that Java's client has.
func (e *Error) Error() string { return fmt.Sprintf("%s; error code: %d", e.Message, e.Code) }

// NotFound tells whether the registry does not have what was asked for.
func (e *Error) NotFound() bool { return e.Status == 404 }

// Transient tells whether the same request may go through later.
func (e *Error) Transient() bool {
	switch e.Status {
	case 408, 429, 500, 502, 503, 504:
		return true
	}
	return false
}
