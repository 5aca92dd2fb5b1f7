// Package rest replays exchanges that were recorded from Kafka Connect against a running Millrace, and compares the answers.
// It is imported by tests that start one.
//
// The rows of a file were played in order on one worker and build on each other; a file is replayed from the top on
// connectors of its own.
package rest

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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
	Case    int    `json:"case,omitempty"` // of the contract; 0: none
	Title   string `json:"title,omitempty"`
	Kafka   string `json:"kafka,omitempty"` // "4.4.0" where it answers otherwise than 4.3.1
	Polled  bool   `json:"polled,omitempty"`
	Reduced bool   `json:"reduced,omitempty"`
	Request struct {
		Method  string            `json:"method"`
		Path    string            `json:"path"`
		Headers map[string]string `json:"headers,omitempty"`
		Body    *string           `json:"body,omitempty"`
		To      string            `json:"to,omitempty"`
	} `json:"request"`
	Response struct {
		Status  int               `json:"status"`
		Headers map[string]string `json:"headers,omitempty"`
		Body    string            `json:"body"`
	} `json:"response"`
}

// cleanup begins the ids of rows that were put between the recorded ones: what was made outside the recording is undone,
// if it is there.
const cleanup = "after "

// Target is where to replay.
type Target struct {
	Base  string // http://host:port
	Admin string // the same of a listener that serves only /admin; "" without one
	Other string // the same of one of several processes that serve Base, where the recording names one of two workers
	// Sticky names the process that has to answer for a path: what belongs to a process can't be asked of any. "" leaves it open.
	Sticky func(path string) string
	Dir    string // an existing, writable folder whose files connectors may use
	// Ours lists rows, as "file id", whose answer is different on purpose, with the reason; they are sent, and their answer is not looked
	// at.
	Ours map[string]string
	// Login is user:password where the recorded requests bring their own; "" where nobody has to log in.
	Login string
	// Version is what the plugins' versions are to be.
	Version string
	// Write are files to put into the folder that the recordings know as {{TMP}}, by their names.
	Write map[string]string
	// Run begins the names of what a replay makes; "": something unique.
	Run string
	// Tally, if there is one, counts what became of the exchanges.
	Tally *Tally
}

// tooMany differences end a replay: what follows builds on what went wrong.
const tooMany = 5

// settle is how long an effect that comes later is waited for.
const settle = time.Minute

// Files lists the recordings.
func Files(t *testing.T) []string {
	t.Helper()
	names, err := files()
	require.NoError(t, err)
	return names
}

// Rows lists the exchanges of all recordings as "file id", each with the number of its case, 0 for none.
func Rows(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, file := range Files(t) {
		b, err := read(file)
		require.NoError(t, err)
		for line := range bytes.Lines(b) {
			var r row
			require.NoError(t, json.Unmarshal(line, &r))
			if !strings.HasPrefix(r.ID, cleanup) {
				all[file+" "+r.ID] = r.Case
			}
		}
	}
	return all
}

func files() (names []string, err error) {
	err = fs.WalkDir(testdata, "testdata", func(path string, _ fs.DirEntry, err error) error {
		if name, ok := strings.CutSuffix(strings.TrimSuffix(path, ".gz"), ".jsonl"); ok && err == nil {
			names = append(names, strings.TrimPrefix(name, "testdata/"))
		}
		return err
	})
	return names, err
}

