// Package clientconf maps the settings of Kafka's Java clients to librdkafka's, and says which ones connectors may not
// have. It is pure: runners make their clients by it, and the api can refuse what they would refuse.
//
// Start reading at Translate.
package clientconf

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/sdk/connecterr"
)

// same are the client settings that Java's clients and librdkafka know by the same name, with values that mean the same.
var same = setOf(`acks allow.auto.create.topics auto.offset.reset batch.size bootstrap.servers client.dns.lookup client.id client.rack
	compression.type connections.max.idle.ms delivery.timeout.ms enable.idempotence fetch.max.bytes fetch.min.bytes group.id heartbeat.interval.ms
	isolation.level linger.ms max.in.flight.requests.per.connection max.partition.fetch.bytes max.poll.interval.ms metadata.max.age.ms
	reconnect.backoff.max.ms reconnect.backoff.ms request.timeout.ms retries retry.backoff.max.ms retry.backoff.ms sasl.mechanism
	sasl.oauthbearer.token.endpoint.url security.protocol session.timeout.ms socket.connection.setup.timeout.ms ssl.endpoint.identification.algorithm
	ssl.key.password transaction.timeout.ms`)

// renamed are those that have another name in librdkafka.
var renamed = map[string]string{
	"fetch.max.wait.ms":                      "fetch.wait.max.ms",
	"max.request.size":                       "message.max.bytes",
	"receive.buffer.bytes":                   "socket.receive.buffer.bytes",
	"send.buffer.bytes":                      "socket.send.buffer.bytes",
	"ssl.cipher.suites":                      "ssl.cipher.suites",
	"ssl.keystore.certificate.chain":         "ssl.certificate.pem",
	"ssl.keystore.key":                       "ssl.key.pem",
	"ssl.truststore.certificates":            "ssl.ca.pem",
	"sasl.login.connect.timeout.ms":          "",
	"max.poll.records":                       "", // the task's own
	"max.block.ms":                           "",
	"key.serializer":                         "",
	"value.serializer":                       "",
	"key.deserializer":                       "",
	"value.deserializer":                     "",
	"partitioner.class":                      "",
	"enable.auto.commit":                     "", // never
	"auto.commit.interval.ms":                "",
	"interceptor.classes":                    "",
	"metric.reporters":                       "",
	"metrics.num.samples":                    "",
	"metrics.recording.level":                "",
	"metrics.sample.window.ms":               "",
	"enable.metrics.push":                    "",
	"check.crcs":                             "",
	"exclude.internal.topics":                "",
	"default.api.timeout.ms":                 "",
	"group.instance.id":                      "", // the task's own
	"transactional.id":                       "", // the task's own
	"group.protocol":                         "",
	"metadata.recovery.strategy":             "",
	"metadata.max.idle.ms":                   "",
	"partitioner.ignore.keys":                "",
	"ssl.protocol":                           "",
	"ssl.enabled.protocols":                  "",
	"ssl.keystore.type":                      "",
	"ssl.truststore.type":                    "",
	"socket.connection.setup.timeout.max.ms": "",
}

// native are librdkafka's own settings that are let through by their own name; all of them are numbers or words.
var native = setOf(`fetch.wait.max.ms fetch.queue.backoff.ms fetch.error.backoff.ms queued.min.messages queued.max.messages.kbytes queue.buffering.max.kbytes
	queue.buffering.max.messages message.max.bytes partitioner sasl.username sasl.password socket.keepalive.enable socket.nagle.disable
	sticky.partitioning.linger.ms topic.metadata.refresh.interval.ms`)

// files are settings that name a file of this machine. The operator may use them; a connector may not (S7).
var files = map[string]string{
	"ssl.ca.location": "ssl.ca.location", "ssl.certificate.location": "ssl.certificate.location", "ssl.key.location": "ssl.key.location",
	"ssl.truststore.location": "ssl.ca.location", "ssl.keystore.location": "ssl.keystore.location", "ssl.keystore.password": "ssl.keystore.password",
	"ssl.crl.location": "ssl.crl.location", "sasl.kerberos.keytab": "sasl.kerberos.keytab",
}

