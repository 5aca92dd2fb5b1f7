package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/controlplane/cluster"
)

const (
	sqlPluginsMissing = `
SELECT k.kind, k.class, k.version, k.digest FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k (kind, class, version, digest)
WHERE NOT EXISTS (SELECT 1 FROM plugins p WHERE (p.kind, p.class, p.version, p.digest) = (k.kind, k.class, k.version, k.digest))
ORDER BY k.kind COLLATE "C", k.class COLLATE "C", k.version COLLATE "C"`
	sqlPluginStore = `
INSERT INTO plugins (kind, class, version, digest, task_class, doc, definition) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (kind, class, version) DO UPDATE SET digest = excluded.digest, task_class = excluded.task_class, doc = excluded.doc,
    definition = excluded.definition, defined_at = clock_timestamp()`
	sqlPlugins = `
WITH there AS (
    SELECT DISTINCT sp.kind, sp.class, sp.version FROM session_plugins sp
    JOIN sessions s ON s.id = sp.session AND s.state IN ('active', 'draining')
    JOIN plugins p ON (p.kind, p.class, p.version) = (sp.kind, sp.class, sp.version)
)
SELECT p.kind, p.class, p.version, p.digest, p.task_class, p.doc, p.definition FROM plugins p
WHERE NOT EXISTS (SELECT 1 FROM there) OR (p.kind, p.class, p.version) IN (SELECT kind, class, version FROM there)
ORDER BY p.kind COLLATE "C", p.class COLLATE "C", p.version COLLATE "C"`
	sqlKafkaIDRead = `SELECT kafka_cluster_id FROM cluster_state`
)

type refColumns struct{ kinds, classes, versions, digests []string }

func splitRefs(refs []cluster.PluginRef) (c refColumns) {
	for _, r := range refs {
		c.kinds, c.classes = append(c.kinds, r.Kind), append(c.classes, r.Class)
		c.versions, c.digests = append(c.versions, r.Version), append(c.digests, r.Digest)
	}
	return c
}

// DefinePlugins implements the store.
func (s *Store) DefinePlugins(ctx context.Context, plugins []cluster.PluginRecord) error {
	if len(plugins) == 0 {
		return nil
	}
	plugins = append([]cluster.PluginRecord(nil), plugins...)
	// In one order, so that runners that start together don't wait for each other in a circle.
	sortBy(plugins, func(p cluster.PluginRecord) string { return p.Kind + "\x00" + p.Class + "\x00" + p.Version })
	return s.inTx(ctx, "storing plugin definitions", func(ctx context.Context, t *tx) error {
		b := &pgx.Batch{}
		for _, p := range plugins {
			definition := p.Definition
			if definition == nil {
				definition = []byte{}
			}
			b.Queue(sqlPluginStore, p.Kind, p.Class, p.Version, p.Digest, p.TaskClass, clean(p.Doc), definition)
		}
		return t.commit(ctx, b)
	})
}

// Plugins implements the store.
func (s *Store) Plugins(ctx context.Context) ([]cluster.PluginRecord, error) {
	all, err := collect[cluster.PluginRecord](ctx, s, "listing plugins", sqlPlugins)
	if len(all) == 0 {
		return nil, err
	}
	return all, err
}

// KafkaClusterID implements the store.
func (s *Store) KafkaClusterID(ctx context.Context) (id string, err error) {
	err = s.pool.QueryRow(ctx, sqlKafkaIDRead).Scan(&id)
	return id, classify(err, "reading the Kafka cluster id")
}
