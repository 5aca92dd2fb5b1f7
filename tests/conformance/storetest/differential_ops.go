package storetest

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
)

// What operations draw from: little, so that they meet.
var (
	names   = []string{"a", "b", "c"}
	targets = []cluster.TargetState{cluster.Started, cluster.Paused, cluster.Stopped, cluster.Started}
	states  = []cluster.State{cluster.StateRunning, cluster.StatePaused, cluster.StateFailed, cluster.StateUnassigned, cluster.StateRestarting, cluster.StateStopped}
	author  = cluster.Author{Actor: "ann", RequestID: "r"}
)

// operations are all that change a store. Each draws its input, and succeeds more often than not.
func (d *duel) operations() map[string]func(*rapid.T, string) {
	return map[string]func(*rapid.T, string){
		"create": d.create, "put": d.put, "delete": d.delete, "target": d.target, "restart": d.restart,
		"register": d.register, "define plugins": d.define, "beat": d.beat, "goodbye": d.goodbye, "specs": d.specs,
		"statuses": d.statuses, "release": d.letGo, "task configs": d.split,
		"used topics": d.uses, "reset topics": d.resetTopics, "record": d.record,
		"acquire": d.acquire, "renew": d.renew, "resign": d.resign,
		"assign": d.assign, "plan": d.plan, "forget": d.forget, "raise the floor": d.floor,
		"record answer": d.recordAnswer, "prune keys": d.pruneKeys,
		"prune sessions": d.pruneSessions, "prune events": d.pruneEvents, "claim": d.claim, "published": d.published, "prune the outbox": d.pruneOutbox,
	}
}

func (d *duel) connector(t *rapid.T) cluster.NewConnector {
	n := cluster.NewConnector{UID: d.freshUID(), Name: rapid.SampledFrom(names).Draw(t, "name"), Class: class, Type: cluster.TypeSource,
		Target: pick(t, targets, "", "target"), By: d.author(t), Config: config("v", rapid.SampledFrom([]string{"1", "2"}).Draw(t, "v"))}
	if rapid.Bool().Draw(t, "pool") {
		n.Config[cluster.PoolKey] = ptr("p")
	}
	if rapid.Bool().Draw(t, "label") {
		n.Config[cluster.LabelPrefix+"team"] = ptr(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "team"))
	}
	if rapid.Bool().Draw(t, "null") {
		n.Config["null"] = nil
	}
	if rapid.Bool().Draw(t, "sink") {
		n.Type, n.Class = cluster.TypeSink, "org.example.Sink"
	}
	if rarely(t, 10, "uid used before") {
		n.UID = rapid.SampledFrom(d.uids).Draw(t, "uid")
		n.Name = fmt.Sprintf("never used %d", len(d.uids)) // which of two mistakes is told first is nobody's concern
	}
	return n
}

func (d *duel) create(t *rapid.T, name string) {
	n := d.connector(t)
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		c, out, err := s.CreateConnector(d.ctx, n)
		return answer{c}, out, err
	})
}

func (d *duel) put(t *rapid.T, name string) {
	n := d.connector(t)
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		c, created, out, err := s.PutConnector(d.ctx, n)
		return answer{c, created}, out, err
	})
}

func (d *duel) delete(t *rapid.T, name string) {
	which, by := rapid.SampledFrom(names).Draw(t, "name"), d.author(t)
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		out, err := s.DeleteConnector(d.ctx, which, by)
		return nil, out, err
	})
}

func (d *duel) target(t *rapid.T, name string) {
	which, target, by := rapid.SampledFrom(names).Draw(t, "name"), pick(t, targets, "HALTED", "target"), d.author(t)
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		out, err := s.SetTarget(d.ctx, which, target, by)
		return nil, out, err
	})
}

func (d *duel) restart(t *rapid.T, name string) {
	r := cluster.RestartRequest{Name: rapid.SampledFrom(names).Draw(t, "name"), IncludeTasks: rapid.Bool().Draw(t, "include tasks"),
		OnlyFailed: rapid.Bool().Draw(t, "only failed"), By: d.author(t)}
	if rapid.Bool().Draw(t, "one task") {
		r.Task = ptr(rapid.IntRange(-1, 2).Draw(t, "task"))
	}
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		ticket, out, err := s.RequestRestart(d.ctx, r)
		return answer{ticket}, out, err
	})
}

func ref(t *rapid.T, class string, kind string) cluster.PluginRef {
	return cluster.PluginRef{Class: class, Version: "1", Kind: kind, Digest: rapid.SampledFrom([]string{"d1", "d2"}).Draw(t, "digest")}
}