// read reads a recording, packed or not.
func read(file string) ([]byte, error) {
	b, err := testdata.ReadFile("testdata/" + file + ".jsonl")
	if err == nil {
		return b, nil
	}
	packed, err := testdata.Open("testdata/" + file + ".jsonl.gz")
	if err != nil {
		return nil, err
	}
	defer packed.Close() //nolint:errcheck // only read
	z, err := gzip.NewReader(packed)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// Replay plays one file.
func Replay(t *testing.T, target Target, file string) {
	t.Helper()
	New(t, target, file).Play(t, "")
}

// New prepares to play a file, in parts.
func New(t *testing.T, target Target, file string) *Player {
	t.Helper()
	p, err := newPlayer(target, file, cmp.Or(target.Run, "r"+strings.NewReplacer("-", "", "/", "").Replace(file)+fmt.Sprint(time.Now().UnixNano()%1_000_000)))
	require.NoError(t, err)
	return p
}

// newPlayer prepares to play a file; run is unique in what it makes.
func newPlayer(target Target, file, run string) (*Player, error) {
	p := &Player{target: target, file: file, run: run, dir: filepath.Join(target.Dir, file)}
	if err := os.MkdirAll(p.dir, 0o750); err != nil {
		return nil, err
	}
	for name, text := range target.Write {
		err := os.MkdirAll(filepath.Dir(filepath.Join(p.dir, name)), 0o750)
		if err == nil {
			err = os.WriteFile(filepath.Join(p.dir, name), []byte(p.fill(text)), 0o600)
		}
		if err != nil {
			return nil, err
		}
	}
	b, err := read(file)
	if err != nil {
		return nil, err
	}
	if p.loggers, err = loggersOf(b); err != nil {
		return nil, err
	}
	p.lines = bufio.NewScanner(bytes.NewReader(b))
	p.lines.Buffer(nil, 4<<20)
	return p, nil
}

// Move goes on with other servers.
func (p *Player) Move(to Target) {
	p.target.Base, p.target.Admin, p.target.Other, p.target.Sticky = to.Base, to.Admin, to.Other, to.Sticky
}

// Append adds text to a file that the recordings know as one in {{TMP}}, and tells whether it could.
func (p *Player) Append(name, text string) bool {
	f, err := os.OpenFile(filepath.Join(p.dir, name), os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close()) == nil
}

// ResetTopics has a connector's topics forgotten if a topic is among them. Both may have {{RUN}} in them.
func (p *Player) ResetTopics(connector, topic string) error {
	connector, topic = p.fill(connector), p.fill(topic)
	var ask row
	ask.Request.Method, ask.Request.Path = http.MethodGet, "/connectors/"+connector+"/topics"
	_, _, b, err := p.send(ask)
	if err != nil {
		return err
	}
	var all map[string]struct{ Topics []string }
	if err := json.Unmarshal(b, &all); err != nil {
		return fmt.Errorf("%s: %w", b, err)
	}
	if slices.Contains(all[connector].Topics, topic) {
		ask.Request.Method, ask.Request.Path = http.MethodPut, ask.Request.Path+"/reset"
		_, _, _, err = p.send(ask)
	}
	return err
}

// Play plays up to the row with an id, or to the end.
func (p *Player) Play(t *testing.T, until string) {
	t.Helper()
	var err error
	p.missing, err = p.notInstalled()
	require.NoError(t, err)
	failed := 0
	for failed < tooMany && p.lines.Scan() {
		var r row
		require.NoError(t, json.Unmarshal([]byte(p.fill(p.lines.Text())), &r))
		reason, send := p.leftOut(r)
		if send {
			if d := p.play(t, r, reason == ""); d != "" {
				failed++
				t.Errorf("%s (%s)\n%s %s\nbody: %s\n%s", r.ID, r.Title, r.Request.Method, r.Request.Path, show(r.Request.Body), d)
			}
		}
		if !strings.HasPrefix(r.ID, cleanup) {
			p.target.Tally.note(reason)
		}
		if r.ID == until {
			break
		}
	}
	require.NoError(t, p.lines.Err())
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

	loggers map[string]bool // those that the file sets; which others there are differs
	missing map[string]bool // names of the recorded worker's plugins that are not installed here
	left    map[string]bool // connectors that were not made because of that
	last    answered        // of Kafka Connect, where it is asked
}

// fill replaces the tokens of a recorded line.
func (p *Player) fill(line string) string {
	u, err := url.Parse(p.target.Base)
	if err != nil {
		panic(err) // the test's own
	}
	return strings.NewReplacer("{{RUN}}", p.run, "{{TMP}}", p.dir, "{{WORKER}}", u.Host, "{{WORKER2}}", p.target.Other, "{{ADMIN}}", p.target.Admin, "{{VERSION}}", p.target.Version).Replace(line)
}

// play sends a row, again and again where its effect comes later, and returns what differs, if that counts.
func (p *Player) play(t *testing.T, r row, counts bool) (diff string) {
	t.Helper()
	reads := r.Request.Method == http.MethodGet || r.Request.Method == http.MethodHead
	if _, shows := states([]byte(r.Response.Body)); shows { // a restart reads in passing what it does not restart
		reads = true
	}
	deadline := time.Now().Add(settle)
	if counts {
		p.awaitTasks(r, deadline)
		p.awaitStates(r, deadline)
	}
	for {
		status, header, body, err := p.send(r)
		if err != nil {
			return err.Error()
		}
		if !counts {
			return ""
		}
		diff = p.compare(r, status, header, body)
		if diff == "" || !reads || time.Now().After(deadline) {
			return diff
		}
		if !r.Polled && passing(r, status) {
			return "" // it read a state in passing: either answer is fine
		}
		if !r.Polled && noTasksYet.MatchString(diff) {
			return "" // a connector that has just been made: it has its tasks sooner here
		}
		<-time.After(20 * time.Millisecond)
	}
}

var noTasksYet = regexp.MustCompile(`^[^\n]*\.tasks: \[[^\n]*, want \[\](\n|$)`)

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

// awaitStates waits, before a restart that is answered with a status, for the states that the recorded answer shows of what is
// not restarted.
func (p *Player) awaitStates(r row, deadline time.Time) {
	path, _, _ := strings.Cut(r.Request.Path, "?")
	name, ok := strings.CutSuffix(strings.TrimSuffix(path, "/"), "/restart")
	want, recorded := states([]byte(r.Response.Body))
	if !ok || !recorded || r.Request.Method != http.MethodPost {
		return
	}
	var get row
	get.Request.Method, get.Request.Path, get.Request.To = http.MethodGet, name+"/status", r.Request.To
	for time.Now().Before(deadline) {
		_, _, body, err := p.send(get)
		if got, ok := states(body); err == nil && ok && len(got) == len(want) && !slices.ContainsFunc(slices.Collect(maps.Keys(want)), func(id int) bool {
			return want[id] != "RESTARTING" && want[id] != got[id]
		}) {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// states are the states in a status: that of the connector at -1, those of tasks at their number.
func states(status []byte) (all map[int]string, ok bool) {
	type state struct {
		ID    int
		State string
	}
	var s struct {
		Connector *state
		Tasks     []state
	}
	if json.Unmarshal(status, &s) != nil || s.Connector == nil {
		return nil, false
	}
	all = map[int]string{-1: s.Connector.State}
	for _, t := range s.Tasks {
		all[t.ID] = t.State
	}
	return all, true
}

// passing tells whether a row that was not polled shows a state that comes and goes.
func passing(r row, status int) bool {
	if strings.HasPrefix(r.ID, "123.") { // offsets of a connector that has just been created
		return status == http.StatusOK
	}
	if status == http.StatusNotFound && r.Response.Status == http.StatusNotFound {
		return false // there is one way to say that there is none
	}
	path, query, _ := strings.Cut(r.Request.Path, "?")
	state := strings.HasSuffix(strings.TrimSuffix(path, "/"), "/status") || strings.Contains(query, "status")
	return state && (status == http.StatusOK || status == http.StatusNotFound) && (r.Response.Status == http.StatusOK || r.Response.Status == http.StatusNotFound)
}
