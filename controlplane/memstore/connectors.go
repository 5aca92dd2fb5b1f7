package memstore

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/controlplane/cluster"
)

func unknown(name string) error {
	return cluster.Errorf(cluster.NotFound, "Connector %s not found", name)
}

// named is a live connector that the author's conditions allow to change.
func (s *Store) named(name string, by cluster.Author) (*connector, error) {
	c := s.names[name]
	if c == nil {
		return nil, unknown(name)
	}
	return c, c.meets(by, name)
}

// meets tells whether the author's conditions hold.
func (c *connector) meets(by cluster.Author, name string) error {
	if c == nil {
		return by.If.Check(name, nil)
	}
	return by.If.Check(name, &c.Connector)
}

// CreateConnector implements the store.
func (s *Store) CreateConnector(ctx context.Context, n cluster.NewConnector) (c cluster.Connector, out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		if err := s.claimKey(n.By.Once); err != nil {
			return err
		}
		c, out, err = s.create(n)
		return err
	})
	return c, out, err
}

func (s *Store) create(n cluster.NewConnector) (cluster.Connector, []cluster.OutboxMessage, error) {
	if s.names[n.Name] != nil {
		return cluster.Connector{}, nil, cluster.Errorf(cluster.AlreadyExists, "Connector %s already exists", n.Name)
	}
	if n.UID == "" || s.used[n.UID] {
		return cluster.Connector{}, nil, cluster.Errorf(cluster.Invalid, "uid %q is empty or was used before", n.UID)
	}
	if n.Target == "" {
		n.Target = cluster.Started
	}
	c := &connector{Connector: cluster.Connector{UID: n.UID, Name: n.Name, Config: n.Config.Clone(), ConfigVersion: 1, Class: n.Class, Type: n.Type,
		Target: n.Target, Generation: 1}, jobs: map[int]*job{}, topics: map[string]bool{}}
	c.jobs[cluster.InstanceTask] = &job{id: cluster.InstanceJob(n.UID), wanted: true, revision: 1}
	s.connectors[c.UID], s.names[c.Name], s.used[c.UID] = c, c, true
	s.log(n.By, "create", c, string(c.Target))
	s.keepAnswer(n.By.Once, cluster.Outcome{View: cluster.ConnectorView{Connector: c.public()}, Created: true})
	s.emit(cluster.Created(c.Connector))
	return c.public(), []cluster.OutboxMessage{s.wake(c)}, nil
}

// PutConnector implements the store.
func (s *Store) PutConnector(ctx context.Context, n cluster.NewConnector) (p cluster.Connector, created bool, out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		if err := s.claimKey(n.By.Once); err != nil {
			return err
		}
		c := s.names[n.Name]
		if err := c.meets(n.By, n.Name); err != nil {
			return err
		}
		if c == nil {
			created = true
			p, out, err = s.create(n)
			return err
		}
		before := c.visible()
		c.Config, c.Class, c.Type = n.Config.Clone(), n.Class, n.Type
		c.ConfigVersion++
		c.Generation++
		// The instance alone: its next task configs decide about the tasks.
		c.instance().revision = c.Generation
		s.log(n.By, "configure", c, fmt.Sprintf("version %d", c.ConfigVersion))
		if n.By.Once != nil {
			s.keepAnswer(n.By.Once, cluster.Outcome{View: c.view()})
		}
		s.emit(cluster.Changes(before, c.visible())...)
		p, out = c.public(), s.tell(c, []cluster.OutboxMessage{s.wake(c)})
		return nil
	})
	return p, created && err == nil, out, err
}

// DeleteConnector implements the store.
func (s *Store) DeleteConnector(ctx context.Context, name string, by cluster.Author) (out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		if err := s.claimKey(by.Once); err != nil {
			return err
		}
		c, err := s.named(name, by)
		if err != nil {
			return err
		}
		before := c.visible()
		delete(s.names, name)
		s.deletions++
		c.Deleted, c.deletedAt = true, s.deletions
		c.Generation++
		clear(c.topics)
		for _, j := range c.all() {
			j.unwant()
		}
		s.log(by, "delete", c, "")
		s.keepAnswer(by.Once, cluster.Outcome{})
		s.emit(cluster.Changes(before, c.visible())...)
		out = append(out, s.wake(c))
		return nil
	})
	return out, err
}

