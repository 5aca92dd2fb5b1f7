// Package protobuf is ProtobufConverter: records as Protobuf messages, by schemas in a registry, as Confluent's converter of that
// name writes and reads them.
//
// Start reading at Converter. own.go makes a schema of one of the data model, compile.go reads any schema, bind.go and connect.go
// make the plans by which write.go and read.go go through bytes; logical.go has decimals and times, names.go what the two worlds
// call things.
package protobuf
