package herder

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// Offsets reads a connector's committed offsets. They are in Kafka, which the api does not speak: a runner that has the
// plugin is asked.
func (h *Herder) Offsets(ctx context.Context, name string) (OffsetsInfo, error) {
	info := OffsetsInfo{Offsets: []OffsetInfo{}}
	v, err := h.store.Connector(ctx, name)
	if err != nil {
		return info, err
	}
	q := offsetsRequest(v, wire.ListOffsets)
	for {
		reply, err := h.askOffsets(ctx, v.Class, q)
		if err != nil {
			return info, err
		}
		for _, e := range reply.Offsets {
			info.Offsets = append(info.Offsets, OffsetInfo{Partition: e.Partition, Offset: e.Offset})
		}
		if reply.Next == "" {
			return info, nil
		}
		q.After = reply.Next
	}
}

// AlterOffsets sets and removes offsets of a stopped connector. They are committed when it returns.
func (h *Herder) AlterOffsets(ctx context.Context, name string, changes []wire.OffsetEntry, by cluster.Author) (Message, error) {
	if len(changes) == 0 {
		return Message{}, cluster.Errorf(cluster.Invalid, "Partitions / offsets need to be provided for an alter offsets request")
	}
	v, err := h.stopped(ctx, name)
	if err != nil {
		return Message{}, err
	}
	if v.Type == cluster.TypeSink {
		if changes, err = sinkChanges(changes); err != nil {
			return Message{}, err
		}
	}
	q := offsetsRequest(v, wire.AlterOffsets)
	q.Changes = changes
	return h.changeOffsets(ctx, v, q, "altered", by)
}

// ResetOffsets removes all offsets of a stopped connector.
func (h *Herder) ResetOffsets(ctx context.Context, name string, by cluster.Author) (Message, error) {
	v, err := h.stopped(ctx, name)
	if err != nil {
		return Message{}, err
	}
	return h.changeOffsets(ctx, v, offsetsRequest(v, wire.ResetOffsets), "reset", by)
}

// stopped reads a connector whose offsets may be changed: it is stopped and has no tasks. Tasks that are just ending are
// waited for, so that what they still commit does not undo the change; one that does not end is fenced by the change.
func (h *Herder) stopped(ctx context.Context, name string) (cluster.ConnectorView, error) {
	check := func() (cluster.ConnectorView, error) {
		v, err := h.store.Connector(ctx, name)
		if err == nil && (v.Target != cluster.Stopped || len(v.Tasks) > 0) {
			err = cluster.Errorf(cluster.Invalid, "Connectors must be in the STOPPED state before their offsets can be modified. "+
				"This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint", name)
		}
		return v, err
	}
	v, err := check()
	if err != nil || len(v.TaskStatuses) == 0 {
		return v, err
	}
	waiting, cancel := context.WithTimeout(ctx, h.leave)
	defer cancel()
	err = h.until(waiting, func() (bool, error) {
		v, err = check()
		return err == nil && len(v.TaskStatuses) == 0, err
	})
	if cluster.Is(err, cluster.Timeout) && ctx.Err() == nil && v.UID != "" {
		err = nil // Kafka refuses what must not be
	}
	return v, err
}

func offsetsRequest(v cluster.ConnectorView, action wire.OffsetsAction) wire.OffsetsRequest {
	return wire.OffsetsRequest{Action: action, Connector: v.Name, UID: v.UID, Type: v.Type, Config: v.Config}
}

