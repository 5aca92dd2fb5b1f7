package kafkaio

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A consumer may be closed at any moment of its joining, also just before its assignment comes.
func TestAConsumerThatIsClosedWhileItJoinsEnds(t *testing.T) {
	onBrokers(t, func(t *testing.T, bootstrap string) {
		topic := unique("joining")
		createTopic(t, bootstrap, topic, 1)
		for _, strategy := range []string{"range", "cooperative-sticky"} {
			var wg sync.WaitGroup
			for i := range 24 {
				wg.Go(func() {
					c, err := NewConsumer(t.Context(), ConsumerConfig{
						Client: Config{"bootstrap.servers": bootstrap, "partition.assignment.strategy": strategy},
						Group:  unique("g"), InstanceID: fmt.Sprint("task-", i),
					})
					if err == nil {
						err = c.Subscribe([]string{topic}, "")
					}
					if err != nil {
						t.Error(err)
						return
					}
					ctx := within(t)
					for until := time.Now().Add(time.Duration(i) * 15 * time.Millisecond); err == nil && time.Now().Before(until); {
						_, err = c.Poll(ctx, 5*time.Millisecond, nil)
					}
					if err != nil {
						t.Error(err)
					}
					if err := c.Close(ctx); err != nil {
						t.Errorf("%s, closed after %d ms: %v", strategy, i*15, err)
					}
				})
			}
			wg.Wait()
		}
		require.False(t, t.Failed())
	})
}
