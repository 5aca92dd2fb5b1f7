package allinone_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/services/allinone/allinone"
)

// user talks to an all-in-one as a user would.
type user struct {
	*testing.T
	base string
}

func (u user) do(method, path, body string) (int, string) {
	u.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(u.Context()), method, u.base+path, strings.NewReader(body))
	require.NoError(u, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(u, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(u, errors.Join(err, resp.Body.Close()))
	return resp.StatusCode, string(b)
}

const asText = `,"key.converter":"org.apache.kafka.connect.storage.StringConverter","value.converter":"org.apache.kafka.connect.storage.StringConverter"`

// connector makes one that ends with the test.
func (u user) connector(name, config string) {
	u.Helper()
	status, body := u.do(http.MethodPut, "/connectors/"+name+"/config", "{"+config+"}")
	require.Equal(u, http.StatusCreated, status, body)
	u.Cleanup(func() { u.do(http.MethodDelete, "/connectors/"+name, "") })
}

type taskStatus struct{ State, Trace string }

func (u user) task(name string) (s taskStatus) {
	status, body := u.do(http.MethodGet, "/connectors/"+name+"/tasks/0/status", "")
	if status == http.StatusOK {
		require.NoError(u, json.Unmarshal([]byte(body), &s))
	}
	return s
}

// becomes waits for a task's state and returns its trace.
func (u user) becomes(name, state string) string {
	u.Helper()
	var s taskStatus
	require.Eventually(u, func() bool { s = u.task(name); return s.State == state }, 60*time.Second, 20*time.Millisecond, "%s: %s", name, &s)
	return s.Trace
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(t, err)
	return strings.Fields(string(b))
}

// Each mistake gets an error that names what is wrong and what to do; a healthy pipeline beside it goes on.
func TestBadInput_fails_its_own_task_with_a_trace_that_helps(t *testing.T) {
	t.Parallel()
	info := start(t, func(c *allinone.Config) { c.Worker["offset.flush.interval.ms"] = "200" })
	u, dir := user{t, "http://" + info.API}, info.DataDir
	file := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Mkdir(file("folder"), 0o750))
	require.NoError(t, os.WriteFile(file("no-json"), []byte("{oops\n"), 0o600))

	u.connector("healthy", `"connector.class":"VerifiableSourceConnector","topic":"healthy","throughput":"50"`+asText)
	u.connector("healthy-sink", `"connector.class":"FileStreamSink","topics":"healthy","file":"`+file("healthy")+`"`+asText)
	u.connector("no-json", `"connector.class":"FileStreamSource","topic":"no-json","file":"`+file("no-json")+`"`+asText)

	for name, c := range map[string]struct {
		config string
		trace  []string
	}{
		"source-folder": {`"connector.class":"FileStreamSource","topic":"t","file":"` + file("folder") + `"` + asText, []string{file("folder"), "it is a directory"}},
		"sink-folder":   {`"connector.class":"FileStreamSink","topics":"t","file":"` + file("folder") + `"` + asText, []string{"Couldn't find or create file '" + file("folder") + "'", "is a directory"}},
		"sink-nowhere":  {`"connector.class":"FileStreamSink","topics":"t","file":"` + file("no/such") + `"` + asText, []string{"Couldn't find or create file '" + file("no/such") + "'", "no such file or directory"}},
		"records-are-no-json": {`"connector.class":"FileStreamSink","topics":"no-json","file":"` + file("out") + `","value.converter":"org.apache.kafka.connect.json.JsonConverter"`,
			[]string{"Tolerance exceeded in error handler", "topic='no-json', partition=0, offset=0", "errors.tolerance=all", "serialization error"}},
		"producer-setting": {`"connector.class":"VerifiableSourceConnector","topic":"t","producer.override.linger.ms":"soon"` + asText, []string{"linger.ms", "soon"}},
		"consumer-setting": {`"connector.class":"FileStreamSink","topics":"t","file":"` + file("out") + `","consumer.override.fetch.min.bytes":"few"` + asText, []string{"fetch.min.bytes", "few"}},
		"no-broker": {`"connector.class":"VerifiableSourceConnector","topic":"t","producer.override.bootstrap.servers":"127.0.0.1:1"` + asText,
			[]string{"Kafka does not answer", "it goes on trying", "producer.override.bootstrap.servers", "127.0.0.1:1"}},
		"mock": {`"connector.class":"MockSource","mock_mode":"task-failure","delay_ms":"0"`, []string{"Exception", "mock"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := user{t, u.base}
			u.connector(name, c.config)
			trace := u.becomes(name, "FAILED")
			for _, part := range c.trace {
				require.Contains(t, strings.ToLower(trace), strings.ToLower(part))
			}
			require.NotContains(t, trace, "panic")
		})
	}
	t.Run("the healthy one goes on", func(t *testing.T) {
		before := len(lines(t, file("healthy")))
		require.Eventually(t, func() bool { return len(lines(t, file("healthy"))) > before+10 }, 30*time.Second, 10*time.Millisecond)
	})
}

