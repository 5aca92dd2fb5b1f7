// Package badinput gives a running Millrace what users get wrong, and proves that each mistake gets an error that names what
// is wrong and what to do, fails its own task alone and loses nothing. It is imported by tests that start one.
//
// Start reading at Run.
package badinput

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Target is a running Millrace that has the connectors and converters it comes with and those of Plugins. All subtests
// share it. Offsets should be flushed often.
type Target struct {
	Base string        // http://host:port
	Dir  string        // an existing, writable folder; the only one whose files connectors may use
	Logs func() string // everything it has logged, on every level
}

// Run runs the suite.
func Run(t *testing.T, target Target) {
	s := suite{T: t, Target: target}
	s.connector("healthy", config{"connector.class": "VerifiableSourceConnector", "topic": "healthy", "throughput": "50"})
	s.connector("healthy-sink", config{"connector.class": "FileStreamSink", "topics": "healthy", "file": s.file("healthy")})
	t.Run("mistakes", func(t *testing.T) { // returns when all of them have
		for name, f := range map[string]func(suite){
			"bodies": suite.bodies, "configurations": suite.configurations, "failures": suite.failures, "panics": suite.panics,
			"a broker that can't be reached": suite.brokers, "a file in a missing folder": suite.missingFolder, "a folder for a file": suite.folderForFile,
			"records that are no JSON": suite.noJSON, "a full disk": suite.fullDisk, "a full device": suite.fullDevice,
			"a disk that is read-only": suite.readOnlyDisk, "no permission": suite.noPermission, "secrets": suite.secrets,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s := s
				s.T = t
				f(s)
			})
		}
	})
	before := len(s.lines("healthy"))
	s.eventually("the healthy one goes on", func() bool { return len(s.lines("healthy")) > before+10 })
	status, body := s.do(http.MethodGet, "/health", "")
	require.Equal(t, http.StatusOK, status, body)
	for line := range strings.Lines(s.Logs()) {
		if strings.Contains(line, "panic:") {
			require.Contains(t, line, "panic: mock ", "only what was told to panics")
		}
		require.NotContains(t, line, secret)
	}
}

// suite is the target with a test to report to.
type suite struct {
	*testing.T
	Target
}

type config map[string]string

func (c config) with(pairs ...string) config {
	out := config{}
	for k, v := range c {
		out[k] = v
	}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

func (c config) json() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings
	}
	return string(b)
}

const patience = 60 * time.Second

func (s suite) eventually(what string, cond func() bool) {
	s.Helper()
	require.Eventually(s, cond, patience, 20*time.Millisecond, what)
}

func (s suite) do(method, path, body string) (int, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.Context()), method, s.Base+path, strings.NewReader(body))
	require.NoError(s, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(s, errors.Join(err, resp.Body.Close()))
	return resp.StatusCode, string(b)
}

// refused checks that an answer is an error with the envelope, and returns its message.
func (s suite) refused(status int, body string, want int) string {
	s.Helper()
	require.Equal(s, want, status, body)
	var e struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	require.NoError(s, json.Unmarshal([]byte(body), &e), body)
	require.Equal(s, want, e.Code)
	return e.Message
}

// connector makes one that ends with the test. What it reads and writes is text unless c says otherwise.
func (s suite) connector(name string, c config) {
	s.Helper()
	s.put(name, c, http.StatusCreated)
	s.Cleanup(func() { s.do(http.MethodDelete, "/connectors/"+name, "") })
}

func (s suite) put(name string, c config, want int) {
	s.Helper()
	text := config{"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
	for k, v := range c {
		text[k] = v
	}
	status, body := s.do(http.MethodPut, "/connectors/"+name+"/config", text.json())
	require.Equal(s, want, status, body)
}

func (s suite) restart(name string) {
	s.Helper()
	status, body := s.do(http.MethodPost, "/connectors/"+name+"/tasks/0/restart", "")
	require.Equal(s, http.StatusNoContent, status, body)
}

type state struct{ State, Trace string }

// task is the state of a connector's first task; zero before there is one.
func (s suite) task(name string) (st state) {
	s.Helper()
	status, body := s.do(http.MethodGet, "/connectors/"+name+"/tasks/0/status", "")
	if status == http.StatusOK {
		require.NoError(s, json.Unmarshal([]byte(body), &st))
	}
	return st
}

// becomes waits for a task's state and returns its trace.
func (s suite) becomes(name, want string) string {
	s.Helper()
	var st state
	require.Eventually(s, func() bool { st = s.task(name); return st.State == want }, patience, 20*time.Millisecond, "%s is to be %s: %v", name, want, &st)
	return st.Trace
}

// fails waits until a task has failed with a trace that has the form of Kafka Connect's and says all of the parts.
func (s suite) fails(name string, parts ...string) string {
	s.Helper()
	trace := s.becomes(name, "FAILED")
	require.Regexp(s, `^org\.apache\.kafka\.\S+Exception: [^\n]+\n((\tat |Caused by: )[^\n]*\n)*$`, trace)
	for _, p := range parts {
		require.Contains(s, strings.ToLower(trace), strings.ToLower(p))
	}
	return trace
}

// file is the path of a file that connectors may use.
func (s suite) file(name string) string { return filepath.Join(s.Dir, name) }

func (s suite) write(name, text string) {
	s.Helper()
	require.NoError(s, os.WriteFile(s.file(name), []byte(text), 0o600))
}

// lines are those of a file; none while it is not there.
func (s suite) lines(name string) []string {
	s.Helper()
	b, err := os.ReadFile(s.file(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	require.NoError(s, err)
	return strings.Fields(string(b))
}

// numbers are n lines, "0" first.
func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i)
	}
	return b.String()
}

// complete tells whether a file has each of the numbers below n at least once. A line that was cut off in the middle, and
// comes again as a whole, may stand among them.
func (s suite) complete(name string, n int) bool {
	seen := map[string]bool{}
	for _, line := range s.lines(name) {
		seen[line] = true
	}
	for i := range n {
		if !seen[fmt.Sprint(i)] {
			return false
		}
	}
	return true
}
