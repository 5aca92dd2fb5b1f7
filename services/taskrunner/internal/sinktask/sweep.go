package sinktask

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

// evictFunc is kafkaio.EvictMembers without its logger.
type evictFunc func(ctx context.Context, cfg kafkaio.Config, group string, topics []string, regex string,
	stale func(instanceID string) bool) (gone []string, err error)

// stale tells which static members of the group belong to nobody any more. A stopped task keeps its place, so that its
// successor disturbs nobody; when no successor comes, because the connector has fewer tasks now or was deleted and
// created anew under its name, its partitions would lie idle until the session timeout (45 s).
//
// own tells that the group belongs to this connector's name alone. In a group that was chosen with
// consumer.override.group.id other connectors may be at home.
func stale(group string, id cluster.JobID, tasks int, own bool) func(instanceID string) bool {
	return func(instanceID string) bool {
		uid, n, ours := parseInstanceID(group, instanceID)
		switch {
		case !ours:
			return false
		case uid != id.UID:
			return own
		}
		return tasks > 0 && n >= tasks
	}
}

// parseInstanceID reads InstanceID; false for members that are none of ours.
func parseInstanceID(group, instanceID string) (uid cluster.UID, task int, ours bool) {
	rest, ours := strings.CutPrefix(instanceID, group+"-")
	cut := strings.LastIndexByte(rest, '-')
	if !ours || cut < 0 {
		return "", 0, false
	}
	n, err := strconv.Atoi(rest[cut+1:])
	return cluster.UID(rest[:cut]), n, err == nil && n >= 0
}

// LeftBehind tells which static members of the group belong to tasks of a connector that has none any more, or, in a group
// of the connector's own, to those of an earlier life of its name.
func LeftBehind(connector string, uid cluster.UID, group string) (stale func(instanceID string) bool) {
	own := group == ownGroup(connector)
	return func(instanceID string) bool {
		of, _, ours := parseInstanceID(group, instanceID)
		return ours && (own || of == uid)
	}
}

func ownGroup(connector string) string { return "connect-" + connector }

// Group is the consumer group of a connector's tasks, by the configuration of its consumers.
func Group(connector string, consumer kafkaio.Config) string {
	if id := consumer["group.id"]; id != "" {
		return id
	}
	return ownGroup(connector)
}

// sweeps is how often it is tried, where Kafka does not answer.
const sweeps = 3

// sweep is done by the first task of a connector, a while after it started, beside its work. It returns how to end it.
func (t *task) sweep(cfg kafkaio.Config, group string) (stop func()) {
	if t.spec.Job.Task != 0 || t.Evict == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(t.do)
	done := make(chan struct{})
	topics, regex := Subscription(t.config)
	own := group == ownGroup(t.spec.Name)
	go func() {
		defer close(done)
		timer := time.NewTimer(t.SweepAfter)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		var gone []string
		var err error
		for range sweeps {
			gone, err = t.Evict(ctx, cfg, group, topics, regex, stale(group, t.spec.Job, t.spec.TaskCount, own))
			if !connecterr.IsRetriable(err) || ctx.Err() != nil {
				break
			}
		}
		switch {
		case len(gone) > 0:
			t.log.Info("members without a task were made to leave the group", "group", group, "members", gone)
		case err != nil && !errors.Is(err, context.Canceled):
			t.log.Warn("looking for members without a task failed; Kafka drops them when their session times out",
				"group", group, "error", err)
		}
	}()
	return func() { cancel(); <-done }
}
