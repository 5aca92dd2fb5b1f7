// Package converter translates between the data model and the bytes kept in Kafka.
package converter

import (
	"context"

	"github.com/millrace/millrace/sdk/data"
)

// Use tells a converter what it converts; it is the value of the key converter.type.
type Use string

// The three uses of a converter.
const (
	ForKey    Use = "key"
	ForValue  Use = "value"
	ForHeader Use = "header"
)

// Converter translates record keys or values. After Configure it is used by one goroutine at a time. Errors are
// connecterr.Data unless they can pass by themselves.
type Converter interface {
	// Configure takes the converter's own keys, without prefix, references resolved.
	Configure(config map[string]string, use Use) error
	// FromConnect encodes. nil bytes without error is a Kafka null (a tombstone).
	FromConnect(topic string, schema *data.Schema, value any) ([]byte, error)
	// ToConnect decodes; nil bytes are a Kafka null. The bytes may be a view that dies with the batch: a converter that
	// keeps them must copy. A map without a schema belongs to the caller, who may change it.
	ToConnect(topic string, b []byte) (data.SchemaAndValue, error)
}

// Viewer is an optional power of a Converter: it decodes without a copy. The runner uses it for what comes from Kafka.
type Viewer interface {
	// View is ToConnect for bytes that nobody changes any more: the value may be a view of them, and lives as long as it is
	// referred to.
	View(topic string, b []byte) (data.SchemaAndValue, error)
}

// HeaderConverter translates header values; same rules.
type HeaderConverter interface {
	Configure(config map[string]string) error
	FromConnectHeader(topic, key string, schema *data.Schema, value any) ([]byte, error)
	ToConnectHeader(topic, key string, b []byte) (data.SchemaAndValue, error)
}

// Closer is an optional power: a converter that holds something is closed with its task.
type Closer interface {
	Close() error
}

// Waiter is an optional power: a converter that asks others, such as a schema registry, gives up waiting when the context of the
// batch ends, with an error that is retriable.
type Waiter interface {
	// Within is called before each batch, by the goroutine that converts. The context holds until the next call.
	Within(ctx context.Context)
}
