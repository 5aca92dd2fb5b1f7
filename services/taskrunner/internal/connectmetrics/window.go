package connectmetrics

import (
	"math"
	"time"
)

// Windows say over which time rates, averages and maxima are: metrics.num.samples pieces of metrics.sample.window.ms.
type Windows struct {
	Samples int           // 0 = 2
	Length  time.Duration // 0 = 30 s
}

// window gathers observations in pieces of time, as the metrics of Kafka's Java programs do: a piece that is over is kept
// until its place is needed, or until it is too old to count.
type window struct {
	cfg    Windows
	pieces []piece
	at     int
}

type piece struct {
	begun          time.Time
	n              int64
	sum, min, most float64
}

func newWindow(cfg Windows, now time.Time) *window {
	if cfg.Samples <= 0 {
		cfg.Samples = 2
	}
	if cfg.Length <= 0 {
		cfg.Length = 30 * time.Second
	}
	return &window{cfg: cfg, pieces: []piece{{begun: now}}}
}

func (w *window) add(now time.Time, v float64) {
	if now.Sub(w.pieces[w.at].begun) >= w.cfg.Length {
		w.at = (w.at + 1) % w.cfg.Samples
		if w.at == len(w.pieces) {
			w.pieces = append(w.pieces, piece{})
		}
		w.pieces[w.at] = piece{begun: now}
	}
	p := &w.pieces[w.at]
	if p.n == 0 {
		p.min, p.most = v, v
	}
	p.n++
	p.sum += v
	p.min, p.most = min(p.min, v), max(p.most, v)
}

// all puts the pieces that still count together; begun is when the oldest of them began.
func (w *window) all(now time.Time) piece {
	whole := piece{begun: now}
	for i := range w.pieces {
		p := &w.pieces[i]
		if now.Sub(p.begun) >= time.Duration(w.cfg.Samples)*w.cfg.Length {
			*p = piece{begun: now}
		}
		if p.begun.Before(whole.begun) {
			whole.begun = p.begun
		}
		if p.n == 0 {
			continue
		}
		if whole.n == 0 {
			whole.min, whole.most = p.min, p.most
		}
		whole.n += p.n
		whole.sum += p.sum
		whole.min, whole.most = min(whole.min, p.min), max(whole.most, p.most)
	}
	return whole
}

// rate is per second. Over less than all pieces but one nothing is told: right after the start it would jump.
func (w *window) rate(now time.Time) float64 {
	p := w.all(now)
	least := time.Duration(w.cfg.Samples-1) * w.cfg.Length
	over := now.Sub(p.begun)
	if full := over / w.cfg.Length; full < time.Duration(w.cfg.Samples-1) {
		over += (time.Duration(w.cfg.Samples-1) - full) * w.cfg.Length
	}
	if over = max(over, least); over <= 0 {
		return p.sum
	}
	return p.sum / over.Seconds()
}

// What was not observed has no average, no least and no most.
func (p piece) avg() float64 { return p.orNaN(p.sum / float64(p.n)) }
func (p piece) max() float64 { return p.orNaN(p.most) }
func (p piece) low() float64 { return p.orNaN(p.min) }

func (p piece) orNaN(v float64) float64 {
	if p.n == 0 {
		return math.NaN()
	}
	return v
}

// share is the part of ones among ones and zeros, and the part of zeros.
func (p piece) share() (ones, zeros float64) {
	if p.n == 0 {
		return 0, 0
	}
	ones = p.sum / float64(p.n)
	return ones, 1 - ones
}

// meter is a total with its rate.
type meter struct {
	w     *window
	total float64
}

func (m *meter) add(now time.Time, n int) {
	m.w.add(now, float64(n))
	m.total += float64(n)
}
