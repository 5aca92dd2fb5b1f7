package sourcetask

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/offsets"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
)

// A task that has written nothing for a while gives its Kafka clients back and stays RUNNING: it is parked. Its plugin is polled
// on; the next batch, or the next offset without records, takes a producer again.
//
// With transactions that is taking the fence again, and the fence goes to whoever takes it last. A task that was frozen, or
// cut off, while it was parked could so throw out a successor, and write records that the successor has written. What keeps
// that from happening:
//
//   - When it is parked, the task begins to watch the connector's offsets, and then, with the producer that it has, writes to
//     the offsets topic in a transaction that it aborts. Only the holder of the fence can do that: so up to then nobody else
//     had taken it, and whatever a successor commits, offsets with its records (Invariant 4), the watch sees.
//   - When it wakes it asks the control plane whether the job is still its own, as a start is told. If not it ends, and has not
//     touched the fence. A control plane that does not answer holds nobody up (Invariant 5): then Kafka alone decides.
//   - It looks at the offsets before it takes the fence: one who finds offsets of a successor stands down, and has not touched
//     the fence.
//   - It looks again when it has the fence, as every start reads its position then: the successor, if there is one, can commit
//     nothing more, and what it has committed is seen. From then on a batch with an offset of a source partition that somebody
//     else has moved meanwhile is not committed: the task stands down.
//
// So nothing is written twice. A successor is thrown out only by one that reaches Kafka and not the control plane, before it has
// committed anything; it is told by Kafka, learns from the control plane that the job is still its own, and takes the fence back.

// seat is where the task's producer is, if it has one.
type seat struct {
	open  func() (Producer, error)
	p     Producer // nil: given back
	woken func(parking.Reason)
}

// take makes sure that there is a producer.
func (s *seat) take() (err error) {
	if s.p != nil {
		return nil
	}
	if s.p, err = s.open(); err != nil {
		return err
	}
	s.wake(parking.Records)
	return nil
}

// wake counts.
func (s *seat) wake(why parking.Reason) {
	if s.woken != nil {
		s.woken(why)
		s.woken = nil
	}
}

// Send takes a producer if there is none: one without transactions needs no fence.
func (s *seat) Send(ctx context.Context, batch []kafkaio.Record, done func(i int, p record.Produced, err error)) (int, error) {
	if err := s.take(); err != nil {
		return 0, err
	}
	return s.p.Send(ctx, batch, done)
}

func (s *seat) InitTransactions(ctx context.Context) error { return s.p.InitTransactions(ctx) }
func (s *seat) Begin() error                               { return s.p.Begin() }
func (s *seat) Commit(ctx context.Context) error           { return s.p.Commit(ctx) }

// Abort has nothing to do where nothing can have begun.
func (s *seat) Abort(ctx context.Context) error {
	if s.p == nil {
		return nil
	}
	return s.p.Abort(ctx)
}

// Flush has nothing to wait for where nothing was sent.
func (s *seat) Flush(ctx context.Context) error {
	if s.p == nil {
		return nil
	}
	return s.p.Flush(ctx)
}

// Close gives the producer back.
func (s *seat) Close(ctx context.Context) error {
	p := s.p
	if s.p = nil; p == nil {
		return nil
	}
	return p.Close(ctx)
}

// idleness tells when to park the task, and what it has to look at when it wakes.
type idleness struct {
	next     time.Time // when it is tried
	unproven bool      // the transaction that proves that the task holds the fence is not aborted yet
	watch    *offsets.Watch
	// others are source partitions of which others have written offsets: those of the connector's other tasks and, if one of
	// them is our own, of a successor.
	others map[string]struct{}
}

const (
	// retryPark is the longest pause before what could not be parked is tried again.
	retryPark = 10 * time.Second
	// confirmTime is how long a task that wakes waits for the control plane.
	confirmTime = 500 * time.Millisecond
)

// stir notes that there was something to do.
func (t *task) stir() {
	if idle := t.Parking.Idle(); idle > 0 {
		t.idle.next = time.Now().Add(idle)
	}
}

// parkAt is when the task is to be parked if nothing comes; zero: not.
func (t *task) parkAt() time.Time {
	if t.Parking.Idle() == 0 || t.writer.holds() || t.producer.p == nil { // what is written may just open the producer
		return time.Time{}
	}
	return t.idle.next
}

// due is when a poll that waits is to be ended; zero: never.
func (t *task) due() time.Time {
	due, park := t.writer.due(), t.parkAt()
	if due.IsZero() || !park.IsZero() && park.Before(due) {
		return park
	}
	return due
}

// tick does what is due by time, where no record came.
func (t *task) tick(ctx context.Context) error {
	if err := t.writer.tick(ctx); err != nil {
		return err
	}
	if at := t.parkAt(); at.IsZero() || time.Now().Before(at) {
		return nil
	}
	return t.park(ctx)
}

