package inbox

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a store, bus and deliverer that remembers.
type fake struct {
	Store // the methods that a test does not expect

	mu         sync.Mutex
	batches    [][]cluster.Status
	broadcasts []wire.Envelope
	wakes      int
	delivered  []cluster.OutboxMessage
	statusErr  func([]cluster.Status) error
	taskErr    error
	storeTasks func(cluster.TaskConfigReport) error // nil: taskErr
	topics     []cluster.TopicReport
	topicErr   error
	order      []string // of what was stored
	accept     func(cluster.Status) bool
	goOn       chan struct{} // when set, StoreStatuses waits for it
}

func (f *fake) StoreStatuses(_ context.Context, s []cluster.Status) ([]bool, []cluster.UID, []cluster.OutboxMessage, error) {
	if f.goOn != nil {
		<-f.goOn
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.batches = append(f.batches, s)
	f.order = append(f.order, "statuses")
	if f.statusErr != nil {
		if err := f.statusErr(s); err != nil {
			return nil, nil, nil, err
		}
	}
	ok := make([]bool, len(s))
	var changed []cluster.UID
	for i := range s {
		if ok[i] = f.accept == nil || f.accept(s[i]); ok[i] {
			changed = append(changed, s[i].Job.UID)
		}
	}
	return ok, changed, nil, nil
}

func (f *fake) StoreTaskConfigs(_ context.Context, r cluster.TaskConfigReport) (bool, []cluster.OutboxMessage, error) {
	if f.storeTasks != nil {
		return false, nil, f.storeTasks(r)
	}
	return f.taskErr == nil, []cluster.OutboxMessage{{ID: 1}}, f.taskErr
}

func (f *fake) StoreTopics(_ context.Context, r []cluster.TopicReport) ([]bool, error) {
	f.topics = append(f.topics, r...)
	f.order = append(f.order, "topics")
	return make([]bool, len(r)), f.topicErr
}

func (f *fake) Specs(_ context.Context, _ cluster.SessionID, jobs []cluster.JobID) ([]cluster.JobSpec, error) {
	var specs []cluster.JobSpec
	for _, j := range jobs {
		specs = append(specs, cluster.JobSpec{Job: j})
	}
	return specs, nil
}

func (f *fake) Heartbeat(_ context.Context, hb cluster.Heartbeat) (cluster.HeartbeatReply, []cluster.OutboxMessage, error) {
	return cluster.HeartbeatReply{State: hb.State, Known: true}, nil, nil
}

func (f *fake) Broadcast(_ wire.Address, msg []byte) error {
	e, err := wire.Open(msg)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broadcasts = append(f.broadcasts, e)
	return err
}

func (f *fake) Forget(context.Context, wire.Address) error { return nil }

func (f *fake) Deliver(_ context.Context, msgs []cluster.OutboxMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delivered = append(f.delivered, msgs...)
}

func (f *fake) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wakes++
}

func setup(t *testing.T) (*fake, *Inbox) {
	t.Helper()
	f := &fake{}
	return f, New(Config{Store: f, Bus: f, Deliver: f, Wake: f.wake, Inline: true,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))})
}

func report(uids ...string) wire.Report {
	var r wire.Report
	for _, u := range uids {
		r.Statuses = append(r.Statuses, cluster.Status{Job: cluster.InstanceJob(cluster.UID(u)), State: cluster.StateRunning})
	}
	return r
}

func encode(t *testing.T, kind wire.Kind, payload any) []byte {
	t.Helper()
	b, err := wire.Encode(kind, "id-1", payload)
	require.NoError(t, err)
	return b
}

func TestReportsOfOneMomentShareATransactionAndTellOfTheChange(t *testing.T) {
	t.Parallel()
	f, b := setup(t)
	require.Equal(t, []error{nil, nil}, b.Store(t.Context(), []wire.Report{report("a", "b"), report("c")}))
	require.Len(t, f.batches, 1)
	require.Len(t, f.batches[0], 3)
	require.Len(t, f.broadcasts, 1)
	changed, err := wire.Decode[wire.Changed](f.broadcasts[0], wire.KindChanged)
	require.NoError(t, err)
	require.Equal(t, []cluster.UID{"a", "b", "c"}, changed.UIDs)
	require.Zero(t, f.wakes, "a status alone gives the planner nothing to do")
}

