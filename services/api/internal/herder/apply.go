package herder

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/controlplane/cluster"
)

// applyWorkers bounds how many connectors of one request are checked and stored at a time, so that it leaves runners and the
// database to others, too.
const applyWorkers = 8

// Applied is what became of one of several connectors.
type Applied struct {
	Info      ConnectorInfo
	Created   bool
	Delivered bool
	Err       error
}

// Apply creates connectors or replaces their configurations, each as Put does it and whatever becomes of the others. With dry
// nothing is stored: it tells what would become of them now. A name counts the first time.
func (h *Herder) Apply(ctx context.Context, all []CreateRequest, dry bool) []Applied {
	out := make([]Applied, len(all))
	seen := map[string]bool{}
	var g errgroup.Group
	g.SetLimit(applyWorkers)
	for i, r := range all {
		switch {
		case r.Name == "":
			out[i].Err = cluster.Errorf(cluster.Invalid, "This item has no name: each needs the name of its connector")
			continue
		case seen[r.Name]:
			out[i].Err = cluster.Errorf(cluster.Invalid, "Connector %s is in an earlier item, too, and only that one counts: put each connector into one item", r.Name)
			continue
		}
		seen[r.Name] = true
		g.Go(func() error {
			out[i] = h.apply(ctx, r, dry)
			return nil
		})
	}
	_ = g.Wait() // each item has its own error
	return out
}

func (h *Herder) apply(ctx context.Context, r CreateRequest, dry bool) (a Applied) {
	defer func() { // it has a goroutine of its own, and must not take the process with it
		if p := recover(); p != nil {
			a.Err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	switch {
	case ctx.Err() != nil:
		a.Err = cluster.Wrapf(cluster.Timeout, ctx.Err(), "There was no time left for this connector: nothing was changed. Send it again, with fewer others")
	case dry:
		a.Info, a.Created, a.Err = h.dryPut(ctx, r)
		a.Delivered = true // there is nothing to deliver
	default:
		a.Info, a.Created, a.Delivered, a.Err = h.put(ctx, r)
	}
	if once := r.By.Once; a.Err != nil && once != nil {
		// What stands in its way may be its own earlier success: a condition that held then does not hold any more.
		if was, ok := errors.AsType[*cluster.Recorded](h.store.CheckKey(ctx, *once)); ok {
			a.Err = was
		}
	}
	return a
}

// dryPut tells what put would do now.
func (h *Herder) dryPut(ctx context.Context, r CreateRequest) (info ConnectorInfo, created bool, err error) {
	v, err := h.find(ctx, r.Name, r.By.If)
	if err != nil {
		return ConnectorInfo{}, false, err
	}
	n, err := h.accept(ctx, r.Name, r.Config, r.By)
	if err != nil {
		return ConnectorInfo{}, false, err
	}
	if created = v == nil; created {
		v = &cluster.ConnectorView{}
	}
	v.Name, v.Config, v.Type = n.Name, n.Config, n.Type
	return InfoOf(*v), created, nil
}
