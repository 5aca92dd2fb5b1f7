package rest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
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

// Ask asks Kafka Connect and Millrace what a recording asks, in its order, and compares their answers to each other; what was
// recorded only tells what to wait for. It returns how many different requests both were sent, and those with another answer.
func Ask(file string, connect, millrace Target) (asked int, differ []Verdict, err error) {
	distinct := map[string]bool{}
	defer func() { asked = len(distinct) }()
	run := "o" + strings.ReplaceAll(file, "-", "") + fmt.Sprint(time.Now().UnixNano()%1_000_000)
	c, err := newPlayer(connect, file, run)
	if err != nil {
		return 0, nil, err
	}
	m, err := newPlayer(millrace, file, run)
	if err != nil {
		return 0, nil, err
	}
	if m.missing, err = m.notInstalled(); err != nil {
		return 0, nil, err
	}
	for c.lines.Scan() {
		var theirs, ours row
		line := c.lines.Text()
		if err := json.Unmarshal([]byte(c.fill(line)), &theirs); err != nil {
			return 0, differ, err
		}
		if err := json.Unmarshal([]byte(m.fill(line)), &ours); err != nil {
			return 0, differ, err
		}
		reason, send := m.leftOut(ours)
		if !send {
			continue
		}
		request := fmt.Sprint(ours.Request.Method, " ", ours.Request.Path, " ", show(ours.Request.Body), " ", ours.Request.Headers)
		distinct[request] = true
		d, also, err := both(c, m, theirs, ours)
		if err != nil {
			return 0, differ, fmt.Errorf("%s %s: %w", file, ours.ID, err)
		}
		if d != "" {
			differ = append(differ, Verdict{File: file, ID: ours.ID, Request: ours.Request.Method + " " + ours.Request.Path + " " + show(ours.Request.Body),
				Difference: d, Intended: cmp.Or(reason, live[file+" "+ours.ID], also)})
		}
	}
	return 0, differ, c.lines.Err()
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

// between turns an answer of Kafka Connect into what it would be at Millrace's address and folder, of Millrace's version (D1).
func between(c, m *Player) *strings.Replacer {
	host := func(base string) string {
		u, err := url.Parse(base)
		if err != nil {
			panic(err) // it was asked
		}
		return u.Host
	}
	return strings.NewReplacer(host(c.target.Base), host(m.target.Base), filepath.ToSlash(c.dir), filepath.ToSlash(m.dir),
		c.target.Version, m.target.Version)
}
