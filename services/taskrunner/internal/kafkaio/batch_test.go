package kafkaio

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBothWaysOfReadingGiveTheSameRecordsInTheSameOrder(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 0))
		some := func(most int) []byte {
			switch rnd.IntN(6) {
			case 0:
				return nil
			case 1:
				return []byte{}
			default:
				return bytes.Repeat([]byte{byte(rnd.IntN(256))}, rnd.IntN(most))
			}
		}
		p := newTestProducer(t, bootstrap, "")
		var topics []string
		total := 0
		for n := range 3 {
			topic := unique(fmt.Sprintf("both-%d", n))
			topics = append(topics, topic)
			createTopic(t, bootstrap, topic, 3)
			for part := range int32(3) {
				batch := numbered(topic, part, 0, 700)
				for i := range batch {
					r := &batch[i]
					r.Key, r.Timestamp = some(20), int64(rnd.IntN(1<<40))+1
					if rnd.IntN(3) > 0 {
						r.Value = some(3000)
					}
					for range rnd.IntN(4) {
						r.Headers = append(r.Headers, Header{Key: string(bytes.Repeat([]byte("h"), rnd.IntN(9))), Value: some(50)})
					}
				}
				sendAll(t, p, batch)
				total += len(batch)
			}
		}
		read := func(oneByOne bool) map[TopicPartition][]Record {
			c, err := NewConsumer(t.Context(), ConsumerConfig{
				Client: Config{"bootstrap.servers": bootstrap}, Group: unique("g"), OneByOne: oneByOne,
			})
			require.NoError(t, err)
			defer c.Close(within(t))
			require.NoError(t, c.Subscribe(topics, ""))
			out := map[TopicPartition][]Record{}
			for _, r := range pollUntil(t, c, atLeast(total)) {
				out[r.Where()] = append(out[r.Where()], r)
			}
			return out
		}
		plain, batched := read(true), read(false)
		require.Len(t, plain, 9)
		require.Equal(t, plain, batched)
		for tp, rs := range batched {
			require.Len(t, rs, 700, "%v", tp)
		}
	})
}
