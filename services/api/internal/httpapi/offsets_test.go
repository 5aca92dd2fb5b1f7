package httpapi

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/wire"
)

func entry(partition, offset string) wire.OffsetEntry {
	var e wire.OffsetEntry
	if partition != "" {
		e.Partition = []byte(partition)
	}
	if offset != "" {
		e.Offset = []byte(offset)
	}
	return e
}

func TestParseOffsets_keeps_partitions_and_offsets_as_they_were_written(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]wire.OffsetEntry{
		`{}`:                               nil,
		`{"offsets":null}`:                 nil,
		`{"offsets":[]}`:                   {},
		`{"offsets":[{}]}`:                 {entry("", "")},
		`{"offsets":[{"partition":null}]}`: {entry("null", "")},
		"\xef\xbb\xbf" + `{"offsets":[{"partition":{"b":1,"a":9223372036854775808},"offset":{"x":1.50}}, {"offset":null,"partition":{}}]}`: {
			entry(`{"b":1,"a":9223372036854775808}`, `{"x":1.50}`), entry(`{}`, `null`)},
		`{"offsets":[{"partition":{"a":1},"partition":{"a":2}}]}`: {entry(`{"a":2}`, "")},           // the last wins
		`{"offsets":[{"partition":{"a":[1]},"offset":{"a":{}}}]}`: {entry(`{"a":[1]}`, `{"a":{}}`)}, // what is in them is judged later
	} {
		got, err := parseOffsets([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, want, got, body)
	}
}

func TestParseOffsets_refuses_other_shapes_in_Jackson_s_words(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`[]`:                                   "Cannot deserialize value",
		`1`:                                    "Cannot construct instance",
		`true`:                                 "Cannot construct instance",
		`"x"`:                                  "Cannot construct instance",
		`""`:                                   "Cannot coerce empty String",
		`null`:                                 "not null",
		``:                                     "No content to map",
		`{"key":[]}`:                           `Unrecognized field "key"`,
		`{"Offsets":[]}`:                       `Unrecognized field "Offsets"`,
		`{"offsets":{}}`:                       "Cannot deserialize value",
		`{"offsets":1}`:                        "Cannot deserialize value",
		`{"offsets":[123]}`:                    "Cannot construct instance",
		`{"offsets":["x"]}`:                    "Cannot construct instance",
		`{"offsets":[[]]}`:                     "Cannot deserialize value",
		`{"offsets":[null]}`:                   "not null",
		`{"offsets":[{"key":"val"}]}`:          `Unrecognized field "key"`,
		`{"offsets":[{"partition":[]}]}`:       "Cannot deserialize value",
		`{"offsets":[{"partition":1}]}`:        "Cannot deserialize value",
		`{"offsets":[{"offset":true}]}`:        "Cannot deserialize value",
		`{"offsets":[{"offset":"x"}]}`:         "Cannot construct instance",
		`{"offsets":[{}]} x`:                   "no JSON",
		`{"offsets":[{}]} {}`:                  "Trailing token",
		`{"offsets":[{"partition":{"a":1},}]}`: "no JSON",
		`{"offsets":[{"partition":{},"offset":NaN}]}`: "no JSON",
	} {
		_, err := parseOffsets([]byte(body))
		require.ErrorContains(t, err, want, body)
		require.IsType(t, &bodyError{}, err, body)
	}
}

func TestOffsets_the_shape_is_judged_before_the_connector_is_looked_for(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	resp, body := s.do(http.MethodPatch, "/connectors/none/offsets", `[]`)
	s.isError(resp, body, 500)
	resp, body = s.do(http.MethodPatch, "/connectors/none/offsets", `{}`)
	require.Equal(t, "Partitions / offsets need to be provided for an alter offsets request", s.isError(resp, body, 400))
	resp, body = s.do(http.MethodPatch, "/connectors/none/offsets", `{"offsets":[{}]}`)
	require.Equal(t, "Connector none not found", s.isError(resp, body, 404))
	resp, body = s.do(http.MethodDelete, "/connectors/none/offsets", "")
	require.Equal(t, "Connector none not found", s.isError(resp, body, 404))
	resp, body = s.do(http.MethodGet, "/connectors/none/offsets", "")
	require.Equal(t, "Connector none not found", s.isError(resp, body, 404))
	resp, body = s.do(http.MethodGet, "/connectors/a%2Fb/topics", "")
	require.Equal(t, 200, resp.StatusCode)
	require.JSONEq(t, `{"a/b":{"topics":[]}}`, body)
}
