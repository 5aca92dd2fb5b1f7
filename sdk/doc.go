// Package sdk is the five-minute tour for somebody who writes a connector; its packages hold the types. They need nothing
// but the standard library. plugins/connectors/filestream is a complete connector to copy; example_test.go here is the
// smallest one.
//
// A connector is two things. The connector itself (package connector) checks its configuration, says how the work is split
// into tasks, and asks for another split when the outside has changed. A task does the work: a source task (package source)
// is polled for batches of records, a sink task (package sink) is given batches.
//
// Describe both by a plugin.Plugin: the Java class name that users write into connector.class, the definition of the keys
// (package config; from it come validation, defaults and the reference page), and the functions that make instances. Put it
// into the list of plugins/connectors/catalog.go, or into the list of a program of your own.
//
// # Records
//
// A record (package record) has a key and a value with optional schemas (package data), headers (package header), and a
// place: for a source the partition and offset of the outside that it came from, for a sink its topic, partition and
// offset. Values are Go's own: bool, int8 to int64, float32, float64, string, []byte, []any, and *data.Map, *data.Struct,
// data.Decimal and data.Instant (dates and times). An int is no value: a schema says how wide a number is. Package values
// reads values from text and converts them.
//
// # What a source promises
//
// Poll returns records that have not been returned before, with the offset from which a successor would go on behind each.
// The framework writes records and offsets, in one transaction where exactly-once is on. At Start, ask
// Context.Offsets for the stored offset and go on behind it. Block in Poll while there is nothing, until its context ends.
//
// # What a sink promises
//
// Put takes a batch over; Flush (sink.Flusher) returns when everything up to the given offsets is durable, and only then
// are they committed. Records come again after a failure: at least once. A failure that will pass is a connecterr.Retriable
// error: the same batch comes again.
//
// # Errors
//
// Say what is wrong with which key or record, and what to do (package connecterr). An error from Start, Poll or Put fails
// the task; its text is the trace that users read. Never start goroutines that outlive Stop. A panic fails the task alone.
package sdk