func TestAReleasedJobWakesTheLeader(t *testing.T) {
	t.Parallel()
	f, b := setup(t)
	r := report("a")
	r.Statuses[0].Released = true
	b.Store(t.Context(), []wire.Report{r})
	require.Equal(t, 1, f.wakes)
}

func TestAnOldStatusIsRefusedAndAcknowledged(t *testing.T) {
	t.Parallel()
	f, b := setup(t)
	f.accept = func(s cluster.Status) bool { return s.Job.UID != "old" }
	require.Equal(t, []error{nil}, b.Store(t.Context(), []wire.Report{report("old")}))
	require.Empty(t, f.broadcasts)
}

func TestAPoisonReportDoesNotTakeOthersWithIt(t *testing.T) {
	t.Parallel()
	f, b := setup(t)
	f.statusErr = func(s []cluster.Status) error {
		for _, st := range s {
			if st.Job.UID == "bad" {
				return cluster.Errorf(cluster.Invalid, "no such state")
			}
		}
		return nil
	}
	errs := b.Store(t.Context(), []wire.Report{report("a"), report("bad"), report("b")})
	require.NoError(t, errs[0])
	require.NoError(t, errs[2])
	var poison *wire.PoisonError
	require.ErrorAs(t, errs[1], &poison)
}

func TestAStoreThatIsAwayMakesReportsComeAgain(t *testing.T) {
	t.Parallel()
	f, b := setup(t)
	f.statusErr = func([]cluster.Status) error { return cluster.Errorf(cluster.Unavailable, "away") }
	errs := b.Store(t.Context(), []wire.Report{report("a"), report("b")})
	require.Len(t, f.batches, 1, "no point in trying them one by one")
	for _, err := range errs {
		require.True(t, cluster.Is(err, cluster.Unavailable))
	}
}

// of is a report of task configs of a connector; the version tells reports apart.
func of(uid string, versions ...int64) (all []cluster.TaskConfigReport) {
	for _, v := range versions {
		all = append(all, cluster.TaskConfigReport{Job: cluster.InstanceJob(cluster.UID(uid)), ConfigVersion: v})
	}
	return all
}

func together(f *fake) *Inbox {
	return New(Config{Store: f, Bus: f, Deliver: f, Wake: f.wake, Logger: slog.New(slog.DiscardHandler)})
}

func TestTaskConfigs_of_several_connectors_are_stored_at_the_same_time_and_of_one_in_order(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	stored := map[cluster.UID][]int64{}
	met := make(chan struct{})
	f := &fake{storeTasks: func(r cluster.TaskConfigReport) error {
		if r.ConfigVersion == 1 { // the first of each waits for the other's
			select {
			case met <- struct{}{}:
			case <-met:
			}
		}
		mu.Lock()
		defer mu.Unlock()
		stored[r.Job.UID] = append(stored[r.Job.UID], r.ConfigVersion)
		return nil
	}}
	errs := together(f).Store(t.Context(), []wire.Report{{TaskConfigs: append(of("a", 1, 2), of("b", 1)...)}, {TaskConfigs: append(of("b", 2), of("a", 3)...)}})
	require.Equal(t, []error{nil, nil}, errs)
	require.Equal(t, map[cluster.UID][]int64{"a": {1, 2, 3}, "b": {1, 2}}, stored)
}

