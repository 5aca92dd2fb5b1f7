package sinktask

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// commitSoon commits what the plugin says is durable, without waiting for Kafka's answer. A plugin that can't make its
// records durable is rewound: they come again.
func (t *task) commitSoon() error {
	offsets, ok, err := t.durable(t.do, t.pos.offer(t.pos.assigned()))
	if err != nil {
		t.log.Error("Offset commit failed, rewinding to last committed offsets", "error", err)
		t.count.CommitFailed()
		return t.rewind()
	}
	if !ok {
		return nil
	}
	if len(offsets) == 0 {
		t.count.Committed(0)
		return nil
	}
	t.seq++
	seq := t.seq
	t.count.Sequence(seq)
	t.committing, t.began, t.underway = true, time.Now(), offsets
	t.consumer.CommitAsync(offsets, func(err error) {
		if seq != t.seq {
			t.count.CommitStale()
			return
		}
		t.committing = false
		t.answered(offsets, err)
	})
	return nil
}

// answered takes Kafka's answer to a commit.
func (t *task) answered(offsets sink.Offsets, err error) {
	switch {
	case err == nil:
		t.pos.commit(offsets)
		t.count.Committed(time.Since(t.began))
		t.count.Active(t.pos.active())
	case errors.Is(err, job.ErrFenced):
		t.fenced = err
	default:
		t.log.Error("Commit of offsets threw an unexpected exception", "offsets", len(offsets), "error", err)
		t.count.CommitFailed()
	}
}

// durable asks the plugin which of the offered offsets may be committed. ok is false when there is nothing to commit: nothing
// was offered, or the plugin opted out.
func (t *task) durable(ctx context.Context, offered sink.Offsets) (commit sink.Offsets, ok bool, err error) {
	if len(offered) == 0 {
		return nil, false, nil
	}
	if t.errant != nil {
		if err := t.errant.Settle(ctx); err != nil {
			return nil, false, err
		}
	}
	answer := offered
	switch p := t.sink.(type) {
	case sink.PreCommitter:
		if answer, err = p.PreCommit(ctx, clone(offered)); err != nil {
			return nil, false, err
		}
		if len(answer) == 0 {
			t.log.Debug("the task opted out by returning no offsets from preCommit")
			t.count.Committed(0)
			return nil, false, nil
		}
	case sink.Flusher:
		if err := p.Flush(ctx, clone(offered)); err != nil {
			return nil, false, err
		}
	}
	commit, refused := t.pos.choose(offered, answer)
	for _, r := range refused {
		if r.assigned {
			t.log.Warn("Ignoring invalid task provided offset -- not yet consumed", "topic", r.tp.Topic,
				"partition", r.tp.Partition, "taskOffset", r.asked, "currentOffset", r.current)
		} else {
			t.log.Warn("Ignoring invalid task provided offset -- partition not assigned", "topic", r.tp.Topic,
				"partition", r.tp.Partition, "taskOffset", r.asked)
		}
	}
	return commit, true, nil
}

// doubt asks Kafka whether this task still is the holder, by committing once more what is committed: a fenced member is
// refused (Invariant 4). After a freeze at most the batch in hand is written twice (ZT-2). stop is true when the batch
// must not be put now; without an answer it is kept like one the plugin refused.
func (t *task) doubt() (stop bool, err error) {
	same := t.pos.known()
	if t.committing { // it goes first; this one must not take it back
		for tp, o := range t.underway {
			if _, ok := same[tp]; ok {
				same[tp] = o
			}
		}
	}
	if len(same) == 0 {
		t.doubting = false
		return false, nil
	}
	ctx, cancel := context.WithTimeout(t.do, t.FlushTimeout)
	defer cancel()
	switch err := t.consumer.Commit(ctx, same); {
	case err == nil:
		t.doubting = false
		return false, nil
	case t.do.Err() != nil:
		return true, nil
	case connecterr.IsRetriable(err):
		return true, t.refuse(err)
	default:
		return true, err
	}
}

func clone(o sink.Offsets) sink.Offsets {
	out := make(sink.Offsets, len(o))
	for tp, n := range o {
		out[tp] = n
	}
	return out
}

// rewind goes back to the last commit; what the plugin refused for now is among what comes again.
func (t *task) rewind() error {
	if err := t.giveBack(); err != nil {
		return err
	}
	back := t.pos.rewind()
	clear(t.batch)
	t.batch = t.batch[:0]
	if err := t.consumer.Seek(back); err != nil {
		return err
	}
	return t.takenAgain()
}

// closePartitions ends this task's part in partitions: PreCommit, the plugin's Close, a commit that is waited for. Without
// commit (they are lost, or a newer holder has them) only Close. The partitions are forgotten in every case. The error
// is the plugin's Close, or job.ErrFenced.
func (t *task) closePartitions(parts []record.TopicPartition, commit bool) error {
	if len(parts) == 0 {
		return nil
	}
	t.seq++ // the answer of a commit that is on its way is stale now: this one follows it and holds all it held
	t.committing = false
	defer t.drop(parts)
	if err := t.giveBack(parts...); err != nil {
		return err
	}
	var offsets sink.Offsets
	if commit {
		var err error
		if offsets, _, err = t.durable(t.do, t.pos.offer(parts)); err != nil {
			t.log.Warn("Offset commit failed during close", "error", err)
			t.count.CommitFailed()
			offsets = nil
		}
	}
	var cerr error
	if p, ok := t.sink.(sink.PartitionAware); ok {
		cerr = p.Close(t.do, parts)
	}
	if len(offsets) == 0 || t.do.Err() != nil {
		return cerr
	}
	ctx, cancel := context.WithTimeout(t.do, t.FlushTimeout)
	defer cancel()
	t.began = time.Now()
	t.count.Sequence(t.seq)
	t.answered(offsets, t.consumer.Commit(ctx, offsets))
	if t.fenced != nil {
		return t.fenced
	}
	return cerr
}

// drop forgets partitions, with what was read of them and not accepted: that is the next owner's. Records are told apart by
// where they were read, whatever transformations renamed.
func (t *task) drop(parts []record.TopicPartition) {
	t.pos.forget(parts)
	gone := make(map[record.TopicPartition]bool, len(parts))
	for _, tp := range parts {
		gone[tp] = true
		delete(t.pluginPaused, tp)
		delete(t.rewinds, tp)
	}
	kept := t.batch[:0]
	for i := range t.batch {
		r := &t.batch[i]
		if !gone[record.TopicPartition{Topic: r.OriginalTopic, Partition: r.OriginalPartition}] {
			kept = append(kept, *r)
		}
	}
	clear(t.batch[len(kept):])
	t.batch = kept
	t.count.Partitions(len(t.pos.parts))
}
