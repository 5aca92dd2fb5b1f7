package sinktask

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/parking"
)

// A task that has nothing to do gives its client back and stays RUNNING: it is parked.
//
// The tasks of a connector are parked and woken alike, without a word between them: a task is parked only when all that its
// group subscribes to is read and committed to its end, which Kafka tells to every task the same, and woken when any of
// that goes on. So none is parked while a peer works, and no record waits for a task that is.
//
// Its place in the group is kept as by a stop: a static member does not leave, and the place ends with the session. One that
// is back before that gets its partitions without a rebalance.

// idleness tells when to try to park a task.
type idleness struct {
	may   bool      // it may be parked at all
	next  time.Time // when it is tried
	short bool      // it woke only for its offsets: it need not be idle for the whole time again
	done  func()    // lets the next one join
}

func (i *idleness) arrived() {
	if i.done != nil {
		i.done()
		i.done = nil
	}
}

// soon is when it is tried to park a task that woke only for its offsets: reading finds out meanwhile that there is nothing.
const soon = 200 * time.Millisecond

// stir notes that there was something to do.
func (t *task) stir() {
	t.idle.short = false
	t.idle.next = time.Now().Add(t.Parking.Idle())
}

// busy tells whether the task has something in hand.
func (t *task) busy() bool {
	leaving := false
	select {
	case <-t.leaving:
		leaving = true
	default:
	}
	return !t.joined || leaving || len(t.batch)+len(t.ahead) > 0 || t.refused > 0 || t.committing || t.requested || len(t.pluginPaused) > 0 ||
		len(t.rewinds) > 0 || t.timeout != none
}

func (t *task) mayPark(now time.Time) bool {
	return t.idle.may && !now.Before(t.idle.next) && !t.busy() && len(t.targets) == 0
}

// subscribeTo reads what the task reads from, for the watcher.
func (t *task) subscribeTo() error {
	topics, regex := Subscription(t.config)
	t.sub = parking.Subscription{Topics: topics}
	if regex != "" {
		var err error
		if t.sub.Pattern, err = kafkaio.TopicPattern(regex); err != nil {
			return err
		}
	}
	t.idle.may = t.Parking.Idle() > 0
	return nil
}

// firstBatch is the size of a client's first batches: a full one costs a quarter of a megabyte, and makes room for more.
const firstBatch = 128

// takeClient makes the consumer.
func (t *task) takeClient() error {
	c, err := t.NewConsumer(t.do, kafkaio.ConsumerConfig{
		Client: t.client, Group: t.group, InstanceID: InstanceID(t.group, t.spec.Job), Rebalance: (*rebalance)(t), Logger: t.log,
	})
	if err != nil {
		return err
	}
	t.consumer = c
	t.seat.take(c)
	t.raw = make([]kafkaio.Record, 0, min(t.size, firstBatch))
	return nil
}

// join makes the task a member of its group, in its turn.
func (t *task) join(take context.Context) error {
	t.idle.arrived()
	t.idle.done = t.Parking.Turn(take)
	t.stir()
	t.complainAt = time.Now().Add(t.ComplainAfter)
	return t.consumer.Subscribe(Subscription(t.config))
}

// dropClient gives the client back.
func (t *task) dropClient() {
	t.idle.arrived() // or never will
	if t.consumer == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.ShutdownTimeout)
	defer cancel()
	if err := t.consumer.Close(ctx); err != nil {
		t.log.Warn("the consumer is closed in the background", "error", err)
	}
	t.consumer = nil
	t.seat.take(nil)
	t.raw, t.spare, t.ahead, t.batch = nil, nil, nil, nil
}

// park gives the client back if all is done, and comes back when there is something to do again, or the task is to end. When not
// all is done, it is tried again later.
func (t *task) park(take context.Context) error {
	t.idle.next = time.Now().Add(min(t.Parking.Idle(), mostBackoff))
	if t.idle.short {
		t.idle.next = time.Now().Add(soon)
	}
	if !t.pos.settled() {
		t.requested = true // a commit; what the plugin keeps open is for the plugin to end
		return nil
	}
	cl := t.Parking.Cluster(t.client)
	v, ok, err := t.allRead(cl)
	if err != nil || !ok {
		return err
	}
	var wake <-chan parking.Reason
	if t.target == cluster.Started {
		w, leave, err := cl.Park(t.sub, v)
		if err != nil {
			t.log.Debug("the task can't be parked", "error", err)
			return nil
		}
		defer leave()
		wake = w
	}
	member := t.consumer.MemberID()
	if err := t.closePartitions(t.pos.assigned(), false); err != nil {
		return err
	}
	t.dropClient()
	if p, ok := t.pipe.(RestingPipeline); ok {
		p.Rest()
	}
	t.joined = false
	t.count.Lag(0, 0)
	t.log.Debug("the task is parked: there is nothing to read")
	woken := t.Parking.Parked()
	reason, err := t.sleep(take, cl, wake, member)
	woken(reason)
	if err != nil || reason == "" {
		return err
	}
	t.log.Debug("the task wakes", "reason", reason)
	if err := t.takeClient(); err != nil {
		return err
	}
	t.looked, t.doubting = time.Time{}, false
	t.consumer.Stalled()
	if err := t.join(take); err != nil {
		return err
	}
	if reason == parking.Offsets {
		t.idle.short, t.idle.next = true, time.Now().Add(soon)
	}
	return nil
}

