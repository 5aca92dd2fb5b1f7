package httpapi

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/api/internal/restconfig"
)

const patience = 30 * time.Second

// say reports a state of a connector's instance, as its runner would.
func (s *site) say(name string, state cluster.State) {
	s.Helper()
	s.sayWith(name, state, "boom\n\tat x")
}

func (s *site) sayWith(name string, state cluster.State, trace string) {
	s.Helper()
	v, err := s.store.Connector(s.Context(), name)
	require.NoError(s, err)
	job := cluster.InstanceJob(v.UID)
	epoch := cluster.Epoch(1)
	if v.Status == nil {
		l, ok, _, err := s.store.AcquireLease(s.Context(), "leader", time.Hour)
		require.NoError(s, err)
		require.True(s, ok)
		_, err = s.store.CommitPlan(s.Context(), l.Term, []cluster.Decision{{Kind: cluster.Assign, Job: job, Session: "s", Epoch: epoch}})
		require.NoError(s, err)
		require.NoError(s, s.store.ResignLease(s.Context(), l))
	}
	accepted, _, _, err := s.store.StoreStatuses(s.Context(), []cluster.Status{{Job: job, Session: "s", Epoch: epoch, State: state, WorkerID: "w:8083", Trace: trace, Version: "1"}})
	require.NoError(s, err)
	require.Equal(s, []bool{true}, accepted)
}

// sse is one event as it came, or a sign of life with a place.
type sse struct{ id, event, data, comment string }

// watcher reads a stream.
type watcher struct {
	*testing.T
	resp   *http.Response
	lines  *bufio.Scanner
	cancel context.CancelFunc
	last   string // id
}

func (s *site) watch(query string, headers ...string) *watcher {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 2*patience)
	s.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/events"+query, nil)
	require.NoError(s, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s, err)
	require.Equal(s, http.StatusOK, resp.StatusCode)
	require.Equal(s, "text/event-stream", resp.Header.Get("Content-Type"))
	s.Cleanup(func() { _ = resp.Body.Close() })
	w := &watcher{T: s.T, resp: resp, lines: bufio.NewScanner(resp.Body), cancel: cancel}
	first, err := w.read()
	require.NoError(s, err)
	require.Equal(s, sse{id: w.last}, first)
	require.NotEmpty(s, w.last)
	return w
}

// read reads up to an empty line.
func (w *watcher) read() (e sse, err error) {
	for w.lines.Scan() {
		line := w.lines.Text()
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			e.id, w.last = value, value
		case "event":
			e.event = value
		case "data":
			e.data = value
		case "":
			if line == "" {
				return e, nil
			}
			e.comment = value
		}
	}
	if err := w.lines.Err(); err != nil {
		return e, err
	}
	return e, io.EOF
}

// next is the next event, whatever signs of life come before.
func (w *watcher) next() (sse, map[string]any) {
	w.Helper()
	for {
		e, err := w.read()
		require.NoError(w, err)
		if e.event == "" {
			continue
		}
		var data map[string]any
		require.NoError(w, json.Unmarshal([]byte(e.data), &data))
		require.Equal(w, e.event, data["type"])
		return e, data
	}
}

func (w *watcher) expect(events ...string) {
	w.Helper()
	for _, want := range events {
		e, data := w.next()
		require.Equal(w, want, e.event+" "+data["connector"].(string))
	}
}

