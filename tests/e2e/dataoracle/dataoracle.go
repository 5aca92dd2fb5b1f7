// Package dataoracle sends the same records through a real Kafka Connect worker and through Millrace, with the same
// converters, transforms and error settings, and compares what comes out, byte for byte: the lines a sink wrote, the records
// a source produced, and the dead letters with their headers.
//
// Start reading at Run. The settings are in settings.go, the made-up records in corpus.go, the differences that are intended
// in intended.go.
package dataoracle

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const (
	patience = 90 * time.Second
	tick     = 100 * time.Millisecond
)

// Target is one of the two workers. Both have FileStream's connectors and the scripted source, and flush offsets often.
type Target struct {
	Name string // begins the names of its connectors and of the topics it writes
	Base string // http://host:port
	Dir  string // an existing folder that its connectors may use
}

// Run gives both workers all settings at once, prints a line of figures, and requires that no difference is unexplained.
func Run(t *testing.T, bootstrap, id string, theirs, ours Target) {
	theirs.Name += "-" + id
	ours.Name += "-" + id
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.UnknownTopicRetries(-1), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	var records, intended, unexplained int
	because := map[string]int{}
	all := settings()
	for i := range all {
		all[i].id = id
		all[i].give(t, client, theirs, ours)
	}
	for _, s := range all {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			n := s.count()
			records += n
			for _, w := range []Target{theirs, ours} {
				s.waitFor(t, w, n)
			}
			for _, what := range s.outputs() {
				least := 0
				if !s.sink() && !s.script {
					least = n
				}
				want := what.read(t, bootstrap, theirs, least)
				got := what.read(t, bootstrap, ours, len(want))
				for _, d := range compare(want, got) {
					if all := why(s, d); len(all) > 0 {
						intended++
						for _, reason := range all {
							because[reason]++
						}
						continue
					}
					unexplained++
					t.Errorf("%s, item %d\nKafka Connect %q\nMillrace      %q", what.name, d.at, d.theirs, d.ours)
				}
				t.Logf("%s: %d records in, %d %s out", s.name, n, len(want), what.name)
			}
		})
	}
	for _, reason := range slices.Sorted(maps.Keys(because)) {
		t.Logf("%d times: %s", because[reason], reason)
	}
	t.Logf("%d records, %d intended differences, %d unexplained", records, intended, unexplained)
}

// give writes what one setting reads, and makes its connector on both workers.
func (s setting) give(t *testing.T, client *kgo.Client, workers ...Target) {
	t.Helper()
	topics := []string{s.topic()}
	for _, w := range workers {
		topics = append(topics, s.produced(w), s.deadLetters(w))
	}
	forever := "-1" // the records are older than brokers keep
	made, err := kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, map[string]*string{"retention.ms": &forever}, topics...)
	require.NoError(t, err)
	require.NoError(t, made.Error())
	if s.sink() {
		var all []*kgo.Record
		for _, r := range s.given {
			all = append(all, &kgo.Record{Topic: s.topic(), Partition: 0, Key: r.key, Value: r.value, Headers: r.headers, Timestamp: time.UnixMilli(r.timestamp)})
		}
		require.NoError(t, client.ProduceSync(t.Context(), all...).FirstErr())
	}
	var creates errgroup.Group
	for _, w := range workers {
		if !s.sink() {
			require.NoError(t, os.WriteFile(s.file(w), []byte(s.text()), 0o600))
		}
		creates.Go(func() error {
			body, err := json.Marshal(s.config(w))
			if err != nil {
				return err
			}
			status, answer, err := exchange(t.Context(), http.MethodPut, w.Base+"/connectors/"+s.connector(w)+"/config", body)
			if err == nil && status != http.StatusCreated {
				err = fmt.Errorf("%s: %d %s", s.connector(w), status, answer)
			}
			return err
		})
	}
	require.NoError(t, creates.Wait())
}

