package main

import (
	"context"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// fence takes the fence of as many transactional ids as there are records; the process ends with the producers open.
func fence(ctx context.Context, w work) (time.Duration, error) {
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.atOnce)
	for i := range w.records {
		g.Go(func() error {
			began := time.Now()
			p, err := kafkaio.NewProducer(ctx, kafkaio.ProducerConfig{Client: w.client, TransactionalID: w.topic + strconv.Itoa(i)})
			if err != nil {
				return err
			}
			err = p.InitTransactions(ctx)
			w.each[i] = time.Since(began)
			return err
		})
	}
	err := g.Wait()
	return time.Since(began), err
}
