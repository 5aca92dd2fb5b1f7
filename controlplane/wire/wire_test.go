package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden is one kind of message with every field set, and how to read it back.
type golden struct {
	name   string // of the file
	kind   wire.Kind
	value  any
	decode func(wire.Envelope) (any, error)
}

func decodeAs[T any](kind wire.Kind) func(wire.Envelope) (any, error) {
	return func(e wire.Envelope) (any, error) { return wire.Decode[T](e, kind) }
}

func goldens() []golden {
	job := cluster.TaskJob("0d9f5ab2-uid", 3)
	text := "v"
	cfg := cluster.Config{"name": &text, "absent": nil}
	plugin := cluster.PluginRef{Class: "org.example.Source", Version: "1.2.3", Kind: "source", Digest: "d1"}
	spec := cluster.JobSpec{
		Job: job, Name: "orders", Type: cluster.TypeSource, Class: "org.example.Source", Session: "s-1", Epoch: 7, Revision: 4,
		ConfigVersion: 2, Config: cfg, TaskConfig: cfg, TaskCount: 5, Target: cluster.Paused, RestartSeq: 9,
		Former: &cluster.Former{Session: "s-0", Epoch: 6}, TopicResets: 3,
	}
	status := cluster.Status{
		Job: job, Session: "s-1", Epoch: 7, Revision: 4, RestartSeq: 9, State: cluster.StateFailed, WorkerID: "10.0.0.1:8083",
		Trace: "java.lang.IllegalStateException: no\n\tat x", Version: "1.2.3", Released: true, Reason: "FENCED",
	}
	tasks := cluster.TaskConfigReport{
		Job: cluster.InstanceJob("0d9f5ab2-uid"), Session: "s-1", Epoch: 7, ConfigVersion: 2, Tasks: []cluster.Config{cfg, {}}, Fenceable: true,
	}
	topics := cluster.TopicReport{Job: job, Session: "s-1", Epoch: 7, TopicResets: 3, Topics: []string{"t"}}
	entry := wire.OffsetEntry{Partition: json.RawMessage(`{"file":"f"}`), Offset: json.RawMessage(`{"position":4}`)}
	return []golden{
		{"wake", wire.KindWake, wire.Wake{UID: "0d9f5ab2-uid", Generation: 12}, decodeAs[wire.Wake](wire.KindWake)},
		{"assign", wire.KindAssign, spec, decodeAs[cluster.JobSpec](wire.KindAssign)},
		{"release", wire.KindRelease, wire.Release{Job: job, Session: "s-1", Epoch: 7}, decodeAs[wire.Release](wire.KindRelease)},
		{"report", wire.KindReport, wire.Report{Session: "s-1", Statuses: []cluster.Status{status}, TaskConfigs: []cluster.TaskConfigReport{tasks},
			Topics: []cluster.TopicReport{topics}},
			decodeAs[wire.Report](wire.KindReport)},
		{"register", wire.KindRegister, cluster.Registration{
			Runner: "10.0.0.1:8083", Session: "s-1", Pool: "big", Labels: map[string]string{"zone": "a"}, Capacity: 20,
			Plugins: []cluster.PluginRef{plugin}, KafkaClusterID: "k-1", InternalURL: "http://10.0.0.1:9000", Version: "0.1.0",
		}, decodeAs[cluster.Registration](wire.KindRegister)},
		{"register-reply", wire.KindRegister, wire.RegisterReply{Missing: []cluster.PluginRef{plugin}}, decodeAs[wire.RegisterReply](wire.KindRegister)},
		{"define", wire.KindDefine, wire.Define{Plugins: []cluster.PluginRecord{{
			PluginRef: plugin, TaskClass: "org.example.SourceTask", Doc: "Reads.", Definition: []byte(`{"keys":[]}`),
		}}}, decodeAs[wire.Define](wire.KindDefine)},
		{"beat", wire.KindBeat, cluster.Heartbeat{
			Runner: "10.0.0.1:8083", Session: "s-1", State: cluster.SessionDraining, Digest: "aa", StatusDigest: "bb", Jobs: 3, Load: 0.5,
		}, decodeAs[cluster.Heartbeat](wire.KindBeat)},
		{"beat-reply", wire.KindBeat, cluster.HeartbeatReply{
			State: cluster.SessionActive, Known: true, Differs: true, Held: []cluster.HeldJob{{Job: job, Epoch: 7, Revision: 4}}, ResendStatuses: true,
			LetGo: []cluster.HeldJob{{Job: job, Epoch: 6, Revision: 3}},
		}, decodeAs[cluster.HeartbeatReply](wire.KindBeat)},
		{"specs", wire.KindSpecs, wire.SpecsRequest{Session: "s-1", Jobs: []cluster.JobID{job}}, decodeAs[wire.SpecsRequest](wire.KindSpecs)},
		{"specs-reply", wire.KindSpecs, wire.SpecsReply{Specs: []cluster.JobSpec{spec}}, decodeAs[wire.SpecsReply](wire.KindSpecs)},
		{"validate", wire.KindValidate, wire.ValidateRequest{Config: cfg, OnlyErrors: true}, decodeAs[wire.ValidateRequest](wire.KindValidate)},
		{"validate-reply", wire.KindValidate, wire.ValidateReply{Infos: json.RawMessage(`{"error_count":0}`), Class: "org.example.Source", Type: cluster.TypeSink,
			Refused: &wire.Refusal{Class: "org.example.Exception", Code: cluster.Failed, Message: "no"}},
			decodeAs[wire.ValidateReply](wire.KindValidate)},
		{"offsets", wire.KindOffsets, wire.OffsetsRequest{Action: wire.AlterOffsets, Connector: "orders", UID: "0d9f5ab2-uid", Type: cluster.TypeSource, Config: cfg,
			FormerTasks: 2, Changes: []wire.OffsetEntry{entry}, After: "a"}, decodeAs[wire.OffsetsRequest](wire.KindOffsets)},
		{"offsets-reply", wire.KindOffsets, wire.OffsetsReply{Offsets: []wire.OffsetEntry{entry}, Next: "b", Handled: true}, decodeAs[wire.OffsetsReply](wire.KindOffsets)},
		{"ping", wire.KindPing, wire.Ack{}, decodeAs[wire.Ack](wire.KindPing)},
		{"changed", wire.KindChanged, wire.Changed{UIDs: []cluster.UID{"0d9f5ab2-uid", "11"}}, decodeAs[wire.Changed](wire.KindChanged)},
		{"loglevel", wire.KindLogLevel, wire.LogLevel{Logger: "org.example", Level: "DEBUG"}, decodeAs[wire.LogLevel](wire.KindLogLevel)},
		{"ack", wire.KindAck, wire.Ack{}, decodeAs[wire.Ack](wire.KindAck)},
		{"error", wire.KindError, wire.ErrorReply{Code: cluster.StaleEpoch, Message: "epoch 6 is over"}, decodeAs[wire.ErrorReply]("error")},
	}
}

