// Package inbox takes what runners say, on every replica: registrations, plugin definitions, heartbeats, questions for
// specs, statuses, task configs and used topics. Each goes to the store, which refuses what comes from an old session or epoch
// (Invariant 3); the refusals are counted here.
//
// Start reading at Answer (requests) and Store (reports); both are plain functions that the bus, the HTTP door (http.go)
// and the tests call.
package inbox

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
)

// Store is what the inbox needs of the store.
type Store interface {
	Register(ctx context.Context, r cluster.Registration) (missing []cluster.PluginRef, out []cluster.OutboxMessage, err error)
	DefinePlugins(ctx context.Context, plugins []cluster.PluginRecord) error
	Heartbeat(ctx context.Context, hb cluster.Heartbeat) (cluster.HeartbeatReply, []cluster.OutboxMessage, error)
	Specs(ctx context.Context, session cluster.SessionID, jobs []cluster.JobID) ([]cluster.JobSpec, error)
	StoreStatuses(ctx context.Context, statuses []cluster.Status) (accepted []bool, changed []cluster.UID, out []cluster.OutboxMessage, err error)
	StoreTaskConfigs(ctx context.Context, r cluster.TaskConfigReport) (changed bool, out []cluster.OutboxMessage, err error)
	StoreTopics(ctx context.Context, reports []cluster.TopicReport) (accepted []bool, err error)
}

// Bus is what the inbox needs of the bus.
type Bus interface {
	Broadcast(topic wire.Address, msg []byte) error
	Forget(ctx context.Context, a wire.Address) error
}

// Deliverer sends committed messages, best effort.
type Deliverer interface {
	Deliver(ctx context.Context, msgs []cluster.OutboxMessage)
}

// Config is what an Inbox is made of; everything but Metrics is required.
type Config struct {
	Store   Store
	Bus     Bus
	Deliver Deliverer
	Wake    func() // tells the leader to look
	Logger  *slog.Logger
	Metrics *Metrics // nil = none
	// Inline stores reports in the caller's goroutine, one by one, without Run. For simulations.
	Inline bool
}

// Inbox is safe for concurrent use.
type Inbox struct {
	cfg     Config
	reports chan *waiting
}

// New makes an inbox.
func New(cfg Config) *Inbox {
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics(nil)
	}
	return &Inbox{cfg: cfg, reports: make(chan *waiting)}
}

// Answer answers a request to wire.Scheduler. Its errors are those of the sender (Invalid) or of the store; the caller
// sends them back as wire.EncodeError.
func (b *Inbox) Answer(ctx context.Context, msg []byte) ([]byte, error) {
	e, err := wire.Open(msg)
	if err != nil {
		return nil, invalid(err)
	}
	switch e.Kind {
	case wire.KindBeat:
		return answer(ctx, e, wire.KindBeat, b.beat)
	case wire.KindSpecs:
		return answer(ctx, e, wire.KindSpecs, b.specs)
	case wire.KindRegister:
		return answer(ctx, e, wire.KindRegister, b.register)
	case wire.KindDefine:
		return answer(ctx, e, wire.KindAck, func(ctx context.Context, d wire.Define) (wire.Ack, error) {
			return wire.Ack{}, b.cfg.Store.DefinePlugins(ctx, d.Plugins)
		})
	case wire.KindReport: // for a runner that wants to know that it was stored
		if err := b.HandleReport(ctx, msg); err != nil {
			if _, poison := errors.AsType[*wire.PoisonError](err); poison {
				return nil, invalid(err)
			}
			return nil, err
		}
		return wire.Encode(wire.KindAck, e.ID, wire.Ack{})
	case wire.KindPing:
		return wire.Encode(wire.KindAck, e.ID, wire.Ack{})
	default:
		return nil, cluster.Errorf(cluster.Invalid, "a scheduler does not answer messages of kind %q", e.Kind)
	}
}

func answer[Q, A any](ctx context.Context, e wire.Envelope, kind wire.Kind, h func(context.Context, Q) (A, error)) ([]byte, error) {
	q, err := wire.Decode[Q](e, e.Kind)
	if err != nil {
		return nil, invalid(err)
	}
	a, err := h(ctx, q)
	if err != nil {
		return nil, err
	}
	return wire.Encode(kind, e.ID, a)
}

func invalid(err error) error {
	return cluster.Wrapf(cluster.Invalid, err, "message can't be read")
}

func (b *Inbox) register(ctx context.Context, r cluster.Registration) (wire.RegisterReply, error) {
	if r.Runner == "" || r.Session == "" {
		return wire.RegisterReply{}, cluster.Errorf(cluster.Invalid, "a registration needs a runner and a session")
	}
	missing, out, err := b.cfg.Store.Register(ctx, r)
	if err != nil {
		return wire.RegisterReply{}, err
	}
	b.cfg.Logger.Info("runner registered", slog.String(obs.KeyRunner, string(r.Runner)),
		slog.String(obs.KeySession, string(r.Session)), slog.String("pool", r.Pool), slog.Int("plugins", len(r.Plugins)))
	b.cfg.Wake()
	b.cfg.Deliver.Deliver(ctx, out)
	return wire.RegisterReply{Missing: missing}, nil
}

