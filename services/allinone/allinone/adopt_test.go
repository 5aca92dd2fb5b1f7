package allinone_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/plugins"
	"github.com/millrace/millrace/plugins/connectors"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/services/allinone/allinone"
	"github.com/millrace/millrace/services/taskrunner/adopt"
	"github.com/millrace/millrace/tests/servers"
)

// adoption is a Kafka Connect cluster that goes over to Millrace and back, with a file that is copied to a file over a topic.
type adoption struct {
	*pipe
	bootstrap string
	worker    map[string]string // of the Kafka Connect cluster
	offsets   string            // Millrace's topic
}

// notHere is a class of the real worker that Millrace is started without.
const notHere = "org.apache.kafka.connect.tools.SchemaSourceConnector"

func newAdoption(t *testing.T) *adoption {
	t.Helper()
	a := &adoption{pipe: &pipe{T: t, dir: t.TempDir(), id: strings.ToLower(rand.Text())}, bootstrap: servers.Kafka(t)}
	a.worker = map[string]string{"group.id": "kc-" + a.id, "bootstrap.servers": a.bootstrap, "key.converter": textConverter, "value.converter": textConverter,
		"offset.storage.partitions": "3", "status.storage.partitions": "1",
		"consumer.session.timeout.ms": "6000"} // how long partitions wait for a member of Millrace that does not come back
	for _, kind := range []string{"config", "offset", "status"} {
		a.worker[kind+".storage.topic"] = "kc-" + a.id + "-" + kind
	}
	a.offsets = a.worker["offset.storage.topic"]
	return a
}

// connect starts the real worker, with what it needs to follow Millrace.
func (a *adoption) connect() (base string, stop func()) {
	a.Helper()
	props := maps.Clone(a.worker)
	props["isolation.level"] = "read_committed"
	props["offset.storage.topic"] = a.offsets
	c, err := servers.StartConnect(a.Context(), a.bootstrap, servers.ConnectOptions{Props: props})
	if err != nil {
		servers.Missing(a, fmt.Errorf("a Kafka Connect worker: %w", err))
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			require.NoError(a, c.Stop(context.WithoutCancel(a.Context())))
		}
	}
	a.Cleanup(stop)
	return c.Base, stop
}

func (a *adoption) millrace() (base string, stop func()) {
	a.Helper()
	registry, err := plugin.New(slices.DeleteFunc(plugins.All(connectors.Options{FileRoots: []string{a.dir}}),
		func(p plugin.Plugin) bool { return p.Class == notHere })...)
	require.NoError(a, err)
	info, stop := startIn(a.T, a.TempDir(), nil, func(c *allinone.Config) {
		c.Kafka = a.bootstrap
		c.Plugins = registry
		c.Worker = maps.Clone(a.worker)
		c.Worker["offset.storage.topic"] = a.offsets
		c.Worker["offset.flush.interval.ms"] = "1000"
	})
	a.Cleanup(stop)
	return "http://" + info.API, stop
}