func TestGolden_each_kind_keeps_its_bytes_and_loses_no_field(t *testing.T) {
	t.Parallel()
	kinds := map[wire.Kind]bool{}
	for _, g := range goldens() {
		kinds[g.kind] = true
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			requireAllSet(t, reflect.ValueOf(g.value), g.name)
			got, err := wire.Encode(g.kind, "id-1", g.value)
			require.NoError(t, err)
			path := filepath.Join("testdata", g.name+".json")
			if *update {
				require.NoError(t, os.WriteFile(path, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			want = bytes.TrimSuffix(want, []byte("\n"))
			require.Equal(t, string(want), string(got), "the bytes of a kind must not change; fields may be added")

			e, err := wire.Open(want)
			require.NoError(t, err)
			require.Equal(t, g.kind, e.Kind)
			require.Equal(t, "id-1", e.ID)
			if g.kind == wire.KindError {
				_, err := g.decode(e)
				require.Equal(t, cluster.StaleEpoch, cluster.CodeOf(err))
				require.Equal(t, "epoch 6 is over", err.Error())
				return
			}
			v, err := g.decode(e)
			require.NoError(t, err)
			if diff := cmp.Diff(g.value, v); diff != "" {
				t.Fatalf("decoded golden differs (-sent +read):\n%s", diff)
			}
			again, err := wire.Encode(e.Kind, e.ID, v)
			require.NoError(t, err)
			require.Equal(t, string(want), string(again), "re-encoding must give the same bytes")
		})
	}
	for _, k := range []wire.Kind{wire.KindWake, wire.KindAssign, wire.KindRelease, wire.KindReport, wire.KindRegister, wire.KindDefine, wire.KindBeat,
		wire.KindSpecs, wire.KindValidate, wire.KindPing, wire.KindChanged, wire.KindError, wire.KindAck} {
		require.True(t, kinds[k], "kind %s has no golden file", k)
	}
}

// requireAllSet fails when a field of the example is zero: then its golden file would prove nothing about it.
func requireAllSet(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			requireAllSet(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
		return
	case reflect.Slice:
		if v.Len() > 0 && v.Index(0).Kind() == reflect.Struct {
			requireAllSet(t, v.Index(0), path+"[0]")
		}
	}
	if path != "" && v.IsZero() && path != "report.TaskConfigs[0].Job.Task" {
		t.Fatalf("example leaves %s zero", path)
	}
}

func TestEnvelope_with_every_field_set_keeps_its_bytes(t *testing.T) {
	t.Parallel()
	const want = `{"v":1,"kind":"wake","id":"42","sent_at":"2026-01-02T03:04:05Z","trace":"00-4bf9-00f0-01","payload":{"uid":"u"}}`
	e, err := wire.Open([]byte(want))
	require.NoError(t, err)
	require.Equal(t, wire.Envelope{
		V: 1, Kind: wire.KindWake, ID: "42", SentAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Trace: "00-4bf9-00f0-01",
		Payload: json.RawMessage(`{"uid":"u"}`),
	}, e)
	b, err := json.Marshal(e)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

func TestOpen_and_Decode_ignore_fields_they_do_not_know(t *testing.T) {
	t.Parallel()
	e, err := wire.Open([]byte(`{"v":1,"kind":"wake","newer":[1],"payload":{"uid":"u","generation":3,"newer":{}}}`))
	require.NoError(t, err)
	w, err := wire.Decode[wire.Wake](e, wire.KindWake)
	require.NoError(t, err)
	require.Equal(t, wire.Wake{UID: "u", Generation: 3}, w)
}

func TestMalformed_messages_are_poison(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"nothing":                    ``,
		"not JSON":                   `hello`,
		"cut off":                    `{"v":1,"kind":"wa`,
		"a list":                     `[]`,
		"null":                       `null`,
		"no version":                 `{"kind":"wake","payload":{}}`,
		"a newer version":            `{"v":2,"kind":"wake","payload":{}}`,
		"a negative version":         `{"v":-1,"kind":"wake","payload":{}}`,
		"version of a wrong type":    `{"v":"1","kind":"wake","payload":{}}`,
		"kind of a wrong type":       `{"v":1,"kind":7,"payload":{}}`,
		"no kind":                    `{"v":1,"payload":{}}`,
		"another kind":               `{"v":1,"kind":"assign","payload":{}}`,
		"an unknown kind":            `{"v":1,"kind":"dance","payload":{}}`,
		"no payload":                 `{"v":1,"kind":"wake"}`,
		"payload of a wrong type":    `{"v":1,"kind":"wake","payload":"x"}`,
		"payload field wrong type":   `{"v":1,"kind":"wake","payload":{"uid":5}}`,
		"error without payload":      `{"v":1,"kind":"error"}`,
		"error payload wrong type":   `{"v":1,"kind":"error","payload":[]}`,
		"time that is none":          `{"v":1,"kind":"wake","sent_at":"yesterday","payload":{}}`,
		"two messages in one":        `{"v":1,"kind":"wake","payload":{}}{"v":1}`,
		"number beyond the type":     `{"v":1,"kind":"wake","payload":{"generation":99999999999999999999}}`,
		"bytes that are not UTF-8 {": "\xff\xfe{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := wire.Open([]byte(in))
			if err == nil {
				_, err = wire.Decode[wire.Wake](e, wire.KindWake)
			}
			poison := &wire.PoisonError{}
			require.ErrorAs(t, err, &poison)
			require.NotEmpty(t, poison.Reason)
		})
	}
}

