package mock

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/source"
)

type mockContext struct {
	connector.Context
	config map[string]string
	raised chan error
}

func (c mockContext) Config() map[string]string { return c.config }
func (c mockContext) RaiseError(err error)      { c.raised <- err }

type taskContext struct {
	source.Context
	config map[string]string
}

func (c taskContext) Config() map[string]string { return c.config }
func (c taskContext) Logger() *slog.Logger      { return slog.New(slog.DiscardHandler) }

func TestMock_fails_what_it_is_told_to_when_it_is_told_to(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config := map[string]string{modeKey: connectorFailure, delayKey: "3000"}
		c, raised := &mockConnector{}, make(chan error, 1)
		began := time.Now()
		require.NoError(t, c.Start(t.Context(), mockContext{config: config, raised: raised}))
		require.EqualError(t, <-raised, "mock connector failure")
		require.Equal(t, 3*time.Second, time.Since(began))
		require.NoError(t, c.Stop(t.Context()))

		task := &sourceTask{}
		require.NoError(t, task.Start(t.Context(), taskContext{config: map[string]string{modeKey: taskFailure}}))
		began = time.Now()
		_, err := task.Poll(t.Context())
		require.EqualError(t, err, "mock task failure")
		require.Equal(t, usualDelay, time.Since(began))
	})
}

func TestMock_without_a_mode_waits_until_it_is_stopped(t *testing.T) {
	t.Parallel()
	task := &sourceTask{}
	require.NoError(t, task.Start(t.Context(), taskContext{}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	batch, err := task.Poll(ctx)
	require.NoError(t, err)
	require.Empty(t, batch)
	require.ErrorContains(t, task.Start(t.Context(), taskContext{config: map[string]string{delayKey: "-1"}}), "Value must be at least 0")
}

func TestMock_panics_when_it_is_told_to(t *testing.T) {
	t.Parallel()
	c := &mockConnector{}
	require.NoError(t, c.Start(t.Context(), mockContext{config: map[string]string{modeKey: connectorPanic}}))
	require.PanicsWithValue(t, "mock connector panic", func() { _, _ = c.TaskConfigs(t.Context(), 1) })
	now := taskContext{config: map[string]string{modeKey: taskPanic, delayKey: "0"}}
	source := &sourceTask{}
	require.NoError(t, source.Start(t.Context(), now))
	require.PanicsWithValue(t, "mock task panic", func() { _, _ = source.Poll(t.Context()) })
	sink := &sinkTask{fault{mode: taskPanic, at: time.Now()}}
	require.PanicsWithValue(t, "mock task panic", func() { _ = sink.Put(t.Context(), nil) })
}
