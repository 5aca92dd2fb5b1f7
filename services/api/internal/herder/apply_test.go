package herder_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// crowded counts how many are in the store's list of plugins at a time, which each check begins with.
type crowded struct {
	herder.Store
	now, most atomic.Int64
	full      chan struct{}
	once      sync.Once
}

func (c *crowded) Plugins(ctx context.Context) ([]cluster.PluginRecord, error) {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	if n == 8 { // later ones may be as many again
		c.once.Do(func() { close(c.full) })
	}
	select { // until as many as may are here
	case <-c.full:
	case <-ctx.Done():
	}
	return c.Store.Plugins(ctx)
}

func requests(n int) []herder.CreateRequest {
	all := make([]herder.CreateRequest, n)
	for i := range all {
		all[i] = herder.CreateRequest{Name: fmt.Sprint("c", i), Config: list(), By: by}
	}
	return all
}

func TestApply_checks_a_bounded_number_at_a_time(t *testing.T) {
	t.Parallel()
	c := &crowded{full: make(chan struct{})}
	w := newWorldOn(t, func(s herder.Store) herder.Store { c.Store = s; return c })
	for _, a := range w.Apply(t.Context(), requests(8), true) {
		require.NoError(t, a.Err)
		require.True(t, a.Created)
	}
	require.Equal(t, int64(8), c.most.Load())
	for _, a := range w.Apply(t.Context(), requests(40), false) {
		require.NoError(t, a.Err)
	}
	require.LessOrEqual(t, c.most.Load(), int64(8))
}

func TestApply_says_of_each_that_there_was_no_time_left(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, a := range w.Apply(ctx, requests(20), false) {
		w.refused(a.Err, cluster.Timeout, "Send it again")
	}
	names, _, err := w.Names(t.Context(), cluster.ConnectorQuery{})
	require.NoError(t, err)
	require.Empty(t, names)
}

// panicking breaks for one name.
type panicking struct{ herder.Store }

func (p panicking) PutConnector(ctx context.Context, n cluster.NewConnector) (cluster.Connector, bool, []cluster.OutboxMessage, error) {
	if n.Name == "c1" {
		panic("a bug")
	}
	return p.Store.PutConnector(ctx, n)
}

func TestApply_survives_a_panic_in_one(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, func(s herder.Store) herder.Store { return panicking{s} })
	out := w.Apply(t.Context(), requests(3), false)
	require.NoError(t, out[0].Err)
	w.refused(out[1].Err, cluster.Internal, "a bug")
	require.NoError(t, out[2].Err)
}

func TestApply_dry_changes_nothing_and_shows_the_tasks_of_what_is_there(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v := w.running("c0", 2)
	out := w.Apply(t.Context(), requests(2), true)
	require.False(t, out[0].Created)
	require.Len(t, out[0].Info.Tasks, 2)
	require.True(t, out[1].Created)
	require.Empty(t, out[1].Info.Tasks)
	require.Equal(t, v, w.view("c0"))
}

// overtaken lets somebody change the connector between a patch's read and its write, once or for ever.
type overtaken struct {
	herder.Store
	times  int
	cancel func()
	delete bool
}

func (o *overtaken) PutConnector(ctx context.Context, n cluster.NewConnector) (cluster.Connector, bool, []cluster.OutboxMessage, error) {
	if o.times--; o.times >= 0 {
		other := cluster.NewConnector{UID: n.UID + "-other", Name: n.Name, Class: n.Class, Type: n.Type, Config: list("name", n.Name, "other", fmt.Sprint(o.times))}
		if o.delete {
			if _, err := o.DeleteConnector(ctx, n.Name, cluster.Author{}); err != nil {
				return cluster.Connector{}, false, nil, err
			}
		} else if _, _, _, err := o.Store.PutConnector(ctx, other); err != nil {
			return cluster.Connector{}, false, nil, err
		}
		if o.cancel != nil {
			defer o.cancel()
		}
	}
	return o.Store.PutConnector(ctx, n)
}

func TestPatch_keeps_what_others_changed_meanwhile(t *testing.T) {
	t.Parallel()
	value := "v"
	open := func(o *overtaken) *world {
		w := newWorldOn(t, func(s herder.Store) herder.Store { o.Store = s; return o })
		w.create("list")
		return w
	}
	w := open(&overtaken{times: 3})
	info, _, err := w.Patch(t.Context(), "list", cluster.Config{"mine": &value}, by)
	require.NoError(t, err)
	require.Equal(t, list("name", "list", "other", "0", "mine", "v"), info.Config)
	require.Equal(t, int64(5), w.view("list").ConfigVersion)

	w = open(&overtaken{times: 1, delete: true})
	_, _, err = w.Patch(t.Context(), "list", cluster.Config{"mine": &value}, by)
	w.refused(err, cluster.NotFound, "list")
	_, err = w.Info(t.Context(), "list")
	w.refused(err, cluster.NotFound, "list")

	w = open(&overtaken{times: 1})
	strict := by
	strict.If.Match = []cluster.ConfigRef{w.view("list").Ref()}
	_, _, err = w.Patch(t.Context(), "list", cluster.Config{"mine": &value}, strict)
	w.refused(err, cluster.PreconditionFailed, "Read it")

	ctx, cancel := context.WithCancel(t.Context())
	w = open(&overtaken{times: 1 << 30, cancel: cancel})
	_, _, err = w.Patch(ctx, "list", cluster.Config{"mine": &value}, by)
	require.Error(t, err)
}