// waitFor waits until a worker has committed that it has done all n records. Of lines each gives a record.
func (s setting) waitFor(t *testing.T, w Target, n int) {
	t.Helper()
	if !s.sink() && !s.script {
		return
	}
	want, seen := s.end(n), ""
	require.Eventually(t, func() bool {
		_, seen, _ = exchange(t.Context(), http.MethodGet, w.Base+"/connectors/"+s.connector(w)+"/offsets", nil) // asked again
		return strings.Contains(seen, want)
	}, patience, tick, "%s: no %s in its offsets", s.connector(w), want)
}

func exchange(ctx context.Context, method, url string, body []byte) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(all), err
}

// output is one thing that a connector writes.
type output struct {
	name string
	// read returns its items, once there are least of them.
	read func(t *testing.T, bootstrap string, w Target, least int) []string
}

func (s setting) outputs() (all []output) {
	if s.sink() {
		all = append(all, output{"lines", func(t *testing.T, _ string, w Target, _ int) []string {
			text, err := os.ReadFile(s.file(w))
			require.NoError(t, err)
			return strings.SplitAfter(string(text), "\n")
		}})
	} else {
		all = append(all, output{"records", func(t *testing.T, bootstrap string, w Target, least int) []string {
			return consume(t, bootstrap, w, s.produced(w), least)
		}})
	}
	if s.letters {
		all = append(all, output{"dead letters", func(t *testing.T, bootstrap string, w Target, least int) []string {
			return consume(t, bootstrap, w, s.deadLetters(w), least)
		}})
	}
	return all
}

// consume reads a topic of one partition once it has the least number of records; at the end of its patience, what there is.
func consume(t *testing.T, bootstrap string, w Target, topic string, least int) (all []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(tick),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()) // which show how far it has read
	require.NoError(t, err)
	defer client.Close()
	for deadline, next := time.Now().Add(patience), int64(0); ; {
		ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
		require.NoError(t, err)
		end, ok := ends.Lookup(topic, 0)
		require.True(t, ok)
		if next >= end.Offset && len(all) >= least || time.Now().After(deadline) {
			return all
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				all = append(all, item(w, r))
			}
		})
		cancel()
	}
}

// item is all that a record is, but for what differs between any two runs: the worker's name, the time it was written, a stack.
func item(w Target, r *kgo.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "partition %d key %s value %s", r.Partition, printed(r.Key), printed(r.Value))
	if r.Timestamp.UnixMilli() < youngest {
		fmt.Fprintf(&b, " timestamp %d", r.Timestamp.UnixMilli())
	}
	for _, h := range r.Headers {
		value := h.Value
		if h.Key == "__connect.errors.exception.stacktrace" && len(value) > 0 {
			value = []byte("…")
		}
		fmt.Fprintf(&b, " header %s=%s", h.Key, printed(value))
	}
	return strings.ReplaceAll(b.String(), w.Name, "…")
}

func printed(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}

// difference is one item that is not the same.
type difference struct {
	at           int
	theirs, ours string
}

func compare(theirs, ours []string) (all []difference) {
	for i := range max(len(theirs), len(ours)) {
		d := difference{at: i, theirs: "nothing", ours: "nothing"}
		if i < len(theirs) {
			d.theirs = theirs[i]
		}
		if i < len(ours) {
			d.ours = ours[i]
		}
		if d.theirs != d.ours {
			all = append(all, d)
		}
	}
	return all
}

func (s setting) file(w Target) string      { return filepath.Join(w.Dir, s.slug()) }
func (s setting) slug() string              { return strings.ReplaceAll(s.name, " ", "-") }
func (s setting) connector(w Target) string { return w.Name + "-" + s.slug() }
func (s setting) produced(w Target) string  { return w.Name + "-" + s.slug() }
func (s setting) deadLetters(w Target) string {
	return w.Name + "-dead-" + s.slug()
}
func (s setting) topic() string { return "in-" + s.id + "-" + s.slug() }
