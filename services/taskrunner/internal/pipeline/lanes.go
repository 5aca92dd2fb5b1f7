package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/services/taskrunner/internal/connectmetrics"
	"github.com/millrace/millrace/services/taskrunner/internal/kafkaio"
)

const (
	maxLanes  = 8
	laneLeast = 128                   // records for a lane, else the way there and back costs more
	laneWorth = 300 * time.Nanosecond // for a record, from which on
	laneLook  = 256                   // batches until the worth is measured again
)

// lanes spread a batch's records over the cores, where converting them takes long and nothing speaks against it: every plugin
// is pure. Each lane has instances of its own, converts a run of the batch until its first failure, and judges nothing: from a
// failure on, its run is converted again in turn, so that what is set aside, logged and counted comes in order.
type lanes struct {
	may   bool
	all   []*lane
	each  time.Duration // that a record takes in turn
	until int           // batches until that is measured again
}

// lane belongs to one goroutine at a time.
type lane struct {
	plugins

	out  []record.Sink
	done int // records of its run before the first that failed
}

// worth tells whether a batch is to be spread.
func (l *lanes) worth(records int) bool {
	if !l.may || records < 2*laneLeast || l.each < laneWorth || runtime.GOMAXPROCS(0) == 1 {
		return false
	}
	l.until--
	return l.until >= 0
}

// took notes what a batch took in turn.
func (l *lanes) took(records int, d time.Duration) {
	if records >= laneLeast {
		l.each, l.until = d/time.Duration(records), laneLook
	}
}

func (l *lanes) close(log *slog.Logger) {
	for _, one := range l.all {
		one.close(log)
	}
	l.all = nil
}

// spread is oneByOne on all cores.
func (p *Pipeline) spread(ctx context.Context, in []kafkaio.Record, out []record.Sink) ([]record.Sink, error) {
	n := min(runtime.GOMAXPROCS(0), maxLanes, len(in)/laneLeast)
	for len(p.lanes.all) < n {
		o := p.options
		o.Metrics = connectmetrics.Alone() // they are counted already
		again, err := newPlugins(o)
		if err != nil {
			p.lanes.may = false // as it was made before, this is not the configuration's fault
			p.tol.log.Warn("records are converted in turn, since converters could not be made again", slog.Any("err", err))
			return p.oneByOne(ctx, in, out)
		}
		p.lanes.all = append(p.lanes.all, &lane{plugins: again})
	}
	run := func(i int) []kafkaio.Record { return in[len(in)*i/n : len(in)*(i+1)/n] }
	var wg sync.WaitGroup
	for i := range n - 1 {
		wg.Go(func() { p.lanes.all[i].convert(run(i)) })
	}
	p.lanes.all[n-1].convert(run(n - 1)) // this goroutine has a core, too
	wg.Wait()
	for i, l := range p.lanes.all[:n] {
		part := run(i)
		p.useAll(part[:l.done])
		out = append(out, l.out...)
		clear(l.out)
		if l.done == len(part) {
			continue
		}
		var err error
		if out, err = p.oneByOne(ctx, part[l.done:], out); err != nil {
			for _, later := range p.lanes.all[i+1 : n] {
				clear(later.out)
			}
			return out, err
		}
	}
	return out, nil
}

// useAll tells of the topics of converted records.
func (p *Pipeline) useAll(in []kafkaio.Record) {
	if p.used == nil {
		return
	}
	for i := range in {
		if i == 0 || in[i].Topic != in[i-1].Topic {
			p.used(in[i].Topic)
		}
	}
}

func (l *lane) convert(in []kafkaio.Record) {
	l.out, l.done = l.out[:0], 0
	for i := range in {
		var r record.Sink
		keep, err := l.one(&in[i], &r)
		if err != nil {
			return
		}
		if keep {
			l.out = append(l.out, r)
		}
		l.done++
	}
}

// one converts and transforms a record. An error only says that somebody else has to look at it.
func (l *lane) one(raw *kafkaio.Record, r *record.Sink) (keep bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = connecterr.Panicked(p)
		}
	}()
	if raw.Timestamp < 0 && raw.Timestamp != record.NoTimestamp {
		return false, errTimestamp
	}
	var key, value data.SchemaAndValue
	if key, err = l.read.key(raw.Topic, raw.Key); err != nil {
		return false, err
	}
	if value, err = l.read.value(raw.Topic, raw.Value); err != nil {
		return false, err
	}
	*r = consumed(raw, key, value)
	if len(raw.Headers) > 0 {
		if r.Headers, err = headersOf(l.header, raw); err != nil {
			return false, err
		}
	}
	if len(l.chain.links) == 0 {
		return true, nil
	}
	return l.chain.attempt(r)
}

var errTimestamp = errors.New("the timestamp is none")
