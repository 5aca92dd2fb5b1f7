package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// Differential drives the same random operations through an oracle and through the store under test. Every answer must
// agree, and so must everything that can be read after each operation. Both functions make an empty store; done ends it.
//
// Each kind of operation must have succeeded at least once over all runs, or the test would only have tried refusals: there
// are more runs until it has, for some are rare. rapid prints the seed of a failure; -rapid.seed plays it again.
func Differential(t *testing.T, oracle func() Store, subject func() (s Store, done func())) {
	succeeded := map[string]int{}
	missing := func() string {
		for name := range (&duel{}).operations() {
			if succeeded[name] == 0 {
				return name
			}
		}
		return ""
	}
	const rounds = 5
	for round := 0; round < rounds && (round == 0 || missing() != "") && !t.Failed(); round++ {
		rapid.Check(t, func(t *rapid.T) {
			s, done := subject()
			defer done()
			d := &duel{ctx: context.Background(), oracle: oracle(), subject: s, succeeded: succeeded, epochs: map[cluster.JobID]cluster.Epoch{},
				statusEpochs: map[cluster.JobID]cluster.Epoch{}}
			actions := map[string]func(*rapid.T){"": d.check}
			for name, op := range d.operations() {
				actions[name] = func(t *rapid.T) { op(t, name) }
			}
			t.Repeat(actions)
		})
	}
	if !t.Failed() {
		require.Empty(t, missing(), "it never succeeded: nothing is known of it (%v)", succeeded)
	}
}

// duel is one run: two stores that must stay equal, and what the operations need to know to make sense now and then.
type duel struct {
	ctx             context.Context
	oracle, subject Store
	succeeded       map[string]int

	uids     []cluster.UID // ever used
	sessions []cluster.SessionID
	leases   []cluster.LeaderLease
	read     [2]cluster.EventToken // up to where events were read, of the oracle and of the subject
	outbox   [][2]int64            // ids of the messages made, by the oracle and by the subject

	snap         cluster.Snapshot // of the last check
	views        []cluster.ConnectorView
	epochs       map[cluster.JobID]cluster.Epoch // highest seen
	statusEpochs map[cluster.JobID]cluster.Epoch
}

// message is what two stores' messages have in common: all but the id.
type message struct{ Address, Kind, Payload string }

var equal = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(cluster.RunnerView{}, "Age", "Joined"),
	cmpopts.IgnoreFields(cluster.AuditEntry{}, "Seq", "At"),
	cmpopts.IgnoreFields(cluster.Event{}, "At"),
	cmp.Transformer("message", func(m cluster.OutboxMessage) message {
		e, err := wire.Open(m.Payload)
		if err != nil {
			return message{m.Address, "unreadable", err.Error()}
		}
		return message{m.Address, string(e.Kind), string(e.Payload)}
	}),
}

// answer is all that a method returned but its error.
type answer []any

// both does one operation to both stores and compares. It returns the oracle's answer.
func (d *duel) both(t *rapid.T, name string, op func(s Store) (answer, []cluster.OutboxMessage, error)) (answer, error) {
	t.Helper()
	want, wantOut, wantErr := op(d.oracle)
	got, gotOut, gotErr := op(d.subject)
	if describe(wantErr) != describe(gotErr) {
		t.Fatalf("%s: the oracle answers %v, the store %v", name, wantErr, gotErr)
	}
	if wantErr == nil {
		if diff := cmp.Diff(want, got, equal); diff != "" {
			t.Fatalf("%s: the answers differ (- oracle, + store):\n%s", name, diff)
		}
		d.succeeded[name]++
	}
	if diff := cmp.Diff(wantOut, gotOut, equal); diff != "" {
		t.Fatalf("%s: the messages differ (- oracle, + store):\n%s", name, diff)
	}
	for i := range wantOut {
		d.outbox = append(d.outbox, [2]int64{wantOut[i].ID, gotOut[i].ID})
	}
	return want, wantErr
}

// describe is what must agree of an error: its code, and its text where users see it.
func describe(err error) string {
	if err == nil {
		return ""
	}
	if was, ok := errors.AsType[*cluster.Recorded](err); ok {
		return fmt.Sprintf("recorded: %d %v %s", was.Answer.Status, was.Answer.Header, was.Answer.Body)
	}
	code := cluster.CodeOf(err)
	if code == cluster.Invalid {
		return string(code)
	}
	return string(code) + ": " + err.Error()
}

