package pgstore

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
)

const (
	sqlOutboxBlocks = `SELECT nextval('outbox_ids') FROM generate_series(1, $1::int)`
	sqlOutboxInsert = `INSERT INTO outbox (id, address, payload) SELECT * FROM unnest($1::bigint[], $2::text[], $3::bytea[])`

	// By state and age, never by "id above the last": ids are taken before they commit (Invariant 2, AC-3). What was never
	// tried comes first, so that messages that can't be published hold back nobody (AC-5).
	sqlOutboxClaim = `
UPDATE outbox o SET claimed_until = clock_timestamp() + $3::bigint * interval '1 microsecond'
FROM (
    SELECT id FROM outbox
    WHERE created_at <= clock_timestamp() - $2::bigint * interval '1 microsecond'
      AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
    ORDER BY claimed_until NULLS FIRST, created_at, id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
) free
WHERE o.id = free.id
RETURNING o.id, o.address, o.payload, (extract(epoch FROM clock_timestamp() - o.created_at) * 1000000)::bigint AS age`
	sqlOutboxDelete = `DELETE FROM outbox WHERE id = ANY($1)`
	sqlOutboxPrune  = `DELETE FROM outbox WHERE created_at < clock_timestamp() - $1::bigint * interval '1 microsecond'`
	sqlOutboxStats  = `SELECT count(*) AS n, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)) * 1000000, 0)::bigint AS oldest FROM outbox`

	idBlock = 512 // the sequence's increment
)

// idBlocks gives out outbox ids without asking the database each time. An id is known before its row is written because
// it is part of the message.
type idBlocks struct {
	mu   sync.Mutex
	free []int64 // ascending
}

func (b *idBlocks) take(n int) []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) < n {
		return nil
	}
	ids := b.free[:n:n]
	b.free = b.free[n:]
	return ids
}

func (b *idBlocks) put(firsts []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fresh := make([]int64, 0, len(firsts)*idBlock+len(b.free))
	fresh = append(fresh, b.free...)
	for _, first := range firsts {
		for i := range int64(idBlock) {
			fresh = append(fresh, first+i)
		}
	}
	b.free = fresh
}

// note is a message that is to be committed with a change.
type note struct {
	to      wire.Address
	kind    wire.Kind
	payload any
}

func wake(uid string, generation int64) note {
	return note{wire.Commands, wire.KindWake, wire.Wake{UID: cluster.UID(uid), Generation: cluster.Revision(generation)}}
}

// notes queues the messages' rows and returns the messages. It asks the database only when it is out of ids.
func (s *Store) notes(ctx context.Context, t *tx, b *pgx.Batch, notes []note) ([]cluster.OutboxMessage, error) {
	if len(notes) == 0 {
		return nil, nil
	}
	var ids []int64
	for ids = s.ids.take(len(notes)); ids == nil; ids = s.ids.take(len(notes)) {
		var firsts []int64
		ask := &pgx.Batch{}
		ask.Queue(sqlOutboxBlocks, len(notes)/idBlock+1).Query(func(rows pgx.Rows) (err error) {
			firsts, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		})
		if err := t.send(ctx, ask); err != nil {
			return nil, err
		}
		s.ids.put(firsts)
	}
	out := make([]cluster.OutboxMessage, len(notes))
	addresses, payloads := make([]string, len(notes)), make([][]byte, len(notes))
	for i, n := range notes {
		payload, err := wire.Encode(n.kind, strconv.FormatInt(ids[i], 10), n.payload)
		if err != nil {
			return nil, err
		}
		out[i] = cluster.OutboxMessage{ID: ids[i], Address: string(n.to), Payload: payload}
		addresses[i], payloads[i] = string(n.to), payload
	}
	b.Queue(sqlOutboxInsert, ids, addresses, payloads)
	return out, nil
}

type outboxRow struct {
	ID      int64
	Address string
	Payload []byte
	Age     int64
}

// ClaimOutbox implements the store.
func (s *Store) ClaimOutbox(ctx context.Context, limit int, minAge, claimFor time.Duration) ([]cluster.OutboxMessage, error) {
	rows, err := collect[outboxRow](ctx, s, "claiming outbox messages", sqlOutboxClaim, limit, minAge.Microseconds(), claimFor.Microseconds())
	if err != nil {
		return nil, err
	}
	var out []cluster.OutboxMessage
	for _, r := range rows {
		out = append(out, cluster.OutboxMessage{ID: r.ID, Address: r.Address, Payload: r.Payload, Age: microseconds(r.Age)})
	}
	sortBy(out, func(m cluster.OutboxMessage) int64 { return m.ID })
	return out, nil
}

// MarkPublished implements the store.
func (s *Store) MarkPublished(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	_, err := s.pool.Exec(ctx, sqlOutboxDelete, ids)
	return classify(err, "ending outbox messages")
}

// PruneOutbox implements the store.
func (s *Store) PruneOutbox(ctx context.Context, maxAge time.Duration) (int, error) {
	tag, err := s.pool.Exec(ctx, sqlOutboxPrune, maxAge.Microseconds())
	return int(tag.RowsAffected()), classify(err, "pruning the outbox")
}

// OutboxStats implements the store.
func (s *Store) OutboxStats(ctx context.Context) (n int, oldest time.Duration, err error) {
	var age int64
	err = s.pool.QueryRow(ctx, sqlOutboxStats).Scan(&n, &age)
	return n, microseconds(age), classify(err, "measuring the outbox")
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
