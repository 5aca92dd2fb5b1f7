package pgstore

import (
	"context"
	"slices"
	"sync"

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
), known AS (
    SELECT p.* FROM plugins p
    WHERE NOT EXISTS (SELECT 1 FROM there) OR (p.kind, p.class, p.version) IN (SELECT kind, class, version FROM there)
)
SELECT kind, class, version, digest, task_class, doc, definition FROM known
ORDER BY kind COLLATE "C", class COLLATE "C", version COLLATE "C"`
	// What changes whenever the answer of sqlPlugins does, for each definition that is stored has a time of its own. It is asked at
	// every creation, so it reads no definition, which are large, and sorts nothing.
	sqlPluginsMark = `
SELECT concat_ws('/',
    (SELECT sum(hashtextextended(concat_ws(chr(10), sp.session, sp.kind, sp.class, sp.version), 0)) FROM session_plugins sp
        JOIN sessions s ON s.id = sp.session AND s.state IN ('active', 'draining')), 'of',
    (SELECT sum(hashtextextended(concat_ws(chr(10), kind, class, version, digest, defined_at), 0)) FROM plugins))`
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

// pluginMemory is what was read of the plugins: whoever checks a configuration asks for them, and they change with a release.
type pluginMemory struct {
	mu   sync.Mutex
	mark string
	all  []cluster.PluginRecord
}

func (m *pluginMemory) at(mark string) (all []cluster.PluginRecord, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.all), mark != "" && mark == m.mark
}

func (m *pluginMemory) keep(mark string, all []cluster.PluginRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mark, m.all = mark, slices.Clone(all)
}

// Plugins implements the store. Each answer is what the database has now; the definitions are read again only when any of
// them, or who is there, has changed. They are shared by all answers.
func (s *Store) Plugins(ctx context.Context) ([]cluster.PluginRecord, error) {
	const doing = "listing plugins"
	var mark string
	if err := s.pool.QueryRow(ctx, sqlPluginsMark).Scan(&mark); err != nil {
		return nil, classify(err, doing)
	}
	if all, known := s.plugins.at(mark); known {
		return all, nil
	}
	var all []cluster.PluginRecord
	err := inTx(ctx, s.pool, beginRead, doing, func(ctx context.Context, t *tx) error {
		b := &pgx.Batch{}
		b.Queue(sqlPluginsMark).QueryRow(func(row pgx.Row) error { return row.Scan(&mark) })
		b.Queue(sqlPlugins).Query(into(&all))
		return t.commit(ctx, b)
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	s.plugins.keep(mark, all)
	return all, nil
}

// KafkaClusterID implements the store.
func (s *Store) KafkaClusterID(ctx context.Context) (id string, err error) {
	err = s.pool.QueryRow(ctx, sqlKafkaIDRead).Scan(&id)
	return id, classify(err, "reading the Kafka cluster id")
}
