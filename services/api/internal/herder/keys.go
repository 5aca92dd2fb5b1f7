package herder

import (
	"context"

	"github.com/millrace/millrace/controlplane/cluster"
)

// CheckKey looks whether a request with a key was answered before; see cluster.Once.
func (h *Herder) CheckKey(ctx context.Context, o cluster.Once) error {
	return h.store.CheckKey(ctx, o)
}

// RecordAnswer keeps the answer to a request with a key that was not stored together with a change.
func (h *Herder) RecordAnswer(ctx context.Context, o cluster.Once, a cluster.Answer) error {
	return h.store.RecordAnswer(ctx, o, a)
}
