package kafkaio

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatOneFetchBringsIsBoundedUnlessTheUserAsksForMore(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		user Config
		want string // "": the library's own
	}{
		"nothing":                     {nil, "2097152"},
		"the same":                    {Config{"fetch.max.bytes": "123456789"}, "123456789"},
		"larger pieces of partitions": {Config{"max.partition.fetch.bytes": "8388608"}, ""},
		"by librdkafka's name":        {Config{"fetch.message.max.bytes": "8388608"}, ""},
		"larger messages":             {Config{"message.max.bytes": "10000000"}, ""},
		"both":                        {Config{"message.max.bytes": "10000000", "fetch.max.bytes": "20000000"}, "20000000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := Config{"bootstrap.servers": "127.0.0.1:1"}
			for k, v := range tc.user {
				user[k] = v
			}
			require.Equal(t, tc.want, ConsumerSettings(user)["fetch.max.bytes"])
			c, err := NewConsumer(t.Context(), ConsumerConfig{Client: user, Group: "g"}) // the library accepts it
			require.NoError(t, err)
			require.NoError(t, c.Close(within(t)))
		})
	}
}
