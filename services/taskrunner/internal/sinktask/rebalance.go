package sinktask

import (
	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

// rebalance is the task as kafkaio.Handler. Its methods run inside Poll, on the task's goroutine.
type rebalance task

// Assigned is called when the fence is taken and the position read: from here on the task may have effects.
func (r *rebalance) Assigned(parts []record.TopicPartition) error {
	t := (*task)(r)
	t.arrived()
	starts := t.consumer.Position(parts)
	for _, tp := range parts {
		start, ok := starts[tp]
		if !ok {
			start = none
		}
		t.pos.assign(tp, start)
	}
	t.count.Partitions(len(t.pos.parts))
	if err := t.applyHolds(); err != nil {
		return err
	}
	if p, ok := t.sink.(sink.PartitionAware); ok && len(parts) > 0 {
		if err := p.Open(t.do, parts); err != nil {
			return err
		}
	}
	return t.applyRewinds()
}

// Revoked is called while the partitions are still this task's.
func (r *rebalance) Revoked(parts []record.TopicPartition) error {
	return (*task)(r).closePartitions(parts, true)
}

// Lost is called when somebody else has them already.
func (r *rebalance) Lost(parts []record.TopicPartition) error {
	t := (*task)(r)
	t.log.Warn("partitions were lost without being given up", "partitions", len(parts))
	return t.closePartitions(parts, false)
}

// held tells whether a partition is not to be read now.
func (t *task) held(tp record.TopicPartition) bool {
	return t.target != cluster.Started || t.refused > 0 || t.pluginPaused[tp]
}

// applyHolds pauses and resumes so that exactly the partitions that are to be read are read.
func (t *task) applyHolds() error {
	var pause, resume []record.TopicPartition
	for _, tp := range t.pos.assigned() {
		if t.held(tp) {
			pause = append(pause, tp)
		} else {
			resume = append(resume, tp)
		}
	}
	if len(pause) > 0 {
		if err := t.giveBack(); err != nil {
			return err
		}
		if err := t.consumer.Pause(pause); err != nil {
			return err
		}
	}
	if len(resume) > 0 {
		return t.consumer.Resume(resume)
	}
	return nil
}

// applyRewinds does what the plugin asked for with Rewind.
func (t *task) applyRewinds() error {
	if len(t.rewinds) == 0 {
		return nil
	}
	to := sink.Offsets{}
	for tp, o := range t.rewinds {
		if t.pos.parts[tp] == nil {
			t.log.Warn("the sink asked to rewind a partition that is not assigned", "topic", tp.Topic, "partition", tp.Partition)
			continue
		}
		to[tp] = o
	}
	t.rewinds = nil
	if len(to) == 0 {
		return nil
	}
	if err := t.giveBack(); err != nil {
		return err
	}
	t.pos.seek(to)
	return t.consumer.Seek(to)
}
