module github.com/millrace/millrace/services/taskrunner

go 1.26.0

toolchain go1.26.8

require (
	github.com/confluentinc/confluent-kafka-go/v2 v2.15.1
	github.com/millrace/millrace v0.0.0
	github.com/millrace/millrace/sdk v0.0.0
)

replace github.com/millrace/millrace => ../..

replace github.com/millrace/millrace/sdk => ../../sdk
