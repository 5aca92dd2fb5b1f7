// Package filestream holds the file connectors of Kafka: a source that turns the lines of a file into records, and a sink
// that appends record values to a file as lines. They are the exemplary small connectors: copy this folder to begin your
// own.
//
// Start reading at Plugins (plugins.go), then source.go and sink.go; lines.go splits bytes into lines, roots.go keeps
// connectors inside the folders that the operator allows.
package filestream
