package job_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

func TestTopics_each_is_told_once_and_again_after_a_clearing(t *testing.T) {
	t.Parallel()
	type told struct {
		topic  string
		resets int64
	}
	var got []told
	topics := job.NewTopics(3, func(topic string, resets int64) { got = append(got, told{topic, resets}) })
	for range 2 {
		for _, name := range []string{"a", "a", "b", "a"} {
			topics.Use(name)
		}
	}
	require.Equal(t, []told{{"a", 3}, {"b", 3}}, got)

	got = nil
	topics.Cleared(4)
	require.Empty(t, got, "what is not used any more is not told")
	topics.Use("a")
	topics.Use("a")
	topics.Cleared(4)
	topics.Use("a")
	require.Equal(t, []told{{"a", 4}}, got)

	var none *job.Topics
	none.Use("a")
	none.Cleared(1)
}

func BenchmarkTopics_used_again(b *testing.B) {
	topics := job.NewTopics(0, func(string, int64) {})
	b.ReportAllocs()
	for b.Loop() {
		topics.Use("orders")
	}
}