func (d *duel) register(t *rapid.T, name string) {
	r := registration(cluster.SessionID(fmt.Sprintf("s%03d", len(d.sessions))))
	r.Runner = rapid.SampledFrom([]cluster.RunnerID{"r1", "r2", "r3"}).Draw(t, "runner")
	r.KafkaClusterID = rapid.SampledFrom([]string{"k1", "k2", ""}).Draw(t, "cluster")
	r.Capacity = rapid.IntRange(0, 3).Draw(t, "capacity")
	r.Plugins = []cluster.PluginRef{ref(t, class, "source")}
	if rapid.Bool().Draw(t, "more plugins") {
		r.Plugins = append(r.Plugins, ref(t, "org.example.Sink", "sink"), ref(t, "org.example.Mask", "transformation"))
	}
	if len(d.sessions) > 0 && rarely(t, 4, "again") {
		r.Session = rapid.SampledFrom(d.sessions).Draw(t, "session")
	} else {
		d.sessions = append(d.sessions, r.Session)
	}
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		missing, out, err := s.Register(d.ctx, r)
		return answer{missing}, out, err
	})
}

func (d *duel) define(t *rapid.T, name string) {
	var all []cluster.PluginRecord
	for _, k := range [][2]string{{class, "source"}, {"org.example.Sink", "sink"}, {"org.example.Mask", "transformation"}} {
		if rapid.Bool().Draw(t, k[0]) {
			r := ref(t, k[0], k[1])
			all = append(all, cluster.PluginRecord{PluginRef: r, TaskClass: "T", Doc: "doc " + r.Digest, Definition: []byte(`{}`)})
		}
	}
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		return nil, nil, s.DefinePlugins(d.ctx, all)
	})
}

func (d *duel) heartbeat(t *rapid.T, name string, state cluster.SessionState) {
	hb := cluster.Heartbeat{Session: pick(t, d.sessions, "never", "session"), State: state, Digest: "other", StatusDigest: "other"}
	if rapid.Bool().Draw(t, "knows what it holds") {
		var all []cluster.HeldJob
		for _, j := range d.snap.Jobs {
			if j.Session == hb.Session && j.Wanted && !j.Releasing {
				all = append(all, cluster.HeldJob{Job: j.Job, Epoch: j.Epoch, Revision: j.Revision})
			}
		}
		hb.Digest = cluster.DigestHeld(all)
	}
	if rapid.Bool().Draw(t, "knows what it said") {
		hb.StatusDigest = cluster.DigestStatuses(d.said(hb.Session))
	}
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		reply, out, err := s.Heartbeat(d.ctx, hb)
		return answer{reply}, out, err
	})
}

// said is what readers see of what a session said of the jobs that it has.
func (d *duel) said(session cluster.SessionID) []cluster.Status {
	holds := map[cluster.JobID]cluster.Epoch{}
	for _, j := range d.snap.Jobs {
		if j.Session == session && j.Wanted && !j.Releasing {
			holds[j.Job] = j.Epoch
		}
	}
	var all []cluster.Status
	for _, v := range d.views {
		for _, s := range append([]cluster.Status(nil), v.TaskStatuses...) {
			if holds[s.Job] == s.Epoch && s.Session == session {
				all = append(all, s)
			}
		}
		if s := v.Status; s != nil && holds[s.Job] == s.Epoch && s.Session == session {
			all = append(all, *s)
		}
	}
	return all
}

func (d *duel) beat(t *rapid.T, name string) {
	state := cluster.SessionActive
	if rarely(t, 5, "draining") {
		state = cluster.SessionDraining
	}
	d.heartbeat(t, name, state)
}

func (d *duel) goodbye(t *rapid.T, name string) {
	if !rarely(t, 3, "goodbye") {
		t.Skip("sessions should live for a while")
	}
	d.heartbeat(t, name, cluster.SessionClosed)
}

func (d *duel) specs(t *rapid.T, name string) {
	session := pick(t, d.sessions, "never", "session")
	asked := []cluster.JobID{cluster.InstanceJob("nobody")}
	for _, j := range d.snap.Jobs {
		if rapid.Bool().Draw(t, "ask") {
			asked = append(asked, j.Job)
		}
	}
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		specs, err := s.Specs(d.ctx, session, asked)
		return answer{specs}, nil, err
	})
}

// status draws what a holder, or somebody who was or never will be, says of a job.
func (d *duel) status(t *rapid.T) cluster.Status {
	j := pick(t, d.jobs(held), cluster.JobView{Job: cluster.InstanceJob("nobody"), Session: "never", Epoch: 1}, "job")
	s := cluster.Status{Job: j.Job, Session: j.Session, Epoch: j.Epoch, Revision: j.Revision, WorkerID: "h:1", Version: "1",
		RestartSeq: int64(rapid.IntRange(0, 2).Draw(t, "restart")), State: rapid.SampledFrom(states).Draw(t, "state")}
	if s.State == cluster.StateFailed {
		s.Trace = rapid.SampledFrom([]string{"boom", "nul\x00", "\xff"}).Draw(t, "trace")
	}
	switch rapid.IntRange(0, 9).Draw(t, "wrong") {
	case 9:
		s.Epoch--
	case 8:
		s.Session = pick(t, d.sessions, "", "session")
	}
	return s
}

