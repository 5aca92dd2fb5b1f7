// Package adopt takes over the connectors of a Kafka Connect cluster: it reads the cluster's three internal topics and makes
// the connectors anew by Millrace's REST API, with their target states and the offsets of sources. Sinks go on with their
// consumer groups. It changes nothing in Kafka Connect's topics but the offsets topic, and only if Millrace uses the same.
//
// Start reading at Run; topics.go says what the records mean, plan.go what becomes of a connector (both pure), rest.go speaks
// to Millrace.
package adopt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
	"github.com/millrace/millrace/services/taskrunner/internal/worker"
)

// Options say what is taken over, and to where.
type Options struct {
	// Worker is the worker configuration of the Kafka Connect cluster.
	Worker map[string]string
	// Files are the connectors' files of a standalone worker, which has no topics; none: it is a cluster.
	Files []string
	API   API
	// Only these connectors; none: all.
	Only []string
	// Apply does it; else it is only told what would be done.
	Apply bool
	// Stopped makes the connectors, and leaves them stopped and without their offsets, so that it can be done while the cluster
	// still runs. Another run brings offsets and starts them.
	Stopped bool
	Out     io.Writer
	Logger  *slog.Logger
}

// The properties that say where a cluster keeps what it knows.
const (
	groupKey  = "group.id"
	configKey = "config.storage.topic"
	offsetKey = "offset.storage.topic"
	statusKey = "status.storage.topic"
)

// readTime bounds reading the topics.
const readTime = 5 * time.Minute

// Run takes over what there is. It can be repeated, and goes on where it ended. The error tells of connectors that were not
// taken over, too.
func Run(ctx context.Context, o Options) error {
	running, topics, err := o.read(ctx)
	if err != nil {
		return err
	}
	all := topics.Connectors()
	if o.standalone() {
		o.say("Standalone worker: %s; it must have stopped before -apply", plural(len(all), "connector"))
	} else {
		o.say("Kafka Connect cluster %s: %s, %s", o.Worker[groupKey], plural(len(all), "connector"), map[bool]string{true: "its workers run", false: "its workers have stopped"}[running])
	}
	if n := topics.Unread(); n > 0 {
		o.say("%s can't be read and are left out, as its workers leave them out", plural(n, "record"))
	}
	if all, err = o.chosen(all); err != nil {
		return err
	}
	if o.Apply && !o.Stopped && running {
		if at := slices.IndexFunc(all, func(c Connector) bool { return !c.AtRest() }); at >= 0 {
			return exitcode.Input(fmt.Errorf("workers of the cluster %s run, and connector %s is not stopped there: it would run twice. Stop the workers first (after a crash, wait "+
				"until the group has noticed), or the connector; or use -stopped, which only prepares", o.Worker[groupKey], all[at].Name))
		}
	}
	known, err := o.API.plugins(ctx)
	if err != nil {
		return exitcode.Missing(fmt.Errorf("asking Millrace: %w", err))
	}
	refused := 0
	for _, c := range all {
		here, err := o.API.here(ctx, c, known)
		if err != nil {
			return fmt.Errorf("asking Millrace about connector %s: %w", c.Name, err)
		}
		s := Decide(c, here)
		o.say("%s", s)
		if o.Apply {
			err = o.do(ctx, s)
		}
		switch {
		case errors.Is(err, errOtherOffsets):
			o.say("%-8s %s: %v", Refuse, c.Name, err)
			refused++
		case err != nil:
			return fmt.Errorf("taking over connector %s: %w; what is done stays done, repeat the import", c.Name, err)
		case s.Action == Refuse:
			refused++
		}
	}
	if !o.Apply {
		o.say("Nothing was changed: -apply does it.")
	}
	if refused > 0 {
		return fmt.Errorf("%d of %s can't be taken over", refused, plural(len(all), "connector"))
	}
	return nil
}

func (o Options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.Out, format+"\n", args...) // a closed terminal is no reason to stop half-way
}

