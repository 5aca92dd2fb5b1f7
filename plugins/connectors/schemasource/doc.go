// Package schemasource holds the sources that make numbered records with a schema, for quick starts and for trying out
// converters: Kafka's own and those that came with the storage and HDFS connectors. The three share records and offsets and
// differ in how they keep to a rate, in what they print and in their key.
//
// Their definitions are empty, as in Java: no value of theirs fails a validation. They are judged when a task starts.
//
// Start reading at flavour.
package schemasource
