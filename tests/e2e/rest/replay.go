// Package rest replays exchanges that were recorded from Kafka Connect against a running Millrace, and compares the answers.
// It is imported by tests that start one.
//
// The rows of a file were played in order on one worker and build on each other; a file is replayed from the top on
// connectors of its own.
package rest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	} `json:"response"`
}

// cleanup begins the ids of rows that were put between the recorded ones: what was made outside the recording is undone,
// if it is there.
const cleanup = "after "

// Target is where to replay.
type Target struct {
	Base string // http://host:port
	Dir  string // an existing, writable folder whose files connectors may use
	// Ours lists rows, as "file id", whose answer is different on purpose, with the reason; they are sent, and their answer is not looked
	// at.
	Ours map[string]string
	// Version is what the plugins' versions are to be.
	Version string
	// Write are files to put into the folder that the recordings know as {{TMP}}, by their names.
	Write map[string]string
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
		names = append(names, strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".gz"), ".jsonl"))
	}
	return names
}

// read reads a recording, packed or not.
func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := testdata.ReadFile("testdata/" + file + ".jsonl")
	if err == nil {
		return b
	}
	packed, err := testdata.Open("testdata/" + file + ".jsonl.gz")
	require.NoError(t, err)
	defer packed.Close() //nolint:errcheck // only read
	z, err := gzip.NewReader(packed)
	require.NoError(t, err)
	b, err = io.ReadAll(z)
	require.NoError(t, err)
	return b
}

// Replay plays one file.
func Replay(t *testing.T, target Target, file string) {
	t.Helper()
	New(t, target, file).Play(t, "")
}

// New prepares to play a file, in parts.
func New(t *testing.T, target Target, file string) *Player {
	t.Helper()
	p := &Player{target: target, file: file, run: "r" + strings.ReplaceAll(file, "-", "") + fmt.Sprint(time.Now().UnixNano()%1_000_000), dir: filepath.Join(target.Dir, file)}
	require.NoError(t, os.MkdirAll(p.dir, 0o750))
	for name, text := range target.Write {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(p.dir, name)), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(p.dir, name), []byte(p.fill(text)), 0o600))
	}
	p.lines = bufio.NewScanner(bytes.NewReader(read(t, file)))
	p.lines.Buffer(nil, 4<<20)
	return p
}

// Move goes on with another server.
func (p *Player) Move(base string) { p.target.Base = base }

// Play plays up to the row with an id, or to the end.
func (p *Player) Play(t *testing.T, until string) {
	t.Helper()
	p.missing = p.notInstalled(t)
	failed, skipped := 0, 0
	for failed < tooMany && p.lines.Scan() {
		var r row
		require.NoError(t, json.Unmarshal([]byte(p.fill(p.lines.Text())), &r))
		if p.needsMissing(r) {
			skipped++
			continue
		}
		if d := p.play(t, r); d != "" {
			failed++
			t.Errorf("%s (%s)\n%s %s\nbody: %s\n%s", r.ID, r.Title, r.Request.Method, r.Request.Path, show(r.Request.Body), d)
		}
		if r.ID == until {
			break
		}
	}
	require.NoError(t, p.lines.Err())
	if skipped > 0 {
		t.Logf("%d exchanges left out, about plugins that are not installed", skipped)
	}
}

func show(s *string) string {
	if s == nil {
		return "none"
	}
	return *s
}

// Player plays one file.
type Player struct {
	lines  *bufio.Scanner
	target Target
	file   string
	run    string
	dir    string

	missing map[string]bool // names of the recorded worker's plugins that are not installed here
}

// fill replaces the tokens of a recorded line.
func (p *Player) fill(line string) string {
	u, err := url.Parse(p.target.Base)
	if err != nil {
		panic(err) // the test's own
	}
	return strings.NewReplacer("{{RUN}}", p.run, "{{TMP}}", p.dir, "{{WORKER}}", u.Host, "{{VERSION}}", p.target.Version).Replace(line)
}