// SetTarget implements the store.
func (s *Store) SetTarget(ctx context.Context, name string, target cluster.TargetState, by cluster.Author) (out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		c, err := s.named(name, by)
		switch {
		case err != nil:
			return err
		case c.Target == target:
			return nil
		case target != cluster.Started && target != cluster.Paused && target != cluster.Stopped:
			return cluster.Errorf(cluster.Invalid, "there is no target state %q", target)
		}
		before := c.visible()
		c.Target = target
		c.Generation++
		if target == cluster.Stopped {
			c.TaskSet++
			c.published = 0
			for _, j := range c.tasks() {
				j.unwant()
			}
		}
		for _, j := range c.all() {
			if j.wanted {
				j.revision = c.Generation
			}
		}
		s.log(by, "target", c, string(target))
		s.emit(cluster.Changes(before, c.visible())...)
		out = s.tell(c, append(out, s.wake(c)))
		return nil
	})
	return out, err
}

// RequestRestart implements the store.
func (s *Store) RequestRestart(ctx context.Context, r cluster.RestartRequest) (t cluster.RestartTicket, out []cluster.OutboxMessage, err error) {
	err = s.enter(ctx, func() error {
		if err := s.claimKey(r.By.Once); err != nil {
			return err
		}
		c := s.names[r.Name]
		if c == nil {
			return cluster.Errorf(cluster.NotFound, "Unknown connector: %s", r.Name)
		}
		if err := c.meets(r.By, r.Name); err != nil {
			return err
		}
		t = cluster.RestartTicket{View: c.view(), Jobs: map[cluster.JobID]int64{}}
		var selected []*job
		if r.Task != nil {
			j := c.jobs[*r.Task]
			if j == nil || !j.wanted || j.id.IsInstance() {
				t = cluster.RestartTicket{}
				return cluster.Errorf(cluster.NotFound, "Unknown task: %s-%d", r.Name, *r.Task)
			}
			selected = append(selected, j)
		} else {
			for _, j := range c.all() {
				failed := j.status != nil && j.shown().State == cluster.StateFailed
				if j.wanted && (j.id.IsInstance() || r.IncludeTasks) && (!r.OnlyFailed || failed) {
					selected = append(selected, j)
				}
			}
		}
		raised, before := 0, c.visible()
		for _, j := range selected {
			applied := int64(0)
			if j.status != nil {
				applied = j.status.RestartSeq
			}
			if j.restartSeq <= applied { // else one is in flight already
				if raised++; raised == 1 {
					c.Generation++
				}
				j.restartSeq++
				j.revision = c.Generation
			}
			t.Jobs[j.id] = j.restartSeq
		}
		s.keepAnswer(r.By.Once, cluster.Outcome{Ticket: t})
		if raised > 0 {
			s.log(r.By, "restart", c, fmt.Sprintf("%d jobs", raised))
			s.emit(cluster.Changes(before, c.visible())...)
			out = s.tell(c, append(out, s.wake(c)))
		}
		return nil
	})
	return t, out, err
}

// Connector implements the store.
func (s *Store) Connector(ctx context.Context, name string) (v cluster.ConnectorView, err error) {
	err = s.enter(ctx, func() error {
		c := s.names[name]
		if c == nil {
			return unknown(name)
		}
		v = c.view()
		return nil
	})
	return v, err
}

// LastConnector implements the store.
func (s *Store) LastConnector(ctx context.Context, name string) (v cluster.Shown, err error) {
	err = s.enter(ctx, func() error {
		last := s.names[name]
		if last == nil {
			for _, c := range s.connectors {
				if c.Name == name && !c.ended() && (last == nil || last.deletedAt < c.deletedAt) {
					last = c
				}
			}
		}
		if last == nil {
			return unknown(name)
		}
		v = shown(last.view())
		return nil
	})
	return v, err
}

// ended tells whether all jobs are gone.
func (c *connector) ended() bool {
	for _, j := range c.jobs {
		if !j.gone {
			return false
		}
	}
	return true
}