func TestEncode_refuses_what_JSON_cannot_hold(t *testing.T) {
	t.Parallel()
	_, err := wire.Encode(wire.KindAck, "", func() {})
	require.ErrorContains(t, err, "encoding ack payload")
}

func TestEncodeError_carries_code_and_message_through(t *testing.T) {
	t.Parallel()
	for _, code := range cluster.Codes() {
		e, err := wire.Open(wire.EncodeError("r-1", cluster.Errorf(code, "no: %s", code)))
		require.NoError(t, err)
		require.Equal(t, "r-1", e.ID)
		_, err = wire.Decode[wire.Ack](e, wire.KindAck)
		require.Equal(t, code, cluster.CodeOf(err))
		require.Equal(t, "no: "+string(code), err.Error())
	}
	e, err := wire.Open(wire.EncodeError("", os.ErrClosed))
	require.NoError(t, err)
	_, err = wire.Decode[wire.Ack](e, wire.KindAck)
	require.True(t, cluster.Is(err, cluster.Internal))
}

func FuzzOpenDecode(f *testing.F) {
	for _, g := range goldens() {
		b, err := wire.Encode(g.kind, "id-1", g.value)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Add([]byte(`{"v":1,"kind":"wake"}`))
	byKind := map[wire.Kind][]golden{}
	for _, g := range goldens() {
		byKind[g.kind] = append(byKind[g.kind], g)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		e, err := wire.Open(in)
		if err != nil {
			require.ErrorAs(t, err, new(*wire.PoisonError))
			return
		}
		for _, g := range byKind[e.Kind] {
			v, err := g.decode(e)
			if err != nil {
				if e.Kind != wire.KindError {
					require.ErrorAs(t, err, new(*wire.PoisonError))
				}
				continue
			}
			b, err := wire.Encode(e.Kind, e.ID, v)
			require.NoError(t, err, "what was read must be writable")
			e2, err := wire.Open(b)
			require.NoError(t, err)
			v2, err := g.decode(e2)
			require.NoError(t, err)
			b2, err := wire.Encode(e2.Kind, e2.ID, v2)
			require.NoError(t, err)
			require.Equal(t, string(b), string(b2), "a second round must change nothing")
		}
	})
}

func TestHearLogLevels_drops_what_it_cannot_read(t *testing.T) {
	t.Parallel()
	var got []string
	hear := wire.HearLogLevels(func(logger, level string) { got = append(got, logger+"="+level) })
	good, err := wire.Encode(wire.KindLogLevel, "", wire.LogLevel{Logger: "a.b", Level: "DEBUG"})
	require.NoError(t, err)
	other, err := wire.Encode(wire.KindAck, "", wire.Ack{})
	require.NoError(t, err)
	for _, msg := range [][]byte{nil, []byte("{"), other, good} {
		hear(msg)
	}
	require.Equal(t, []string{"a.b=DEBUG"}, got)
}
