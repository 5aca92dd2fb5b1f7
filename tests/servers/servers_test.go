package servers_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/servers"
)

func TestBrokers_take_and_give_records(t *testing.T) {
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) {
		c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("servers-test"))
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.ProduceSync(t.Context(), &kgo.Record{Topic: "servers-test", Value: []byte("x")}).FirstErr())
		fetched := c.PollFetches(t.Context())
		require.NoError(t, fetched.Err())
	})
}

func TestKafkaProcess_keeps_its_data_over_a_crash(t *testing.T) {
	t.Parallel()
	k, err := servers.StartKafka(t.Context(), servers.KafkaOptions{})
	if err != nil {
		servers.Missing(t, err)
	}
	defer k.Stop(t.Context())
	produce := func(client *kgo.Client) {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "kept", Value: []byte("x")}).FirstErr())
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(k.Bootstrap()), kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("kept"))
	require.NoError(t, err)
	defer c.Close()
	produce(c)
	require.NoError(t, k.Kill())
	require.NoError(t, k.Restart(t.Context()))
	produce(c)
	for n := 0; n < 2; {
		fetched := c.PollFetches(t.Context())
		n += fetched.NumRecords()
	}
}
