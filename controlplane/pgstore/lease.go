package pgstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

// The database's clock alone judges leases (Invariant 6). These run on reserved connections (PF-7).
const (
	// The same holder name is no exception: it may be a clone (SB-4).
	sqlLeaseAcquire = `
UPDATE leader SET holder = $1, term = term + 1, expires_at = clock_timestamp() + $2::bigint * interval '1 microsecond'
WHERE holder = '' OR expires_at <= clock_timestamp() RETURNING term`
	sqlLeaseWait   = `SELECT greatest(extract(epoch FROM expires_at - clock_timestamp()) * 1000000, 0)::bigint FROM leader`
	sqlLeaseHeld   = `term = $1 AND holder <> '' AND expires_at > clock_timestamp()`
	sqlLeaseRenew  = `UPDATE leader SET expires_at = clock_timestamp() + $2::bigint * interval '1 microsecond' WHERE ` + sqlLeaseHeld
	sqlLeaseResign = `UPDATE leader SET holder = '', expires_at = clock_timestamp() WHERE term = $1`
	// term is a key, so that FOR KEY SHARE makes the next term wait, and no renewal: a plan that waits for locks must not cost
	// the leadership.
	sqlLeaseCheck = `SELECT 1 FROM leader WHERE ` + sqlLeaseHeld + ` FOR KEY SHARE`
	sqlFloorRaise = `UPDATE cluster_state SET epoch_floor = $1 WHERE epoch_floor < $1`
	sqlFloorCheck = `SELECT epoch_floor FROM cluster_state FOR SHARE`
)

// AcquireLease implements the store.
func (s *Store) AcquireLease(ctx context.Context, holder string, ttl time.Duration) (l cluster.LeaderLease, ok bool, wait time.Duration, err error) {
	if holder == "" {
		return l, false, 0, cluster.Errorf(cluster.Invalid, "a lease needs a holder")
	}
	var term int64
	err = s.reserved.QueryRow(ctx, sqlLeaseAcquire, holder, ttl.Microseconds()).Scan(&term)
	if err == nil {
		return cluster.LeaderLease{Holder: holder, Term: cluster.Term(term), TTL: ttl}, true, 0, nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		var left int64
		err = s.reserved.QueryRow(ctx, sqlLeaseWait).Scan(&left)
		wait = microseconds(left)
	}
	return cluster.LeaderLease{}, false, wait, classify(err, "acquiring the leader lease")
}

// RenewLease implements the store.
func (s *Store) RenewLease(ctx context.Context, l cluster.LeaderLease) error {
	tag, err := s.reserved.Exec(ctx, sqlLeaseRenew, int64(l.Term), l.TTL.Microseconds())
	if err == nil && tag.RowsAffected() == 0 {
		return cluster.Errorf(cluster.StaleEpoch, "term %d has passed", l.Term)
	}
	return classify(err, "renewing the leader lease")
}

// ResignLease implements the store.
func (s *Store) ResignLease(ctx context.Context, l cluster.LeaderLease) error {
	_, err := s.reserved.Exec(ctx, sqlLeaseResign, int64(l.Term))
	return classify(err, "resigning the leader lease")
}

// RaiseEpochFloor implements the store.
func (s *Store) RaiseEpochFloor(ctx context.Context, floor cluster.Epoch) error {
	_, err := s.pool.Exec(ctx, sqlFloorRaise, int64(floor))
	return classify(err, "raising the epoch floor")
}
