package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

// className is the plugin that all connectors of the simulation use.
const className = "sim.Connector"

// api is what users do, with what they may expect afterwards: only what was answered with success counts.
type api struct {
	w     *World
	port  *port
	want  map[string]*wanted   // by name
	mixed map[cluster.UID]bool // an edit has changed whether it is fenced
	world map[cluster.UID]int  // tasks that the world outside asks for now, where that is not what the config says
	uids  int
	crash bool // dies after the commit, before it publishes
}

// wanted is what users have asked of one connector.
type wanted struct {
	uid      cluster.UID
	fence    bool
	tasks    int
	target   cluster.TargetState
	version  int64
	restarts map[cluster.JobID]int64
}

func (a *api) store() cluster.Code { // "" when the api reaches the store
	if a.w.storeDown {
		return cluster.Unavailable
	}
	return ""
}

// publish does what the api does after a commit; one in four times it dies first.
func (a *api) publish(out []cluster.OutboxMessage) {
	if a.crash || a.w.chance(a.w.faults.Operations*0.25) {
		return
	}
	var sent []int64
	for _, m := range out {
		if a.port.Publish(a.w.ctx, wire.Address(m.Address), strconv.FormatInt(m.ID, 10), m.Payload) == nil {
			sent = append(sent, m.ID)
		}
	}
	if err := a.w.store.MarkPublished(a.w.ctx, sent); err != nil {
		a.w.fail("marking: %v", err)
	}
}

func (a *api) config(tasks int, fence bool) cluster.Config {
	f := "no"
	if fence {
		f = "yes"
	}
	a.uids++
	return cluster.ConfigOf(map[string]string{"tasks.max": strconv.Itoa(tasks), "fence": f, "edit": strconv.Itoa(a.uids)})
}

func (a *api) create(name string, tasks int, fence bool) {
	if a.store() != "" {
		return
	}
	a.uids++
	c, out, err := a.w.store.CreateConnector(a.w.ctx, cluster.NewConnector{UID: cluster.UID(fmt.Sprintf("uid-%04d", a.uids)), Name: name,
		Config: a.config(tasks, fence), Class: className, Type: cluster.TypeSource, Target: cluster.Started})
	if err != nil {
		a.w.fail("create %s: %v", name, err)
		return
	}
	a.want[name] = &wanted{uid: c.UID, fence: fence, tasks: tasks, target: cluster.Started, version: c.ConfigVersion, restarts: map[cluster.JobID]int64{}}
	a.publish(out)
}

func (a *api) put(name string, tasks int, fence bool) {
	if a.store() != "" {
		return
	}
	a.mixed[a.want[name].uid] = a.mixed[a.want[name].uid] || a.want[name].fence != fence
	c, _, out, err := a.w.store.PutConnector(a.w.ctx, cluster.NewConnector{UID: "unused", Name: name, Config: a.config(tasks, fence), Class: className, Type: cluster.TypeSource})
	if err != nil {
		a.w.fail("put %s: %v", name, err)
		return
	}
	a.want[name].tasks, a.want[name].version = tasks, c.ConfigVersion
	delete(a.world, a.want[name].uid)
	a.publish(out)
}

// changeWorld lets a connector see something outside that makes it split into another number of tasks.
func (a *api) changeWorld(name string, tasks int) {
	uid := a.want[name].uid
	a.world[uid], a.want[name].tasks = tasks, tasks
	for _, r := range a.w.runners {
		if s := r.slots[cluster.InstanceJob(uid)]; s != nil && s.cur != nil {
			c := s.cur
			r.do(func() { s.splitAgain(c) })
		}
	}
}

func (a *api) target(name string, t cluster.TargetState) {
	if a.store() != "" {
		return
	}
	out, err := a.w.store.SetTarget(a.w.ctx, name, t, cluster.Author{})
	if err != nil {
		a.w.fail("target %s: %v", name, err)
		return
	}
	a.want[name].target = t
	a.publish(out)
}

func (a *api) restart(r cluster.RestartRequest) {
	if a.store() != "" {
		return
	}
	ticket, out, err := a.w.store.RequestRestart(a.w.ctx, r)
	if cluster.Is(err, cluster.NotFound) && r.Task != nil {
		return // no such task now
	}
	if err != nil {
		a.w.fail("restart %s: %v", r.Name, err)
		return
	}
	maps.Copy(a.want[r.Name].restarts, ticket.Jobs)
	a.publish(out)
}

func (a *api) remove(name string) {
	if a.store() != "" {
		return
	}
	out, err := a.w.store.DeleteConnector(a.w.ctx, name, cluster.Author{})
	if err != nil {
		a.w.fail("delete %s: %v", name, err)
		return
	}
	delete(a.want, name)
	a.publish(out)
}

// something is one random operation.
func (a *api) something() {
	rng := a.w.rng
	names := slices.Sorted(maps.Keys(a.want))
	fence, tasks := rng.IntN(3) > 0, rng.IntN(5)
	if len(names) < 3 || rng.IntN(6) == 0 && len(names) < 12 {
		name := fmt.Sprintf("c%d", rng.IntN(16))
		if a.want[name] == nil {
			a.create(name, tasks, fence)
		}
		return
	}
	name := names[rng.IntN(len(names))]
	switch rng.IntN(12) {
	case 0:
		a.remove(name)
	case 1: // the same name at once again
		a.remove(name)
		if a.want[name] == nil {
			a.create(name, tasks, fence)
		}
	case 2, 3:
		a.put(name, tasks, fence)
	case 4:
		a.target(name, cluster.Paused)
	case 5:
		a.target(name, cluster.Stopped)
	case 6, 9:
		a.target(name, cluster.Started)
	case 7:
		a.restart(cluster.RestartRequest{Name: name, IncludeTasks: rng.IntN(2) == 0})
	case 8:
		task := rng.IntN(5)
		a.restart(cluster.RestartRequest{Name: name, Task: &task})
	case 11:
		a.changeWorld(name, tasks)
	case 10: // back before anybody has heard of it
		a.target(name, cluster.Stopped)
		a.target(name, cluster.Started)
	}
}

// views reads all connectors as the api does.
func (w *World) views() map[string]cluster.ConnectorView {
	all, err := w.store.FindConnectors(context.WithoutCancel(w.ctx), cluster.ConnectorQuery{})
	if err != nil {
		w.fail("views: %v", err)
	}
	m := map[string]cluster.ConnectorView{}
	for _, v := range all {
		m[v.Name] = v
	}
	return m
}
