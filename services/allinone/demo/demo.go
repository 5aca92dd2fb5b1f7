// Package demo is the first thing a newcomer sees: two connectors made by REST, ten thousand lines from one file through
// Kafka into another, and a look at what the REST API says about it.
package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Lines is how many lines walk from file to file.
const Lines = 10_000

// within bounds the whole demo: something is wrong when it takes longer.
const within = 60 * time.Second

// Demo is one run.
type Demo struct {
	API string // host:port
	Dir string // for the two files
	Out io.Writer
}

// Run shows it. Run again with the same folder and data, it appends another ten thousand lines.
func (d Demo) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("the demo did not end within %s", within))
	defer cancel()
	in, out := filepath.Join(d.Dir, "in.txt"), filepath.Join(d.Dir, "out.txt")
	if err := os.MkdirAll(d.Dir, 0o750); err != nil {
		return err
	}
	before, err := countLines(out)
	if err != nil {
		return err
	}

	d.say("1. Two connectors by REST: a file into the topic demo-lines, and the topic into another file.\n")
	for name, config := range map[string]map[string]string{
		"demo-source": {"connector.class": "FileStreamSource", "file": in, "topic": "demo-lines", "tasks.max": "1",
			"value.converter": "org.apache.kafka.connect.storage.StringConverter"},
		"demo-sink": {"connector.class": "FileStreamSink", "file": out, "topics": "demo-lines", "tasks.max": "1",
			"value.converter": "org.apache.kafka.connect.storage.StringConverter", "consumer.override.auto.offset.reset": "earliest"},
	} {
		if err := d.put(ctx, name, config); err != nil {
			return err
		}
		d.say("   PUT http://%s/connectors/%s/config\n", d.API, name)
	}
	began := time.Now()
	for _, name := range []string{"demo-source", "demo-sink"} {
		if err := d.running(ctx, name); err != nil {
			return err
		}
	}
	d.say("   Both run after %d ms.\n\n", time.Since(began).Milliseconds())

	d.say("2. %d lines appended to %s\n", Lines, in)
	began = time.Now()
	if err := appendLines(in, before); err != nil {
		return err
	}
	if err := arrive(ctx, out, before+Lines); err != nil {
		return err
	}
	took := time.Since(began)
	if err := inOrder(out, before+Lines); err != nil {
		return err
	}
	d.say("   All %d arrived in %s, in order, none lost, none doubled, after %d ms.\n\n", Lines, out, took.Milliseconds())

	d.say("3. What the REST API says:\n")
	for _, name := range []string{"demo-source", "demo-sink"} {
		body, err := d.get(ctx, "/connectors/"+name+"/status")
		if err != nil {
			return err
		}
		d.say("   GET /connectors/%s/status\n   %s\n", name, bytes.TrimSpace(body))
	}
	return nil
}

func (d Demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.Out, format, args...) // a closed terminal is no reason to fail
}

func (d Demo) put(ctx context.Context, name string, config map[string]string) error {
	body, err := json.Marshal(config)
	if err != nil {
		return err
	}
	_, err = d.do(ctx, http.MethodPut, "/connectors/"+name+"/config", body)
	return err
}

func (d Demo) get(ctx context.Context, path string) ([]byte, error) {
	return d.do(ctx, http.MethodGet, path, nil)
}

var errNotFound = errors.New("not found")

func (d Demo) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.API+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotFound {
		return nil, fmt.Errorf("%s %s: %w", method, path, errNotFound)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s answered %s: %s", method, path, resp.Status, answer)
	}
	return answer, nil
}

// running waits until a connector and a task of it run.
func (d Demo) running(ctx context.Context, name string) error {
	type state struct {
		State string `json:"state"`
		Trace string `json:"trace"`
	}
	for {
		var s struct {
			Connector state   `json:"connector"`
			Tasks     []state `json:"tasks"`
		}
		body, err := d.get(ctx, "/connectors/"+name+"/status")
		if errors.Is(err, errNotFound) { // nothing has been reported yet
			body, err = []byte("{}"), nil
		}
		if err == nil {
			err = json.Unmarshal(body, &s)
		}
		if err != nil {
			return err
		}
		for _, one := range append(s.Tasks, s.Connector) {
			if one.State == "FAILED" {
				return fmt.Errorf("%s failed: %s", name, one.Trace)
			}
		}
		if s.Connector.State == "RUNNING" && len(s.Tasks) > 0 && s.Tasks[0].State == "RUNNING" {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("waiting for %s to run (it says %s): %w", name, body, err)
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(20 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func line(i int) string {
	return fmt.Sprintf("line %06d: from one file, through Kafka, into another", i)
}

func appendLines(path string, from int) (err error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	for i := range Lines {
		if _, err := fmt.Fprintln(w, line(from+i)); err != nil {
			return err
		}
	}
	return w.Flush()
}

// arrive waits until the file has n lines.
func arrive(ctx context.Context, path string, n int) error {
	for {
		have, err := countLines(path)
		if err != nil {
			return err
		}
		if have >= n {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("%d of %d lines have arrived in %s: %w", have, n, path, err)
		}
	}
}

func countLines(path string) (int, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the demo's own file
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return bytes.Count(b, []byte("\n")), err
}

func inOrder(path string, n int) error {
	b, err := os.ReadFile(path) //nolint:gosec // the demo's own file
	if err != nil {
		return err
	}
	got := bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
	if len(got) != n {
		return fmt.Errorf("%s has %d lines, %d were sent", path, len(got), n)
	}
	for i, l := range got {
		if string(l) != line(i) {
			return fmt.Errorf("line %d of %s is %q, want %q", i+1, path, l, line(i))
		}
	}
	return nil
}