// adopt runs the import, and requires that it shows no secret.
func (a *adoption) adopt(base string, change func(*adopt.Options)) (out string, err error) {
	a.Helper()
	var buf bytes.Buffer
	o := adopt.Options{Worker: a.worker, API: adopt.API{URL: base}, Out: &buf, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	err = adopt.Run(a.Context(), o)
	a.Log(buf.String(), err)
	require.NotContains(a, buf.String()+fmt.Sprint(err), "hunter2")
	return buf.String(), err
}

func apply(o *adopt.Options) { o.Apply = true }

// more makes a paused source that has read a file, and a connector of a class that is not here.
func (a *adoption) more(base string) {
	a.Helper()
	require.NoError(a, os.WriteFile(filepath.Join(a.dir, "old"), []byte("1\n2\n3\n"), 0o600))
	config := fmt.Sprintf(`{"connector.class":"FileStreamSource","topic":"old-%s","file":%q,"db.password":"hunter2"}`, a.id, filepath.Join(a.dir, "old"))
	status, _, answer := exchange(a.T, http.MethodPut, base+"/connectors/old-"+a.id+"/config", config)
	require.Equal(a, http.StatusCreated, status, answer)
	require.Eventually(a, func() bool { return a.position(base, "old-"+a.id) == 6 }, patience, tick)
	status, _, answer = exchange(a.T, http.MethodPut, base+"/connectors/old-"+a.id+"/pause", "")
	require.Equal(a, http.StatusAccepted, status, answer)
	status, _, answer = exchange(a.T, http.MethodPost, base+"/connectors", fmt.Sprintf(`{"name":"none-%s","initial_state":"STOPPED","config":
		{"connector.class":%q,"topic":"none-%s","secret":"hunter2"}}`, a.id, notHere, a.id))
	require.Equal(a, http.StatusCreated, status, answer)
}

// position is how far a file was read, as the REST API tells; -1: not yet.
func (a *adoption) position(base, name string) int {
	a.Helper()
	status, _, answer := exchange(a.T, http.MethodGet, base+"/connectors/"+name+"/offsets", "")
	if status != http.StatusOK {
		return -1
	}
	var v struct {
		Offsets []struct{ Offset struct{ Position int } }
	}
	require.NoError(a, json.Unmarshal([]byte(answer), &v))
	if len(v.Offsets) != 1 {
		return -1
	}
	return v.Offsets[0].Offset.Position
}

func (a *adoption) state(base, name string) string {
	a.Helper()
	_, _, answer := exchange(a.T, http.MethodGet, base+"/connectors/"+name+"/status", "")
	var v struct{ Connector struct{ State string } }
	require.NoError(a, json.Unmarshal([]byte(answer), &v))
	return v.Connector.State
}

// The real worker reads and writes, Millrace goes on without a gap or a repetition, and the worker goes on after it: in one
// offsets topic, or in two of which the first is copied.
func TestAdopt_a_real_Kafka_Connect_cluster_goes_over_and_back(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"one offsets topic": false, "an offsets topic of Millrace": true} {
		t.Run(name, func(t *testing.T) {
			a := newAdoption(t)
			connect, stopConnect := a.connect()
			a.create(connect)
			a.more(connect)
			a.flows(500)
			if own {
				a.offsets = "millrace-" + a.id
			}
			here, stopMillrace := a.millrace()

			// While the workers run it only looks, or prepares.
			out, err := a.adopt(here, nil)
			require.ErrorContains(t, err, "1 of 4 connectors can't be taken over")
			require.Contains(t, out, "4 connectors, its workers run")
			require.Contains(t, out, "refuse   none-"+a.id+": there is no connector "+notHere+" here")
			require.Contains(t, out, "create   out-"+a.id+": sink FileStreamSink, RUNNING, goes on with its consumer group")
			require.Contains(t, out, "create   old-"+a.id+": source FileStreamSource, PAUSED, 1 offset")
			_, _, list := exchange(t, http.MethodGet, here+"/connectors", "")
			require.Equal(t, "[]", strings.TrimSpace(list), "nothing was made")
			_, err = a.adopt(here, apply)
			require.ErrorContains(t, err, "connector in-"+a.id+" is not stopped there: it would run twice")
			require.Equal(t, exitcode.BadInput, exitcode.Of(err))
			if own {
				_, err = a.adopt(here, func(o *adopt.Options) { o.Apply, o.Stopped = true, true })
				require.ErrorContains(t, err, "1 of 4")
				require.Eventually(t, func() bool { return a.state(here, "in-"+a.id) == "STOPPED" && a.state(here, "out-"+a.id) == "STOPPED" }, patience, tick)
				require.Equal(t, -1, a.position(here, "in-"+a.id))
			}
			a.flows(500) // it goes on meanwhile
			stopConnect()

			out, err = a.adopt(here, apply)
			require.ErrorContains(t, err, "1 of 4")
			require.Contains(t, out, "its workers have stopped")
			if own {
				require.Contains(t, out, "finish   in-"+a.id)
				require.Equal(t, 2, strings.Count(out, "1 offset copied"))
			} else {
				require.Equal(t, 2, strings.Count(out, "its offsets are where Millrace keeps them"))
			}
			a.flows(500)
			require.Eventually(t, func() bool { return a.state(here, "old-"+a.id) == "PAUSED" }, patience, tick)
			require.Equal(t, 6, a.position(here, "old-"+a.id))

			// Again: nothing is left to do, whatever has happened since.
			out, err = a.adopt(here, apply)
			require.ErrorContains(t, err, "1 of 4")
			require.Equal(t, 3, strings.Count(out, "it is here already"), out)
			out, err = a.adopt(here, func(o *adopt.Options) { o.Apply, o.Only = true, []string{"in-" + a.id} })
			require.NoError(t, err)
			require.Contains(t, out, "nothing  in-"+a.id)
			a.flows(500)

			// And back: the worker reads the topic that Millrace wrote.
			stopMillrace()
			connect, _ = a.connect()
			a.flows(500)
			require.Equal(t, 6, a.position(connect, "old-"+a.id))
		})
	}
}

