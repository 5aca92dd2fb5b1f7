// Package canary counts what became of numbered records, without a line of the code it checks: it reads topics with another
// Kafka client and files as they are. A verifiable source numbers records from 0; whatever is missing below the highest
// number seen was lost, whatever came twice was doubled.
//
// Start reading at Watch.
package canary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Report is what became of the records of one stream.
type Report struct {
	Records   int64         // arrived, repetitions included
	Next      int64         // above the highest number
	Lost      int64         // numbers below Next that never came
	Doubled   int64         // arrivals of numbers that had come before
	Backwards int64         // arrivals with a lower number than the one before
	Again     int64         // the lowest number that came again since the last Mark; -1: none did
	Gap       time.Duration // the longest time without an arrival since the last Mark
	Err       error         // what could not be read
}

func (r Report) String() string {
	return fmt.Sprintf("%d records, next %d, lost %d, doubled %d, backwards %d, gap %s", r.Records, r.Next, r.Lost, r.Doubled, r.Backwards, r.Gap.Round(time.Millisecond))
}

// tally counts the numbers of one stream.
type tally struct {
	seen     []uint64 // a bit for each number
	distinct int64
	last     int64
	r        Report
	at       time.Time // of the last arrival, or of the mark
}

func newTally(now time.Time) *tally { return &tally{at: now, r: Report{Again: -1}} }

func (t *tally) add(n int64, now time.Time) {
	t.r.Records++
	if n < t.last {
		t.r.Backwards++
	}
	t.last = n
	for int64(len(t.seen)) <= n/64 {
		t.seen = append(t.seen, 0)
	}
	if bit := uint64(1) << (n % 64); t.seen[n/64]&bit != 0 {
		t.r.Doubled++
		if t.r.Again < 0 || n < t.r.Again {
			t.r.Again = n
		}
	} else {
		t.seen[n/64] |= bit
		t.distinct++
	}
	t.r.Next = max(t.r.Next, n+1)
	t.r.Gap = max(t.r.Gap, now.Sub(t.at))
	t.at = now
}

func (t *tally) bad(err error) { t.r.Err = errors.Join(t.r.Err, err) }

func (t *tally) report(now time.Time) Report {
	r := t.r
	r.Lost = r.Next - t.distinct
	r.Gap = max(r.Gap, now.Sub(t.at))
	return r
}

// Watcher reads on until it is closed.
type Watcher struct {
	client *kgo.Client
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	topics map[string]*tally
	files  map[string]*tally
}

// tailEvery is how often files are looked at; it is the resolution of their gaps.
const tailEvery = 5 * time.Millisecond

// Watch counts the records of topics, each with one partition and only what was committed, and the lines of files, which
// need not exist yet.
func Watch(bootstrap string, topics, files []string) (*Watcher, error) {
	ctx, cancel := context.WithCancel(context.Background()) // ended by Close
	w := &Watcher{cancel: cancel, topics: map[string]*tally{}, files: map[string]*tally{}}
	now := time.Now()
	for _, topic := range topics {
		w.topics[topic] = newTally(now)
	}
	for _, file := range files {
		w.files[file] = newTally(now)
	}
	var err error
	w.client, err = kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topics...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond),
		kgo.UnknownTopicRetries(-1))
	if err != nil {
		cancel()
		return nil, err
	}
	w.done.Go(func() { w.readTopics(ctx) })
	w.done.Go(func() { w.readFiles(ctx) })
	return w, nil
}

// Close ends the reading.
func (w *Watcher) Close() {
	w.cancel()
	w.done.Wait()
	w.client.Close()
}

// Topic reports on a topic.
func (w *Watcher) Topic(name string) Report { return w.report(w.topics, name) }

// File reports on a file.
func (w *Watcher) File(name string) Report { return w.report(w.files, name) }

func (w *Watcher) report(from map[string]*tally, name string) Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	return from[name].report(time.Now())
}

// Mark begins the measurement of gaps, and of what comes again, anew.
func (w *Watcher) Mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for _, all := range []map[string]*tally{w.topics, w.files} {
		for _, t := range all {
			t.r.Gap, t.r.Again, t.at = 0, -1, now
		}
	}
}

func (w *Watcher) readTopics(ctx context.Context) {
	for ctx.Err() == nil {
		fetched := w.client.PollFetches(ctx)
		now := time.Now()
		w.mu.Lock()
		fetched.EachRecord(func(r *kgo.Record) {
			t := w.topics[r.Topic]
			n, err := strconv.ParseInt(string(r.Value), 10, 64)
			if err != nil || n < 0 {
				t.bad(fmt.Errorf("the record at offset %d is no number: %q", r.Offset, r.Value))
				return
			}
			t.add(n, now)
		})
		w.mu.Unlock()
	}
}

func (w *Watcher) readFiles(ctx context.Context) {
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	tails := map[string]*tail{}
	defer func() {
		for _, f := range tails {
			_ = f.file.Close() // it was read
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for path := range w.files { // the keys never change
			if tails[path] == nil {
				f, err := os.Open(path) //nolint:gosec // a test's own
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					w.fileError(path, err)
					return
				}
				tails[path] = &tail{file: f}
			}
			lines, err := tails[path].read()
			w.mu.Lock()
			for _, line := range lines {
				n, bad := strconv.ParseInt(string(line), 10, 64)
				if bad != nil || n < 0 {
					w.files[path].bad(fmt.Errorf("a line is no number: %q", line))
					continue
				}
				w.files[path].add(n, time.Now())
			}
			w.mu.Unlock()
			if err != nil {
				w.fileError(path, err)
				return
			}
		}
	}
}

func (w *Watcher) fileError(path string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files[path].bad(err)
}

// tail reads whole lines of a growing file.
type tail struct {
	file *os.File
	rest []byte
}

func (t *tail) read() (lines [][]byte, err error) {
	b, err := io.ReadAll(t.file)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	t.rest = append(t.rest, b...)
	for {
		line, rest, whole := bytes.Cut(t.rest, []byte("\n"))
		if !whole {
			return lines, nil
		}
		lines, t.rest = append(lines, bytes.Clone(line)), rest
	}
}
