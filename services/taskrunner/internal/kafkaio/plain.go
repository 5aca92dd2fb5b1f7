package kafkaio

import (
	"context"
	"errors"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// plain sends records one at a time, by the library's public interface: the yardstick for writer.
type plain struct {
	gate // confluent's own check that a client is open does not keep it open
	p    *Producer
	k    *kafka.Producer
	done chan struct{}
}

// sentOne is what a report brings back.
type sentOne struct {
	batch *outBatch
	i     int
}

func newPlain(p *Producer, config kafka.ConfigMap) (*plain, error) {
	k, err := kafka.NewProducer(&config)
	if err != nil {
		return nil, err
	}
	o := &plain{p: p, k: k, done: make(chan struct{})}
	go o.serve()
	return o, nil
}

// serve ends when the library closes the channel.
func (o *plain) serve() {
	defer close(o.done)
	for ev := range o.k.Events() {
		switch e := ev.(type) {
		case *kafka.Message:
			if s, ok := e.Opaque.(sentOne); ok {
				o.p.report(s.batch, s.i, e.TopicPartition.Partition, int64(e.TopicPartition.Offset), e.TopicPartition.Error)
				o.p.settled(s.batch, 1)
			}
		case kafka.Error:
			_ = o.p.complain("producing", e) // calls that wait look at lastTrouble
		}
	}
}

// send implements outlet.
func (o *plain) send(b *outBatch, recs []Record, from int) (taken int, err error) {
	if !o.enter() {
		return 0, errClosed
	}
	defer o.leave()
	for i := from; i < len(recs); i++ {
		r := &recs[i]
		m := kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &r.Topic, Partition: r.Partition},
			Key:            r.Key, Value: r.Value, Opaque: sentOne{b, i},
		}
		if r.Timestamp > 0 {
			m.Timestamp = time.UnixMilli(r.Timestamp)
		}
		if len(r.Headers) > 0 {
			m.Headers = make([]kafka.Header, len(r.Headers))
			for i, h := range r.Headers {
				m.Headers[i] = kafka.Header(h)
			}
		}
		if err := o.k.Produce(&m, nil); err != nil {
			return i - from, err
		}
	}
	return len(recs) - from, nil
}

// during keeps the client alive for a call.
func (o *plain) during(call func() error) error {
	if !o.enter() {
		return errClosed
	}
	defer o.leave()
	return call()
}

func (o *plain) initTransactions(ctx context.Context) error {
	return o.during(func() error { return o.k.InitTransactions(ctx) })
}

func (o *plain) begin() error { return o.during(o.k.BeginTransaction) }

func (o *plain) commit(ctx context.Context) error {
	return o.during(func() error { return o.k.CommitTransaction(ctx) })
}

func (o *plain) abort(ctx context.Context) error {
	return o.during(func() error { return o.k.AbortTransaction(ctx) })
}

func (o *plain) fatal() (err error) {
	_ = o.during(func() error {
		err = o.k.GetFatalError()
		return nil
	})
	return err
}

func (o *plain) purge() {
	_ = o.during(func() error { return o.k.Purge(kafka.PurgeQueue | kafka.PurgeInFlight) })
}

func (o *plain) served() <-chan struct{} { return o.done }

func (o *plain) reach(timeout time.Duration) bool {
	return o.during(func() error {
		_, err := o.k.GetMetadata(nil, false, int(timeout.Milliseconds()))
		return err
	}) == nil
}

func (o *plain) partitions(topic string, timeout time.Duration) (n int, err error) {
	err = o.during(func() error {
		m, err := o.k.GetMetadata(&topic, false, int(timeout.Milliseconds()))
		if err != nil {
			return err
		}
		t := m.Topics[topic]
		n = len(t.Partitions)
		if t.Error.Code() != kafka.ErrNoError {
			return t.Error
		}
		return nil
	})
	return n, err
}

func (o *plain) close() {
	o.shut()
	if o.p.txnal != "" {
		ctx, cancel := context.WithTimeout(context.Background(), slice)
		_ = o.k.AbortTransaction(ctx) // there may be none; see Producer.Close
		cancel()
	}
	o.k.Close()
	<-o.done
}

// callError is a kafka.Error of a call that confluent's package did not make: what it says of itself can't be put into one.
type callError struct {
	ofLibrary
	retriable, abort bool
}

type ofLibrary = kafka.Error // a field named Error would hide the method

func (e *callError) Unwrap() error { return e.ofLibrary }

// retriable tells that the library says that a call may be made again.
func retriable(err error) bool {
	if e, ok := errors.AsType[*callError](err); ok {
		return e.retriable
	}
	ke, ok := errors.AsType[kafka.Error](err)
	return ok && ke.IsRetriable()
}