// changeOffsets has a change made and words the answer.
func (h *Herder) changeOffsets(ctx context.Context, v cluster.ConnectorView, q wire.OffsetsRequest, done string, by cluster.Author) (Message, error) {
	// Recorded before it is made: a change whose answer is lost may have been made as well.
	detail := ""
	if n := len(q.Changes); n > 0 {
		detail = fmt.Sprintf("%d entries", n)
	}
	if err := h.store.RecordAction(ctx, v.Name, string(q.Action)+" offsets", detail, by); err != nil {
		return Message{}, err
	}
	if v.Type == cluster.TypeSource {
		var err error
		if q.FormerTasks, err = h.store.FormerTasks(ctx, v.Name); err != nil {
			return Message{}, err
		}
	}
	reply, err := h.askOffsets(ctx, v.Class, q)
	if err != nil {
		return Message{}, err
	}
	if err := h.stillStopped(ctx, v); err != nil {
		return Message{}, err
	}
	if reply.Handled {
		return Message{"The offsets for this connector have been " + done + " successfully"}, nil
	}
	return Message{"The Connect framework-managed offsets for this connector have been " + done + " successfully. However, if this connector manages offsets " +
		"externally, they will need to be manually " + done + " in the system that the connector uses."}, nil
}

// stillStopped looks once more after a source's offsets were changed. Kafka keeps a sink's group as it is once a member has
// joined; but of a source, tasks that were started meanwhile may have begun where the old offsets said.
func (h *Herder) stillStopped(ctx context.Context, was cluster.ConnectorView) error {
	if was.Type != cluster.TypeSource {
		return nil
	}
	v, err := h.store.Connector(ctx, was.Name)
	switch {
	case cluster.Is(err, cluster.NotFound):
		return nil // deleted: its offsets stay, and are the new ones
	case err != nil:
		return err
	case v.UID != was.UID || v.Target != cluster.Stopped:
		return cluster.Errorf(cluster.Failed, "Failed to modify offsets for source connector %s: the offsets were written, but the connector was resumed meanwhile, and its tasks "+
			"may have begun at the old ones. Stop it and repeat the request", was.Name)
	}
	return nil
}

// askOffsets asks a runner that has the plugin.
func (h *Herder) askOffsets(ctx context.Context, class string, q wire.OffsetsRequest) (reply wire.OffsetsReply, err error) {
	msg, err := wire.Encode(wire.KindOffsets, uuid.NewString(), q)
	if err != nil {
		return reply, err
	}
	if len(msg) > maxConfig {
		return reply, cluster.Errorf(cluster.Invalid, "The offsets and the connector's configuration have %d bytes, and workers can't be sent more than %d at once. "+
			"Send the offsets in several requests", len(msg), maxConfig)
	}
	asking, cancel := context.WithTimeout(ctx, h.offsets)
	defer cancel()
	b, err := h.bus.Request(asking, wire.Offsets(class), msg)
	switch {
	case err == nil:
	case errors.Is(err, wire.ErrNobody):
		return reply, h.nobody(ctx, q)
	case q.Action != wire.ListOffsets && q.Type == cluster.TypeSource && cluster.Is(err, cluster.Timeout):
		return reply, cluster.Wrapf(cluster.Failed, err, "Timed out while attempting to modify offsets for source connector %s", q.Connector)
	case cluster.Is(err, cluster.Timeout):
		return reply, cluster.Wrapf(cluster.Failed, err, "%s: no task runner answered in time; the request can be repeated", q.Failed())
	case cluster.Is(err, cluster.Unavailable):
		return reply, cluster.Wrapf(cluster.Failed, err, "%s: the message bus is away, so that no task runner can be asked; repeat the request once it is back", q.Failed())
	default:
		return reply, err
	}
	e, err := wire.Open(b)
	if err != nil {
		return reply, err
	}
	return wire.Decode[wire.OffsetsReply](e, wire.KindOffsets)
}

// nobody says why no runner can be asked: the plugin is gone from the cluster, or no runner that has it lives.
func (h *Herder) nobody(ctx context.Context, q wire.OffsetsRequest) error {
	c, err := h.catalog(ctx)
	if err != nil {
		return err
	}
	class, _ := q.Config.Get("connector.class")
	if _, err := c.index.Connector(class); err != nil {
		return cluster.Errorf(cluster.Failed, "%s", err.Error())
	}
	return cluster.Errorf(cluster.Failed, "%s: no task runner with the plugin %s is running; start one and repeat the request", q.Failed(), class)
}