func TestTaskConfigs_that_are_not_stored_yet_keep_newer_ones_of_the_connector_waiting(t *testing.T) {
	t.Parallel()
	down, never := cluster.Errorf(cluster.Unavailable, "down"), cluster.Errorf(cluster.Invalid, "never")
	var mu sync.Mutex
	var stored []string
	f := &fake{storeTasks: func(r cluster.TaskConfigReport) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Job.UID == "down" && r.ConfigVersion == 1:
			return down
		case r.Job.UID == "never" && r.ConfigVersion == 1:
			return never
		}
		stored = append(stored, string(r.Job.UID))
		return nil
	}}
	errs := together(f).Store(t.Context(), []wire.Report{
		{TaskConfigs: append(of("down", 1), of("fine", 1)...)},
		{TaskConfigs: of("down", 2)},
		{TaskConfigs: of("never", 1)},
		{TaskConfigs: of("never", 2)},
		{TaskConfigs: append(of("down", 3), of("never", 1)...)},
	})
	require.ErrorIs(t, errs[0], down)
	require.ErrorIs(t, errs[1], down, "it would be overwritten by the older one that comes again")
	var poison *wire.PoisonError
	require.ErrorAs(t, errs[2], &poison)
	require.NoError(t, errs[3], "a poisoned report never comes again")
	require.ErrorIs(t, errs[4], down, "it comes again with both")
	require.ElementsMatch(t, []string{"fine", "never"}, stored)
}

func TestTaskConfigs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err   error
		acked bool
		wakes int
	}{
		"a new task set wakes the leader":        {nil, true, 1},
		"a config that moved on is acknowledged": {cluster.Errorf(cluster.Conflict, "x"), true, 0},
		"an old epoch is acknowledged":           {cluster.Errorf(cluster.StaleEpoch, "x"), true, 0},
		"a deleted connector is acknowledged":    {cluster.Errorf(cluster.NotFound, "x"), true, 0},
		"a store that is away is not":            {cluster.Errorf(cluster.Unavailable, "x"), false, 0},
		"nor a report that makes no sense":       {cluster.Errorf(cluster.Invalid, "x"), false, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, b := setup(t)
			f.taskErr = tc.err
			err := b.Store(t.Context(), []wire.Report{{TaskConfigs: []cluster.TaskConfigReport{{Job: cluster.InstanceJob("a")}}}})[0]
			require.Equal(t, tc.acked, err == nil)
			require.Equal(t, tc.wakes, f.wakes)
			_, poison := err.(*wire.PoisonError) //nolint:errorlint // exactly this type
			require.Equal(t, cluster.Is(tc.err, cluster.Invalid), poison)
		})
	}
}

func TestWhatArrivesDuringATransactionSharesTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{goOn: make(chan struct{})}
		b := New(Config{Store: f, Bus: f, Deliver: f, Wake: func() {}, Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		var run, submit sync.WaitGroup
		run.Go(func() { b.Run(ctx) })
		send := func() {
			submit.Go(func() {
				if err := b.Submit(ctx, report("a")); err != nil {
					t.Errorf("submit: %v", err)
				}
			})
		}
		send()
		synctest.Wait() // the first is being written
		for range 10 {
			send()
		}
		synctest.Wait()
		f.goOn <- struct{}{}
		f.goOn <- struct{}{}
		submit.Wait()
		cancel()
		run.Wait()
		require.Len(t, f.batches, 2)
		require.Len(t, f.batches[1], 10)
	})
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	_, b := setup(t)
	answer := func(t *testing.T, msg []byte) (wire.Envelope, error) {
		t.Helper()
		e, err := wire.Open(b.AnswerHTTP(t.Context(), msg))
		require.NoError(t, err)
		_, err = wire.Decode[wire.Ack](e, e.Kind)
		return e, err
	}
	t.Run("a heartbeat is answered under its id", func(t *testing.T) {
		t.Parallel()
		e, err := answer(t, encode(t, wire.KindBeat, cluster.Heartbeat{Session: "s", State: cluster.SessionActive}))
		require.NoError(t, err)
		require.Equal(t, wire.KindBeat, e.Kind)
		require.Equal(t, "id-1", e.ID)
	})
	t.Run("a report is answered once it is stored", func(t *testing.T) {
		t.Parallel()
		e, err := answer(t, encode(t, wire.KindReport, report("a")))
		require.NoError(t, err)
		require.Equal(t, wire.KindAck, e.Kind)
	})
	t.Run("too many specs are refused", func(t *testing.T) {
		t.Parallel()
		_, err := answer(t, encode(t, wire.KindSpecs, wire.SpecsRequest{Jobs: make([]cluster.JobID, wire.MaxSpecs+1)}))
		require.True(t, cluster.Is(err, cluster.Invalid), err)
	})
	t.Run("a registration without a session is refused", func(t *testing.T) {
		t.Parallel()
		_, err := answer(t, encode(t, wire.KindRegister, cluster.Registration{Runner: "r"}))
		require.True(t, cluster.Is(err, cluster.Invalid), err)
	})
	for name, msg := range map[string]string{"no JSON": "{", "another version": `{"v":9,"kind":"beat"}`, "an unknown kind": `{"v":1,"kind":"x"}`,
		"a payload of another shape": `{"v":1,"kind":"beat","payload":[]}`} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			_, err := answer(t, []byte(msg))
			require.True(t, cluster.Is(err, cluster.Invalid), err)
		})
	}
}

