package adopt

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

type text struct {
	Hex  *string `json:"hex"`
	Text *string `json:"text"`
}

func (x *text) bytes(t *testing.T) []byte {
	t.Helper()
	switch {
	case x == nil:
		return nil
	case x.Hex != nil:
		b, err := hex.DecodeString(*x.Hex)
		require.NoError(t, err)
		return b
	}
	return []byte(*x.Text)
}

// recorded is a record of an internal topic of a real worker.
type recorded struct {
	ID, Worker, Topic string
	Offset            int64
	Key, Value        *text
}

func lines[T any](t *testing.T, file string) (all []T) {
	t.Helper()
	f, err := os.Open(file) //nolint:gosec // testdata
	require.NoError(t, err)
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var x T
		require.NoError(t, json.Unmarshal(s.Bytes(), &x))
		all = append(all, x)
	}
	require.NoError(t, s.Err())
	return all
}

// take reads a worker's records up to one, in the topics' order.
func take(t *testing.T, all []recorded, worker, upTo string, keep func(recorded) bool) *Topics {
	t.Helper()
	topics := NewTopics()
	for _, r := range all {
		if r.Worker != worker || r.ID > upTo || keep != nil && !keep(r) {
			continue
		}
		rec := kafkaio.Record{Topic: r.Topic, Offset: r.Offset, Key: r.Key.bytes(t), Value: r.Value.bytes(t)}
		switch r.Topic {
		case "configs":
			topics.Config(rec)
		case "offsets":
			topics.Offset(rec)
		case "status":
			topics.Status(rec)
		default:
			t.Fatal(r.Topic)
		}
	}
	return topics
}

