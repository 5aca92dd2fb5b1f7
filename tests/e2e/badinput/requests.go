package badinput

import (
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

// bodies are not JSON, or not what is wanted. Kafka Connect answers 500 to all of them.
func (s suite) bodies() {
	for body, want := range map[string]string{
		"":                                  "No content",
		"{":                                 "no JSON",
		`{"name":"bad","config":{}`:         "no JSON",
		`{'name':'bad'}`:                    "no JSON",
		"[]":                                "Cannot deserialize value",
		"7":                                 "Cannot construct instance",
		"null":                              "null",
		`{"name":"bad"}`:                    "config",
		`{"nom":"bad","config":{}}`:         `Unrecognized field "nom"`,
		`{"name":"bad","config":[]}`:        "Cannot deserialize value",
		`{"name":"bad","config":{"a":{}}}`:  "Cannot deserialize value of type `java.lang.String` from Object value",
		`{"name":"bad","config":{"a":[1]}}`: "from Array value",
		`{"name":"bad","config":{},"initial_state":"asleep"}`: "ASLEEP",
	} {
		status, answer := s.do(http.MethodPost, "/connectors", body)
		require.Contains(s, s.refused(status, answer, http.StatusInternalServerError), want, body)
	}
	for body, want := range map[string]string{"{": "no JSON", "[]": "Cannot deserialize value", `{"a":{}}`: "from Object value"} {
		status, answer := s.do(http.MethodPut, "/connectors/bad/config", body)
		require.Contains(s, s.refused(status, answer, http.StatusInternalServerError), want, body)
		status, answer = s.do(http.MethodPut, "/connector-plugins/FileStreamSource/config/validate", body)
		require.Contains(s, s.refused(status, answer, http.StatusInternalServerError), want, body)
	}
	s.isAbsent("bad")
}

func (s suite) isAbsent(name string) {
	s.Helper()
	status, body := s.do(http.MethodGet, "/connectors/"+name, "")
	require.Equal(s, "Connector "+name+" not found", s.refused(status, body, http.StatusNotFound))
}

// configurations are refused before anything is made, by the name of the key.
func (s suite) configurations() {
	file, verifiable := config{"connector.class": "FileStreamSource", "topic": "t"}, config{"connector.class": "VerifiableSourceConnector", "topic": "t"}
	sink := config{"connector.class": "FileStreamSink", "topics": "t"}
	for want, c := range map[string]config{
		"Failed to find any class that implements Connector and which name matches NoSuchConnector":                     {"connector.class": "NoSuchConnector"},
		"Connector config contains no connector type":                                                                   {"topic": "t"},
		"Connector name configuration (other) doesn't match connector name in the URL (refused)":                        file.with("name", "other"),
		"Invalid value /etc/passwd for configuration file: it is outside the folders that file connectors may use here": sink.with("file", "/etc/passwd"),
		"Invalid value many for configuration tasks.max: Not a number of type INT":                                      file.with("tasks.max", "many"),
		"Invalid value 0 for configuration tasks.max: Value must be at least 1":                                         file.with("tasks.max", "0"),
		"Invalid value abc for configuration batch.size: Not a number of type INT":                                      file.with("batch.size", "abc"),
		"Invalid value fast for configuration throughput":                                                               verifiable.with("throughput", "fast"),
		`Missing required configuration "topic" which has no default value.`:                                            {"connector.class": "FileStreamSource"},
		"Invalid value  for configuration topic: String must be non-empty":                                              file.with("topic", ""),
		"Class NoSuchConverter could not be found":                                                                      verifiable.with("value.converter", "NoSuchConverter"),
		"topics.regex": sink.with("topics.regex", "t.*"),
		"Must configure one of topics or topics.regex": {"connector.class": "FileStreamSink"},
		"errors.tolerance":      verifiable.with("errors.tolerance", "some"),
		"NoSuchTransform":       verifiable.with("transforms", "x", "transforms.x.type", "NoSuchTransform"),
		"The configuration has": verifiable.with("notes", strings.Repeat("x", 2<<20)),
	} {
		status, answer := s.do(http.MethodPut, "/connectors/refused/config", c.json())
		require.Contains(s, s.refused(status, answer, http.StatusBadRequest), want)
	}
	s.isAbsent("refused")

	// Another class is told of also while it is asked whether a configuration is right.
	status, answer := s.do(http.MethodPut, "/connector-plugins/FileStreamSink/config/validate", file.json())
	require.Contains(s, s.refused(status, answer, http.StatusBadRequest), "does not match request type FileStreamSink")
}