// allRead tells whether the group has read and committed everything there is. A task that is paused reads nothing, and need only
// have committed what it has read. By its own commit it also learns whether it is the holder still (Invariant 4), and
// leaves an offset also where nothing was ever read: else one that begins at the end would begin at another end when it
// wakes.
func (t *task) allRead(cl *parking.Cluster) (v parking.View, ok bool, err error) {
	ctx, cancel := context.WithTimeout(t.do, t.FlushTimeout)
	defer cancel()
	mine := t.pos.known()
	if t.target == cluster.Started {
		if v, err = cl.Look(ctx, t.sub); err != nil || !v.Complete() {
			t.log.Debug("whether the task can be parked is not known", "error", err)
			return v, false, nil
		}
		read := t.consumer.Ends()
		for _, tp := range t.pos.assigned() {
			end, ok := read[tp]
			if !ok || end != v.Ends[tp] {
				return v, false, nil
			}
			mine[tp] = end
		}
	}
	switch err := t.consumer.Commit(ctx, mine); {
	case errors.Is(err, job.ErrFenced):
		return v, false, err
	case err != nil:
		t.log.Debug("a commit failed before the task could be parked", "error", err)
		return v, false, nil
	}
	if t.target != cluster.Started {
		return v, true, nil
	}
	t.pos.seal(mine)
	all := make([]record.TopicPartition, 0, len(v.Ends))
	for tp := range v.Ends {
		all = append(all, tp)
	}
	committed, err := t.consumer.Committed(ctx, all)
	if err != nil {
		t.log.Debug("whether the group has read everything is not known", "error", err)
		return v, false, nil
	}
	for tp, end := range v.Ends {
		if o, ok := committed[tp]; !ok || o != end {
			return v, false, nil // a peer has it in hand
		}
	}
	return v, true, nil
}

// sleep waits until there is something to do: it returns the reason, or "" when the task is to end.
func (t *task) sleep(take context.Context, cl *parking.Cluster, wake <-chan parking.Reason, member string) (parking.Reason, error) {
	keep := time.NewTimer(t.Parking.Keep())
	defer keep.Stop()
	var due parking.Reason
	for {
		var again <-chan time.Time
		if due != "" && (t.target == cluster.Started || due == parking.Offsets) {
			switch err := t.mayJoin(cl, member, due); {
			case err == nil:
				return due, nil
			case errors.Is(err, job.ErrFenced):
				return "", err
			case t.do.Err() == nil:
				t.log.Warn("the task is to wake, and can't join its group yet", "error", err)
				again = time.After(time.Second)
			}
		}
		select {
		case due = <-wake:
		case <-keep.C:
			due = parking.Offsets
		case s := <-t.targets:
			if err := t.aim(s); err != nil {
				return "", err
			}
			if wake == nil && s == cluster.Started {
				due = parking.Resumed
			}
		case <-again:
		case <-take.Done():
			return "", nil
		case <-t.do.Done():
			return "", nil
		}
	}
}

// mayJoin prepares the task's place in the group: it must be nobody else's. A task that was frozen while it was parked would throw
// out its successor; it gets job.ErrFenced instead. After other errors it is tried again.
func (t *task) mayJoin(cl *parking.Cluster, member string, due parking.Reason) error {
	ctx, cancel := context.WithTimeout(t.do, t.FlushTimeout)
	defer cancel()
	instance := InstanceID(t.group, t.spec.Job)
	place, err := cl.Place(ctx, t.group, instance, member)
	switch {
	case err != nil && connecterr.IsRetriable(err):
		return err
	case err != nil:
		t.log.Warn("whether the task was replaced while it was parked can't be asked", "error", err)
	case place == parking.Taken:
		return job.ErrFenced
	case place == parking.Own && due == parking.Topics:
		topics, regex := Subscription(t.config)
		return kafkaio.Vacate(ctx, t.client, t.group, instance, topics, regex, t.log)
	}
	return nil
}

// seat is the task's consumer for those who wake or close it from other goroutines.
type seat struct {
	mu sync.Mutex
	c  Consumer // nil: none
}

func (s *seat) take(c Consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.c = c
}

func (s *seat) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		s.c.Wake()
	}
}

func (s *seat) close(ctx context.Context) error {
	s.mu.Lock()
	c := s.c
	s.mu.Unlock()
	if c == nil {
		return nil
	}
	return c.Close(ctx)
}