func brief(topics *Topics) string {
	var out []string
	for _, c := range topics.Connectors() {
		s := fmt.Sprintf("%s %s tasks=%d", c.Name, c.Target, c.Tasks)
		if c.Incomplete {
			s += " incomplete"
		}
		if c.Failed > 0 {
			s += fmt.Sprintf(" failed=%d", c.Failed)
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

// What a worker's topics say, at points of its life.
func TestGolden_InternalTopics(t *testing.T) {
	t.Parallel()
	all := lines[recorded](t, "testdata/internal-topics.jsonl")
	sinks := []string{"gv-dh STARTED tasks=1", "gv-di STARTED tasks=1", "gv-dk STARTED tasks=1", "gv-dv STARTED tasks=1", "gv-dve STARTED tasks=1",
		"gv-dx STARTED tasks=1", "gv-dx2 STARTED tasks=1", "gv-dx3 STARTED tasks=1"}
	with := func(more ...string) string {
		all := slices.Concat(sinks, more)
		slices.Sort(all)
		return strings.Join(all, "; ")
	}
	for _, c := range []struct{ worker, upTo, want string }{
		{"exactly-once", "it-0001", ""},
		{"exactly-once", "it-0002", "gv-dv STARTED tasks=0"},
		{"exactly-once", "it-0003", "gv-dv STARTED tasks=0"}, // not committed yet
		{"exactly-once", "it-0004", "gv-dv STARTED tasks=1"},
		{"exactly-once", "it-0029", with("gv-src STARTED tasks=1")},
		{"exactly-once", "it-0030", with("gv-src PAUSED tasks=1")},
		{"exactly-once", "it-0035", with("gv-src STARTED tasks=1")},
		{"exactly-once", "it-0041", with("gv-src STOPPED tasks=0")},
		{"exactly-once", "it-0045", with("gv-src STARTED tasks=1")},
		{"exactly-once", "it-0047", with("gv-src STARTED tasks=1")}, // a target state comes before its connector
		{"exactly-once", "it-0053", with("gv-src STARTED tasks=1", "gv-init STOPPED tasks=0", "gv-init-p PAUSED tasks=0", "gv-fail-é x STARTED tasks=1")},
		{"exactly-once", "it-0142", with()},
		{"plain", "it-0150", "gv-psrc STOPPED tasks=0"},
		{"plain", "it-0160", "gv-multi STARTED tasks=3; gv-psrc STOPPED tasks=0"},
		{"plain", "it-0163", "gv-multi STARTED tasks=1; gv-psrc STOPPED tasks=0"},
		{"plain", "it-0165", "gv-psrc STOPPED tasks=0"},
		{"plain", "it-0232", ""},
	} {
		topics := take(t, all, c.worker, c.upTo, nil)
		require.Equal(t, c.want, brief(topics), c.upTo)
		require.Zero(t, topics.Unread(), c.upTo)
	}
	// A failed task, before its connector was deleted.
	failed := take(t, all, "exactly-once", "it-0121", func(r recorded) bool { return r.Topic != "configs" || r.ID <= "it-0053" })
	require.Contains(t, brief(failed), "gv-fail-é x STARTED tasks=1 failed=1")
	// What worked when: a stopped connector is at rest once its tasks have ended.
	for upTo, atRest := range map[string]bool{"it-0177": false, "it-0183": false, "it-0184": false, "it-0185": true, "it-0187": true, "it-0189": false, "it-0191": true} {
		target := "it-0150"
		psrc := take(t, all, "plain", upTo, func(r recorded) bool { return r.Topic != "configs" || r.ID <= target }).Connectors()[0]
		require.Equal(t, atRest, psrc.AtRest(), upTo)
	}
	config := take(t, all, "exactly-once", "it-0041", nil).Connectors()[8].Config.Plain()
	require.Equal(t, map[string]string{"connector.class": "FileStreamSource", "file": "in.txt", "tasks.max": "1", "batch.size": "10", "name": "gv-src",
		"topic": "gv-lines", "value.converter": "org.apache.kafka.connect.storage.StringConverter"}, config)
}

// Compaction keeps the last record of a key, and a tombstone as long as there is an older one: connectors and targets are the
// same, whichever older records are gone. Task configs may be gone, which a worker calls inconsistent.
func TestGolden_InternalTopics_compacted(t *testing.T) {
	t.Parallel()
	all := lines[recorded](t, "testdata/internal-topics.jsonl")
	for _, c := range []struct{ worker, upTo string }{{"exactly-once", "it-0053"}, {"exactly-once", "it-0142"}, {"plain", "it-0163"}, {"plain", "it-0232"}} {
		whole := take(t, all, c.worker, c.upTo, nil).Connectors()
		last := map[string]string{}
		for _, r := range all {
			if r.Worker == c.worker && r.ID <= c.upTo {
				last[r.Topic+*r.Key.Text] = r.ID
			}
		}
		for seed := range uint64(100) {
			rnd := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's choice
			older := map[string]bool{}            // keys of which an older record was kept
			got := take(t, all, c.worker, c.upTo, func(r recorded) bool {
				key := r.Topic + *r.Key.Text
				switch {
				case last[key] != r.ID:
					keep := rnd.IntN(2) == 0
					older[key] = older[key] || keep
					return keep
				case r.Value == nil:
					return older[key] || rnd.IntN(2) == 0
				}
				return true
			}).Connectors()
			require.Len(t, got, len(whole), "seed %d", seed)
			for i, w := range whole {
				require.Equal(t, w.Name, got[i].Name, "seed %d", seed)
				require.Equal(t, w.Config, got[i].Config, "seed %d", seed)
				require.Equal(t, w.Target, got[i].Target, "seed %d", seed)
				require.Equal(t, w.Tasks, got[i].Tasks, "seed %d: the count is known even if not all of them are", seed)
				require.Equal(t, w.Offsets, got[i].Offsets, "seed %d", seed)
			}
		}
	}
}

func TestGolden_FileStreamOffsets(t *testing.T) {
	t.Parallel()
	type line struct {
		ID         string
		Key, Value *text
		Written    [][]*string
	}
	topics := NewTopics()
	all := lines[line](t, "testdata/filestream-offsets.jsonl")
	require.NotEmpty(t, all)
	for _, l := range all {
		pairs := l.Written
		if l.Key != nil {
			key, value := string(l.Key.bytes(t)), (*string)(nil)
			if l.Value != nil {
				v := string(l.Value.bytes(t))
				value = &v
			}
			pairs = [][]*string{{&key, value}}
		}
		for _, p := range pairs {
			r := kafkaio.Record{Key: []byte(*p[0])}
			if p[1] != nil {
				r.Value = []byte(*p[1])
			}
			topics.Offset(r)
			// An offset is taken over as it was written, to the byte.
			for _, e := range topics.offsets.Entries("gv-psrc") {
				partition, offset, err := e.JSON()
				require.NoError(t, err)
				if `["gv-psrc",`+string(partition)+`]` == *p[0] {
					require.NotNil(t, p[1], l.ID)
					require.Equal(t, *p[1], string(offset), l.ID)
				}
			}
		}
	}
	require.Zero(t, topics.Unread())
	require.Len(t, topics.offsets.Entries("gv-psrc"), 1, "the reset one is gone, and so is the removed one; one was set")
}

func TestTopics_what_can_not_be_read_is_left_out_and_counted(t *testing.T) {
	t.Parallel()
	topics := NewTopics()
	config := func(key, value string) {
		r := kafkaio.Record{Key: []byte(key)}
		if value != "" {
			r.Value = []byte(value)
		}
		topics.Config(r)
	}
	config("connector-c", `{"properties":{"connector.class":"X","empty":null}}`)
	config("target-state-c", `{"state":"PAUSED"}`) // an older worker
	for _, bad := range [][2]string{{"connector-c", `{"properties":7}`}, {"connector-d", `[]`}, {"connector-e", `{}`}, {"target-state-c", `{"state":"ASLEEP"}`},
		{"target-state-c", `{`}, {"task-c-x", `{"properties":{}}`}, {"task-c", `{}`}, {"commit-c", `{"tasks":-1}`}, {"commit-c", `{}`}, {"what-is-this", `{}`}} {
		before := topics.Unread()
		config(bad[0], bad[1])
		require.Equal(t, before+1, topics.Unread(), bad)
	}
	config("task-c-0", `{"properties":{}}`)
	config("task-c-2", `{"properties":{}}`)
	config("commit-c", `{"tasks":3}`)
	config("commit-unknown", `{"tasks":3}`)
	require.Equal(t, "c PAUSED tasks=3 incomplete", brief(topics))
	require.Contains(t, topics.Connectors()[0].Config, "empty")
	config("target-state-c", "")
	require.Equal(t, cluster.Started, topics.Connectors()[0].Target)

	before := topics.Unread()
	topics.Offset(kafkaio.Record{Key: []byte(`["c"]`), Value: []byte(`{}`)})
	topics.Offset(kafkaio.Record{Key: []byte(`["c",{"a":1,"b":2}]`), Value: []byte(`{"p":1}`), Timestamp: 1})
	topics.Offset(kafkaio.Record{Key: []byte(`["c",{"b":2,"a":1}]`), Value: []byte(`{"p":2}`), Timestamp: 2})
	require.Equal(t, before+1, topics.Unread())
	offsets := topics.Connectors()[0].Offsets
	require.Len(t, offsets, 1, "the order of fields does not make another partition")
	_, offset, err := offsets[0].JSON()
	require.NoError(t, err)
	require.JSONEq(t, `{"p":2}`, string(offset))
}

func TestDecide(t *testing.T) {
	t.Parallel()
	topics := NewTopics()
	topics.Offset(kafkaio.Record{Key: []byte(`["c",{"f":"x"}]`), Value: []byte(`{"p":1}`)})
	entries := topics.offsets.Entries("c")
	config := cluster.ConfigOf(map[string]string{"name": "c", "connector.class": "X", "password": "hunter2", "value.converter": "com.example.Avro", "transforms.t.type": "com.example.T"})
	other := cluster.ConfigOf(map[string]string{"connector.class": "X"})
	source := Connector{Name: "c", Config: config, Target: cluster.Started, Offsets: entries}
	sink := Connector{Name: "c", Config: config, Target: cluster.Paused, Failed: 1}
	stopped := source
	stopped.Target = cluster.Stopped
	for name, c := range map[string]struct {
		c    Connector
		here Here
		want string
	}{
		"a source":                    {source, Here{Type: cluster.TypeSource}, "create   c: source X, RUNNING, 1 offset"},
		"a sink":                      {sink, Here{Type: cluster.TypeSink}, "create   c: sink X, PAUSED, goes on with its consumer group, 1 of it had FAILED and start anew"},
		"unknown":                     {source, Here{}, "refuse   c: there is no connector X here"},
		"no class":                    {Connector{Name: "c", Config: cluster.Config{}}, Here{}, "refuse   c: its configuration names no connector.class"},
		"refused":                     {source, Here{Type: cluster.TypeSource, Wrong: []string{"value.converter", "password", "transforms.t.type"}}, "refuse   c: its configuration is refused here, because of password, transforms.t.type (com.example.T), value.converter (com.example.Avro)"},
		"here":                        {source, Here{Type: cluster.TypeSource, Exists: true, Config: config, Target: cluster.Started}, "nothing  c: it is here already"},
		"here, another":               {source, Here{Type: cluster.TypeSource, Exists: true, Config: other, Target: cluster.Started}, "refuse   c: a connector of this name is here, with another configuration; delete it, or go on with it as it is"},
		"prepared":                    {source, Here{Type: cluster.TypeSource, Exists: true, Config: config, Target: cluster.Stopped}, "finish   c: source X, RUNNING, 1 offset"},
		"prepared, to be stopped":     {stopped, Here{Type: cluster.TypeSource, Exists: true, Config: config, Target: cluster.Stopped}, "finish   c: source X, STOPPED, 1 offset"},
		"a class that went meanwhile": {source, Here{Exists: true, Config: config, Target: cluster.Started}, "nothing  c: it is here already"},
	} {
		require.Equal(t, c.want, Decide(c.c, c.here).String(), name)
		require.NotContains(t, Decide(c.c, c.here).String(), "hunter2")
	}
}
