package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

func configMap(w work) *kafka.ConfigMap {
	m := kafka.ConfigMap{}
	for k, v := range w.client {
		m[k] = v
	}
	return &m
}

// consumePlain reads by confluent's Poll, a record at a time.
func consumePlain(_ context.Context, w work) (took time.Duration, err error) {
	m := configMap(w)
	(*m)["group.id"] = w.topic
	c, err := kafka.NewConsumer(m)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	var all []kafka.TopicPartition
	for i := range w.partitions {
		all = append(all, kafka.TopicPartition{Topic: &w.topic, Partition: int32(i), Offset: 0}) //nolint:gosec // few
	}
	if err := c.Assign(all); err != nil {
		return 0, err
	}
	var began time.Time
	seen := make(order, w.partitions)
	for n := 0; n < w.records; {
		switch e := c.Poll(1000).(type) {
		case *kafka.Message:
			if n++; n == 1 {
				began = time.Now()
			}
			if err := e.TopicPartition.Error; err != nil {
				return 0, err
			}
			if err := seen.next(e.TopicPartition.Partition, int64(e.TopicPartition.Offset)); err != nil {
				return 0, err
			}
		case kafka.Error:
			return 0, e
		}
	}
	return time.Since(began), nil
}

// producePlain writes by confluent's Produce, a record at a time; reports come as events.
func producePlain(_ context.Context, w work) (time.Duration, error) {
	m := configMap(w)
	(*m)["go.delivery.report.fields"] = "none"
	p, err := kafka.NewProducer(m)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	reports := make(chan error, 1)
	go func() {
		for n := 0; n < w.records; {
			switch e := (<-p.Events()).(type) {
			case *kafka.Message:
				if n++; e.TopicPartition.Error != nil {
					reports <- e.TopicPartition.Error
					return
				}
			case kafka.Error:
				reports <- e
				return
			}
		}
		reports <- nil
	}()
	value := make([]byte, w.size)
	began := time.Now()
	for i := range w.records {
		for {
			err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &w.topic, Partition: w.partition(i)}, Value: value}, nil)
			if err == nil {
				break
			}
			if ke, ok := errors.AsType[kafka.Error](err); !ok || ke.Code() != kafka.ErrQueueFull {
				return 0, err
			}
			select {
			case err := <-reports:
				return 0, fmt.Errorf("no more room: %w", err)
			case <-time.After(time.Millisecond):
			}
		}
	}
	err = <-reports
	return time.Since(began), err
}
