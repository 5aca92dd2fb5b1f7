package signals

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

func runner(session, pool string, capacity int) cluster.RunnerView {
	return cluster.RunnerView{Session: cluster.SessionID(session), State: cluster.SessionActive, Pool: pool, Capacity: capacity}
}

// jobs makes n wanted jobs of one pool, held by a session or by nobody.
func jobs(n int, pool, session string, load float64) (all []cluster.JobView) {
	for i := range n {
		all = append(all, cluster.JobView{Job: cluster.TaskJob(cluster.UID(pool+"/"+session), i), Pool: pool, Session: cluster.SessionID(session), Wanted: true, Load: load})
	}
	return all
}

func TestCompute(t *testing.T) {
	t.Parallel()
	draining, lost := runner("d", "a", 10), runner("l", "a", 10)
	draining.State, lost.State = cluster.SessionDraining, cluster.SessionLost
	unwanted := cluster.JobView{Job: cluster.TaskJob("u", 0), Session: "s", Load: 50}
	tests := map[string]struct {
		s       cluster.Snapshot
		waiting []cluster.Waiting
		want    []Pool
	}{
		"nothing is there": {want: []Pool{}},
		"a pool of which nothing is wanted scales to zero": {
			s:    cluster.Snapshot{Runners: []cluster.RunnerView{runner("s", "a", 10)}, Jobs: []cluster.JobView{unwanted}},
			want: []Pool{{Pool: "a", Runners: 1, PerOne: 10}}},
		"a single job wants a runner": {
			s:    cluster.Snapshot{Jobs: jobs(1, "a", "", 0.001)},
			want: []Pool{{Pool: "a", Wanted: 1, Jobs: 1, Demand: 0.001, PerOne: 100}}},
		"a runner is filled to the target": {
			s:    cluster.Snapshot{Runners: []cluster.RunnerView{runner("s", "a", 10)}, Jobs: jobs(8, "a", "s", 1)},
			want: []Pool{{Pool: "a", Wanted: 1, Runners: 1, Jobs: 8, Demand: 8, PerOne: 10}}},
		"and not beyond": {
			s:    cluster.Snapshot{Runners: []cluster.RunnerView{runner("s", "a", 10)}, Jobs: jobs(9, "a", "s", 1)},
			want: []Pool{{Pool: "a", Wanted: 2, Runners: 1, Jobs: 9, Demand: 9, PerOne: 10}}},
		"one runner takes the mean of all": {
			s:    cluster.Snapshot{Runners: []cluster.RunnerView{runner("s", "a", 10), runner("t", "a", 0)}, Jobs: jobs(45, "a", "s", 1)},
			want: []Pool{{Pool: "a", Wanted: 2, Runners: 2, Jobs: 45, Demand: 45, PerOne: 55}}},
		"those that leave or are gone take nothing": {
			s:    cluster.Snapshot{Runners: []cluster.RunnerView{draining, lost}, Jobs: jobs(1, "a", "d", 1)},
			want: []Pool{{Pool: "a", Wanted: 1, Jobs: 1, Demand: 1, PerOne: 100}}},
		"an unknown load is one": {
			s:    cluster.Snapshot{Jobs: jobs(3, "a", "", 0)},
			want: []Pool{{Pool: "a", Wanted: 1, Jobs: 3, Demand: 3, PerOne: 100}}},
		"jobs without a pool count where they run, or for the default": {
			s:    cluster.Snapshot{Runners: []cluster.RunnerView{runner("s", "z", 10)}, Jobs: append(jobs(2, "", "s", 1), jobs(3, "", "", 1)...)},
			want: []Pool{{Pool: "default", Wanted: 1, Jobs: 3, Demand: 3, PerOne: 100}, {Pool: "z", Wanted: 1, Runners: 1, Jobs: 2, Demand: 2, PerOne: 10}}},
		"a job that only waits to move does not wait": {
			s: cluster.Snapshot{Jobs: jobs(2, "a", "", 1)},
			waiting: []cluster.Waiting{{Job: cluster.TaskJob("a/", 0), Why: cluster.WhyNoRunner}, {Job: cluster.TaskJob("a/", 1), Why: cluster.WhyBudget},
				{Job: cluster.TaskJob("unknown", 0), Why: cluster.WhyNoRunner}},
			want: []Pool{{Pool: "a", Wanted: 1, Jobs: 2, Waiting: 1, Demand: 2, PerOne: 100}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, Compute(DefaultConfig(), tc.s, tc.waiting))
		})
	}
}

func TestBoard_shows_the_leaders_last_round_and_says_when_it_does_not_lead(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	b := NewBoard(DefaultConfig(), reg)
	get := func() (int, []Pool) {
		rec := httptest.NewRecorder()
		b.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/signals", nil))
		require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
		var body struct{ Pools []Pool }
		require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &body))
		require.NotNil(t, body.Pools, "a list, also when it is empty")
		return rec.Code, body.Pools
	}
	series := func() map[string]float64 {
		families, err := reg.Gather()
		require.NoError(t, err)
		m := map[string]float64{}
		for _, f := range families {
			for _, x := range f.GetMetric() {
				m[x.GetLabel()[0].GetValue()] = x.GetGauge().GetValue()
			}
		}
		return m
	}

	code, pools := get()
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Empty(t, pools)

	b.Observe(cluster.Snapshot{Jobs: append(jobs(81, "a", "", 1), jobs(1, "b", "", 1)...)}, cluster.Decisions{})
	code, pools = get()
	require.Equal(t, http.StatusOK, code)
	require.Len(t, pools, 2)
	require.Equal(t, map[string]float64{"a": 2, "b": 1}, series())

	b.Observe(cluster.Snapshot{Jobs: jobs(1, "b", "", 1)}, cluster.Decisions{})
	require.Equal(t, map[string]float64{"b": 1}, series(), "a pool that is gone is not shown with its last number")

	b.Clear()
	code, _ = get()
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Empty(t, series())
}
