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

	begun []kafkaio.Record // what is being converted beside the task
	busy  sync.WaitGroup
}

// lane belongs to one goroutine at a time.
type lane struct {
	plugins

	out  []record.Sink
	done int // records of its run before the first that failed
}

// long tells whether a batch is worth more than one goroutine, as far as is known.
func (l *lanes) long(records int) bool {
	return l.may && records >= 2*laneLeast && l.each >= laneWorth && runtime.GOMAXPROCS(0) > 1
}

// worth tells whether a batch is to be spread.
func (l *lanes) worth(records int) bool {
	if !l.long(records) {
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

// Worth tells whether so many records take long enough to be converted by Begin while the task does something else.
func (p *Pipeline) Worth(records int) bool { return p.lanes.long(records) }

// Begin begins to convert what Sink is given next, beside the task. The records must stay as they are until then, or until
// Forget. It judges nothing and has no effect that could be seen: that is Sink's.
func (p *Pipeline) Begin(in []kafkaio.Record) {
	p.Forget()
	if p.lanes.worth(len(in)) && p.open(in) {
		p.lanes.begun = in
		p.lanes.start(in, lanesOf(in))
	}
}

// Forget gives up what Begin began: Sink will not be given it.
func (p *Pipeline) Forget() {
	p.lanes.busy.Wait()
	if p.lanes.begun == nil {
		return
	}
	p.lanes.begun = nil
	for _, l := range p.lanes.all {
		clear(l.out)
	}
}

// lanesOf is how many lanes a batch is spread over.
func lanesOf(in []kafkaio.Record) int { return min(runtime.GOMAXPROCS(0), maxLanes, len(in)/laneLeast) }

// runOf is the part of a batch that is lane i's, of n.
func runOf(in []kafkaio.Record, i, n int) []kafkaio.Record { return in[len(in)*i/n : len(in)*(i+1)/n] }

// open makes the lanes that a batch needs; false when they can't be made.
func (p *Pipeline) open(in []kafkaio.Record) bool {
	for len(p.lanes.all) < lanesOf(in) {
		o := p.options
		o.Metrics = connectmetrics.Alone() // they are counted already
		again, err := newPlugins(o)
		if err != nil {
			p.lanes.may = false // as it was made before, this is not the configuration's fault
			p.tol.log.Warn("records are converted in turn, since converters could not be made again", slog.Any("err", err))
			return false
		}
		p.lanes.all = append(p.lanes.all, &lane{plugins: again})
	}
	return true
}

// start has the first of the lanes that a batch is spread over convert their parts.
func (l *lanes) start(in []kafkaio.Record, first int) {
	n := lanesOf(in)
	for i := range first {
		l.busy.Go(func() { l.all[i].convert(runOf(in, i, n)) })
	}
}

// spread is oneByOne on all cores.
func (p *Pipeline) spread(ctx context.Context, in []kafkaio.Record, out []record.Sink) ([]record.Sink, error) {
	if !p.open(in) {
		return p.oneByOne(ctx, in, out)
	}
	last := lanesOf(in) - 1
	p.lanes.start(in, last)
	p.lanes.all[last].convert(runOf(in, last, last+1)) // this goroutine has a core, too
	return p.collect(ctx, in, out)
}

// collect waits for the lanes and judges what they met.
func (p *Pipeline) collect(ctx context.Context, in []kafkaio.Record, out []record.Sink) ([]record.Sink, error) {
	p.lanes.busy.Wait()
	n := lanesOf(in)
	for i, l := range p.lanes.all[:n] {
		part := runOf(in, i, n)
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
