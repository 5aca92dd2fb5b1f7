package main

import (
	"context"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// atOnce is how many producers are opened at the same time.
const atOnce = 16

// fence takes the fence of as many transactional ids as there are records; the process ends with the producers open.
func fence(ctx context.Context, w work) (time.Duration, error) {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range w.records {
		g.Go(func() error {
			p, err := kafkaio.NewProducer(ctx, kafkaio.ProducerConfig{Client: w.client, TransactionalID: w.topic + strconv.Itoa(i)})
			if err != nil {
				return err
			}
			return p.InitTransactions(ctx)
		})
	}
	err := g.Wait()
	return time.Since(began), err
}