func (d *duel) say(t *rapid.T, name string, all []cluster.Status) {
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		accepted, changed, out, err := s.StoreStatuses(d.ctx, all)
		return answer{accepted, changed}, out, err
	})
}

func (d *duel) statuses(t *rapid.T, name string) {
	var all []cluster.Status
	for range rapid.IntRange(0, 3).Draw(t, "n") {
		all = append(all, d.status(t))
	}
	d.say(t, name, all)
}

func (d *duel) letGo(t *rapid.T, name string) {
	s := d.status(t)
	s.Released = true
	d.say(t, name, []cluster.Status{s, d.status(t)})
}

func (d *duel) split(t *rapid.T, name string) {
	instances := d.jobs(func(j cluster.JobView) bool { return held(j) && j.Job.IsInstance() })
	j := pick(t, instances, cluster.JobView{Job: cluster.TaskJob("nobody", 0), Session: "never", Epoch: 1}, "instance")
	r := cluster.TaskConfigReport{Job: j.Job, Session: j.Session, Epoch: j.Epoch, ConfigVersion: d.version(j.Job.UID), Fenceable: rapid.Bool().Draw(t, "fenceable")}
	for range rapid.IntRange(0, 3).Draw(t, "tasks") {
		r.Tasks = append(r.Tasks, config("part", rapid.SampledFrom([]string{"x", "y"}).Draw(t, "part")))
	}
	switch rapid.IntRange(0, 9).Draw(t, "wrong") {
	case 9:
		r.Epoch--
	case 8:
		r.ConfigVersion++
	}
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		changed, out, err := s.StoreTaskConfigs(d.ctx, r)
		return answer{changed}, out, err
	})
}

// uses reports topics of tasks, mostly by their holders.
func (d *duel) uses(t *rapid.T, name string) {
	var all []cluster.TopicReport
	for range rapid.IntRange(0, 3).Draw(t, "n") {
		j := pick(t, d.jobs(held), cluster.JobView{Job: cluster.TaskJob("nobody", 0), Session: "never", Epoch: 1}, "job")
		r := cluster.TopicReport{Job: j.Job, Session: j.Session, Epoch: j.Epoch, Topics: []string{rapid.SampledFrom([]string{"t", "u", "", "nul\x00"}).Draw(t, "topic")}}
		for _, v := range d.views {
			if v.UID == j.Job.UID {
				r.TopicResets = v.TopicResets
			}
		}
		switch rapid.IntRange(0, 9).Draw(t, "wrong") {
		case 9:
			r.Epoch--
		case 8:
			r.TopicResets--
		}
		all = append(all, r)
	}
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		accepted, err := s.StoreTopics(d.ctx, all)
		return answer{accepted}, nil, err
	})
}

func (d *duel) record(t *rapid.T, name string) {
	which := rapid.SampledFrom(names).Draw(t, "name")
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		return nil, nil, s.RecordAction(d.ctx, which, "alter offsets", "2 partitions", author)
	})
}

func (d *duel) resetTopics(t *rapid.T, name string) {
	which := rapid.SampledFrom(names).Draw(t, "name")
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		out, err := s.ResetTopics(d.ctx, which, author)
		return answer{}, out, err
	})
}

func (d *duel) floor(t *rapid.T, name string) {
	to := d.snap.Floor + cluster.Epoch(rapid.IntRange(-2, 3).Draw(t, "by"))
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		return nil, nil, s.RaiseEpochFloor(d.ctx, to)
	})
}

func (d *duel) pruneSessions(t *rapid.T, name string) {
	keep := rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "keep")
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		n, err := s.PruneSessions(d.ctx, keep)
		return answer{n}, nil, err
	})
}

func (d *duel) pruneEvents(t *rapid.T, name string) {
	most := rapid.IntRange(0, 3).Draw(t, "most")
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		n, err := s.PruneEvents(d.ctx, time.Hour, most)
		return answer{n}, nil, err
	})
}

// queries are selections by all that a connector can be selected by.
func (d *duel) queries() []cluster.ConnectorQuery {
	all := []cluster.ConnectorQuery{{After: "a", Limit: 1}, {Prefix: "b"}, {Classes: []string{class, "none"}}, {Types: []cluster.ConnectorType{cluster.TypeSink}},
		{Labels: []cluster.Label{{Name: "team", Value: "x"}}}}
	for _, s := range states {
		all = append(all, cluster.ConnectorQuery{States: []cluster.State{s}}, cluster.ConnectorQuery{TaskStates: []cluster.State{s}})
	}
	return all
}
