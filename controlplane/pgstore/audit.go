package pgstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	sqlAuditInsert = `
INSERT INTO audit (at, actor, request_id, action, connector, uid, detail, prev_hash, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	sqlAuditList = `SELECT seq, at, actor, request_id, action, connector, uid, detail FROM audit ORDER BY seq DESC LIMIT $1`
	sqlAuditAll  = `SELECT a.seq, a.at, a.actor, a.request_id, a.action, a.connector, a.uid, a.detail, a.prev_hash, a.hash,
    c.audit_hash AS head
FROM audit a LEFT JOIN connectors c USING (uid) ORDER BY a.uid, a.seq`
)

type auditRow struct {
	Seq       int64
	At        time.Time
	Actor     string
	RequestID string
	Action    string
	Connector string
	UID       string
	Detail    string
}

func (r auditRow) entry() cluster.AuditEntry {
	return cluster.AuditEntry{Seq: r.Seq, At: r.At, Actor: r.Actor, RequestID: r.RequestID, Action: r.Action, Connector: r.Connector,
		UID: cluster.UID(r.UID), Detail: r.Detail}
}

// auditHash links an entry to the one before it. Each field goes in with its length, so that no two entries look alike.
func auditHash(prev []byte, r auditRow) []byte {
	h := sha256.New()
	field := func(b []byte) {
		h.Write(binary.AppendUvarint(nil, uint64(len(b))))
		h.Write(b)
	}
	field(prev)
	for _, s := range []string{r.At.UTC().Format(time.RFC3339Nano), r.Actor, r.RequestID, r.Action, r.Connector, r.UID, r.Detail} {
		field([]byte(s))
	}
	return h.Sum(nil)
}

// audit queues an entry and moves the head of the connector's chain. There is one chain for each connector: its head is in
// the connector's row, which the transaction has locked anyway, so chains never make changes of different connectors wait
// for each other.
func audit(b *pgx.Batch, c *connectorRow, by cluster.Author, action, detail string) {
	r := auditRow{At: time.Now().UTC().Truncate(time.Microsecond), Actor: clean(by.Actor), RequestID: clean(by.RequestID), Action: action,
		Connector: c.Name, UID: c.UID, Detail: detail}
	prev := c.AuditHash
	if prev == nil {
		prev = []byte{}
	}
	c.AuditHash = auditHash(prev, r)
	b.Queue(sqlAuditInsert, r.At, r.Actor, r.RequestID, r.Action, r.Connector, r.UID, r.Detail, prev, c.AuditHash)
}

// Audit implements the store.
func (s *Store) Audit(ctx context.Context, limit int) ([]cluster.AuditEntry, error) {
	rows, err := collect[auditRow](ctx, s, "reading the audit trail", sqlAuditList, max(limit, 0))
	if err != nil {
		return nil, err
	}
	var entries []cluster.AuditEntry
	for _, r := range rows {
		entries = append(entries, r.entry())
	}
	return entries, nil
}

type auditLink struct {
	auditRow
	PrevHash, Hash, Head []byte
}

// VerifyAudit follows every connector's chain and returns the first break: an entry that was changed, or that is missing
// before the last one; for connectors whose row is still there, also a missing last one.
func (s *Store) VerifyAudit(ctx context.Context) error {
	links, err := collect[auditLink](ctx, s, "reading the audit chains", sqlAuditAll)
	if err != nil {
		return err
	}
	var prev []byte
	for i, l := range links {
		if i == 0 || links[i-1].UID != l.UID {
			prev = nil
		}
		if string(prev) != string(l.PrevHash) || string(auditHash(l.PrevHash, l.auditRow)) != string(l.Hash) {
			return fmt.Errorf("audit entry %d of connector %s does not fit the one before it", l.Seq, l.Connector)
		}
		prev = l.Hash
		last := i == len(links)-1 || links[i+1].UID != l.UID
		if last && l.Head != nil && string(l.Head) != string(l.Hash) {
			return fmt.Errorf("audit entries of connector %s after %d are missing", l.Connector, l.Seq)
		}
	}
	return nil
}

// RecordAction implements the store.
func (s *Store) RecordAction(ctx context.Context, name, action, detail string, by cluster.Author) error {
	return s.inTx(ctx, "recording an action", func(ctx context.Context, t *tx) error {
		c, err := lockFor(ctx, t, name, by)
		if err != nil {
			return err
		}
		b := &pgx.Batch{}
		audit(b, &c.connectorRow, by, action, detail)
		_, err = s.store(ctx, t, b, c, nil)
		return err
	})
}
