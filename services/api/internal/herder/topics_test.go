package herder_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/services/api/internal/herder"
)

func TestTopics_are_listed_and_cleared_also_for_a_connector_that_nobody_knows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, err := w.ActiveTopics(t.Context(), "c")
	require.NoError(t, err)
	require.Equal(t, map[string]herder.TopicsInfo{"c": {Topics: []string{}}}, got)
	_, err = w.ResetTopics(t.Context(), "c", by)
	require.NoError(t, err)

	v := w.running("c", 1)
	job := cluster.TaskJob(v.UID, 0)
	_, err = w.store.StoreTopics(t.Context(), []cluster.TopicReport{{Job: job, Session: session, Epoch: 1, Topics: []string{"b", "a"}}})
	require.NoError(t, err)
	got, err = w.ActiveTopics(t.Context(), "c")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, got["c"].Topics)
	_, err = w.ResetTopics(t.Context(), "c", by)
	require.NoError(t, err)
	got, err = w.ActiveTopics(t.Context(), "c")
	require.NoError(t, err)
	require.Empty(t, got["c"].Topics)
}

func TestTopics_what_the_worker_properties_forbid_is_refused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config     herder.Config
		get, reset string
	}{
		"tracking off": {herder.Config{NoTopicTracking: true}, "Topic tracking is disabled.", "Topic tracking is disabled."},
		"both off":     {herder.Config{NoTopicTracking: true, NoTopicReset: true}, "Topic tracking is disabled.", "Topic tracking is disabled."},
		"reset off":    {herder.Config{NoTopicReset: true}, "", "Topic tracking reset is disabled."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.config.Store, c.config.Bus, c.config.Logger = w.store, w.bus, slog.New(slog.DiscardHandler)
			h, err := herder.New(c.config)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, h.Close(context.WithoutCancel(t.Context()))) })
			_, err = h.ActiveTopics(t.Context(), "c")
			if c.get == "" {
				require.NoError(t, err)
			} else {
				w.refused(err, cluster.Forbidden, c.get)
			}
			_, err = h.ResetTopics(t.Context(), "c", by)
			w.refused(err, cluster.Forbidden, c.reset)
		})
	}
}
