package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
)

func TestJobID_is_read_back_from_its_text(t *testing.T) {
	t.Parallel()
	require.Equal(t, "u-1", cluster.InstanceJob("u-1").String())
	require.Equal(t, "u-1/3", cluster.TaskJob("u-1", 3).String())
	require.True(t, cluster.InstanceJob("u-1").IsInstance())
	require.False(t, cluster.TaskJob("u-1", 0).IsInstance())
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t, "job")
		back, err := cluster.ParseJobID(j.String())
		require.NoError(t, err)
		require.Equal(t, j, back)
	})
}

func TestParseJobID_refuses_what_names_no_job(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"nothing": "", "no uid": "/3", "no task number": "u/", "a word as task": "u/x", "a negative task": "u/-1",
		"two tasks": "u/1/2", "a fraction": "u/1.5", "a number too large": "u/99999999999999999999", "a space": "u/ 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := cluster.ParseJobID(in)
			require.True(t, cluster.Is(err, cluster.Invalid), "%v", err)
		})
	}
}

func TestJobID_order_is_total_with_the_instance_before_its_tasks(t *testing.T) {
	t.Parallel()
	want := []cluster.JobID{
		cluster.InstanceJob("a"), cluster.TaskJob("a", 0), cluster.TaskJob("a", 2), cluster.TaskJob("a", 10), cluster.InstanceJob("b"), cluster.TaskJob("b", 0),
	}
	for i, a := range want {
		for k, b := range want {
			require.Equal(t, i < k, a.Less(b), "%s < %s", a, b)
		}
	}
}

func TestJobID_can_be_a_JSON_field_and_comes_back(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		j := drawJob(t, "job")
		b, err := json.Marshal(j)
		require.NoError(t, err)
		var back cluster.JobID
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, j, back)
	})
}

func TestConfig_tells_null_from_absent_and_from_empty(t *testing.T) {
	t.Parallel()
	empty, v := "", "v"
	c := cluster.Config{"null": nil, "empty": &empty, "key": &v}
	for _, k := range []struct {
		key, want string
		ok        bool
	}{{"null", "", false}, {"absent", "", false}, {"empty", "", true}, {"key", "v", true}} {
		got, ok := c.Get(k.key)
		require.Equal(t, k.want, got, k.key)
		require.Equal(t, k.ok, ok, k.key)
	}
	require.Equal(t, map[string]string{"empty": "", "key": "v"}, c.Plain())

	require.True(t, c.Equal(c.Clone()))
	require.False(t, c.Equal(cluster.Config{"empty": &empty, "key": &v}), "null is not absent")
	require.False(t, c.Equal(cluster.Config{"null": nil, "other": &empty, "key": &v}))
	require.False(t, c.Equal(cluster.Config{"null": &empty, "empty": &empty, "key": &v}), "null is not empty")
	require.False(t, c.Equal(cluster.Config{"null": nil, "empty": &v, "key": &v}))
	require.True(t, cluster.Config(nil).Equal(cluster.Config{}))
}

func TestConfig_clone_is_independent_and_JSON_keeps_nulls(t *testing.T) {
	t.Parallel()
	c := cluster.ConfigOf(map[string]string{"a": "1"})
	d := c.Clone()
	d["b"] = nil
	require.Len(t, c, 1)
	b, err := json.Marshal(d)
	require.NoError(t, err)
	require.JSONEq(t, `{"a":"1","b":null}`, string(b))
	var back cluster.Config
	require.NoError(t, json.Unmarshal(b, &back))
	require.True(t, d.Equal(back))
}

func TestDigestHeld_is_equal_exactly_when_the_sets_are(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		held := rapid.SliceOfNDistinct(rapid.Custom(drawHeld), 0, 6, func(h cluster.HeldJob) cluster.JobID { return h.Job }).Draw(t, "held")
		shuffled := rapid.Permutation(held).Draw(t, "shuffled")
		before := slices.Clone(shuffled)
		require.Equal(t, cluster.DigestHeld(held), cluster.DigestHeld(shuffled))
		require.Equal(t, before, shuffled, "the input must stay as it is")
		if len(held) == 0 {
			return
		}
		i := rapid.IntRange(0, len(held)-1).Draw(t, "i")
		changed := slices.Clone(held)
		switch rapid.IntRange(0, 3).Draw(t, "change") {
		case 0:
			changed[i].Epoch++
		case 1:
			changed[i].Revision++
		case 2:
			changed = slices.Delete(changed, i, i+1)
		case 3:
			changed = append(changed, cluster.HeldJob{Job: cluster.TaskJob("one more", 0), Epoch: 1})
		}
		require.NotEqual(t, cluster.DigestHeld(held), cluster.DigestHeld(changed))
	})
}

