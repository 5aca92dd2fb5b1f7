package offsetservice

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/sleep"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/sinktask"
)

// The forms in which the partitions and offsets of sinks are written.
type sinkPartition struct {
	Topic     string `json:"kafka_topic"`
	Partition int32  `json:"kafka_partition"`
}

type sinkOffset struct {
	Offset int64 `json:"kafka_offset"`
}

// removed is the offset that asks a connector for the removal of a partition's.
const removed = -1

// group is a sink's consumer group, and the client that changes it.
type group struct {
	*kafkaio.Admin
	id       string
	consumer kafkaio.Config
}

func (r *request) group() (*group, error) {
	job := cluster.JobID{UID: r.UID, Task: cluster.InstanceTask}
	consumer, err := r.o.Worker.Consumer(r.config, job, r.Connector)
	if err != nil {
		return nil, err
	}
	client, err := r.o.Worker.Admin(r.config, job, r.Connector)
	if err != nil {
		return nil, err
	}
	client["client.id"] = "connector-worker-adminclient-" + r.Connector
	a, err := kafkaio.NewAdmin(client, r.log)
	if err != nil {
		return nil, err
	}
	return &group{Admin: a, id: sinktask.Group(r.Connector, consumer), consumer: consumer}, nil
}

func (r *request) listSink(ctx context.Context) (reply wire.OffsetsReply, err error) {
	g, err := r.group()
	if err != nil {
		return reply, r.failed(r.Failed(), err)
	}
	defer r.giveBack(g)
	committed, err := g.ListGroupOffsets(ctx, g.id)
	if err != nil {
		return reply, r.failed(r.Failed(), err)
	}
	all := make([]listed, 0, len(committed))
	for p, o := range committed {
		e := listed{key: fmt.Sprintf("%s %010d", p.Topic, p.Partition)}
		if e.partition, err = json.Marshal(sinkPartition{p.Topic, p.Partition}); err == nil {
			e.offset, err = json.Marshal(sinkOffset{o})
		}
		if err != nil {
			return reply, r.failed(r.Failed(), err)
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b listed) int { return cmp.Compare(a.key, b.key) })
	return r.page(all), nil
}