// park gives the clients back. What fails is tried again later; the error is that the task was replaced.
func (t *task) park(ctx context.Context) error {
	if at := t.parkAt(); at.IsZero() {
		return nil
	}
	t.idle.next = time.Now().Add(min(t.Parking.Idle(), retryPark))
	if t.transactional {
		w, err := t.prove(ctx)
		if errors.Is(err, job.ErrFenced) {
			return err
		}
		if err != nil {
			t.log.Debug("the task can't be parked", slog.Any(obs.KeyErr, err))
			return nil
		}
		t.idle.watch = w
	}
	ctx, cancel := context.WithTimeout(ctx, t.ShutdownTimeout)
	defer cancel()
	if err := t.producer.Close(ctx); err != nil {
		t.log.Warn("the producer is closed in the background", slog.Any(obs.KeyErr, err))
	}
	if t.topics != nil {
		if err := t.topics.Close(ctx); err != nil {
			t.log.Warn("the admin client is closed in the background", slog.Any(obs.KeyErr, err))
		}
	}
	t.producer.woken = t.Parking.Parked()
	t.log.Debug("the task is parked: there is nothing to write")
	return nil
}

// prove begins to watch the offsets, and makes sure that the task held the fence until after that.
func (t *task) prove(ctx context.Context) (*offsets.Watch, error) {
	ctx, cancel := context.WithTimeout(ctx, t.FlushTimeout)
	defer cancel()
	w, err := t.offsets.Watch(ctx)
	if err == nil {
		err = t.touch(ctx)
	}
	if err != nil && w != nil {
		w.Stop()
		w = nil
	}
	return w, err
}

// touch writes to the offsets topic in a transaction that it aborts. Nobody who reads what was committed sees it; those who read
// everything see that an offset is removed which never was.
func (t *task) touch(ctx context.Context) error {
	if err := t.proven(ctx); err != nil {
		return err
	}
	rs, err := offsets.Records(t.offsets.Topics()[0], t.spec.Name, []offsets.Entry{{Partition: data.MapOf("millrace", "parking")}})
	if err != nil {
		return err
	}
	if err := t.producer.Begin(); err != nil {
		return err
	}
	t.idle.unproven = true
	reported := make(chan error, len(rs))
	_, err = t.producer.Send(ctx, rs, func(_ int, _ record.Produced, err error) { reported <- err })
	if err == nil {
		err = t.producer.Flush(ctx)
	}
	if err == nil {
		err = <-reported
	}
	return errors.Join(err, t.proven(ctx))
}

// proven aborts the transaction of touch, if it is open still.
func (t *task) proven(ctx context.Context) error {
	if !t.idle.unproven {
		return nil
	}
	err := t.producer.Abort(ctx)
	t.idle.unproven = err != nil
	return err
}

// wake takes a producer and the fence again, before batches are written, if the task is parked.
func (t *task) wake(ctx context.Context, batches []*batch) error {
	if err := t.proven(ctx); err != nil || t.producer.p != nil {
		return err
	}
	asking, cancel := context.WithTimeout(t.taking, confirmTime)
	ours := t.env.Confirmed(asking)
	cancel()
	if t.taking.Err() != nil {
		return t.taking.Err() // the job is to end, perhaps since it is another's: what was polled is not written
	}
	var at newest
	for _, b := range batches {
		at.add(b.in)
	}
	if err := t.lookAround(ctx, at.entries); err != nil {
		return err
	}
	t.log.Debug("the task wakes: there is something to write", slog.Bool("confirmed", ours))
	if err := t.producer.take(); err != nil {
		return err
	}
	err := t.producer.InitTransactions(ctx)
	if err == nil {
		err = t.lookAround(ctx, at.entries)
	}
	if err != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.ShutdownTimeout)
		defer cancel()
		_ = t.producer.Close(closing)
		return err
	}
	t.idle.watch.Stop()
	t.idle.watch = nil
	return nil
}

// lookAround looks for offsets that others have written while the task was parked.
func (t *task) lookAround(ctx context.Context, ours []offsets.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, t.ComplainAfter)
	defer cancel()
	seen, err := t.idle.watch.Seen(ctx)
	if err != nil {
		return connecterr.Wrap(connecterr.Retriable, err, "looking for offsets that another holder of the task has written")
	}
	if len(seen) > 0 && t.spec.TaskCount == 1 { // whose else?
		t.log.Info("another holder has written offsets while the task was parked")
		return job.ErrFenced
	}
	if t.idle.others == nil {
		t.idle.others = map[string]struct{}{}
	}
	for id := range seen {
		t.idle.others[id] = struct{}{}
	}
	return t.standing(ours)
}

// standing is job.ErrFenced where a source partition's offset was written by another holder of the task.
func (t *task) standing(ours []offsets.Entry) error {
	if len(t.idle.others) == 0 {
		return nil
	}
	for _, e := range ours {
		id, err := offsets.Identity(e.Partition)
		if err != nil {
			return err
		}
		if _, moved := t.idle.others[id]; moved {
			t.log.Info("another holder has written an offset while the task was parked", slog.String("partition", id))
			return job.ErrFenced
		}
	}
	return nil
}

// unpark ends what a task that ends has begun when it was parked.
func (t *task) unpark(ctx context.Context) {
	if t.idle.unproven { // else those who read the offsets would wait for the transaction's timeout
		_ = t.proven(ctx)
	}
	if t.idle.watch != nil {
		t.idle.watch.Stop()
	}
	if t.producer != nil {
		t.producer.wake("")
	}
}