func (b *Inbox) beat(ctx context.Context, hb cluster.Heartbeat) (cluster.HeartbeatReply, error) {
	reply, out, err := b.cfg.Store.Heartbeat(ctx, hb)
	if err != nil {
		return reply, err
	}
	b.cfg.Metrics.beat(reply)
	if hb.State != cluster.SessionActive || len(out) > 0 {
		b.cfg.Wake()
	}
	b.cfg.Deliver.Deliver(ctx, out)
	if hb.State == cluster.SessionClosed {
		b.cfg.Logger.Info("runner said goodbye", slog.String(obs.KeyRunner, string(hb.Runner)), slog.String(obs.KeySession, string(hb.Session)))
		if err := b.cfg.Bus.Forget(ctx, wire.Runner(hb.Session)); err != nil {
			b.cfg.Logger.Debug("queue of a closed session stays", slog.String(obs.KeySession, string(hb.Session)), slog.Any(obs.KeyErr, err))
		}
	}
	return reply, nil
}

func (b *Inbox) specs(ctx context.Context, q wire.SpecsRequest) (wire.SpecsReply, error) {
	if len(q.Jobs) > wire.MaxSpecs {
		return wire.SpecsReply{}, cluster.Errorf(cluster.Invalid, "asked for %d specs, at most %d at a time", len(q.Jobs), wire.MaxSpecs)
	}
	specs, err := b.cfg.Store.Specs(ctx, q.Session, q.Jobs)
	return wire.SpecsReply{Specs: specs}, err
}

// OpenReport reads a report. Its errors are *wire.PoisonError (Invariant 10).
func OpenReport(msg []byte) (wire.Report, error) {
	e, err := wire.Open(msg)
	if err != nil {
		return wire.Report{}, err
	}
	r, err := wire.Decode[wire.Report](e, wire.KindReport)
	if err == nil {
		return r, nil
	}
	if poison, ok := errors.AsType[*wire.PoisonError](err); ok {
		return r, poison
	}
	return r, &wire.PoisonError{Reason: err.Error()}
}

// Store keeps what the reports say, in their order. It returns an error per report: nil means done, also where the store
// refused what is out of date; *wire.PoisonError that it can never be stored; anything else that it may work later.
func (b *Inbox) Store(ctx context.Context, reports []wire.Report) []error {
	errs := make([]error, len(reports))
	b.storeTopics(ctx, reports, errs) // first: a status may release the job that they are about
	b.storeStatuses(ctx, reports, errs)
	b.storeAllTaskConfigs(ctx, reports, errs)
	return errs
}

// taskWriters is how many transactions with task configs run at the same time: those that commit together share a sync of
// the disk. Some connections are left to the leader and to heartbeats.
const taskWriters = 4

// storeAllTaskConfigs stores the task configs of all reports, those of one connector in their order. Of a report with several
// errors one counts that may pass: what can never be stored shows when the report comes again.
func (b *Inbox) storeAllTaskConfigs(ctx context.Context, reports []wire.Report, errs []error) {
	type waiting struct {
		report int
		tasks  cluster.TaskConfigReport
	}
	var order []cluster.JobID
	byJob := map[cluster.JobID][]waiting{}
	for i, r := range reports {
		if errs[i] != nil {
			continue
		}
		for _, tc := range r.TaskConfigs {
			if byJob[tc.Job] == nil {
				order = append(order, tc.Job)
			}
			byJob[tc.Job] = append(byJob[tc.Job], waiting{i, tc})
		}
	}
	var mu sync.Mutex // of errs
	note := func(report int, err error) {
		mu.Lock()
		defer mu.Unlock()
		if _, poison := errors.AsType[*wire.PoisonError](err); errs[report] == nil || !poison {
			errs[report] = err
		}
	}
	store := func(all []waiting) {
		var before error // what keeps newer ones waiting, since this one comes again
		for _, w := range all {
			err := before
			if err == nil {
				err = b.storeTaskConfigs(ctx, w.tasks)
			}
			if err == nil {
				continue
			}
			note(w.report, err)
			if _, poison := errors.AsType[*wire.PoisonError](err); !poison {
				before = err
			}
		}
	}
	if b.cfg.Inline || len(order) == 1 {
		for _, id := range order {
			store(byJob[id])
		}
		return
	}
	var next atomic.Int64
	var writers sync.WaitGroup
	for range min(taskWriters, len(order)) {
		writers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(order) {
					return
				}
				store(byJob[order[i]])
			}
		})
	}
	writers.Wait()
}

