// Package rest replays exchanges that were recorded from Kafka Connect against a running Millrace, and compares the answers.
// It is imported by tests that start one.
//
// The rows of a file were played in order on one worker and build on each other; a file is replayed from the top on
// connectors of its own.
package rest

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

//go:embed testdata
var testdata embed.FS

// row is one recorded exchange. The README of the recordings is the source of the rules in compare.
type row struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Polled  bool   `json:"polled"`
	Reduced bool   `json:"reduced"`
	Request struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers"`
		Body    *string           `json:"body"`
		To      string            `json:"to"`
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	} `json:"response"`
}

// Target is where to replay.
type Target struct {
	Base  string // http://host:port
	Admin string // the same of a listener that serves only /admin; "" without one
	Dir   string // an existing, writable folder whose files connectors may use
	// Ours lists rows whose answer is different on purpose, with the reason; they are sent, and their answer is not looked
	// at.
	Ours map[string]string
}

// tooMany differences end a replay: what follows builds on what went wrong.
const tooMany = 5

// settle is how long an effect that comes later is waited for.
const settle = 15 * time.Second

// Files lists the recordings.
func Files(t *testing.T) (names []string) {
	t.Helper()
	entries, err := testdata.ReadDir("testdata")
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".jsonl"))
	}
	return names
}

// Replay plays one file.
func Replay(t *testing.T, target Target, file string) {
	b, err := testdata.ReadFile("testdata/" + file + ".jsonl")
	require.NoError(t, err)
	p := &player{target: target, run: "r" + strings.ReplaceAll(file, "-", "") + fmt.Sprint(time.Now().UnixNano()%1_000_000), dir: filepath.Join(target.Dir, file)}
	require.NoError(t, os.MkdirAll(p.dir, 0o750))
	p.loggers = loggersOf(t, b)
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 4<<20)
	failed := 0
	for lines.Scan() && failed < tooMany {
		var r row
		require.NoError(t, json.Unmarshal([]byte(p.fill(lines.Text())), &r))
		if d := p.play(t, r); d != "" {
			failed++
			t.Errorf("%s (%s)\n%s %s\nbody: %s\n%s", r.ID, r.Title, r.Request.Method, r.Request.Path, show(r.Request.Body), d)
		}
	}
	require.NoError(t, lines.Err())
}

