package sinktask

import (
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// While the plugin writes a batch, the records behind it are converted already. They are read ahead of their turn, and count
// as not read until then: nothing of the task's positions knows them. Whatever changes what is to be read next (a pause, a
// rewind, a refused batch, partitions that go) gives them back: reading goes on at the first of them.

// next are the records whose turn it is. It polls nearly always, since all that Kafka has to say comes in there.
func (t *task) next(now time.Time) ([]kafkaio.Record, error) {
	if len(t.ahead) == 0 {
		recs, err := t.poll(t.patience(now))
		if err != nil || !t.mayReadAhead(recs) {
			return recs, err
		}
		t.keepAhead(recs)
	} else if large(t.ahead) {
		recs := t.ahead // without a Poll, which could bring as much again; the next turn polls
		t.ahead = nil
		return recs, nil
	}
	later, err := t.poll(0)
	if err != nil {
		return nil, err
	}
	recs := t.ahead // what is left of them after the Poll
	t.keepAhead(later)
	return recs, nil
}

func (t *task) poll(wait time.Duration) ([]kafkaio.Record, error) {
	recs, err := t.consumer.Poll(t.do, wait, t.raw)
	t.looked = time.Now()
	if len(recs) == cap(t.raw) && cap(t.raw) < t.size {
		t.raw = make([]kafkaio.Record, 0, min(t.size, 4*cap(t.raw))) // most tasks never need it
	}
	return recs, err
}

// keepAhead keeps what was polled into raw; the other piece of memory is free once the turn is over.
func (t *task) keepAhead(recs []kafkaio.Record) {
	if t.spare == nil {
		t.spare = make([]kafkaio.Record, 0, cap(t.raw))
	}
	t.ahead, t.raw, t.spare = recs, t.spare, t.raw
}

// mayReadAhead tells whether so many records are worth it, and nothing holds them.
func (t *task) mayReadAhead(recs []kafkaio.Record) bool {
	return t.early != nil && t.target == cluster.Started && len(t.batch) == 0 && t.refused == 0 && len(t.pluginPaused) == 0 &&
		len(t.rewinds) == 0 && t.early.Worth(len(recs)) && !large(recs)
}

// aheadBytes is what a task may hold besides a batch as large as they get.
const aheadBytes = 4 << 20

// large tells whether nothing is to be held beside these records.
func large(recs []kafkaio.Record) bool {
	size := 0
	for i := range recs {
		size += len(recs[i].Key) + len(recs[i].Value)
	}
	return size > aheadBytes
}

// giveBack forgets what was read ahead, to be read again; but not what is of partitions that go.
func (t *task) giveBack(going ...record.TopicPartition) error {
	if len(t.ahead) == 0 {
		return nil
	}
	t.early.Forget()
	from := map[record.TopicPartition]int64{}
	for i := range t.ahead {
		if tp := t.ahead[i].Where(); i == 0 || tp != t.ahead[i-1].Where() {
			if _, ok := from[tp]; !ok {
				from[tp] = t.ahead[i].Offset
			}
		}
	}
	for _, tp := range going {
		delete(from, tp)
	}
	clear(t.ahead)
	t.ahead = t.ahead[:0]
	if len(from) == 0 {
		return nil
	}
	return t.consumer.Seek(from)
}
