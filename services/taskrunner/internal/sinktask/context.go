package sinktask

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
)

// pluginContext is the task as the plugin's sink.Context.
type pluginContext task

var _ sink.Fencing = (*pluginContext)(nil)

func (c *pluginContext) Config() map[string]string { return c.config }

func (c *pluginContext) Logger() *slog.Logger { return c.plugLog }

func (c *pluginContext) Assignment() []record.TopicPartition { return c.pos.assigned() }

// Rewind collects; the loop seeks before it polls again.
func (c *pluginContext) Rewind(to sink.Offsets) {
	if c.rewinds == nil {
		c.rewinds = sink.Offsets{}
	}
	for tp, o := range to {
		c.rewinds[tp] = o
	}
}

func (c *pluginContext) Timeout(d time.Duration) { c.timeout = max(0, d) }

func (c *pluginContext) Pause(parts ...record.TopicPartition) error {
	for _, tp := range parts {
		if c.pos.parts[tp] == nil {
			return connecterr.New(connecterr.IllegalState, "SinkTasks may not pause partitions that are not currently assigned to them.")
		}
	}
	for _, tp := range parts {
		c.pluginPaused[tp] = true
	}
	return (*task)(c).applyHolds()
}

func (c *pluginContext) Resume(parts ...record.TopicPartition) error {
	for _, tp := range parts {
		if c.pos.parts[tp] == nil {
			return connecterr.New(connecterr.IllegalState, "SinkTasks may not resume partitions that are not currently assigned to them.")
		}
	}
	for _, tp := range parts {
		delete(c.pluginPaused, tp)
	}
	return (*task)(c).applyHolds()
}

func (c *pluginContext) RequestCommit() { c.requested = true }

// ErrantRecords is nil when the pipeline sets nothing aside.
func (c *pluginContext) ErrantRecords() sink.ErrantRecordReporter {
	if c.errant == nil {
		return nil
	}
	return c.errant.ErrantRecords()
}

// Term implements sink.Fencing.
func (c *pluginContext) Term() (task string, epoch int64) {
	return fmt.Sprintf("%s/%d", c.spec.Job.UID, c.spec.Job.Task), int64(c.spec.Epoch)
}

// TopicID implements sink.Fencing.
func (c *pluginContext) TopicID(ctx context.Context, topic string) (string, error) {
	if c.consumer == nil { // no partition is the task's now
		return "", connecterr.New(connecterr.IllegalState, "SinkTasks may not ask for a topic's identity while no partitions are assigned to them.")
	}
	ctx, cancel := context.WithTimeout(ctx, c.FlushTimeout)
	defer cancel()
	return c.consumer.TopicID(ctx, topic)
}