func (s *site) gauge(name string) float64 {
	s.Helper()
	all, err := s.metrics.Gather()
	require.NoError(s, err)
	for _, f := range all {
		if f.GetName() == name && len(f.GetMetric()) > 0 {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}

func (s *site) streams(n int) {
	s.Helper()
	require.Eventually(s, func() bool { return int(s.gauge("millrace_api_event_streams")) == n }, patience, time.Millisecond)
}

func TestEvents_tell_a_life_and_are_as_the_document_says(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	doc := described(t, s)
	media := doc.Paths.Value("/events").Get.Responses.Value("200").Value.Content
	require.NotNil(t, media.Get("text/event-stream"))
	w := s.watch("", "Accept", "text/event-stream")
	require.Equal(t, "no-cache", w.resp.Header.Get("Cache-Control"))
	s.create("c")
	s.say("c", cluster.StateRunning)
	s.say("c", cluster.StateFailed)
	_, body := s.do(http.MethodPut, "/connectors/c/config", `{"connector.class":"`+listSource+`"}`)
	require.Contains(t, body, "c")
	s.do(http.MethodPut, "/connectors/c/pause", "")
	s.do(http.MethodDelete, "/connectors/c", "")
	type m = map[string]any
	for _, want := range []m{
		{"type": "connector.created", "target": "STARTED", "config_version": 1.0, "generation": 1.0},
		{"type": "connector.state", "state": "RUNNING", "worker_id": "w:8083", "version": "1"},
		{"type": "connector.state", "state": "FAILED", "worker_id": "w:8083", "version": "1", "trace": "boom\n\tat x"},
		{"type": "connector.config", "config_version": 2.0, "generation": 2.0},
		{"type": "connector.target", "target": "PAUSED", "generation": 3.0},
		{"type": "connector.deleted", "generation": 4.0},
	} {
		e, got := w.next()
		require.NoError(t, conforms(doc.Components.Schemas["Event"].Value, e.data), e.data)
		require.NotEmpty(t, got["uid"])
		at, err := time.Parse(time.RFC3339Nano, got["time"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), at, time.Hour)
		delete(got, "uid")
		delete(got, "time")
		want["connector"] = "c"
		require.Equal(t, want, got)
		require.Equal(t, e.id, w.last)
	}
	types := doc.Components.Schemas["Event"].Value.Properties["type"].Value.Enum
	require.Len(t, types, len(cluster.EventTypes()))
	for _, typ := range cluster.EventTypes() {
		require.Contains(t, types, any(string(typ)))
	}
	require.IsType(t, &openapi3.Schema{}, media.Get("text/event-stream").Schema.Value)
}

func TestEvents_go_on_where_a_client_was_also_at_another_server(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	w := s.watch("")
	begin := w.last
	s.create("a")
	s.create("b")
	w.expect("connector.created a")
	place := w.last
	w.cancel()
	s.create("c")
	s.watch("?after="+place).expect("connector.created b", "connector.created c")
	s.watch("?after="+begin, lastEventID, place).expect("connector.created b", "connector.created c")
	only := s.watch("?connector=b&connector=d&after=" + begin)
	s.create("d")
	only.expect("connector.created b", "connector.created d")
	require.NotEmpty(t, only.last)
	another := s.peer(nil, Options{})
	another.watch("", lastEventID, place).expect("connector.created b", "connector.created c", "connector.created d")
}

func TestEvents_refuses_places_that_it_does_not_know(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for range 2 {
		s.create("c")
		s.do(http.MethodDelete, "/connectors/c", "")
	}
	gone, err := s.store.Events(t.Context(), cluster.EventToken{}, 1)
	require.NoError(t, err)
	_, err = s.store.PruneEvents(t.Context(), time.Hour, 1)
	require.NoError(t, err)
	resp, body := s.do(http.MethodGet, "/events?after="+gone[0].Token().String(), "")
	message := s.isError(resp, body, http.StatusGone)
	require.Contains(t, message, gone[0].Token().String())
	require.Contains(t, message, "list the connectors and watch anew")
	resp, body = s.do(http.MethodGet, "/events", "", lastEventID, gone[0].Token().String())
	s.isError(resp, body, http.StatusGone)
	for query, parts := range map[string][]string{"after=": {"after", `"now"`}, "after=yesterday": {"yesterday", "after"}, "after=-1-1": {"-1-1"}, "connector=%ff": {"connector"}} {
		resp, body := s.do(http.MethodGet, "/events?"+query, "")
		message := s.isError(resp, body, http.StatusBadRequest)
		for _, p := range parts {
			require.Contains(t, message, p)
		}
	}
	resp, body = s.do(http.MethodGet, "/events", "", lastEventID, "x")
	require.Contains(t, s.isError(resp, body, http.StatusBadRequest), lastEventID)
	resp, body = s.do(http.MethodGet, "/events", "", "Accept", "application/json")
	s.isError(resp, body, http.StatusNotAcceptable)
	resp, _ = s.do(http.MethodHead, "/events", "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	s.streams(0)
}

func TestEvents_a_sign_of_life_moves_the_place_on(t *testing.T) {
	t.Parallel()
	s := serveWith(t, nil, Options{Heartbeat: 20 * time.Millisecond}, 0)
	w := s.watch("?connector=quiet")
	begin := w.last
	s.create("busy")
	require.Eventually(t, func() bool {
		e, err := w.read()
		require.NoError(t, err)
		require.Empty(t, e.event)
		require.NotEmpty(t, e.comment)
		return e.id != begin
	}, patience, time.Millisecond)
}

func TestEvents_streams_are_bounded(t *testing.T) {
	t.Parallel()
	s := serveWith(t, nil, Options{Heartbeat: 20 * time.Millisecond}, 2)
	w := s.watch("")
	s.watch("")
	resp, body := s.do(http.MethodGet, "/events", "")
	require.Contains(t, s.isError(resp, body, http.StatusServiceUnavailable), "2 streams")
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	w.cancel()
	s.streams(1)
	s.watch("")
}

func TestEvents_end_at_once_when_the_server_does(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	w := s.watch("")
	began := time.Now()
	require.NoError(t, s.shutdown())
	require.Less(t, time.Since(began), heartbeat)
	_, err := w.read()
	require.ErrorIs(t, err, io.EOF, "a whole answer, not a broken one")
}

func TestEvents_a_client_that_does_not_read_is_cut_off_and_others_are_not_kept_waiting(t *testing.T) {
	t.Parallel()
	s := serveWith(t, nil, Options{WriteTime: 2 * time.Second}, 0)
	s.flood()
	require.Eventually(t, func() bool { return s.gauge("millrace_api_event_streams_ended_total") == 1 }, patience, time.Millisecond)
	s.streams(1)
}

func TestEvents_a_client_that_does_not_read_does_not_hold_up_the_end(t *testing.T) {
	t.Parallel()
	s := serveWith(t, nil, Options{WriteTime: time.Hour}, 0)
	s.flood()
	s.streams(2)
	require.NoError(t, s.shutdown())
	s.streams(0)
}

// flood tells two clients more than the buffers on the way hold. One takes it, the other one reads nothing.
func (s *site) flood() {
	t := s.T
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	_, err = io.WriteString(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	s.streams(1)
	w := s.watch("")
	s.create("c")
	w.expect("connector.created c")
	const n = 4000 // more than the buffers on the way hold
	go func() {
		long := strings.Repeat("x", cluster.MaxEventTrace)
		for i := range n {
			s.sayWith("c", []cluster.State{cluster.StateFailed, cluster.StateRestarting}[i%2], long)
		}
	}()
	for range n {
		w.expect("connector.state c")
	}
}

func TestEvents_come_while_the_bus_is_away(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	s.create("c")
	s.hub.Down()
	w := s.watch("")
	s.say("c", cluster.StateRunning) // at another process, which nobody hears of
	w.expect("connector.state c")
}

func TestEvents_are_for_those_who_log_in(t *testing.T) {
	t.Parallel()
	users := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(users, []byte("ann=pw\n"), 0o600))
	c, err := restconfig.FromProperties(map[string]string{"rest.extension.classes": "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension",
		restconfig.UsersFile: users})
	require.NoError(t, err)
	s := serveWith(t, nil, Options{Users: c.Users}, 0)
	resp, _ := s.do(http.MethodGet, "/events", "")
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	s.streams(0)
	s.watch("", "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("ann:pw")))
}

// A database that is away ends no stream.
func TestEvents_wait_while_the_database_is_away(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	w := s.watch("")
	s.away.Store(true)
	s.create("c")
	require.Eventually(t, func() bool { return s.refused.Load() > 0 }, patience, time.Millisecond)
	s.away.Store(false)
	w.expect("connector.created c")
}
