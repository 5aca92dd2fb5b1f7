package rest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Verdict is a request that Kafka Connect and Millrace answered differently.
type Verdict struct {
	File, ID, Request string
	Difference        string
	Intended          string // the reason why; "" when there is none
}

// patience is how long Kafka Connect may take for an effect that comes later, and for a rebalance to pass.
const patience = 30 * time.Second

// brief is how long two answers may differ that were not recorded as the effect of something before.
const brief = 5 * time.Second

// Asked is what came of a recording.
type Asked struct {
	Requests int       // different ones that both were sent
	Differ   []Verdict // those that Millrace answered otherwise than Kafka Connect
	Renewed  []string  // ids of rows that Kafka Connect answered otherwise than is recorded
	Now      []byte    // the recording with the answers of today; the other rows are as they were
}

// Ask asks Kafka Connect and Millrace what a recording asks, in its order, and compares their answers to each other; what was
// recorded only tells what to wait for.
func Ask(file string, connect, millrace Target) (all Asked, err error) {
	distinct := map[string]bool{}
	defer func() { all.Requests = len(distinct) }()
	run := "o" + strings.ReplaceAll(file, "-", "") + fmt.Sprint(time.Now().UnixNano()%1_000_000)
	c, err := newPlayer(connect, file, run)
	if err != nil {
		return all, err
	}
	m, err := newPlayer(millrace, file, run)
	if err != nil {
		return all, err
	}
	if m.missing, err = m.notInstalled(); err != nil {
		return all, err
	}
	for c.lines.Scan() {
		var theirs, ours row
		line := c.lines.Text()
		if err := json.Unmarshal([]byte(c.fill(line)), &theirs); err != nil {
			return all, err
		}
		if err := json.Unmarshal([]byte(m.fill(line)), &ours); err != nil {
			return all, err
		}
		reason, send := m.leftOut(ours)
		if !send {
			all.Now = append(append(all.Now, line...), '\n')
			continue
		}
		request := fmt.Sprint(ours.Request.Method, " ", ours.Request.Path, " ", show(ours.Request.Body), " ", ours.Request.Headers)
		distinct[request] = true
		d, also, err := both(c, m, theirs, ours)
		if err != nil {
			return all, fmt.Errorf("%s %s: %w", file, ours.ID, err)
		}
		now, err := c.renewed(line, theirs)
		if err != nil {
			return all, fmt.Errorf("%s %s: %w", file, ours.ID, err)
		}
		if now != line {
			all.Renewed = append(all.Renewed, ours.ID)
		}
		all.Now = append(append(all.Now, now...), '\n')
		if d != "" {
			all.Differ = append(all.Differ, Verdict{File: file, ID: ours.ID, Request: ours.Request.Method + " " + ours.Request.Path + " " + show(ours.Request.Body),
				Difference: d, Intended: cmp.Or(reason, live[file+" "+ours.ID], also)})
		}
	}
	return all, c.lines.Err()
}

// passed are rows, as "file id", whose answer depends on how far Kafka Connect had come, with what was recorded. They are not
// recorded anew.
var passed = map[string]string{
	"create 032.1":                    "there was no task yet",
	"update update-6":                 "the group was about to rebalance",
	"tasks-topics tasks-topics-16":    "the topic was known already",
	"offsets offsets-58":              "the group still had a member",
	"lifecycle 113.8":                 "how far the restart had come",
	"after-deletion after-deletion-3": "how far the deletion had come",
	"validate validate-696":           "the connector was there",
}

// settled tells whether a row may be recorded anew: what it says must depend on Kafka Connect's version alone.
func (p *Player) settled(filled row) bool {
	name := p.file + " " + filled.ID
	return live[name] == "" && passed[name] == "" && filled.Kafka != newer && !strings.HasPrefix(filled.ID, cleanup) &&
		!strings.HasPrefix(filled.Request.Path, "/admin/loggers") // how the recorded worker was set, and who had asked it before
}

// shownConfig is a configuration in a message. The recordings leave it out.
var shownConfig = regexp.MustCompile(`Connector config \{.*\} contains`)