func show(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

type player struct {
	target  Target
	run     string
	dir     string
	loggers map[string]bool // those that the file sets; which others there are differs
}

// fill replaces the tokens of a recorded line.
func (p *player) fill(line string) string {
	u, err := url.Parse(p.target.Base)
	if err != nil {
		panic(err) // the test's own
	}
	return strings.NewReplacer("{{RUN}}", p.run, "{{TMP}}", p.dir, "{{WORKER}}", u.Host, "{{ADMIN}}", p.target.Admin).Replace(line)
}

// play sends a row, again and again where its effect comes later, and returns what differs.
func (p *player) play(t *testing.T, r row) (diff string) {
	t.Helper()
	reads := r.Request.Method == http.MethodGet || r.Request.Method == http.MethodHead
	deadline := time.Now().Add(settle)
	p.awaitTasks(r, deadline)
	for {
		status, header, body, err := p.send(r)
		if err != nil {
			return err.Error()
		}
		if _, ours := p.target.Ours[r.ID]; ours {
			return ""
		}
		diff = p.compare(r, status, header, body)
		if diff == "" || !reads || time.Now().After(deadline) {
			return diff
		}
		if !r.Polled && passing(r, status) {
			return "" // it read a state in passing: either answer is fine
		}
		<-time.After(20 * time.Millisecond)
	}
}

// awaitTasks waits, before a config is changed, for the tasks that the recorded answer shows: they are the effect of the
// change before it, which comes when it comes.
func (p *player) awaitTasks(r row, deadline time.Time) {
	name, ok := strings.CutSuffix(strings.TrimSuffix(r.Request.Path, "/"), "/config")
	var want struct {
		Tasks []any `json:"tasks"`
	}
	if !ok || r.Response.Status != http.StatusOK || r.Request.Method == http.MethodGet || json.Unmarshal([]byte(r.Response.Body), &want) != nil {
		return
	}
	var get row
	get.Request.Method, get.Request.Path = http.MethodGet, name
	for time.Now().Before(deadline) {
		var got struct {
			Tasks []any `json:"tasks"`
		}
		_, _, body, err := p.send(get)
		if err == nil && json.Unmarshal(body, &got) == nil && reflect.DeepEqual(got.Tasks, want.Tasks) {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// passing tells whether a row that was not polled shows a state that comes and goes.
func passing(r row, status int) bool {
	path, query, _ := strings.Cut(r.Request.Path, "?")
	state := strings.HasSuffix(strings.TrimSuffix(path, "/"), "/status") || strings.Contains(query, "status")
	return state && (status == http.StatusOK || status == http.StatusNotFound) && (r.Response.Status == http.StatusOK || r.Response.Status == http.StatusNotFound)
}

func (p *player) send(r row) (status int, header http.Header, body []byte, err error) {
	var in io.Reader = http.NoBody
	if r.Request.Body != nil {
		in = strings.NewReader(*r.Request.Body)
	}
	base := p.target.Base
	if r.Request.To != "" {
		base = r.Request.To
	}
	req, err := http.NewRequest(r.Request.Method, base+"/", in) //nolint:noctx // a test's request
	if err != nil {
		return 0, nil, nil, err
	}
	path, query, _ := strings.Cut(r.Request.Path, "?")
	req.URL.Opaque = path // as recorded, byte for byte
	req.URL.RawQuery = query
	for k, v := range r.Request.Headers {
		req.Header.Set(k, v)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	if _, given := r.Request.Headers["User-Agent"]; !given {
		req.Header.Set("User-Agent", "")
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, body, err
}

var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// compare returns how an answer differs from the recorded one, of loggers only those that the file sets.
func (p *player) compare(r row, status int, header http.Header, body []byte) string {
	path, _, _ := strings.Cut(r.Request.Path, "?")
	if strings.HasPrefix(path, "/admin/loggers") && status == http.StatusOK && r.Response.Status == http.StatusOK {
		r.Response.Body = string(p.ownLoggers(strings.TrimSuffix(path, "/"), []byte(r.Response.Body)))
		body = p.ownLoggers(strings.TrimSuffix(path, "/"), body)
	}
	return compare(r, status, header, body)
}

// ownLoggers leaves the loggers that the file sets, and the root, in a list of loggers or of names.
func (p *player) ownLoggers(path string, body []byte) []byte {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return body
	}
	switch v := v.(type) {
	case map[string]any:
		if path != "/admin/loggers" {
			return body
		}
		for name := range v {
			if !p.loggers[name] && name != "root" {
				delete(v, name)
			}
		}
		body, _ = json.Marshal(v) // it was JSON
	case []any:
		v = slices.DeleteFunc(v, func(name any) bool { s, _ := name.(string); return !p.loggers[s] && s != "root" })
		body, _ = json.Marshal(v) // it was JSON
	}
	return body
}

// loggersOf finds the loggers that the rows of a file set.
func loggersOf(t *testing.T, file []byte) map[string]bool {
	t.Helper()
	set := map[string]bool{}
	for line := range bytes.SplitSeq(bytes.TrimSpace(file), []byte("\n")) {
		var r row
		require.NoError(t, json.Unmarshal(line, &r))
		path, _, _ := strings.Cut(r.Request.Path, "?")
		if name, ok := strings.CutPrefix(path, "/admin/loggers/"); ok && r.Request.Method == http.MethodPut && r.Response.Status < 300 {
			decoded, err := url.PathUnescape(name)
			require.NoError(t, err)
			set[decoded] = true
		}
	}
	return set
}

// compare returns how an answer differs from the recorded one.
func compare(r row, status int, header http.Header, body []byte) string {
	if status != r.Response.Status {
		return fmt.Sprintf("status %d, want %d\ngot:  %s\nwant: %s", status, r.Response.Status, body, r.Response.Body)
	}
	if want := r.Response.Headers["location"]; want != "" {
		a, errA := url.PathUnescape(want)
		b, errB := url.PathUnescape(header.Get("Location"))
		if errA != nil || errB != nil || a != b {
			return fmt.Sprintf("location %q, want %q", header.Get("Location"), want)
		}
	}
	if want := r.Response.Headers["content-type"]; want != "" && media(header.Get("Content-Type")) != media(want) && len(r.Response.Body) > 0 && !strings.HasPrefix(r.Response.Body, "{{HTML") {
		return fmt.Sprintf("content type %q, want %q", header.Get("Content-Type"), want)
	}
	if d := compareHeaders(r, header); d != "" {
		return d
	}
	if r.Request.Method == http.MethodOptions && r.Response.Status == http.StatusOK {
		return compareSets("allow", header.Get("Allow"), r.Response.Headers["allow"])
	}
	if r.Response.Body == "" || strings.HasPrefix(r.Response.Body, "{{") || r.Reduced {
		if len(body) > 0 && r.Response.Body == "" && r.Response.Status != http.StatusBadRequest {
			return fmt.Sprintf("a body where none is expected: %s", body)
		}
		return ""
	}
	if string(body) == r.Response.Body {
		return "" // also what is no JSON
	}
	var got, want any
	if err := json.Unmarshal(body, &got); err != nil {
		return fmt.Sprintf("the answer is no JSON: %v: %s", err, body)
	}
	if err := json.Unmarshal([]byte(r.Response.Body), &want); err != nil {
		return fmt.Sprintf("the recording is no JSON: %v", err)
	}
	if d := differ("", got, want); d != "" {
		return fmt.Sprintf("%s\ngot:  %s\nwant: %s", d, body, r.Response.Body)
	}
	return ""
}

// exactly are headers that the operator of a recorded worker has set, if its x-set is there.
var exactly = []string{"x-xss-protection", "cache-control", "x-set"}

// compareHeaders compares what CORS and the operator's rules put into every answer that reaches routing.
func compareHeaders(r row, header http.Header) string {
	want := r.Response.Headers
	if strings.HasPrefix(r.Response.Body, "{{HTML") {
		return "" // Kafka Connect's HTTP server has refused it
	}
	if d := compareSets("access-control-allow-methods", header.Get("Access-Control-Allow-Methods"), want["access-control-allow-methods"]); d != "" {
		return d
	}
	names := []string{"vary"}
	if want["x-set"] != "" {
		names = append(names, exactly...)
	}
	for _, h := range []map[string][]string{header, keys(want)} {
		for name := range h {
			if name = strings.ToLower(name); strings.HasPrefix(name, "access-control-") && name != "access-control-allow-methods" {
				names = append(names, name)
			}
		}
	}
	for _, name := range names {
		if got := strings.Join(header.Values(name), " || "); got != want[name] {
			return fmt.Sprintf("%s %q, want %q", name, got, want[name])
		}
	}
	if want["x-date"] != "" {
		if _, err := http.ParseTime(header.Get("X-Date")); err != nil {
			return fmt.Sprintf("x-date is no date: %v", err)
		}
	}
	return ""
}

func keys(m map[string]string) map[string][]string {
	out := map[string][]string{}
	for k := range m {
		out[k] = nil
	}
	return out
}

func media(s string) string { m, _, _ := strings.Cut(s, ";"); return m }

func compareSets(what, got, want string) string {
	set := func(s string) []string {
		parts := strings.Split(strings.ReplaceAll(s, " ", ""), ",")
		slices.Sort(parts)
		return parts
	}
	if !reflect.DeepEqual(set(got), set(want)) {
		return fmt.Sprintf("%s %q, want %q", what, got, want)
	}
	return ""
}

// javaWords are parts of messages whose rest is an accident of Java: only these parts must be there.
var javaWords = []string{"Unrecognized field", "Cannot deserialize value", "Cannot construct instance", "Cannot coerce empty String", "Trailing token"}

// differ compares two JSON values structurally, with what may differ left out.
func differ(at string, got, want any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s: %v, want an object", at, got)
		}
		for k, wv := range w {
			gv, there := g[k]
			if k == "version" || k == "commit" || k == "kafka_cluster_id" || k == "worker_id" || k == "documentation" {
				continue // D1, D6
			}
			if !there {
				return fmt.Sprintf("%s.%s is missing", at, k)
			}
			if d := differ(at+"."+k, gv, wv); d != "" {
				return d
			}
		}
		for k := range g {
			if _, there := w[k]; !there && k != "order" && k != "version" { // D5, D6
				return fmt.Sprintf("%s.%s is there and should not be", at, k)
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		g = slices.DeleteFunc(g, ourKey)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s: %v, want %v", at, got, want)
		}
		for i := range w {
			if d := differ(fmt.Sprintf("%s[%d]", at, i), g[i], w[i]); d != "" {
				return d
			}
		}
		return ""
	case string:
		return differText(at, got, w)
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("%s: %v, want %v", at, got, want)
	}
	return ""
}

// ourKey tells whether an entry of a list of keys is one that Kafka Connect does not have.
func ourKey(entry any) bool {
	m, _ := entry.(map[string]any)
	value, _ := m["value"].(map[string]any)
	return m["name"] == "file.truncation" || value["name"] == "file.truncation"
}

func differText(at string, got any, want string) string {
	if _, number := got.(float64); number && want == "{{TIME}}" {
		return ""
	}
	g, ok := got.(string)
	switch {
	case !ok:
		return fmt.Sprintf("%s: %v, want %q", at, got, want)
	case g == want:
		return ""
	case strings.HasSuffix(at, ".trace"): // the first line counts
		a, _, _ := strings.Cut(g, "\n")
		b, _, _ := strings.Cut(want, "\n")
		_, message, said := strings.Cut(b, ": ")
		if a == b || !said && a != "" || said && strings.Contains(a, message) {
			return "" // Java's class may be another; a class without a message says nothing
		}
	case strings.HasSuffix(at, ".message") || strings.Contains(at, ".errors"):
		for _, word := range javaWords {
			if strings.Contains(want, word) {
				if strings.Contains(g, word) {
					return ""
				}
				return fmt.Sprintf("%s: %q, want it to contain %q", at, g, word)
			}
		}
		if head, _, listed := strings.Cut(want, "{{PLUGIN_LIST}}"); listed || strings.Contains(want, "available connectors are: ") {
			if !listed {
				head = want[:strings.Index(want, "available connectors are: ")]
			}
			head = strings.TrimPrefix(head, "org.apache.kafka.connect.errors.ConnectException: ") // D13
			if strings.Contains(g, strings.TrimSpace(head)) {
				return ""
			}
		}
		if strings.Contains(want, "contains no connector type") && strings.Contains(g, "Connector config contains no connector type") {
			return "" // D11
		}
		if javaAccident(want) && g != "" {
			return ""
		}
	}
	return fmt.Sprintf("%s: %q, want %q", at, g, want)
}

// javaAccident tells whether a message's wording is Jackson's, a NullPointerException's or a regular expression's.
func javaAccident(s string) bool {
	for _, word := range []string{"[Source: ", "Cannot invoke ", "Invalid regex: ", "through reference chain", "No content to map", "Null pointer"} {
		if strings.Contains(s, word) {
			return true
		}
	}
	return false
}
