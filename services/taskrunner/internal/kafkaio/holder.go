package kafkaio

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

// mayPoll tells whether the library may be polled. After a gap of max.poll.interval.ms librdkafka forgets its member id and
// joins anew with the next poll; a static member that was frozen, or stuck in a plugin, for that long would so throw out
// the successor that had taken its place, and the fence would work backwards (Invariant 4). So after half of that time a
// static member first looks whether its place in the group is its own still. While Kafka does not answer, it does not
// poll.
func (c *Consumer) mayPoll(ctx context.Context, atMost time.Duration) bool {
	if c.failed != nil || c.instance == "" || c.memberID == "" || Elapsed(c.lastPoll, time.Now()) < c.maxPoll/2 {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, max(time.Second, min(atMost, 5*time.Second)))
	defer cancel()
	mine, err := c.holdsPlace(ctx)
	switch {
	case err != nil:
		c.setTrouble(err)
		c.log.Warn("the consumer has not polled for long and can't find out whether it was replaced", "group", c.group, "error", err)
		<-ctx.Done() // an answer that comes at once is asked for again a little later
		return false
	case !mine:
		c.failed = fmt.Errorf("consuming as a member of group %s: another member is in the place of %s: %w", c.group, c.instance, job.ErrFenced)
		return false
	}
	return true
}

// holdsPlace tells whether nobody else is in the group under this consumer's instance id.
func (c *Consumer) holdsPlace(ctx context.Context) (bool, error) {
	a, err := NewAdmin(c.config, c.log)
	if err != nil {
		return false, err
	}
	members, err := a.Members(ctx, c.group)
	if cerr := a.Close(ctx); err == nil {
		err = cerr
	}
	if err != nil {
		return false, err
	}
	for _, m := range members {
		if m.InstanceID == c.instance && m.ID != c.memberID {
			return false, nil
		}
	}
	return true, nil
}
