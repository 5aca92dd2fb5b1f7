package herder

import (
	"context"

	"github.com/millrace/millrace/controlplane/cluster"
)

// SetTarget pauses, resumes or stops a connector. A stopped one has no tasks from the moment this returns.
func (h *Herder) SetTarget(ctx context.Context, name string, target cluster.TargetState, by cluster.Author) (delivered bool, err error) {
	out, err := h.store.SetTarget(ctx, name, target, by)
	if cluster.Is(err, cluster.NotFound) {
		return false, cluster.Errorf(cluster.NotFound, "Unknown connector %s", name)
	}
	if err != nil {
		return false, err
	}
	return h.deliver(out), nil
}

// Restart restarts the connector instance and waits until it has started again. One that started and then failed was restarted.
func (h *Herder) Restart(ctx context.Context, name string, by cluster.Author) (delivered bool, err error) {
	ticket, out, err := h.store.RequestRestart(ctx, cluster.RestartRequest{Name: name, By: by})
	if err != nil {
		return false, err
	}
	delivered = h.deliver(out)
	st, err := h.applied(ctx, name, ticket, cluster.InstanceJob(ticket.View.UID), ticket.View.Status)
	if err == nil && st != nil && st.State == cluster.StateFailed && st.Reason != cluster.ReasonTooManyTasks {
		err = cluster.Errorf(cluster.Failed, "Failed to start connector: %s", name)
	}
	return delivered, err
}

// RestartTask restarts one task and waits until it was stopped and its successor has begun.
func (h *Herder) RestartTask(ctx context.Context, name string, task int, by cluster.Author) (delivered bool, err error) {
	ticket, out, err := h.store.RequestRestart(ctx, cluster.RestartRequest{Name: name, Task: &task, By: by})
	if err != nil {
		return false, err
	}
	delivered = h.deliver(out)
	job := cluster.TaskJob(ticket.View.UID, task)
	_, err = h.applied(ctx, name, ticket, job, statusIn(ticket.View, job))
	return delivered, err
}

// RestartSome records a restart of what is selected and answers with the states as they will show.
func (h *Herder) RestartSome(ctx context.Context, r cluster.RestartRequest) (info StateInfo, delivered bool, err error) {
	ticket, out, err := h.store.RequestRestart(ctx, r)
	if err != nil {
		return StateInfo{}, false, err
	}
	delivered = h.deliver(out)
	info, err = RestartInfo(ticket)
	return info, delivered, err
}

// RestartInfo shows a connector as it is once the restart of what was selected has been asked for.
func RestartInfo(ticket cluster.RestartTicket) (StateInfo, error) {
	info, ok := statusOf(ticket.View)
	if !ok {
		return StateInfo{}, cluster.Errorf(cluster.NotFound, "Status for connector %s not found", ticket.View.Name)
	}
	if _, selected := ticket.Jobs[cluster.InstanceJob(ticket.View.UID)]; selected {
		info.Connector.State, info.Connector.Trace = cluster.StateRestarting, ticket.View.Status.Trace
	}
	for i := range info.Tasks {
		job := cluster.TaskJob(ticket.View.UID, info.Tasks[i].ID)
		if _, selected := ticket.Jobs[job]; selected {
			info.Tasks[i].State.State, info.Tasks[i].Trace = cluster.StateRestarting, statusIn(ticket.View, job).Trace
		}
	}
	return info, nil
}

func statusIn(v cluster.ConnectorView, job cluster.JobID) *cluster.Status {
	if job.IsInstance() {
		return v.Status
	}
	for i := range v.TaskStatuses {
		if v.TaskStatuses[i].Job == job {
			return &v.TaskStatuses[i]
		}
	}
	return nil
}

// applied waits until a job has been restarted, and returns its status then. A job that nobody runs restarts whenever
// somebody does: there is nothing to wait for.
func (h *Herder) applied(ctx context.Context, name string, ticket cluster.RestartTicket, job cluster.JobID, before *cluster.Status) (*cluster.Status, error) {
	if before == nil || before.State == cluster.StateUnassigned {
		return nil, nil
	}
	var st *cluster.Status
	err := h.until(ctx, func() (bool, error) {
		v, err := h.store.Connector(ctx, name)
		if cluster.Is(err, cluster.NotFound) || err == nil && v.UID != ticket.View.UID {
			return true, nil // it was deleted meanwhile
		}
		if err != nil {
			return false, err
		}
		st = statusIn(v, job)
		return st == nil || st.RestartSeq >= ticket.Jobs[job] && st.State != cluster.StateRestarting, nil
	})
	return st, err
}
