package kafkaembed

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRecordsSurviveARestartInTheSameFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	produce := func(value string) {
		b, err := Start(t.Context(), Options{DataDir: dir})
		require.NoError(t, err)
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.Bootstrap()), kgo.AllowAutoTopicCreation())
		require.NoError(t, err)
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte(value)}).FirstErr())
		cl.Close()
		require.NoError(t, b.Close(t.Context()))
		require.NoError(t, b.Close(t.Context()), "twice is harmless")
	}
	produce("one")
	produce("two")
	b, err := Start(t.Context(), Options{DataDir: dir})
	require.NoError(t, err)
	defer b.Close(t.Context())
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Bootstrap()), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer cl.Close()
	var got []string
	for len(got) < 2 {
		fetches := cl.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	require.Equal(t, []string{"one", "two"}, got)
}
