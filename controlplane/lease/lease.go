// Package lease keeps one leader at a time (Invariant 6). The lease is a row in the store, judged by the store's clock;
// its holder counts the time it has left on its own monotonic clock, from before it asked, and stops a margin early, so
// that no two machines' clocks are compared (Invariant 9).
//
// A lease bounds how long two leaders can overlap; it fences nothing. What fences is the term, which every write of a
// leader names.
package lease

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/sleep"
)

// Store is what a lease needs of the store; tests/conformance/storetest documents the methods.
type Store interface {
	AcquireLease(ctx context.Context, holder string, ttl time.Duration) (l cluster.LeaderLease, ok bool, wait time.Duration, err error)
	RenewLease(ctx context.Context, l cluster.LeaderLease) error
	ResignLease(ctx context.Context, l cluster.LeaderLease) error
}

// Options say who wants to lead, and the times. Renew + Margin must be well below TTL.
type Options struct {
	Holder string        // for people; two holders of one name are told apart by their terms
	TTL    time.Duration // how long the store keeps the lease without a renewal; default 3 s
	Renew  time.Duration // default 1 s
	Margin time.Duration // how much before the lease ends its holder stops; default 1 s
	Logger *slog.Logger
}

const (
	retry      = 250 * time.Millisecond // after an error of the store
	resignTime = time.Second
)

var errPassed = errors.New("the lease can't be trusted any more")

// Run wants to lead until ctx ends. While it does, lead runs; its context ends when the lease can't be trusted any more,
// and nobody else is asked before it has returned. When lead returns by itself the lease is resigned and asked for anew.
// On the end of ctx the lease is resigned, so that another can lead at once.
func Run(ctx context.Context, store Store, o Options, lead func(ctx context.Context, l cluster.LeaderLease)) {
	if o.TTL <= 0 {
		o.TTL = 3 * time.Second
	}
	if o.Renew <= 0 {
		o.Renew = o.TTL / 3
	}
	if o.Margin <= 0 {
		o.Margin = o.TTL / 3
	}
	for ctx.Err() == nil {
		asked := time.Now()
		l, ok, wait, err := acquire(ctx, store, o)
		switch {
		case err != nil:
			if ctx.Err() == nil {
				o.Logger.Warn("can't ask for the leadership", slog.Any("err", err))
			}
			sleep.For(ctx, jitter(retry))
		case !ok:
			// Look when it may end, and now and then before: it may be resigned.
			sleep.For(ctx, jitter(min(wait, o.Renew)))
		default:
			hold(ctx, store, o, l, asked, lead)
		}
	}
}

// acquire asks within the time in which an answer is of use.
func acquire(ctx context.Context, store Store, o Options) (cluster.LeaderLease, bool, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, o.TTL-o.Margin)
	defer cancel()
	return store.AcquireLease(ctx, o.Holder, o.TTL)
}

// hold leads under one lease until it has passed, lead returns, or ctx ends.
func hold(ctx context.Context, store Store, o Options, l cluster.LeaderLease, asked time.Time, lead func(context.Context, cluster.LeaderLease)) {
	leading, end := context.WithCancelCause(ctx)
	defer end(nil)
	done := make(chan struct{})
	// G7: the renewal has its goroutine to itself, so that nothing the leader does can delay it.
	go func() {
		defer close(done)
		end(renew(leading, store, o, l, asked))
	}()
	lead(leading, l)
	end(nil)
	<-done
	// Resigning a lease that has passed is no error, and changes nothing.
	resigning, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignTime)
	defer cancel()
	if err := store.ResignLease(resigning, l); err != nil {
		o.Logger.Debug("leadership not resigned, it runs out", slog.Any("err", err))
	}
}

// renew prolongs the lease until it can't be trusted any more, or ctx ends.
func renew(ctx context.Context, store Store, o Options, l cluster.LeaderLease, asked time.Time) error {
	trusted := asked.Add(o.TTL - o.Margin)
	for {
		next := min(o.Renew, time.Until(trusted))
		if !sleep.For(ctx, next) {
			return ctx.Err()
		}
		if !time.Now().Before(trusted) {
			o.Logger.Warn("leadership given up: no renewal in time", slog.Int64("term", int64(l.Term)))
			return errPassed
		}
		begun := time.Now()
		asking, cancel := context.WithDeadline(ctx, trusted)
		err := store.RenewLease(asking, l)
		cancel()
		switch {
		case err == nil:
			trusted = begun.Add(o.TTL - o.Margin)
		case cluster.Is(err, cluster.StaleEpoch):
			o.Logger.Warn("leadership has passed to another", slog.Int64("term", int64(l.Term)))
			return errPassed
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			o.Logger.Warn("leadership not renewed, trying again", slog.Any("err", err))
			if !sleep.For(ctx, min(retry, time.Until(trusted))) {
				return ctx.Err()
			}
		}
	}
}

func jitter(d time.Duration) time.Duration { return d + rand.N(d/4+1) }
