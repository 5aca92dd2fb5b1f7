// Package connectortest says how connectors and their tasks behave, whatever they connect to: a suite for sources and one for
// sinks. A connector that does not pass is not done. The caller brings a small harness; the suite brings the behaviours.
//
// Start reading at RunSource and RunSink.
package connectortest

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/source"
)

// soon bounds what must not take long. It is long because test machines are slow; no test waits for it to pass.
const soon = 20 * time.Second

// bounded runs f and fails the test when it takes too long.
func bounded(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(soon):
		t.Fatalf("%s takes longer than %s", what, soon)
	}
}

// connectorContext is what a connector instance is given.
type connectorContext struct {
	config  map[string]string
	offsets source.OffsetReader

	mu     sync.Mutex
	raised error
}

func (c *connectorContext) Config() map[string]string    { return c.config }
func (c *connectorContext) Logger() *slog.Logger         { return slog.New(slog.DiscardHandler) }
func (c *connectorContext) RequestTaskReconfiguration()  {}
func (c *connectorContext) Offsets() source.OffsetReader { return c.offsets }
func (c *connectorContext) RaiseError(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raised = err
}

// split starts a connector, asks it for at most n task configs, and stops it.
func split(t *testing.T, p plugin.Plugin, props map[string]string, n int) []map[string]string {
	t.Helper()
	before := maps.Clone(props)
	c := p.NewConnector()
	ctx := context.WithoutCancel(t.Context())
	cc := &connectorContext{config: props}
	if p.Kind == plugin.Source {
		cc.offsets = stored{}
	}
	require.NoError(t, c.Start(ctx, cc))
	tasks, err := c.TaskConfigs(ctx, n)
	require.NoError(t, err)
	again, err := c.TaskConfigs(ctx, n)
	require.NoError(t, err)
	require.Equal(t, tasks, again, "asked again it splits as before")
	bounded(t, "Stop", func() { require.NoError(t, c.Stop(ctx)) })
	require.Equal(t, before, props, "the configuration is not the connector's to change")
	require.NoError(t, cc.raised)
	return tasks
}

// definition proves that a connector's keys are complete and judged as they are defined, and that it splits as allowed.
func definition(t *testing.T, p plugin.Plugin, make func(*testing.T) map[string]string) {
	t.Run("its definition takes a valid configuration", func(t *testing.T) {
		t.Parallel()
		_, problems := p.Def.Parse(make(t))
		require.Empty(t, problems)
	})
	t.Run("each key is documented", func(t *testing.T) {
		t.Parallel()
		require.NotEmpty(t, p.Doc)
		require.NotEmpty(t, p.Version)
		require.True(t, strings.HasSuffix(p.Class, "Connector"), p.Class)
		require.NotEmpty(t, p.TaskClass)
		for _, k := range p.Def.Keys {
			require.NotEmpty(t, k.Doc, k.Name)
			require.NotEmpty(t, k.Importance, k.Name)
		}
	})
	t.Run("each required key that lacks is named", func(t *testing.T) {
		t.Parallel()
		for _, k := range p.Def.Keys {
			if !k.Required {
				continue
			}
			props := make(t)
			delete(props, k.Name)
			refused(t, p, props, k.Name)
		}
	})
	t.Run("each value of a wrong type is named", func(t *testing.T) {
		t.Parallel()
		for _, k := range p.Def.Keys {
			switch k.Type { //nolint:exhaustive // the other types take any text
			case config.Int, config.Long, config.Short, config.Double, config.Boolean:
				props := make(t)
				props[k.Name] = "neither"
				refused(t, p, props, k.Name)
			}
		}
	})
	for _, n := range []int{1, 3, 100} {
		t.Run("splits into no more tasks than allowed", func(t *testing.T) {
			t.Parallel()
			tasks := split(t, p, make(t), n)
			require.LessOrEqual(t, len(tasks), n)
			require.NotEmpty(t, tasks)
			for i := range tasks {
				require.NotNil(t, tasks[i])
			}
		})
	}
	t.Run("can be stopped when its start failed", func(t *testing.T) {
		t.Parallel()
		c := p.NewConnector()
		ctx := context.WithoutCancel(t.Context())
		_ = c.Start(ctx, &connectorContext{config: map[string]string{}, offsets: stored{}})
		bounded(t, "Stop", func() { require.NoError(t, c.Stop(ctx)) })
	})
	t.Run("its own judgement comes before its start and does no harm", func(t *testing.T) {
		t.Parallel()
		if v, ok := p.NewConnector().(connector.Validator); ok {
			require.Empty(t, v.Validate(t.Context(), make(t)))
			for _, f := range v.Validate(t.Context(), map[string]string{}) {
				require.NotEmpty(t, f.Key)
				require.NotEmpty(t, f.Message)
			}
		}
	})
}

// refused proves that the definition names the key, and that a connector that is started all the same fails or does without.
func refused(t *testing.T, p plugin.Plugin, props map[string]string, key string) {
	t.Helper()
	_, problems := p.Def.Parse(props)
	require.NotEmpty(t, problems, key)
	named := func(p config.Problem) bool { return strings.Contains(p.Message, key) }
	require.True(t, slices.ContainsFunc(problems, named), "%s is not named: %v", key, problems)
	c := p.NewConnector()
	ctx := context.WithoutCancel(t.Context())
	require.NotPanics(t, func() { _ = c.Start(ctx, &connectorContext{config: props, offsets: stored{}}) })
	require.NoError(t, c.Stop(ctx))
}