// storeTopics stores the used topics of all reports in one transaction. Reports without any, which are nearly all, cost
// nothing.
func (b *Inbox) storeTopics(ctx context.Context, reports []wire.Report, errs []error) {
	var all []cluster.TopicReport
	for _, r := range reports {
		all = append(all, r.Topics...)
	}
	if len(all) == 0 {
		return
	}
	accepted, err := b.cfg.Store.StoreTopics(ctx, all)
	if err != nil {
		if !passing(err) {
			err = &wire.PoisonError{Reason: err.Error()}
		}
		for i, r := range reports {
			if len(r.Topics) > 0 {
				errs[i] = err
			}
		}
		return
	}
	for i, ok := range accepted {
		if ok {
			b.cfg.Metrics.accepted("topics")
			continue
		}
		b.cfg.Metrics.refuse("topics", cluster.StaleEpoch)
		b.cfg.Logger.Debug("used topics refused: not from the current holder, or cleared since", slog.String(obs.KeyJob, all[i].Job.String()),
			slog.String(obs.KeySession, string(all[i].Session)), slog.Int64(obs.KeyEpoch, int64(all[i].Epoch)))
	}
}

// storeStatuses stores the statuses of all reports in one transaction; if that fails for a reason of one of them, each by
// itself, so that a poison report does not take the others with it.
func (b *Inbox) storeStatuses(ctx context.Context, reports []wire.Report, errs []error) {
	var all []cluster.Status
	for i, r := range reports {
		if errs[i] == nil {
			all = append(all, r.Statuses...)
		}
	}
	if len(all) == 0 {
		return
	}
	err := b.storeBatch(ctx, all)
	if err == nil {
		return
	}
	for i, r := range reports {
		if len(r.Statuses) == 0 || errs[i] != nil {
			continue
		}
		if errs[i] = err; !passing(err) {
			if len(reports) > 1 {
				err := b.storeBatch(ctx, r.Statuses)
				errs[i] = err
				if err == nil || passing(err) {
					continue
				}
			}
			errs[i] = &wire.PoisonError{Reason: errs[i].Error()}
		}
	}
}

// passing tells whether the same call may succeed later.
func passing(err error) bool {
	switch cluster.CodeOf(err) {
	case cluster.Unavailable, cluster.Timeout, cluster.Conflict, cluster.Internal:
		return true
	default:
		return false
	}
}

func (b *Inbox) storeBatch(ctx context.Context, statuses []cluster.Status) error {
	accepted, changed, out, err := b.cfg.Store.StoreStatuses(ctx, statuses)
	if err != nil {
		return err
	}
	released := false
	for i, s := range statuses {
		if accepted[i] {
			b.cfg.Metrics.accepted("status")
			released = released || s.Released
			continue
		}
		b.cfg.Metrics.refuse("status", cluster.StaleEpoch)
		b.cfg.Logger.Debug("status refused: not from the current holder", slog.String(obs.KeyJob, s.Job.String()),
			slog.String(obs.KeySession, string(s.Session)), slog.Int64(obs.KeyEpoch, int64(s.Epoch)))
	}
	if released {
		b.cfg.Wake()
	}
	b.tell(changed)
	b.cfg.Deliver.Deliver(ctx, out)
	return nil
}

func (b *Inbox) storeTaskConfigs(ctx context.Context, r cluster.TaskConfigReport) error {
	changed, out, err := b.cfg.Store.StoreTaskConfigs(ctx, r)
	switch {
	case err == nil:
	case cluster.Is(err, cluster.Conflict), cluster.Is(err, cluster.StaleEpoch), cluster.Is(err, cluster.NotFound):
		// Out of date. Conflict: the config has moved on or is not wanted to run; the instance reports again after it
		// has been restarted with the new one.
		b.cfg.Metrics.refuse("task_configs", cluster.CodeOf(err))
		b.cfg.Logger.Debug("task configs refused", slog.String(obs.KeyJob, r.Job.String()),
			slog.Int64(obs.KeyEpoch, int64(r.Epoch)), slog.Any(obs.KeyErr, err))
		return nil
	case passing(err):
		return err
	default:
		return &wire.PoisonError{Reason: err.Error()}
	}
	b.cfg.Metrics.accepted("task_configs")
	if changed {
		b.cfg.Wake()
		b.tell([]cluster.UID{r.Job.UID})
	}
	b.cfg.Deliver.Deliver(ctx, out)
	return nil
}

// tell broadcasts that something can be seen; whoever waits for it also looks by itself now and then.
func (b *Inbox) tell(changed []cluster.UID) {
	if len(changed) == 0 {
		return
	}
	msg, err := wire.Encode(wire.KindChanged, "", wire.Changed{UIDs: changed})
	if err == nil {
		err = b.cfg.Bus.Broadcast(wire.Events, msg)
	}
	if err != nil {
		b.cfg.Logger.Debug("change not broadcast", slog.Any(obs.KeyErr, err))
	}
}
