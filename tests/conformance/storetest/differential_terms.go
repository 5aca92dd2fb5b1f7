package storetest

import (
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/controlplane/cluster"
)

// author draws an author with terms now and then.
func (d *duel) author(t *rapid.T) cluster.Author {
	by := author
	if rarely(t, 3, "condition") {
		refs := []cluster.ConfigRef{{UID: "nobody", Version: 1}}
		for _, v := range d.views {
			refs = append(refs, v.Ref())
		}
		some := []cluster.ConfigRef{rapid.SampledFrom(refs).Draw(t, "one"), rapid.SampledFrom(refs).Draw(t, "other")}
		by.If = rapid.SampledFrom([]cluster.Precondition{{Exists: true}, {Absent: true}, {Match: some}, {Differ: some}, {Match: refs}}).Draw(t, "condition")
	}
	if rarely(t, 3, "key") {
		by.Once = d.once(t)
	}
	return by
}

func (d *duel) once(t *rapid.T) *cluster.Once {
	o := once(rapid.SampledFrom(keys).Draw(t, "key"), byte(rapid.IntRange(0, 1).Draw(t, "digest")))
	o.Pending = rarely(t, 4, "pending")
	return o
}

var keys = []string{"k", "l", "m", "n"}

func (d *duel) recordAnswer(t *rapid.T, name string) {
	o := d.once(t)
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		return nil, nil, s.RecordAnswer(d.ctx, *o, cluster.Answer{Status: 404, Body: []byte("nothing")})
	})
}

// pruneKeys forgets none or all: how long ago something was is not the same in both stores.
func (d *duel) pruneKeys(t *rapid.T, name string) {
	keep := rapid.SampledFrom([]time.Duration{-time.Hour, time.Hour}).Draw(t, "keep")
	_, _ = d.both(t, name, func(s Store) (answer, []cluster.OutboxMessage, error) {
		n, err := s.PruneKeys(d.ctx, keep)
		return answer{n}, nil, err
	})
}