// One connector goes over while the workers and the others go on: it is stopped there, and resumed here. Other offsets that it
// has here are left alone.
func TestAdopt_one_connector_of_a_running_cluster(t *testing.T) {
	t.Parallel()
	a := newAdoption(t)
	connect, _ := a.connect()
	a.create(connect)
	a.flows(100)
	a.offsets = "millrace-" + a.id
	here, _ := a.millrace()
	name := "in-" + a.id
	only := func(o *adopt.Options) { o.Apply, o.Only = true, []string{name} }
	_, err := a.adopt(here, only)
	require.ErrorContains(t, err, "connector "+name+" is not stopped there")
	put := func(base, path, want string) {
		t.Helper()
		ask(t, http.MethodPut, base+"/connectors/"+name+path, "", nil)
		require.Eventually(t, func() bool { return a.state(base, name) == want }, patience, tick)
	}
	put(connect, "/stop", "STOPPED")
	var out string
	require.Eventually(t, func() bool { out, err = a.adopt(here, only); return err == nil }, patience, tick, "its tasks end")
	require.Contains(t, out, "1 offset copied")
	require.Eventually(t, func() bool { return a.state(here, name) == "STOPPED" }, patience, tick)
	at := a.position(here, name)
	require.Positive(t, at)

	status, _, answer := exchange(t, http.MethodPatch, here+"/connectors/"+name+"/offsets",
		fmt.Sprintf(`{"offsets":[{"partition":{"filename":%q},"offset":{"position":2}}]}`, filepath.Join(a.dir, lines)))
	require.Equal(t, http.StatusOK, status, answer)
	out, err = a.adopt(here, only)
	require.ErrorContains(t, err, "1 of 1 connector can't be taken over")
	require.Contains(t, out, "it has other offsets here, and stays STOPPED")
	require.Equal(t, "STOPPED", a.state(here, name))
	require.Equal(t, 2, a.position(here, name))

	// As it says: without them it is taken over.
	status, _, answer = exchange(t, http.MethodDelete, here+"/connectors/"+name+"/offsets", "")
	require.Equal(t, http.StatusOK, status, answer)
	_, err = a.adopt(here, only)
	require.NoError(t, err)
	require.Equal(t, at, a.position(here, name))
	put(here, "/resume", "RUNNING")
	a.flows(100) // from Millrace's source to the worker's sink

	_, err = a.adopt(here, func(o *adopt.Options) { o.Only = []string{"nobody"} })
	require.ErrorContains(t, err, `no connector "nobody"`)
	delete(a.worker, "group.id")
	_, err = a.adopt(here, nil)
	require.ErrorContains(t, err, "has no group.id")
}