// renewed is a line of the recording with the last answer, where that says something else.
func (p *Player) renewed(line string, filled row) (string, error) {
	a := p.last
	a.body = []byte(withoutPlugins(shownConfig.ReplaceAllString(string(a.body), "Connector config contains")))
	if !p.settled(filled) || !filled.Polled && passing(filled, a.status) || p.compare(filled, a.status, a.header, a.body) == "" {
		return line, nil
	}
	var r row
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		return "", err
	}
	general := p.general()
	body := general.Replace(string(a.body))
	if r.Reduced && r.Request.Body != nil {
		var answer any
		if err := json.Unmarshal([]byte(body), &answer); err == nil && shorten(answer, *r.Request.Body) {
			short, err := plainJSON(answer)
			if err != nil {
				return "", err
			}
			body = string(short)
		}
	}
	r.Response.Status, r.Response.Body = a.status, body
	for name := range r.Response.Headers {
		if v := a.header.Get(name); v != "" {
			r.Response.Headers[name] = general.Replace(v)
		} else {
			delete(r.Response.Headers, name)
		}
	}
	now, err := plainJSON(r)
	return string(now), err
}

// both sends a request to both, again and again where its effect comes later, and returns how the answers differ. reason: why
// they may, where the answers themselves tell.
func both(c, m *Player, theirs, ours row) (diff, reason string, err error) {
	recorded := ours
	reads := ours.Request.Method == http.MethodGet || ours.Request.Method == http.MethodHead
	deadline := time.Now().Add(patience)
	if !ours.Polled {
		deadline = time.Now().Add(brief)
	}
	c.awaitTasks(theirs, deadline)
	m.awaitTasks(ours, deadline)
	first := true
	for {
		if reads || first {
			status, header, body, err := c.send(theirs)
			if err != nil {
				return "", "", fmt.Errorf("asking Kafka Connect: %w", err)
			}
			if rebalancing(status, body) && time.Now().Before(deadline) {
				<-time.After(200 * time.Millisecond)
				continue
			}
			if reads && theirs.Polled && c.compare(theirs, status, header, body) != "" && time.Now().Before(deadline) {
				<-time.After(50 * time.Millisecond)
				continue
			}
			c.last = answered{status, header, body}
			ours.Reduced = false
			here := between(c, m)
			ours.Response.Status, ours.Response.Headers = status, map[string]string{}
			for name, values := range header {
				ours.Response.Headers[strings.ToLower(name)] = here.Replace(strings.Join(values, " || "))
			}
			ours.Response.Body = here.Replace(string(body))
			if media(header.Get("Content-Type")) == "text/html" {
				ours.Response.Body = "{{HTML of its HTTP server}}" // which refused the request; only the status counts
			}
		}
		status, header, body, err := m.send(ours)
		if err != nil {
			return "", "", fmt.Errorf("asking Millrace: %w", err)
		}
		if strings.HasPrefix(ours.ID, cleanup) {
			return "", "", nil
		}
		diff = m.compare(ours, status, header, body)
		if diff != "" && recorded.Kafka == newer && m.compare(recorded, status, header, body) == "" {
			return diff, newerSays, nil
		}
		if diff == "" || !reads || time.Now().After(deadline) {
			return diff, "", nil
		}
		if _, known := m.target.Ours[m.file+" "+ours.ID]; known {
			return diff, "", nil
		}
		if !ours.Polled && passing(ours, status) {
			return "", "", nil // a state in passing: either answer is fine
		}
		first = false
		<-time.After(50 * time.Millisecond)
	}
}

// live are rows, as "file id", that Kafka Connect answers in another way when it is asked again, with the reason.
var live = map[string]string{
	"offsets offsets-140":   "how far the source came before it was stopped is chance",
	"offsets offsets-145":   "the same",
	"validate validate-285": "Kafka Connect crashes at the second request for a version that is not installed; here it is answered like the first (D13)",
	"validate 185.2":        "the same (D13)",
	"validate validate-53":  "the same (D13)",
	"plugins plugins-118":   "Kafka Connect remembers a version that it did not find, and says so in other words the next time (D13)",
}

// The worker that is asked is 4.3.1. Where 4.4.0 was recorded too and answered otherwise, Millrace answers as that does.
const (
	newer     = "4.4.0"
	newerSays = "Kafka Connect " + newer + " answered as Millrace does"
)

// rebalancing tells whether Kafka Connect asks to come again.
func rebalancing(status int, body []byte) bool {
	return (status == http.StatusConflict || status == http.StatusInternalServerError) && strings.Contains(string(body), "rebalance")
}

// host is where the target is asked.
func (p *Player) host() string {
	u, err := url.Parse(p.target.Base)
	if err != nil {
		panic(err) // it was asked
	}
	return u.Host
}

// between turns an answer of Kafka Connect into what it would be at Millrace's address and folder, of Millrace's version (D1).
func between(c, m *Player) *strings.Replacer {
	return strings.NewReplacer(c.host(), m.host(), filepath.ToSlash(c.dir), filepath.ToSlash(m.dir),
		c.target.Version, m.target.Version)
}
