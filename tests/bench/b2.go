package main

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/tests/servers"
)

const b2Records = 2_000_000

// transformed measures Kafka→file through three transformations: JSON of 210 bytes, without a schema.
func transformed(ctx context.Context, b *bed, r *report) error {
	connect, err := servers.StartConnect(ctx, b.kafka, servers.ConnectOptions{JVM: []string{"-Xmx1g", "-XX:+UseG1GC"}})
	if err != nil {
		return err
	}
	defer func() { _ = connect.Stop(context.WithoutCancel(ctx)) }()
	const insert, rename, cast = "transforms.insert.", "transforms.rename.", "transforms.cast."
	const smt = "org.apache.kafka.connect.transforms."
	load := &flow{topic: "b2", records: b.scaled(b2Records, b2Records), dir: b.Dir, value: b2Value, line: b2Line, marker: "id=1", config: map[string]string{
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false", "transforms": "insert,rename,cast",
		insert + "type": smt + "InsertField$Value", insert + "topic.field": "topic", insert + "static.field": "source", insert + "static.value": "shop",
		rename + "type": smt + "ReplaceField$Value", rename + "renames": "customer:client", rename + "exclude": "note",
		cast + "type": smt + "Cast$Value", cast + "spec": "count:string"}}
	if err := load.fill(ctx, b.kafka); err != nil {
		return err
	}
	bare := *load
	bare.marker, bare.line, bare.args = `"id":1`, b2JSON, []string{"-json"}
	return load.measure(ctx, b, r, connect, &bare, figures{toPeer: "≥ 4", toLimit: "≥ 0.6"})
}

// b2Value is in the topic. The number of a record has a 1 before it, so that it has no leading zeros.
func b2Value(i int) []byte {
	return b2Order(i, `{"id":1%0*d,"customer":"customer-%07d","item":"a middling kind of thing","count":%d,"price":%d.25,"paid":true,"created":1700000000%03d,"note":null,"state":"new","address":{"city":"Springfield","zip":"%05d"}}`)
}

// b2Line is what the connectors write.
func b2Line(i int) []byte {
	return b2Order(i, `{id=1%0*d, client=customer-%07d, item=a middling kind of thing, count=%d, price=%d.25, paid=true, created=1700000000%03d, state=new, address={city=Springfield, zip=%05d}, topic=b2, source=shop}`)
}

// b2JSON is what the bare program writes.
func b2JSON(i int) []byte {
	return b2Order(i, `{"id":1%0*d,"client":"customer-%07d","item":"a middling kind of thing","count":"%d","price":%d.25,"paid":true,"created":1700000000%03d,"state":"new","address":{"city":"Springfield","zip":"%05d"},"topic":"b2","source":"shop"}`)
}

func b2Order(i int, format string) []byte {
	return fmt.Appendf(make([]byte, 0, 256), format, numberLen, i, i%10_000_000, 1+i%9, 10+i%80, i%1000, i%100_000)
}