func TestInternalDoor(t *testing.T) {
	t.Parallel()
	_, b := setup(t)
	beat := string(encode(t, wire.KindBeat, cluster.Heartbeat{Session: "s"}))
	tests := map[string]struct {
		token, auth, method, path, peer, body string
		want                                  int
	}{
		"the right token opens it":              {"secret", "Bearer secret", "POST", MessagePath, "10.1.1.1:5", beat, 200},
		"a wrong token finds nothing":           {"secret", "Bearer Secret", "POST", MessagePath, "10.1.1.1:5", beat, 404},
		"no token finds nothing":                {"secret", "", "POST", MessagePath, "127.0.0.1:5", beat, 404},
		"the bare token finds nothing":          {"secret", "secret", "POST", MessagePath, "10.1.1.1:5", beat, 404},
		"without a token loopback is let in":    {"", "", "POST", MessagePath, "127.0.0.1:5", beat, 200},
		"without a token others find nothing":   {"", "", "POST", MessagePath, "10.1.1.1:5", beat, 404},
		"an empty bearer is no token":           {"", "Bearer ", "POST", MessagePath, "10.1.1.1:5", beat, 404},
		"another path finds nothing":            {"secret", "Bearer secret", "POST", "/", "10.1.1.1:5", beat, 404},
		"another method finds nothing":          {"secret", "Bearer secret", "GET", MessagePath, "10.1.1.1:5", "", 404},
		"a body beyond the bound finds nothing": {"", "", "POST", MessagePath, "[::1]:5", strings.Repeat("x", maxBody+1), 404},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body))
			req.RemoteAddr = tc.peer
			if tc.auth != "" {
				req.Header.Set("Authorization", tc.auth)
			}
			rec := httptest.NewRecorder()
			b.Handler(tc.token).ServeHTTP(rec, req)
			require.Equal(t, tc.want, rec.Code)
			if tc.want == http.StatusNotFound {
				require.Empty(t, rec.Body.String(), "no detail")
			}
		})
	}
}

func TestUsedTopicsAreStoredBeforeTheStatusesThatMayReleaseTheirJobs(t *testing.T) {
	t.Parallel()
	topics := []cluster.TopicReport{{Job: cluster.TaskJob("a", 0), Topics: []string{"t"}}}
	with := report("a")
	with.Topics = topics

	f, b := setup(t)
	require.Equal(t, []error{nil, nil}, b.Store(t.Context(), []wire.Report{report("b"), with}))
	require.Equal(t, []string{"topics", "statuses"}, f.order)
	require.Equal(t, topics, f.topics)
	require.Zero(t, f.wakes, "the planner has nothing to do")

	f, b = setup(t)
	f.topicErr = cluster.Errorf(cluster.Unavailable, "away")
	errs := b.Store(t.Context(), []wire.Report{report("b"), with})
	require.NoError(t, errs[0], "others are stored")
	require.True(t, cluster.Is(errs[1], cluster.Unavailable), "this one comes again, as a whole")
	require.Len(t, f.batches[0], 1)

	f, b = setup(t)
	f.topicErr = cluster.Errorf(cluster.Invalid, "no")
	var poison *wire.PoisonError
	require.ErrorAs(t, b.Store(t.Context(), []wire.Report{with})[0], &poison)
}