// check compares all that can be read, and keeps an eye on what must only grow.
func (d *duel) check(t *rapid.T) {
	t.Helper()
	read := func(name string, op func(s Store) (any, error)) any {
		want, err := d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
			v, err := op(s)
			return answer{v}, nil, err
		})
		if err != nil {
			return nil
		}
		return want[0]
	}
	var ok bool
	if d.snap, ok = read("reading the snapshot", func(s Store) (any, error) { return s.Snapshot(d.ctx) }).(cluster.Snapshot); !ok {
		t.Fatal("no snapshot")
	}
	if d.views, ok = read("reading connectors", func(s Store) (any, error) { return s.FindConnectors(d.ctx, cluster.ConnectorQuery{}) }).([]cluster.ConnectorView); !ok {
		t.Fatal("no connectors")
	}
	read("listing names", func(s Store) (any, error) { return s.FindNames(d.ctx, cluster.ConnectorQuery{}) })
	read("listing plugins", func(s Store) (any, error) { return s.Plugins(d.ctx) })
	read("reading the Kafka cluster id", func(s Store) (any, error) { return s.KafkaClusterID(d.ctx) })
	read("reading the audit trail", func(s Store) (any, error) { return s.Audit(d.ctx, 3) })
	read("counting the outbox", func(s Store) (any, error) {
		n, _, err := s.OutboxStats(d.ctx)
		return n, err
	})
	for _, key := range keys {
		for digest := range byte(2) {
			read("looking for a key", func(s Store) (any, error) { return nil, s.CheckKey(d.ctx, *once(key, digest)) })
		}
	}
	read("reading events", func(s Store) (any, error) {
		at := &d.read[0]
		if s == d.subject {
			at = &d.read[1]
		}
		events, err := s.Events(d.ctx, *at, 100)
		if len(events) > 0 {
			*at = events[len(events)-1].Token()
		}
		return events, err
	})
	for _, q := range d.queries() {
		read("finding names", func(s Store) (any, error) { return s.FindNames(d.ctx, q) })
		read("finding connectors", func(s Store) (any, error) { return s.FindConnectors(d.ctx, q) })
		read("listing connectors", func(s Store) (any, error) { return s.ListConnectors(d.ctx, q) })
	}
	for _, name := range names {
		read("listing used topics", func(s Store) (any, error) { return s.ActiveTopics(d.ctx, name) })
		read("counting former tasks", func(s Store) (any, error) { return s.FormerTasks(d.ctx, name) })
		read("reading a connector", func(s Store) (any, error) { return s.Connector(d.ctx, name) })
		read("reading the last connector", func(s Store) (any, error) { return s.LastConnector(d.ctx, name) })
	}
	d.grows(t)
}

// grows: epochs of jobs and of the statuses shown never fall (Invariant 3), whatever both stores agree on.
func (d *duel) grows(t *rapid.T) {
	t.Helper()
	for _, j := range d.snap.Jobs {
		if j.Epoch < d.epochs[j.Job] {
			t.Fatalf("the epoch of %s fell from %d to %d", j.Job, d.epochs[j.Job], j.Epoch)
		}
		d.epochs[j.Job] = j.Epoch
	}
	for _, v := range d.views {
		all := slices.Clone(v.TaskStatuses)
		if v.Status != nil {
			all = append(all, *v.Status)
		}
		for _, s := range all {
			if s.Epoch < d.statusEpochs[s.Job] {
				t.Fatalf("a status of epoch %d replaced one of epoch %d", s.Epoch, d.statusEpochs[s.Job])
			}
			d.statusEpochs[s.Job] = s.Epoch
		}
	}
}

// rarely is true once in n times.
func rarely(t *rapid.T, n int, what string) bool {
	return rapid.IntRange(0, n-1).Draw(t, what) == n-1
}

// pick draws one of all, or the alternative when there are none or, rarely, instead.
func pick[T any](t *rapid.T, all []T, instead T, what string) T {
	if len(all) == 0 || rarely(t, 8, "another "+what) {
		return instead
	}
	return rapid.SampledFrom(all).Draw(t, what)
}

func (d *duel) freshUID() cluster.UID {
	uid := cluster.UID(fmt.Sprintf("u%03d", len(d.uids)))
	d.uids = append(d.uids, uid)
	return uid
}

func (d *duel) jobs(which func(cluster.JobView) bool) []cluster.JobView {
	var all []cluster.JobView
	for _, j := range d.snap.Jobs {
		if which(j) {
			all = append(all, j)
		}
	}
	return all
}

func held(j cluster.JobView) bool { return j.Session != "" }

// version is a live connector's config version, 1 for others.
func (d *duel) version(uid cluster.UID) int64 {
	for _, v := range d.views {
		if v.UID == uid {
			return v.ConfigVersion
		}
	}
	return 1
}
