package badinput

import (
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/stretchr/testify/require"
)

// failures are settings that only the client itself can judge, and a connector's own failure.
func (s suite) failures() {
	verifiable, sink := config{"connector.class": "VerifiableSourceConnector", "topic": "t"}, config{"connector.class": "FileStreamSink", "topics": "t"}
	s.connector("producer-setting", verifiable.with("producer.override.max.in.flight.requests.per.connection", "100"))
	s.connector("consumer-setting", sink.with("file", s.file("never"), "consumer.override.session.timeout.ms", "900000"))
	s.connector("mock-task", config{"connector.class": "MockSource", "mock_mode": "task-failure", "delay_ms": "0"})
	s.connector("mock-connector", config{"connector.class": "MockSource", "mock_mode": "connector-failure", "delay_ms": "0"})
	s.fails("producer-setting", "max.in.flight")
	s.fails("consumer-setting", "session.timeout.ms")
	s.fails("mock-task", "mock task failure")
	s.eventually("the connector fails", func() bool { return strings.Contains(s.connectorTrace("mock-connector"), "mock connector failure") })
}

// connectorTrace is the trace of a connector instance that has failed.
func (s suite) connectorTrace(name string) string {
	s.Helper()
	_, body := s.do(http.MethodGet, "/connectors/"+name+"/status", "")
	connector, _, _ := strings.Cut(body, `"tasks":`)
	if !strings.Contains(connector, `"state":"FAILED"`) {
		return ""
	}
	return connector
}

// panics of a connector or task are that one's failure, with the place in the code; a restart after the cause is gone helps.
func (s suite) panics() {
	const at = `panic: mock task panic\n\tat github\.com/millrace/millrace/plugins/connectors/mock\.\S+\(mock\.go:\d+\)\n`
	mock := config{"mock_mode": "task-panic", "delay_ms": "0"}
	s.connector("panic-source", mock.with("connector.class", "MockSource"))
	s.connector("panic-sink", mock.with("connector.class", "MockSink", "topics", "healthy"))
	s.connector("panic-connector", config{"connector.class": "MockSource", "mock_mode": "connector-panic"})
	require.Regexp(s, at, s.fails("panic-source"))
	require.Regexp(s, at, s.fails("panic-sink"))
	s.eventually("the connector fails", func() bool {
		return strings.Contains(s.connectorTrace("panic-connector"), "ConnectException: panic: mock connector panic")
	})
	s.restart("panic-source")
	s.fails("panic-source", "mock task panic") // again, and nothing else
	for _, name := range []string{"panic-source", "panic-connector"} {
		s.put(name, config{"connector.class": "MockSource"}, http.StatusOK)
		s.becomes(name, "RUNNING")
	}
}

// brokers that can't be reached are named, and once the address is right the task runs.
func (s suite) brokers() {
	ln, err := (&net.ListenConfig{}).Listen(s.Context(), "tcp", "127.0.0.1:0")
	require.NoError(s, err)
	nowhere := ln.Addr().String()
	require.NoError(s, ln.Close())

	src := config{"connector.class": "VerifiableSourceConnector", "topic": "reached", "throughput": "100"}
	sink := config{"connector.class": "FileStreamSink", "topics": "reached", "file": s.file("reached")}
	s.connector("no-broker-source", src.with("producer.override.bootstrap.servers", nowhere))
	s.connector("no-broker-sink", sink.with("consumer.override.bootstrap.servers", nowhere))
	s.fails("no-broker-source", "Kafka does not answer", "it goes on trying", "producer.override.bootstrap.servers", nowhere)
	s.fails("no-broker-sink", "Kafka does not answer", "it goes on trying", "consumer.override.bootstrap.servers", nowhere)
	s.put("no-broker-source", src, http.StatusOK)
	s.put("no-broker-sink", sink, http.StatusOK)
	s.becomes("no-broker-source", "RUNNING")
	s.becomes("no-broker-sink", "RUNNING")
	s.eventually("lines", func() bool { return len(s.lines("reached")) > 10 })
}

// missingFolder: a sink fails until the folder is there, a source waits for it.
func (s suite) missingFolder() {
	sink, src := s.file("later/out"), s.file("later/in")
	s.connector("folder-sink", config{"connector.class": "FileStreamSink", "topics": "folder", "file": sink})
	s.connector("folder-source", config{"connector.class": "FileStreamSource", "topic": "folder", "file": src})
	s.fails("folder-sink", "Couldn't find or create file '"+sink+"'", "no such file or directory")
	s.becomes("folder-source", "RUNNING")
	s.eventually("it says what it waits for", func() bool { return strings.Contains(s.Logs(), "Couldn't find file "+src) })
	require.NoError(s, os.Mkdir(s.file("later"), 0o750))
	s.write("later/in", numbers(100))
	s.restart("folder-sink")
	s.becomes("folder-sink", "RUNNING")
	s.eventually("every line", func() bool { return s.complete("later/out", 100) })
}