func TestDigestStatuses_sees_state_epoch_revision_and_restart_but_not_traces(t *testing.T) {
	t.Parallel()
	base := cluster.Status{Job: cluster.TaskJob("u", 1), Session: "s", Epoch: 2, Revision: 3, RestartSeq: 4, State: cluster.StateRunning}
	other := cluster.Status{Job: cluster.InstanceJob("u"), Epoch: 1, State: cluster.StatePaused}
	same := func(change func(*cluster.Status)) bool {
		s := base
		change(&s)
		return cluster.DigestStatuses([]cluster.Status{base, other}) == cluster.DigestStatuses([]cluster.Status{other, s})
	}
	require.True(t, same(func(*cluster.Status) {}), "order must not matter")
	require.True(t, same(func(s *cluster.Status) { s.Trace = "boom" }))
	require.False(t, same(func(s *cluster.Status) { s.Job.Task = 2 }))
	require.False(t, same(func(s *cluster.Status) { s.Epoch++ }))
	require.False(t, same(func(s *cluster.Status) { s.Revision++ }))
	require.False(t, same(func(s *cluster.Status) { s.RestartSeq++ }))
	require.False(t, same(func(s *cluster.Status) { s.State = cluster.StateFailed }))
	require.NotEqual(t, cluster.DigestStatuses(nil), cluster.DigestStatuses([]cluster.Status{other}))
}

// The digests go over the network between versions: their text is part of the protocol.
func TestDigests_keep_their_text(t *testing.T) {
	t.Parallel()
	require.Equal(t, "e3b0c44298fc1c149afbf4c8", cluster.DigestHeld(nil))
	require.Equal(t, "e928f7b4fce7f687cb89e91b", cluster.DigestHeld([]cluster.HeldJob{{Job: cluster.TaskJob("u", 1), Epoch: 2, Revision: 3}}))
	require.Equal(t, "8234be4b31151a7850565009",
		cluster.DigestStatuses([]cluster.Status{{Job: cluster.InstanceJob("u"), Epoch: 2, Revision: 3, RestartSeq: 4, State: cluster.StateRunning}}))
}

func TestErrors_carry_their_code_through_wrapping(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	err := fmt.Errorf("reading lease row: %w", cluster.Wrapf(cluster.Unavailable, cause, "database is away"))
	require.Equal(t, cluster.Unavailable, cluster.CodeOf(err))
	require.True(t, cluster.Is(err, cluster.Unavailable))
	require.False(t, cluster.Is(err, cluster.Timeout))
	require.ErrorIs(t, err, cause)
	require.Equal(t, "reading lease row: database is away: connection refused", err.Error())

	outer := cluster.Wrapf(cluster.Failed, err, "task failed")
	require.Equal(t, cluster.Failed, cluster.CodeOf(outer), "the outermost code counts")

	require.Equal(t, cluster.Internal, cluster.CodeOf(errors.New("plain")))
	require.False(t, cluster.Is(nil, cluster.Internal))
	require.Equal(t, "no 7", cluster.Errorf(cluster.NotFound, "no %d", 7).Error())
}

func TestCodes_are_distinct_and_not_empty(t *testing.T) {
	t.Parallel()
	seen := map[cluster.Code]bool{}
	for _, c := range cluster.Codes() {
		require.NotEmpty(t, c)
		require.False(t, seen[c], "%s twice", c)
		seen[c] = true
	}
	require.Len(t, seen, 15)
}

func drawJob(t *rapid.T, name string) cluster.JobID {
	uid := cluster.UID(rapid.StringMatching(`[0-9a-f-]{1,8}`).Draw(t, name+" uid"))
	return cluster.JobID{UID: uid, Task: rapid.IntRange(cluster.InstanceTask, 50).Draw(t, name+" task")}
}

func drawHeld(t *rapid.T) cluster.HeldJob {
	return cluster.HeldJob{Job: drawJob(t, "job"), Epoch: cluster.Epoch(rapid.IntRange(0, 5).Draw(t, "epoch")), Revision: cluster.Revision(rapid.IntRange(0, 5).Draw(t, "revision"))}
}
