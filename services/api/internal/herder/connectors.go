package herder

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// CreateRequest is a connector as a client describes it.
type CreateRequest struct {
	Name   string
	Config cluster.Config
	Target cluster.TargetState // Started when the client named none
	By     cluster.Author
}

// Create stores a new connector. delivered is false when the schedulers will only find it by looking.
func (h *Herder) Create(ctx context.Context, r CreateRequest) (info ConnectorInfo, delivered bool, err error) {
	// Java's trim: everything up to the blank.
	name := strings.TrimFunc(r.Name, func(c rune) bool { return c <= ' ' })
	n, err := h.accept(ctx, name, r.Config, r.By)
	if err != nil {
		return ConnectorInfo{}, false, err
	}
	n.Target = r.Target
	c, out, err := h.store.CreateConnector(ctx, n)
	if err != nil {
		return ConnectorInfo{}, false, err
	}
	return InfoOf(cluster.ConnectorView{Connector: c}), h.deliver(out), nil
}

// Put creates a connector or replaces its configuration.
func (h *Herder) Put(ctx context.Context, name string, config cluster.Config, by cluster.Author) (info ConnectorInfo, created, delivered bool, err error) {
	return h.put(ctx, CreateRequest{Name: name, Config: config, By: by})
}

func (h *Herder) put(ctx context.Context, r CreateRequest) (info ConnectorInfo, created, delivered bool, err error) {
	if !r.By.If.IsZero() {
		if _, err := h.find(ctx, r.Name, r.By.If); err != nil {
			return ConnectorInfo{}, false, false, err
		}
	}
	n, err := h.accept(ctx, r.Name, r.Config, r.By)
	if err != nil {
		return ConnectorInfo{}, false, false, err
	}
	n.Target = r.Target
	return h.replace(ctx, n)
}

// find reads the connector that a configuration is for, nil when there is none, and looks whether the author's condition
// holds before the configuration is judged. The store looks again in the transaction of the change: only that counts.
func (h *Herder) find(ctx context.Context, name string, p cluster.Precondition) (*cluster.ConnectorView, error) {
	v, err := h.store.Connector(ctx, name)
	if cluster.Is(err, cluster.NotFound) {
		return nil, p.Check(name, nil)
	}
	if err != nil {
		return nil, err
	}
	return &v, p.Check(name, &v.Connector)
}

// Patch changes some keys of a configuration; null removes a key. As in Kafka Connect, the name in it is not compared with
// the connector's. What others change at the same time is kept: the keys are put into the version that is replaced.
func (h *Herder) Patch(ctx context.Context, name string, patch cluster.Config, by cluster.Author) (info ConnectorInfo, delivered bool, err error) {
	for {
		v, err := h.store.Connector(ctx, name)
		if err == nil {
			err = by.If.Check(name, &v.Connector)
		}
		if err != nil {
			return ConnectorInfo{}, false, err
		}
		config := v.Config.Clone()
		for k, value := range patch {
			if config[k] = value; value == nil {
				delete(config, k)
			}
		}
		n, err := h.checked(ctx, name, config, by)
		if err != nil {
			return ConnectorInfo{}, false, err
		}
		n.By.If = cluster.Precondition{Match: []cluster.ConfigRef{v.Ref()}}
		info, _, delivered, err = h.replace(ctx, n)
		if !cluster.Is(err, cluster.PreconditionFailed) {
			return info, delivered, err
		}
		if ctx.Err() != nil { // each time somebody else was faster
			return ConnectorInfo{}, false, cluster.Wrapf(cluster.Conflict, err, "the configuration kept changing")
		}
	}
}

// replace stores a configuration that was checked.
func (h *Herder) replace(ctx context.Context, n cluster.NewConnector) (info ConnectorInfo, created, delivered bool, err error) {
	c, created, out, err := h.store.PutConnector(ctx, n)
	if err != nil {
		return ConnectorInfo{}, false, false, err
	}
	v := cluster.ConnectorView{Connector: c}
	if !created {
		// The tasks are those from before: the new configuration decides about them later, once somebody hears of it. The write
		// is done; that they can't be read, or that the connector is gone by now, is no reason to say that it failed.
		if before, err := h.store.Connector(ctx, n.Name); err == nil && before.UID == c.UID {
			v = before
			v.Connector = c
		}
	}
	return InfoOf(v), created, h.deliver(out), nil
}

// accept checks a configuration that is to be stored under a name, in the order of Kafka Connect.
func (h *Herder) accept(ctx context.Context, name string, config cluster.Config, by cluster.Author) (cluster.NewConnector, error) {
	config = config.Clone()
	if given, ok := config.Get("name"); ok && given != name {
		return cluster.NewConnector{}, cluster.Errorf(cluster.Invalid, "Connector name configuration (%s) doesn't match connector name in the URL (%s)", given, name)
	}
	config["name"] = &name
	return h.checked(ctx, name, config, by)
}

// checked is a configuration to store, after validation.
func (h *Herder) checked(ctx context.Context, name string, config cluster.Config, by cluster.Author) (cluster.NewConnector, error) {
	infos, plug, err := h.check(ctx, wire.ValidateRequest{Config: config, OnlyErrors: true})
	if err != nil {
		return cluster.NewConnector{}, err
	}
	if text := infos.FirstErrors(); text != "" {
		return cluster.NewConnector{}, cluster.Errorf(cluster.Invalid, "%s", text)
	}
	return cluster.NewConnector{UID: cluster.UID(uuid.NewString()), Name: name, Config: config, Class: plug.Class, Type: cluster.ConnectorType(plug.Kind), By: by}, nil
}

// Delete removes a connector.
func (h *Herder) Delete(ctx context.Context, name string, by cluster.Author) (delivered bool, err error) {
	out, err := h.store.DeleteConnector(ctx, name, by)
	if err != nil {
		return false, err
	}
	return h.deliver(out), nil
}

// Info is one connector.
func (h *Herder) Info(ctx context.Context, name string) (ConnectorInfo, error) {
	v, err := h.store.Connector(ctx, name)
	return InfoOf(v), err
}

// Tasks lists a connector's tasks with their configurations.
func (h *Herder) Tasks(ctx context.Context, name string) ([]TaskInfo, error) {
	v, err := h.store.Connector(ctx, name)
	if err != nil {
		return nil, err
	}
	out := make([]TaskInfo, len(v.Tasks))
	for i, t := range v.Tasks {
		out[i] = TaskInfo{ID: TaskID{Connector: name, Task: t.Task}, Config: t.Config}
	}
	return out, nil
}

// Status is a connector's state as JSON, also while a deleted one is on its way out.
func (h *Herder) Status(ctx context.Context, name string) (json.RawMessage, error) {
	v, err := h.store.LastConnector(ctx, name)
	if err == nil && v.Status != nil {
		return appendStatus(make([]byte, 0, 512), v), nil
	}
	if err == nil || cluster.Is(err, cluster.NotFound) {
		err = cluster.Errorf(cluster.NotFound, "No status found for connector %s", name)
	}
	return nil, err
}

// TaskStatus is a task's state.
func (h *Herder) TaskStatus(ctx context.Context, name string, task int) (TaskState, error) {
	v, err := h.store.LastConnector(ctx, name)
	if err != nil && !cluster.Is(err, cluster.NotFound) {
		return TaskState{}, err
	}
	for _, s := range v.TaskStatuses {
		if s.Task == task {
			return TaskState{ID: task, State: stateOf(s)}, nil
		}
	}
	return TaskState{}, cluster.Errorf(cluster.NotFound, "No status found for task %s-%d", name, task)
}
