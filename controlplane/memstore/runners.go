package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// session is one start of a runner.
type session struct {
	cluster.Registration
	State        cluster.SessionState
	joined, beat time.Time
	endedAt      time.Time
	load         float64
	jobs         int
}

func (v *session) ended() bool {
	return v.State == cluster.SessionLost || v.State == cluster.SessionClosed
}

type pluginKey struct{ kind, class, version string }

func keyOf(p cluster.PluginRef) pluginKey { return pluginKey{p.Kind, p.Class, p.Version} }

func compareKeys(a, b pluginKey) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.class, b.class), cmp.Compare(a.version, b.version))
}

// everySession lists all sessions by runner and id.
func (s *Store) everySession() []*session {
	all := make([]*session, 0, len(s.sessions))
	for _, v := range s.sessions {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *session) int {
		return cmp.Or(cmp.Compare(a.Runner, b.Runner), cmp.Compare(a.Session, b.Session))
	})
	return all
}

// end ends a session for good; its jobs are nobody's now and keep their epochs.
func (s *Store) end(v *session, state cluster.SessionState) {
	v.State, v.endedAt = state, s.now()
	for _, j := range s.everyJob() {
		if j.session == v.Session {
			j.session, j.releasing = "", false
		}
	}
}

// Register implements the store.
func (s *Store) Register(ctx context.Context, r cluster.Registration) (missing []cluster.PluginRef, out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		for _, p := range r.Plugins {
			if known, ok := s.plugins[keyOf(p)]; !ok || known.Digest != p.Digest {
				missing = append(missing, p)
			}
		}
		slices.SortFunc(missing, func(a, b cluster.PluginRef) int { return compareKeys(keyOf(a), keyOf(b)) })
		v := s.sessions[r.Session]
		if v != nil && v.ended() {
			return nil // lost and closed are final; the next heartbeat says so
		}
		if v != nil && v.Runner != r.Runner {
			return cluster.Errorf(cluster.Invalid, "session %s belongs to runner %s, not to %s", r.Session, v.Runner, r.Runner)
		}
		if v == nil {
			for _, old := range s.everySession() {
				if old.Runner == r.Runner && !old.ended() {
					s.end(old, cluster.SessionClosed)
				}
			}
			v = &session{State: cluster.SessionActive, joined: s.now()}
			s.sessions[r.Session] = v
		}
		r.Plugins = slices.Clone(r.Plugins)
		v.Registration, v.beat = r, s.now()
		if r.KafkaClusterID != "" {
			s.kafka = r.KafkaClusterID
		}
		out = append(out, s.note(wire.Commands, wire.KindWake, wire.Wake{}))
		return nil
	})
	return missing, out, err
}

// DefinePlugins implements the store.
func (s *Store) DefinePlugins(ctx context.Context, plugins []cluster.PluginRecord) error {
	return s.enter(ctx, func() error {
		for _, p := range plugins {
			p.Definition = slices.Clone(p.Definition)
			s.plugins[keyOf(p.PluginRef)] = p
		}
		return nil
	})
}

// Plugins implements the store.
func (s *Store) Plugins(ctx context.Context) (all []cluster.PluginRecord, err error) {
	err = s.enter(ctx, func() error {
		there := map[pluginKey]bool{}
		for _, v := range s.sessions {
			if !v.ended() {
				for _, p := range v.Plugins {
					there[keyOf(p)] = true
				}
			}
		}
		var rest []cluster.PluginRecord
		for k, p := range s.plugins {
			p.Definition = slices.Clone(p.Definition)
			if there[k] {
				all = append(all, p)
			} else {
				rest = append(rest, p)
			}
		}
		if len(all) == 0 {
			all = rest
		}
		slices.SortFunc(all, func(a, b cluster.PluginRecord) int { return compareKeys(keyOf(a.PluginRef), keyOf(b.PluginRef)) })
		return nil
	})
	return all, err
}

// KafkaClusterID implements the store.
func (s *Store) KafkaClusterID(ctx context.Context) (id string, err error) {
	err = s.enter(ctx, func() error {
		id = s.kafka
		return nil
	})
	return id, err
}

// PruneSessions implements the store.
func (s *Store) PruneSessions(ctx context.Context, keep time.Duration) (deleted int, err error) {
	err = s.enter(ctx, func() error {
		for id, v := range s.sessions {
			if v.ended() && s.now().Sub(v.endedAt) > keep {
				delete(s.sessions, id)
				deleted++
			}
		}
		for uid, c := range s.connectors {
			if c.Deleted && c.ended() {
				delete(s.connectors, uid)
				deleted++
			}
		}
		return nil
	})
	return deleted, err
}
