package offsets

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/tests/servers"
)

// Tasks that start together share what is read, and each sees what it wrote itself.
func TestStore_many_that_ask_at_once_share_a_read(t *testing.T) {
	t.Parallel()
	servers.Brokers(t, func(t *testing.T, bootstrap string) {
		const tasks, rounds = 16, 8
		cfg := kafkaio.Config{"bootstrap.servers": bootstrap}
		topic := fmt.Sprintf("storm-%d", time.Now().UnixNano())
		s := NewStore(Options{Topic: topic, Partitions: 3, Replication: 1, Consumer: cfg, Admin: cfg, Logger: slog.New(slog.DiscardHandler)})
		defer s.Close()
		require.NoError(t, s.Ensure(t.Context()))
		p, err := kafkaio.NewProducer(t.Context(), kafkaio.ProducerConfig{Client: cfg})
		require.NoError(t, err)
		defer p.Close(context.Background())
		g, ctx := errgroup.WithContext(t.Context())
		for task := range tasks {
			g.Go(func() error {
				file := data.MapOf("file", fmt.Sprint(task))
				for i := range int64(rounds) {
					rs, err := Records(topic, "c", []Entry{{file, data.MapOf("n", i)}})
					if err != nil {
						return err
					}
					written := make(chan error, 1)
					if _, err := p.Send(ctx, rs, func(_ int, _ record.Produced, err error) { written <- err }); err != nil {
						return err
					}
					if err := <-written; err != nil {
						return err
					}
					o, err := s.Reader("c").Offset(ctx, file)
					if err != nil {
						return err
					}
					if n, _ := o.Get("n"); n != i {
						return fmt.Errorf("task %d wrote %d and reads %v", task, i, n)
					}
				}
				return nil
			})
		}
		require.NoError(t, g.Wait())

		const many = 200
		s.reads <- struct{}{} // somebody reads
		before, asking, done := s.begun.Load(), make(chan struct{}), make(chan error, many)
		for range many {
			go func() {
				asking <- struct{}{}
				done <- s.Ensure(t.Context())
			}()
		}
		for range many {
			<-asking
		}
		<-s.reads
		for range many {
			require.NoError(t, <-done)
		}
		require.LessOrEqual(t, s.begun.Load()-before, int64(many/10), "reads for %d that asked", many)
	})
}
