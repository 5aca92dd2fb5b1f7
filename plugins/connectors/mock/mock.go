// Package mock holds connectors that need nothing outside and fail on request, for trying out how failures show.
package mock

import (
	"context"
	"strconv"
	"time"

	"github.com/millrace/millrace/sdk/config"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/connector"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/sdk/sink"
	"github.com/millrace/millrace/sdk/source"
)

// The keys and modes, as in Kafka, but for the panics.
const (
	modeKey          = "mock_mode"
	delayKey         = "delay_ms"
	taskFailure      = "task-failure"
	connectorFailure = "connector-failure"
	taskPanic        = "task-panic"
	connectorPanic   = "connector-panic"
	usualDelay       = 15 * time.Second
)

var def = &config.Def{Keys: []config.Key{
	{Name: modeKey, Type: config.String, Default: config.Default(""), Importance: config.Low, Doc: "What fails: connector-failure, task-failure, or nothing; connector-panic and task-panic fail by a mistake in code."},
	{Name: delayKey, Type: config.Long, Default: config.Default(strconv.FormatInt(usualDelay.Milliseconds(), 10)), Importance: config.Low,
		Doc: "After how many milliseconds it fails.", Validators: []config.Rule{config.AtLeast(0)}},
}}

// fault is when and what fails.
type fault struct {
	mode string
	at   time.Time
}

func (f *fault) start(props map[string]string) error {
	v, problems := def.Parse(props)
	if len(problems) > 0 {
		return connecterr.New(connecterr.Config, "%s", problems[0].Message)
	}
	f.mode, f.at = v.String(modeKey), time.Now().Add(time.Duration(v.Int(delayKey))*time.Millisecond)
	return nil
}

// due returns a channel that fires when a mode's failure is due; nil when it never is.
func (f *fault) due(mode string) <-chan time.Time {
	if f.mode != mode {
		return nil
	}
	return time.After(time.Until(f.at))
}

type mockConnector struct {
	fault
	config map[string]string
	stop   context.CancelFunc
}

func (c *mockConnector) Start(_ context.Context, cc connector.Context) error {
	c.config = cc.Config()
	if err := c.start(c.config); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	if due := c.due(connectorFailure); due != nil {
		go func() {
			select {
			case <-due:
				cc.RaiseError(connecterr.New(connecterr.General, "mock connector failure"))
			case <-ctx.Done():
			}
		}()
	}
	return nil
}

func (c *mockConnector) TaskConfigs(context.Context, int) ([]map[string]string, error) {
	if c.mode == connectorPanic { // not in Start's goroutine: Go ends the process when one panics that nobody watches
		panic("mock connector panic")
	}
	return []map[string]string{c.config}, nil
}

func (c *mockConnector) Stop(context.Context) error {
	if c.stop != nil {
		c.stop()
	}
	return nil
}

var errTask = connecterr.New(connecterr.General, "mock task failure")

type sourceTask struct{ fault }

func (t *sourceTask) Start(_ context.Context, tc source.Context) error { return t.start(tc.Config()) }

func (t *sourceTask) Poll(ctx context.Context) ([]record.Source, error) {
	select {
	case <-t.due(taskFailure):
		return nil, errTask
	case <-t.due(taskPanic):
		panic("mock task panic")
	case <-ctx.Done():
		return nil, nil
	}
}

func (t *sourceTask) Stop(context.Context) error { return nil }

type sinkTask struct{ fault }

func (t *sinkTask) Start(_ context.Context, tc sink.Context) error { return t.start(tc.Config()) }

func (t *sinkTask) Put(context.Context, []record.Sink) error {
	if time.Now().Before(t.at) {
		return nil
	}
	switch t.mode {
	case taskFailure:
		return errTask
	case taskPanic:
		panic("mock task panic")
	}
	return nil
}

func (t *sinkTask) Stop(context.Context) error { return nil }

// Plugins are the source and the sink.
func Plugins(version string) []plugin.Plugin {
	newConnector := func() connector.Connector { return &mockConnector{} }
	return []plugin.Plugin{
		{Class: "org.apache.kafka.connect.tools.MockSourceConnector", Kind: plugin.Source, Version: version, TaskClass: "org.apache.kafka.connect.tools.MockSourceTask",
			Def: def, Doc: "Produces nothing and fails on request.", NewConnector: newConnector, NewSourceTask: func() source.Task { return &sourceTask{} }},
		{Class: "org.apache.kafka.connect.tools.MockSinkConnector", Kind: plugin.Sink, Version: version, TaskClass: "org.apache.kafka.connect.tools.MockSinkTask",
			Def: def, Doc: "Takes records, keeps none, and fails on request.", NewConnector: newConnector, NewSinkTask: func() sink.Task { return &sinkTask{} }},
	}
}