// play sends a row, again and again where its effect comes later, and returns what differs.
func (p *Player) play(t *testing.T, r row) (diff string) {
	t.Helper()
	reads := r.Request.Method == http.MethodGet || r.Request.Method == http.MethodHead
	deadline := time.Now().Add(settle)
	p.awaitTasks(r, deadline)
	for {
		status, header, body, err := p.send(r)
		if err != nil {
			return err.Error()
		}
		if _, ours := p.target.Ours[p.file+" "+r.ID]; ours || strings.HasPrefix(r.ID, cleanup) {
			return ""
		}
		diff = compare(r, status, header, body)
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
func (p *Player) awaitTasks(r row, deadline time.Time) {
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

func (p *Player) send(r row) (status int, header http.Header, body []byte, err error) {
	var in io.Reader = http.NoBody
	if r.Request.Body != nil {
		in = strings.NewReader(*r.Request.Body)
	}
	req, err := http.NewRequest(r.Request.Method, p.target.Base+"/", in) //nolint:noctx // a test's request
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
	if want := r.Response.Headers["content-type"]; want != "" && media(header.Get("Content-Type")) != media(want) && len(r.Response.Body) > 0 {
		return fmt.Sprintf("content type %q, want %q", header.Get("Content-Type"), want)
	}
	if r.Request.Method == http.MethodOptions {
		return compareSets("allow", header.Get("Allow"), r.Response.Headers["allow"])
	}
	if r.Response.Body == "" || strings.HasPrefix(r.Response.Body, "{{") {
		if len(body) > 0 && r.Response.Body == "" && r.Response.Status != http.StatusBadRequest {
			return fmt.Sprintf("a body where none is expected: %s", body)
		}
		return ""
	}
	var got, want any
	if err := json.Unmarshal(body, &got); err != nil {
		return fmt.Sprintf("the answer is no JSON: %v: %s", err, body)
	}
	if err := json.Unmarshal([]byte(r.Response.Body), &want); err != nil {
		return fmt.Sprintf("the recording is no JSON: %v", err)
	}
	if strings.TrimSuffix(r.Request.Path, "/") == "/connectors" { // a set
		sortTexts(got)
		sortTexts(want)
	}
	if r.Reduced {
		got = reduce(got, want)
	}
	sortConverters(got)
	sortConverters(want)
	if d := differ("", got, want); d != "" {
		return fmt.Sprintf("%s\ngot:  %s\nwant: %s", d, body, r.Response.Body)
	}
	return ""
}

// reduce brings the answer of a validation into the form in which long ones were recorded: the names of all its entries, and
// of the entries only those that the recording has.
func reduce(got, want any) any {
	g, ok := got.(map[string]any)
	w, recorded := want.(map[string]any)
	if !ok || !recorded {
		return got
	}
	all, _ := g["configs"].([]any)
	kept, _ := w["configs"].([]any)
	names := func(entries []any) (names []any) {
		for _, e := range entries {
			if !ourKey(e) {
				names = append(names, entryName(e))
			}
		}
		return names
	}
	g["configs"] = slices.DeleteFunc(slices.Clone(all), func(e any) bool { return !slices.Contains(names(kept), any(entryName(e))) })
	switch w["keys"].(type) {
	case []any:
		g["keys"] = names(all)
	case string: // as in a row of another recording
		delete(w, "keys")
	}
	return g
}

func sortTexts(v any) {
	slices.SortFunc(list(v), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
}

func entryName(entry any) string {
	m, _ := entry.(map[string]any)
	value, _ := m["value"].(map[string]any)
	name, _ := value["name"].(string)
	return name
}

var converterKey = regexp.MustCompile(`^(header|key|value)\.converter\.`)

// sortConverters sorts what comes in no order: the entries of each converter at the end of an answer, and their groups.
func sortConverters(answer any) {
	m, _ := answer.(map[string]any)
	behind := func(list []any, name func(any) string, stop func(string) bool) []any {
		at := len(list)
		for at > 0 && !stop(name(list[at-1])) {
			at--
		}
		return list[at:]
	}
	text := func(v any) string { s, _ := v.(string); return s }
	ends := func(n string) bool { return !converterKey.MatchString(n) || strings.HasSuffix(n, ".plugin.version") }
	sort := func(list []any, name func(any) string) {
		slices.SortStableFunc(list, func(a, b any) int {
			if converterKey.FindString(name(a)) != converterKey.FindString(name(b)) {
				return 0
			}
			return strings.Compare(name(a), name(b))
		})
	}
	if configs, ok := m["configs"].([]any); ok {
		sort(behind(configs, entryName, ends), entryName)
	}
	if keys, ok := m["keys"].([]any); ok {
		sort(behind(keys, text, ends), text)
	}
	if groups, ok := m["groups"].([]any); ok {
		sort(behind(groups, text, func(g string) bool { return g != "Schemas" && g != "Serialization" }), text)
	}
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
			if k == "recommended_values" && len(list(wv)) > 1 {
				continue // what else is installed
			}
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
			if _, there := w[k]; !there && k != "order" && k != "version" && k != "documentation" { // D5, D6; ours
				return fmt.Sprintf("%s.%s is there and should not be", at, k)
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		g = slices.DeleteFunc(g, ourKey)
		if at == "" {
			g, w = shared(g, w)
		}
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

// shared leaves, of two lists of plugins, what is in both: what else is installed differs.
func shared(got, want []any) (g, w []any) {
	id := func(p any) string {
		m, _ := p.(map[string]any)
		if m["class"] == nil {
			return ""
		}
		return fmt.Sprint(m["type"], " ", m["class"])
	}
	in := func(all []any) func(any) bool {
		return func(p any) bool {
			return id(p) == "" || slices.ContainsFunc(all, func(q any) bool { return id(p) == id(q) })
		}
	}
	for _, p := range got {
		if in(want)(p) {
			g = append(g, p)
		}
	}
	for _, p := range want {
		if in(got)(p) {
			w = append(w, p)
		}
	}
	if len(w) == 0 && len(want) > 0 {
		return got, want
	}
	return g, w
}

func list(v any) []any { l, _ := v.([]any); return l }

// ownKeys are keys that connectors have here and not in Kafka Connect.
var ownKeys = []string{"file.truncation", "mock_mode", "delay_ms"}

// ourKey tells whether an entry of a list of keys is one that Kafka Connect does not have.
func ourKey(entry any) bool {
	m, _ := entry.(map[string]any)
	name, _ := m["name"].(string)
	return slices.Contains(ownKeys, name) || slices.Contains(ownKeys, entryName(entry))
}

func differText(at string, got any, want string) string {
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
			head = strings.Replace(head, "org.apache.kafka.connect.errors.ConnectException: Failed to find", "Failed to find", 1) // D13
			if strings.Contains(g, strings.TrimSpace(head)) {
				return ""
			}
		}
		if strings.Contains(want, "contains no connector type") && strings.Contains(g, "Connector config contains no connector type") {
			return "" // D11
		}
		if _, spec, found := strings.Cut(want, "does not match the required version range "); found && strings.Contains(g, "not found that matches the version range "+spec+",") {
			return "" // the words for plugins on Kafka Connect's class path
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