// wanted reads a sink's changes, which the api has checked; of equal partitions the last counts.
func (r *request) wanted() (map[record.TopicPartition]int64, error) {
	out := map[record.TopicPartition]int64{}
	for _, c := range r.Changes {
		var p sinkPartition
		if err := json.Unmarshal(c.Partition, &p); err != nil {
			return nil, err
		}
		o := sinkOffset{removed}
		if len(c.Offset) > 0 && string(c.Offset) != "null" {
			if err := json.Unmarshal(c.Offset, &o); err != nil {
				return nil, err
			}
			if o.Offset < 0 {
				return nil, fmt.Errorf("the offset %d of %s-%d is negative", o.Offset, p.Topic, p.Partition)
			}
		}
		out[record.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = o.Offset
	}
	return out, nil
}

func (r *request) alterSink(ctx context.Context) (handled bool, err error) {
	want, err := r.wanted()
	if err != nil {
		return false, r.failed("Failed to modify offsets for sink connector "+r.Connector, err)
	}
	g, err := r.group()
	if err != nil {
		return false, r.failed(r.Failed(), err)
	}
	defer r.giveBack(g)
	unknown := g.check(ctx, want) // told after what the connector says, but asked before: it may move positions of its own
	handled, err = r.judged(func(c connector.Connector) (bool, error) {
		if _, own := c.(connector.SinkOffsetResetter); own && unknown != nil {
			return false, nil
		}
		return alterSink(ctx, c, r.config, want)
	})
	if err != nil {
		return false, err
	}
	if unknown != nil {
		return false, r.failed(r.Failed(), unknown)
	}
	return handled, r.changeGroup(ctx, g, "alter", func() error {
		set := maps.Clone(want)
		var remove []record.TopicPartition
		for p, o := range want {
			if o == removed {
				delete(set, p)
				remove = append(remove, p)
			}
		}
		if err := g.DeleteGroupOffsets(ctx, g.id, remove); err != nil {
			return err
		}
		return g.AlterGroupOffsets(ctx, g.id, set)
	})
}

func (r *request) resetSink(ctx context.Context) (handled bool, err error) {
	g, err := r.group()
	if err != nil {
		return false, r.failed(r.Failed(), err)
	}
	defer r.giveBack(g)
	all, err := g.ListGroupOffsets(ctx, g.id)
	if err != nil {
		return false, r.failed("Failed to list offsets prior to resetting offsets for sink connector "+r.Connector, err)
	}
	for p := range all {
		all[p] = removed
	}
	handled, err = r.judged(func(c connector.Connector) (bool, error) {
		if a, ok := c.(connector.SinkOffsetResetter); ok {
			return a.ResetOffsets(ctx, r.config)
		}
		return alterSink(ctx, c, r.config, all)
	})
	if err != nil {
		return false, err
	}
	return handled, r.changeGroup(ctx, g, "reset", func() error { return g.DeleteGroup(ctx, g.id) })
}

// alterSink asks the connector, if it has an opinion.
func alterSink(ctx context.Context, c connector.Connector, config map[string]string, want map[record.TopicPartition]int64) (handled bool, err error) {
	if a, ok := c.(connector.SinkOffsetAlterer); ok {
		return a.AlterOffsets(ctx, config, want)
	}
	return false, nil
}

// check refuses topics and partitions that are not there: Kafka would keep offsets of some of them.
func (g *group) check(ctx context.Context, want map[record.TopicPartition]int64) error {
	known := map[string]int{}
	for p := range want {
		n, asked := known[p.Topic]
		if !asked {
			if p.Topic == "" || strings.ContainsAny(p.Topic, "\x00") {
				return fmt.Errorf("%q can't be the name of a topic", p.Topic)
			}
			t, err := g.DescribeTopic(ctx, p.Topic)
			if err != nil {
				return err
			}
			n = t.Partitions
			known[p.Topic] = n
		}
		if p.Partition < 0 || int(p.Partition) >= n {
			return fmt.Errorf("topic %s has no partition %d", p.Topic, p.Partition)
		}
	}
	return nil
}

// How long a change waits for members that have been made to leave, and how often it looks.
const (
	leaveWithin = 5 * time.Second
	leaveLook   = 100 * time.Millisecond
)

// changeGroup changes the group after the connector's own members have left it. A task that has stopped keeps its place as a
// static member for a while, so that a successor need not wait for the others; here none will come. Members of others, and
// a task that was started meanwhile, stay: Kafka refuses the change.
func (r *request) changeGroup(ctx context.Context, g *group, verb string, change func() error) error {
	topics, regex := sinktask.Subscription(r.config)
	gone, err := kafkaio.EvictMembers(ctx, g.consumer, g.id, topics, regex, sinktask.LeftBehind(r.Connector, r.UID, g.id), r.log)
	if err != nil { // Kafka says below whether that matters
		r.log.Warn("members that stopped tasks have left behind can't be made to leave", slog.String("group", g.id), slog.Any(obs.KeyErr, err))
	}
	waiting, cancel := context.WithTimeout(ctx, leaveWithin)
	defer cancel()
	for {
		err := change()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, kafkaio.ErrGroupInUse) && len(gone) > 0 && sleep.For(waiting, leaveLook):
			continue
		case errors.Is(err, kafkaio.ErrGroupInUse):
			return r.failed(fmt.Sprintf("Failed to %s consumer group offsets for connector %s either because its tasks haven't stopped completely yet or the connector was "+
				"resumed before the request to %s its offsets could be successfully completed. If the connector is in a stopped state, this operation can be safely retried. "+
				"If it doesn't eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink tasks.", verb, r.Connector, verb), err)
		}
		return r.failed(r.Failed(), err)
	}
}