func (o Options) chosen(all []Connector) ([]Connector, error) {
	for _, name := range o.Only {
		if !slices.ContainsFunc(all, func(c Connector) bool { return c.Name == name }) {
			return nil, exitcode.Input(fmt.Errorf("there is no connector %q to be taken over", name))
		}
	}
	if len(o.Only) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(all, func(c Connector) bool { return !slices.Contains(o.Only, c.Name) }), nil
}

// do takes a connector over. A source is stopped until its offsets are there: whatever interrupts us, it never begins at
// its beginning.
func (o Options) do(ctx context.Context, s Step) error {
	bring := s.Type == cluster.TypeSource && len(s.Offsets) > 0
	switch s.Action {
	case Refuse, Nothing:
		return nil
	case Create:
		state := s.Target
		if o.Stopped || bring {
			state = cluster.Stopped
		}
		if err := o.API.create(ctx, s.Connector, state); err != nil || o.Stopped || !bring {
			return err
		}
	case Finish:
		if o.Stopped {
			return nil
		}
	}
	if bring {
		n, err := o.API.bring(ctx, s.Connector)
		if err != nil {
			return err
		}
		if n > 0 {
			o.say("         %s copied", plural(n, "offset"))
		} else {
			o.say("         its offsets are where Millrace keeps them")
		}
	}
	return o.API.aim(ctx, s.Name, s.Target)
}

// read reads what is taken over. Whether a standalone worker runs is not to be seen from here.
func (o Options) read(ctx context.Context) (running bool, t *Topics, err error) {
	if o.standalone() {
		t, err = readStandalone(o)
		return false, t, err
	}
	for _, key := range []string{groupKey, configKey, offsetKey, statusKey} {
		if o.Worker[key] == "" {
			return false, nil, exitcode.Input(fmt.Errorf("the worker configuration of the Kafka Connect cluster has no %s (-worker-config)", key))
		}
	}
	return readTopics(ctx, o)
}

// readTopics reads the three topics, and whether workers run.
func readTopics(ctx context.Context, o Options) (running bool, t *Topics, err error) {
	refs, err := secrets.FromProperties(o.Worker, os.LookupEnv, o.Logger)
	if err != nil {
		return false, nil, exitcode.Input(err)
	}
	w, err := worker.Resolved(o.Worker, refs)
	if err != nil {
		return false, nil, exitcode.Input(err)
	}
	client, err := w.WorkerConsumer()
	if err != nil {
		return false, nil, exitcode.Input(err)
	}
	admin, err := w.Worker()
	if err != nil {
		return false, nil, exitcode.Input(err)
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	a, err := kafkaio.NewAdmin(admin, o.Logger)
	if err != nil {
		return false, nil, exitcode.Input(err)
	}
	defer a.Close(context.WithoutCancel(ctx))                                                                //nolint:errcheck // nothing is under way
	running, err = a.GroupInUse(ctx, o.Worker[groupKey], kafkaio.TopicPartition{Topic: o.Worker[configKey]}) // workers keep no offsets in their group
	if err != nil {
		return false, nil, exitcode.Missing(fmt.Errorf("finding out whether workers run (this needs the right to delete in group %s): %w", o.Worker[groupKey], err))
	}
	t = NewTopics()
	// Offsets last: a task commits its last ones before it says that it has ended.
	for _, topic := range []struct {
		key  string
		take func(kafkaio.Record)
	}{{configKey, t.Config}, {statusKey, t.Status}, {offsetKey, t.Offset}} {
		key := topic.key
		err := kafkaio.ReadAll(ctx, client, o.Worker[key], func(rs []kafkaio.Record) error {
			for _, r := range rs {
				topic.take(r)
			}
			return nil
		})
		switch {
		case kafkaio.IsUnknownTopic(err):
			return false, nil, exitcode.Input(fmt.Errorf("there is no topic %s, which %s names", o.Worker[key], key))
		case err != nil:
			return false, nil, exitcode.Missing(err)
		}
	}
	return running, t, nil
}
