package offsetservice

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
)

func (r *request) listSource(ctx context.Context) (reply wire.OffsetsReply, err error) {
	home, err := r.o.Home(r.Connector, r.config)
	if err != nil {
		return reply, r.failed(r.Failed(), err)
	}
	defer home.Close()
	entries, err := home.List(ctx)
	if err != nil {
		return reply, r.failed(r.Failed(), err)
	}
	all := make([]listed, len(entries))
	for i, e := range entries {
		all[i].key = e.ID
		if all[i].partition, all[i].offset, err = e.JSON(); err != nil {
			return reply, r.failed(r.Failed(), err)
		}
	}
	return r.page(all), nil
}

func (r *request) alterSource(ctx context.Context) (handled bool, err error) {
	entries := make([]offsets.Entry, len(r.Changes))
	for i, c := range r.Changes {
		if entries[i].Partition, err = offsets.Parse(c.Partition); err == nil {
			entries[i].Offset, err = offsets.Parse(c.Offset)
		}
		if err != nil {
			return false, cluster.Errorf(cluster.Failed, "%s", err.Error())
		}
	}
	return r.changeSource(ctx, func(_ context.Context, _ *offsets.Home) ([]offsets.Entry, error) { return entries, nil },
		func(ctx context.Context, home *offsets.Home) (offsets.Change, error) {
			return home.Change(ctx, entries)
		})
}

func (r *request) resetSource(ctx context.Context) (handled bool, err error) {
	return r.changeSource(ctx, func(ctx context.Context, home *offsets.Home) ([]offsets.Entry, error) {
		all, err := home.List(ctx)
		entries := make([]offsets.Entry, len(all))
		for i, e := range all {
			entries[i].Partition = e.Partition
		}
		return entries, err
	}, func(ctx context.Context, home *offsets.Home) (offsets.Change, error) { return home.RemoveAll(ctx) })
}

// changeSource goes as a takeover does: the fence, then the position, then the change.
func (r *request) changeSource(ctx context.Context, entries func(context.Context, *offsets.Home) ([]offsets.Entry, error),
	change func(context.Context, *offsets.Home) (offsets.Change, error)) (handled bool, err error) {
	home, err := r.o.Home(r.Connector, r.config)
	if err != nil {
		return false, r.failed(r.Failed(), err)
	}
	defer home.Close()
	var fence *kafkaio.Producer
	if r.o.Worker.ExactlyOnce {
		var others func()
		if fence, others, err = r.fence(ctx); err != nil {
			return false, r.failed("Failed to perform zombie fencing for source connector prior to modifying offsets", err)
		}
		defer others()
	}
	if err := home.Ensure(ctx); err != nil {
		return false, r.sourceFailed(ctx, err)
	}
	asked, err := entries(ctx, home)
	if err != nil {
		return false, r.sourceFailed(ctx, err)
	}
	if handled, err = r.judgeSource(ctx, asked); err != nil {
		return false, err
	}
	c, err := change(ctx, home)
	if err == nil {
		err = r.write(ctx, home, c, fence)
	}
	if err != nil {
		return false, r.sourceFailed(ctx, err)
	}
	return handled, nil
}

func (r *request) sourceFailed(ctx context.Context, err error) error {
	if over(ctx) {
		return r.failed("Timed out while attempting to modify offsets for source connector "+r.Connector, err)
	}
	return r.failed("Failed to modify offsets for source connector "+r.Connector, err)
}

// over tells whether the time has run out. Kafka's client is told the same deadline and may notice it a moment sooner.
func over(ctx context.Context) bool {
	d, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Until(d) < 100*time.Millisecond
}

// judgeSource asks the connector, if it has an opinion.
func (r *request) judgeSource(ctx context.Context, entries []offsets.Entry) (handled bool, err error) {
	asked := make([]connector.SourceOffsetEntry, len(entries))
	for i, e := range entries {
		asked[i] = connector.SourceOffsetEntry{Partition: e.Partition, Offset: e.Offset}
	}
	return r.judged(func(c connector.Connector) (bool, error) {
		if a, ok := c.(connector.SourceOffsetAlterer); ok {
			return a.AlterOffsets(ctx, r.config, asked)
		}
		return false, nil
	})
}

// fenceAtOnce bounds the clients that fencing takes.
const fenceAtOnce = 8

// fence takes the fences of all tasks that the connector has had: from then on none that is left somewhere can write offsets,
// and a task that is started anew fences us. It returns the producer of the first, for the change itself.
func (r *request) fence(ctx context.Context) (first *kafkaio.Producer, done func(), err error) {
	producers := make([]*kafkaio.Producer, max(1, r.FormerTasks))
	done = func() {
		for _, p := range producers {
			if p != nil {
				r.giveBack(p)
			}
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(fenceAtOnce)
	for task := range producers {
		g.Go(func() error {
			p, err := r.producer(task, r.o.Worker.TransactionalID(r.Connector, task))
			if err != nil {
				return err
			}
			if producers[task] = p; task > 0 {
				defer func() { producers[task] = nil; r.giveBack(p) }()
			}
			return p.InitTransactions(gctx)
		})
	}
	if err := g.Wait(); err != nil {
		done()
		return nil, nil, err
	}
	return producers[0], done, nil
}

// producer makes a producer as a task has it.
func (r *request) producer(task int, transactionalID string) (*kafkaio.Producer, error) {
	client, err := r.o.Worker.Producer(r.config, cluster.JobID{UID: r.UID, Task: task}, r.Connector, false)
	if err != nil {
		return nil, err
	}
	client["client.id"] = "connector-offset-producer-" + r.Connector
	return kafkaio.NewProducer(context.Background(), kafkaio.ProducerConfig{Client: client, TransactionalID: transactionalID, Logger: r.log})
}

// write makes a change durable: in one transaction of the fence where there is one.
func (r *request) write(ctx context.Context, home *offsets.Home, c offsets.Change, fence *kafkaio.Producer) error {
	if len(c.Before) > 0 {
		client, err := r.o.Worker.WorkerProducer()
		if err != nil {
			return err
		}
		if err := home.WriteBefore(ctx, c, client); err != nil {
			return err
		}
	}
	if len(c.Records) == 0 {
		return nil
	}
	if fence == nil {
		p, err := r.producer(0, "")
		if err != nil {
			return err
		}
		return offsets.Write(ctx, p, c.Records)
	}
	if err := fence.Begin(); err != nil {
		return err
	}
	if _, err := fence.Send(ctx, c.Records, func(int, record.Produced, error) {}); err != nil {
		return errors.Join(err, fence.Abort(ctx))
	}
	return fence.Commit(ctx)
}
