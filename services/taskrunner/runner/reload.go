package runner

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/obs"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/services/taskrunner/internal/jobs"
)

// reloader starts jobs anew when what the references in their configurations stand for has changed, unless their connector says
// config.action.reload=none. It compares digests of the values: as long as they are the same nothing is restarted.
type reloader struct {
	refs *secrets.Resolver
	log  *slog.Logger

	mu   sync.Mutex
	jobs map[cluster.JobID]reloadable
}

// reloadable is a job with what its references stood for before it was started.
type reloadable struct {
	spec   cluster.JobSpec
	digest string
}

func newReloader(refs *secrets.Resolver, log *slog.Logger) *reloader {
	return &reloader{refs: refs, log: log, jobs: map[cluster.JobID]reloadable{}}
}

func (r *reloader) digest(spec cluster.JobSpec) (string, error) {
	return r.refs.Digest(spec.Config, spec.TaskConfig)
}

// starting notes a job before anything of it is resolved: should a value change in between, the job starts once too often, never
// once too seldom.
func (r *reloader) starting(spec cluster.JobSpec) {
	digest, err := r.digest(spec)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil && digest == "" {
		delete(r.jobs, spec.Job)
		return
	}
	r.jobs[spec.Job] = reloadable{spec, digest} // with none that can't be looked up: it differs once it can
}

// held is what the supervisor holds, and how it starts a job anew.
type held interface {
	Holding() jobs.Holding
	Renew(id cluster.JobID, epoch cluster.Epoch)
}

// look compares once.
func (r *reloader) look(ctx context.Context, sup held) {
	epochs := map[cluster.JobID]cluster.Epoch{}
	for _, h := range sup.Holding().Held {
		epochs[h.Job] = h.Epoch
	}
	for id, j := range r.known() {
		epoch, ours := epochs[id]
		if !ours {
			r.forget(id, j)
		}
		if epoch != j.spec.Epoch {
			continue // it is going to start anew anyway
		}
		log := r.log.With(slog.String(obs.KeyConnector, j.spec.Name), slog.Int(obs.KeyTask, j.spec.Job.Task))
		digest, err := r.digest(j.spec)
		switch {
		case err != nil:
			log.WarnContext(ctx, "what the configuration refers to can't be looked up any more; the job goes on with what it was", slog.Any(obs.KeyErr, err))
		case digest != j.digest && r.wanted(j.spec):
			log.InfoContext(ctx, "what the configuration refers to has changed: starting anew, as config.action.reload wants")
			sup.Renew(id, epoch)
		}
	}
}

func (r *reloader) known() map[cluster.JobID]reloadable {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[cluster.JobID]reloadable, len(r.jobs))
	for id, j := range r.jobs {
		out[id] = j
	}
	return out
}

// forget drops a job unless it has been started again meanwhile.
func (r *reloader) forget(id cluster.JobID, j reloadable) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now, there := r.jobs[id]; there && now.spec.Epoch == j.spec.Epoch {
		delete(r.jobs, id)
	}
}

// wanted tells whether a connector wants to be started anew; it does unless it says otherwise.
func (r *reloader) wanted(spec cluster.JobSpec) bool {
	config, err := r.refs.Resolve(spec.Config)
	return err == nil && !strings.EqualFold(config.Plain()["config.action.reload"], "none")
}

// run looks every so often, until ctx ends.
func (r *reloader) run(ctx context.Context, every time.Duration, sup held) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.look(ctx, sup)
		}
	}
}
