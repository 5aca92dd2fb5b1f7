package kafkaio

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// EvictMembers makes static members of a group leave whose holders are gone for good: their partitions would otherwise stay
// with nobody until the session timeout. Kafka lets a static member be ended only by one with its instance id, so this
// joins in its place, which fences a holder that lives after all, and leaves. stale chooses by instance id; it returns
// the ids that have left. topics and regex are the group's subscription.
func EvictMembers(ctx context.Context, cfg Config, group string, topics []string, regex string,
	stale func(instanceID string) bool, log *slog.Logger) ([]string, error) {
	a, err := NewAdmin(cfg, log)
	if err != nil {
		return nil, err
	}
	asking, done := context.WithTimeout(ctx, membersTime)
	members, err := a.Members(asking, group)
	done()
	if cerr := a.Close(ctx); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	var gone []string
	var mu sync.Mutex
	// At once: a rebalance that one of them causes waits for all the others to join again.
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(evictAtOnce)
	for _, m := range members {
		if m.InstanceID == "" || !stale(m.InstanceID) {
			continue
		}
		g.Go(func() error {
			if err := evict(gctx, cfg, group, m.InstanceID, topics, regex, log); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, m.InstanceID)
			return nil
		})
	}
	err = g.Wait()
	slices.Sort(gone)
	return gone, err
}

// membersTime is how long Kafka may take to list a group's members: the library may lose the question, and waits as long as it may.
const membersTime = 30 * time.Second

// evictAtOnce bounds the clients that this takes. With more members it takes until the session timeout of those that wait.
const evictAtOnce = 32

// Vacate makes one static member leave its group, as EvictMembers does. A group does not look at its topics anew when a static
// member is replaced; it does when one has left.
func Vacate(ctx context.Context, cfg Config, group, instance string, topics []string, regex string, log *slog.Logger) error {
	return evict(ctx, cfg, group, instance, topics, regex, log)
}

func evict(ctx context.Context, cfg Config, group, instance string, topics []string, regex string, log *slog.Logger) error {
	own := maps.Clone(cfg)
	delete(own, "client.id") // it is the living task's
	joined := &arrival{}
	c, err := NewConsumer(ctx, ConsumerConfig{Client: own, Group: group, InstanceID: instance, Rebalance: joined, Logger: log})
	if err != nil {
		return err
	}
	joined.c = c
	err = c.Subscribe(topics, regex)
	for err == nil && !joined.yes {
		_, err = c.Poll(ctx, time.Second, nil)
	}
	if lerr := c.Leave(ctx); err == nil {
		err = lerr
	}
	return err
}

// arrival notes that its consumer is in the group, and keeps it from reading anything.
type arrival struct {
	c   *Consumer
	yes bool
}

func (a *arrival) Assigned(parts []TopicPartition) error {
	a.yes = true
	return a.c.Pause(parts)
}
func (a *arrival) Revoked([]TopicPartition) error { return nil }
func (a *arrival) Lost([]TopicPartition) error    { return nil }