// folderForFile: a folder stands where a file should be.
func (s suite) folderForFile() {
	for _, name := range []string{"folder-in", "folder-out"} {
		require.NoError(s, os.Mkdir(s.file(name), 0o750))
	}
	s.connector("reads-folder", config{"connector.class": "FileStreamSource", "topic": "folders", "file": s.file("folder-in")})
	s.connector("writes-folder", config{"connector.class": "FileStreamSink", "topics": "folders", "file": s.file("folder-out")})
	s.fails("reads-folder", s.file("folder-in"), "it is a directory")
	s.fails("writes-folder", "Couldn't find or create file '"+s.file("folder-out")+"'", "is a directory")
	for _, name := range []string{"folder-in", "folder-out"} {
		require.NoError(s, os.Remove(s.file(name)))
	}
	s.write("folder-in", numbers(100))
	for _, name := range []string{"reads-folder", "writes-folder"} {
		s.restart(name)
		s.becomes(name, "RUNNING")
	}
	s.eventually("every line", func() bool { return s.complete("folder-out", 100) })
}

// noJSON: a record that the converter can't read fails the task where it stands, and is not passed over; with
// errors.tolerance=all the rest is delivered and it is kept.
func (s suite) noJSON() {
	s.write("mixed", "1\n{oops\n2\n")
	s.connector("mixed", config{"connector.class": "FileStreamSource", "topic": "mixed", "file": s.file("mixed")})
	sink := config{"connector.class": "FileStreamSink", "topics": "mixed", "file": s.file("mixed-out"), "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable": "false"}
	s.connector("no-json", sink.with("errors.tolerance", "none"))
	parts := []string{"Tolerance exceeded in error handler", "topic='mixed', partition=0, offset=1", "VALUE_CONVERTER", "JsonConverter", "errors.tolerance=all",
		"errors.deadletterqueue.topic.name", "Caused by: org.apache.kafka.common.errors.SerializationException"}
	s.fails("no-json", parts...)
	s.restart("no-json")
	s.fails("no-json", parts...) // the same record: its offset was not committed

	s.connector("letters", config{"connector.class": "FileStreamSink", "topics": "mixed-letters", "file": s.file("letters")})
	s.put("no-json", sink.with("errors.tolerance", "all", "errors.deadletterqueue.topic.name", "mixed-letters",
		"errors.deadletterqueue.topic.replication.factor", "1"), http.StatusOK)
	s.becomes("no-json", "RUNNING")
	s.eventually("the good ones", func() bool {
		got := strings.Join(s.lines("mixed-out"), " ")
		return strings.Contains(got, "1") && strings.Contains(got, "2")
	})
	s.eventually("the bad one is kept", func() bool { return strings.Contains(strings.Join(s.lines("letters"), " "), "{oops") })
}

// fullDisk: what the disk has no room for is not committed; with room again and the task restarted every line is there.
func (s suite) fullDisk() {
	s.mount("small", "size=256k")
	s.write("small/filler", strings.Repeat("x", 200<<10))
	const n = 30_000
	s.write("much", numbers(n)) // about 160 KiB
	s.connector("much", config{"connector.class": "FileStreamSource", "topic": "much", "file": s.file("much")})
	s.connector("full", config{"connector.class": "FileStreamSink", "topics": "much", "file": s.file("small/out")})
	s.fails("full", s.file("small/out"), "no space left on device", "restart the task")
	s.restart("full") // nothing has changed
	s.fails("full", "no space left on device")
	require.False(s, s.complete("small/out", n))
	require.NoError(s, os.Remove(s.file("small/filler")))
	s.restart("full")
	s.becomes("full", "RUNNING")
	s.eventually("every line, once at least", func() bool { return s.complete("small/out", n) })
}

// fullDevice never has room.
func (s suite) fullDevice() {
	s.device("full-device")
	s.write("few", numbers(10))
	s.connector("few", config{"connector.class": "FileStreamSource", "topic": "few", "file": s.file("few")})
	s.connector("device", config{"connector.class": "FileStreamSink", "topics": "few", "file": s.file("full-device")})
	s.fails("device", s.file("full-device"), "no space left on device")
	s.put("device", config{"connector.class": "FileStreamSink", "topics": "few", "file": s.file("few-out")}, http.StatusOK)
	s.eventually("nothing was committed", func() bool { return s.complete("few-out", 10) })
}

func (s suite) readOnlyDisk() {
	s.mount("fixed", "ro")
	s.connector("fixed", config{"connector.class": "FileStreamSink", "topics": "t", "file": s.file("fixed/out")})
	s.fails("fixed", "Couldn't find or create file '"+s.file("fixed/out")+"'", "read-only file system")
}

func (s suite) noPermission() {
	file, unlock := s.locked("locked")
	_, err := os.OpenFile(file, os.O_RDWR, 0)
	require.ErrorIs(s, err, os.ErrPermission)
	s.connector("locked-source", config{"connector.class": "FileStreamSource", "topic": "locked", "file": file})
	s.connector("locked-sink", config{"connector.class": "FileStreamSink", "topics": "locked", "file": file})
	s.fails("locked-source", file, "permission denied")
	s.fails("locked-sink", file, "permission denied")
	unlock()
	s.restart("locked-source")
	s.becomes("locked-source", "RUNNING")
}

// lockedByMode makes a file that only the superuser may open until unlock.
func (s suite) lockedByMode(name string) (path string, unlock func()) {
	s.Helper()
	path = s.file(name)
	s.write(name, "1\n")
	require.NoError(s, os.Chmod(path, 0))
	return path, func() { require.NoError(s, os.Chmod(path, 0o600)) }
}
