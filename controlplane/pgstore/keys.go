package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	// Whoever comes second with a key waits here until the transaction of the first has ended, so that the next statement sees
	// what it has left. Two keys with the same hash wait for each other without need, which is rare and harmless.
	sqlKeyLock = `SELECT pg_advisory_xact_lock(hashtextextended('millrace request key ' || $1, 0))`
	sqlKeyRead = `
SELECT digest, pending, status, header::text AS header, body, (extract(epoch FROM clock_timestamp() - created_at) * 1000000)::bigint AS age
FROM request_keys WHERE key = $1`
	// What is there was looked at under the lock: it is too old, or was preliminary.
	sqlKeyStore = `
INSERT INTO request_keys (key, digest, pending, status, header, body) VALUES ($1, $2, $3, $4, $5::text::json, $6)
ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, pending = excluded.pending, status = excluded.status, header = excluded.header,
    body = excluded.body, created_at = excluded.created_at`
	sqlKeysPrune = `DELETE FROM request_keys WHERE created_at < clock_timestamp() - $1::bigint * interval '1 microsecond'`
)

type keyRow struct {
	Digest  []byte
	Pending bool
	Status  int
	Header  string
	Body    []byte
	Age     int64
}

func (r *keyRow) record() (*cluster.KeyRecord, error) {
	if r == nil {
		return nil, nil
	}
	k := &cluster.KeyRecord{Digest: [32]byte(r.Digest), Pending: r.Pending, Age: microseconds(r.Age), Answer: cluster.Answer{Status: r.Status, Body: r.Body}}
	if err := json.Unmarshal([]byte(r.Header), &k.Answer.Header); err != nil {
		return nil, fmt.Errorf("reading the headers of a recorded answer: %w", err)
	}
	return k, nil
}

// claimKey begins a change that is to happen once: it keeps others with the key out until the transaction ends, and fails
// with what was recorded if they came before. Keys come before all other locks, and a transaction has one at most.
func claimKey(ctx context.Context, t *tx, o *cluster.Once) error {
	if o == nil {
		return nil
	}
	k, err := lockKey(ctx, t, o.Key)
	if err != nil {
		return err
	}
	return o.Check(k)
}

func lockKey(ctx context.Context, t *tx, key string) (*cluster.KeyRecord, error) {
	var row *keyRow
	b := &pgx.Batch{}
	b.Queue(sqlKeyLock, key)
	b.Queue(sqlKeyRead, key).Query(intoOne(&row))
	if err := t.send(ctx, b); err != nil {
		return nil, err
	}
	return row.record()
}

// keepAnswer queues the answer to a change, to be committed with it.
func keepAnswer(b *pgx.Batch, o *cluster.Once, outcome cluster.Outcome) error {
	if o == nil {
		return nil
	}
	return queueAnswer(b, *o, o.Answer(outcome))
}

func queueAnswer(b *pgx.Batch, o cluster.Once, a cluster.Answer) error {
	header := a.Header
	if header == nil {
		header = map[string]string{}
	}
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	body := a.Body
	if body == nil {
		body = []byte{}
	}
	b.Queue(sqlKeyStore, o.Key, o.Digest[:], o.Pending, a.Status, string(text), body)
	return nil
}

// CheckKey implements the store.
func (s *Store) CheckKey(ctx context.Context, o cluster.Once) error {
	rows, err := collect[keyRow](ctx, s, "looking for a request's key", sqlKeyRead, o.Key)
	if err != nil || len(rows) == 0 {
		return err
	}
	k, err := rows[0].record()
	if err != nil {
		return err
	}
	return o.Check(k)
}

// RecordAnswer implements the store.
func (s *Store) RecordAnswer(ctx context.Context, o cluster.Once, a cluster.Answer) error {
	return s.inTx(ctx, "recording an answer", func(ctx context.Context, t *tx) error {
		k, err := lockKey(ctx, t, o.Key)
		if err != nil {
			return err
		}
		if err := o.CheckRecord(k); err != nil {
			return err
		}
		final := o
		final.Pending = false
		b := &pgx.Batch{}
		if err := queueAnswer(b, final, a); err != nil {
			return err
		}
		return t.commit(ctx, b)
	})
}

// PruneKeys implements the store.
func (s *Store) PruneKeys(ctx context.Context, keep time.Duration) (int, error) {
	tag, err := s.pool.Exec(ctx, sqlKeysPrune, keep.Microseconds())
	return int(tag.RowsAffected()), classify(err, "deleting old keys")
}