func TestBadInput_is_refused_before_anything_is_made(t *testing.T) {
	t.Parallel()
	info := start(t, nil)
	u := user{t, "http://" + info.API}
	for body, want := range map[string]string{
		`{"connector.class":"NoSuchConnector"}`:                                                                     "Failed to find any class that implements Connector and which name matches NoSuchConnector",
		`{"connector.class":"FileStreamSink","topics":"t","file":"/etc/passwd"}`:                                    "Invalid value /etc/passwd for configuration file: it is outside the folders that file connectors may use here",
		`{"connector.class":"FileStreamSource","topic":"t","tasks.max":"many"}`:                                     "tasks.max",
		`{"connector.class":"FileStreamSource"}`:                                                                    `Missing required configuration "topic"`,
		`{"connector.class":"VerifiableSourceConnector","topic":"t","value.converter":"NoSuchConverter"}`:           "Class NoSuchConverter could not be found",
		`{"connector.class":"VerifiableSourceConnector","topic":"t","throughput":"fast"}`:                           "Invalid value fast for configuration throughput",
		`{"connector.class":"FileStreamSink","topics":"t","topics.regex":"t.*"}`:                                    "topics",
		`{"connector.class":"VerifiableSourceConnector","topic":"t","errors.tolerance":"some"}`:                     "errors.tolerance",
		`{"connector.class":"VerifiableSourceConnector","topic":"t","transforms":"x","transforms.x.type":"NoSuch"}`: "NoSuch",
	} {
		status, answer := u.do(http.MethodPut, "/connectors/bad/config", body)
		require.GreaterOrEqual(t, status, 400, body)
		require.Contains(t, strings.ReplaceAll(answer, `\"`, `"`), want, body)
	}
	status, answer := u.do(http.MethodGet, "/connectors", "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, "[]", answer)
}

// A full disk fails the sink; when there is room again, a restart brings every line that is missing.
func TestBadInput_a_full_disk_loses_nothing(t *testing.T) {
	t.Parallel()
	small := smallDisk(t)
	info := start(t, func(c *allinone.Config) { c.Worker["offset.flush.interval.ms"] = "100" })
	u := user{t, "http://" + info.API}
	link := filepath.Join(info.DataDir, "small")
	require.NoError(t, os.Mkdir(link, 0o750))
	mount(t, small, link)
	filler, out := filepath.Join(link, "filler"), filepath.Join(link, "out")
	require.NoError(t, os.WriteFile(filler, make([]byte, 200<<10), 0o600))

	u.connector("numbers", `"connector.class":"VerifiableSourceConnector","topic":"numbers","throughput":"2000"`+asText)
	u.connector("full", `"connector.class":"FileStreamSink","topics":"numbers","file":"`+out+`"`+asText)
	trace := u.becomes("full", "FAILED")
	require.Contains(t, trace, out)
	require.Contains(t, trace, "no space left on device")
	require.Contains(t, trace, "restart the task")
	u.do(http.MethodPut, "/connectors/numbers/stop", "")
	_, reached := gaps(t, out)

	require.NoError(t, os.Remove(filler)) // room again
	status, body := u.do(http.MethodPost, "/connectors/full/tasks/0/restart", "")
	require.Equal(t, http.StatusNoContent, status, body)
	u.becomes("full", "RUNNING")
	// Every number up to the highest is there, once at least. A line that the full disk cut off is not one of them.
	var missing, highest int
	require.Eventually(t, func() bool {
		missing, highest = gaps(t, out)
		return missing == 0 && highest > reached
	}, 60*time.Second, 100*time.Millisecond, "missing and highest: %v", []*int{&missing, &highest})
}

// gaps counts the numbers that are missing below the highest.
func gaps(t *testing.T, path string) (missing, highest int) {
	t.Helper()
	seen, highest := map[int]bool{}, -1
	for _, line := range lines(t, path) {
		if n, err := strconv.Atoi(line); err == nil && n < 1_000_000 { // two that were run together are none
			seen[n], highest = true, max(highest, n)
		}
	}
	return highest + 1 - len(seen), highest
}

func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("left out: a full disk: only root can mount a small one")
	}
	return "size=256k"
}

func mount(t *testing.T, options, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skip("left out: a full disk: mounting a small one: " + err.Error())
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}