func setOf(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// Translate maps client settings to librdkafka's. It is a list of what is allowed: whatever else librdkafka knows, such as
// what loads code or runs commands, is refused by name (S2, S4); settings that only Java's clients know are left out.
// operator also allows what names files.
func Translate(in map[string]string, operator bool) (map[string]string, error) {
	out := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(in)) {
		value := in[key]
		if strings.ContainsAny(value, "\x00\n\r") && !strings.Contains(key, "pem") && !strings.Contains(key, "certificate") && !strings.Contains(key, "keystore.key") {
			return nil, refused(key, "its value has a line break in it")
		}
		name, known := renamed[key]
		file, isFile := files[key]
		switch {
		case same[key] || native[key]:
			out[key] = lower(key, value)
		case known:
			if name != "" {
				out[name] = value
			}
		case isFile && operator:
			out[file] = value
		case isFile:
			return nil, refused(key, "it names a file of the worker's machine; give the PEM text itself, or a reference to a secret")
		case key == "sasl.jaas.config":
			if err := jaas(value, out); err != nil {
				return nil, err
			}
		case key == "partition.assignment.strategy":
			strategy, err := assignment(value)
			if err != nil {
				return nil, err
			}
			out[key] = strategy
		case key == "buffer.memory":
			out["queue.buffering.max.kbytes"] = kilobytes(value)
		case unsafe.MatchString(strings.ToLower(strings.TrimSpace(key))):
			return nil, refused(key, "it could make the client load code, run commands or read files")
		case strings.HasPrefix(key, "sasl.") || strings.HasPrefix(key, "ssl."):
			return nil, refused(key, "it is not supported")
		}
	}
	return out, nil
}

// unsafe matches what must be refused on every path, however it is written (S4).
var unsafe = regexp.MustCompile(`plugin\.library\.paths|kinit|engine|providers?$|\.location$|keytab|(^|\.)debug$|log_cb|opaque|_cb$|interceptors|callback|\.class(es)?$`)

func refused(key, why string) error {
	return connecterr.New(connecterr.Config, "The client setting '%s' is refused: %s.", key, why)
}

// lower writes the words of enumerations as librdkafka expects them.
func lower(key, value string) string {
	switch key {
	case "security.protocol", "compression.type", "isolation.level", "ssl.endpoint.identification.algorithm":
		if value == "" {
			return "none"
		}
		return strings.ToLower(value)
	}
	return value
}

// assignment maps Java's assignor classes; the first that is known counts.
func assignment(value string) (string, error) {
	for class := range strings.SplitSeq(value, ",") {
		switch class = strings.TrimSpace(class); class[strings.LastIndexByte(class, '.')+1:] {
		case "RangeAssignor", "range":
			return "range", nil
		case "RoundRobinAssignor", "roundrobin":
			return "roundrobin", nil
		case "CooperativeStickyAssignor", "cooperative-sticky":
			return "cooperative-sticky", nil
		}
	}
	return "", refused("partition.assignment.strategy", "it must be range, roundrobin or cooperative-sticky, or the class of one of them")
}

func kilobytes(bytes string) string {
	if len(bytes) <= 3 {
		return "1"
	}
	return bytes[:len(bytes)-3] // a little more than exact, and numbers that are none stay none
}

var jaasOption = regexp.MustCompile(`(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"`)

// jaas reads the login module line that Java's clients want for PLAIN and SCRAM.
func jaas(value string, out map[string]string) error {
	module, _, _ := strings.Cut(strings.TrimSpace(value), " ")
	switch module[strings.LastIndexByte(module, '.')+1:] {
	case "PlainLoginModule", "ScramLoginModule":
	default:
		return refused("sasl.jaas.config", "it must name PlainLoginModule or ScramLoginModule")
	}
	unquote := strings.NewReplacer(`\"`, `"`, `\\`, `\`)
	for _, m := range jaasOption.FindAllStringSubmatch(value, -1) {
		switch m[1] {
		case "username":
			out["sasl.username"] = unquote.Replace(m[2])
		case "password":
			out["sasl.password"] = unquote.Replace(m[2])
		}
	}
	if out["sasl.username"] == "" {
		return refused("sasl.jaas.config", `it has no username="…"`)
	}
	return nil
}

// Refused says why a connector's client setting, without prefix, is refused; "" when it is not.
func Refused(key, value string) string {
	if _, err := Translate(map[string]string{key: value}, false); err != nil {
		return err.Error()
	}
	return ""
}
