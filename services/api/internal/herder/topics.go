package herder

import (
	"context"

	"github.com/millrace/millrace/controlplane/cluster"
)

// ActiveTopics are the topics that a connector's tasks have used. An unknown connector has used none.
func (h *Herder) ActiveTopics(ctx context.Context, name string) (map[string]TopicsInfo, error) {
	if err := h.tracked(); err != nil {
		return nil, err
	}
	topics, err := h.store.ActiveTopics(ctx, name)
	if err != nil {
		return nil, err
	}
	if topics == nil {
		topics = []string{}
	}
	return map[string]TopicsInfo{name: {Topics: topics}}, nil
}

// ResetTopics clears a connector's list of used topics; those that are still used come back.
func (h *Herder) ResetTopics(ctx context.Context, name string, by cluster.Author) (delivered bool, err error) {
	if err := h.tracked(); err != nil {
		return false, err
	}
	if h.noTopicReset {
		return false, cluster.Errorf(cluster.Forbidden, "Topic tracking reset is disabled.")
	}
	out, err := h.store.ResetTopics(ctx, name, by)
	if err != nil {
		return false, err
	}
	return h.deliver(out), nil
}

func (h *Herder) tracked() error {
	if h.noTopics {
		return cluster.Errorf(cluster.Forbidden, "Topic tracking is disabled.")
	}
	return nil
}
