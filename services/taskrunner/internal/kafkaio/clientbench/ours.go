package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// consumeOurs reads by the batch layer, as a member of a group that is alone.
func consumeOurs(ctx context.Context, w work) (took time.Duration, err error) {
	c, err := kafkaio.NewConsumer(ctx, kafkaio.ConsumerConfig{Client: w.client, Group: w.topic + "-" + fmt.Sprint(time.Now().UnixNano())})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	if err := c.Subscribe([]string{w.topic}, ""); err != nil {
		return 0, err
	}
	var began time.Time
	recs, seen := make([]kafkaio.Record, 0, batch), make(order, w.partitions)
	for n := 0; n < w.records; n += len(recs) {
		if recs, err = c.Poll(ctx, time.Second, recs); err != nil {
			return 0, err
		}
		if began.IsZero() && len(recs) > 0 {
			began = time.Now()
		}
		for i := range recs {
			if err := seen.next(recs[i].Partition, recs[i].Offset); err != nil {
				return 0, err
			}
		}
	}
	return time.Since(began), nil
}

// produceOurs writes by the batch layer.
func produceOurs(ctx context.Context, w work) (took time.Duration, err error) {
	p, err := kafkaio.NewProducer(ctx, kafkaio.ProducerConfig{Client: w.client})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	var failed atomic.Pointer[error]
	reported := 0 // by one goroutine, before Flush returns
	done := func(_ int, _ record.Produced, err error) {
		if reported++; err != nil {
			kept := err // so that only an error needs memory
			failed.Store(&kept)
		}
	}
	value := make([]byte, w.size)
	recs := make([]kafkaio.Record, batch)
	began := time.Now()
	for at := 0; at < w.records; at += len(recs) {
		recs = recs[:min(batch, w.records-at)]
		for i := range recs {
			recs[i] = kafkaio.Record{Topic: w.topic, Partition: w.partition(at + i), Value: value, Timestamp: record.NoTimestamp}
		}
		if _, err := p.Send(ctx, recs, done); err != nil {
			return 0, err
		}
	}
	if err := p.Flush(ctx); err != nil {
		return 0, err
	}
	took = time.Since(began)
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	if reported != w.records {
		return 0, fmt.Errorf("%d of %d records were reported", reported, w.records)
	}
	return took, nil
}

// partition is where a record is produced to.
func (w work) partition(i int) int32 { return int32(i / (batch / 2) % w.partitions) } //nolint:gosec // few
