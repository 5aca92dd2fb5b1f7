package pipeline

import "time"

// KeptBytes is how many bytes of consumed records are kept.
func (p *Pipeline) KeptBytes() (n int) {
	for _, k := range p.kept {
		n += k.bytes
	}
	return n
}

// Spread has all batches that are long enough spread over lanes, or none.
func (p *Pipeline) Spread(all bool) { p.lanes.may, p.lanes.each, p.lanes.until = all, time.Hour, 1<<30 }

// LeastSpread is how many records a batch must have to be spread.
const LeastSpread = 2 * laneLeast
