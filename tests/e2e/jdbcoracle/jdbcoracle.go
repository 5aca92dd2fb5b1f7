// Package jdbcoracle sends the same records through a Java JDBC sink on a real Kafka Connect worker and through Millrace's, and
// compares the tables: values of all types that both know, with nulls and odd characters, inserted, updated by key, deleted by
// tombstones, in tables that are there and in tables that the connectors make.
//
// Start reading at Run. The made-up records are in corpus.go, the differences that are intended in intended.go.
package jdbcoracle

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/tests/servers"
)

var (
	rows = flag.Int("jdbc-rows", 3000, "how many rows each comparison with a Java JDBC sink has")
	seed = flag.Uint64("jdbc-seed", 1, "seed of the records that are compared with a Java JDBC sink's")
)

const (
	patience   = 3 * time.Minute
	tick       = 100 * time.Millisecond
	partitions = 2
)

// Worker is one of the two.
type Worker struct {
	Name string
	Base string // http://host:port
	Java bool   // it has Debezium's sink
}

// setting is one comparison.
type setting struct {
	name    string
	upserts bool // keys come again, and tombstones
	makes   bool // the connectors make the tables
	props   map[string]string
	java    map[string]string
}

func settings() []setting {
	return []setting{
		{name: "insert", props: map[string]string{"insert.mode": "insert"}},
		{name: "upsert", upserts: true, props: map[string]string{"insert.mode": "upsert", "pk.mode": "record_key", "pk.fields": "id", "delete.enabled": "true"},
			java: map[string]string{"primary.key.mode": "record_key", "delete.enabled": "true"}},
		{name: "made", makes: true, props: map[string]string{"insert.mode": "insert", "pk.mode": "record_key", "pk.fields": "id", "auto.create": "true"},
			java: map[string]string{"primary.key.mode": "record_key", "schema.evolution": "basic"}},
	}
}

// Run sends records of every setting to a database through both workers, and requires the same tables.
func Run(t *testing.T, bootstrap, id string, d servers.Database, theirs, ours Worker) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.UnknownTopicRetries(-1))
	require.NoError(t, err)
	defer client.Close()
	all := settings()
	if d.Product == "mysql" { // 5.5 refuses the columns that either connector makes for times
		all = slices.DeleteFunc(all, func(s setting) bool { return s.makes })
	}
	for _, s := range all {
		s.begin(t, client, id, d, theirs, ours)
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			for _, w := range []Worker{theirs, ours} {
				s.waitFor(t, id, d, w)
			}
			want, got := s.rows(t, d, theirs), s.rows(t, d, ours)
			require.NotEmpty(t, want)
			different := 0
			for i := range max(len(want), len(got)) {
				if a, b := at(want, i), at(got, i); a != b {
					if different++; different <= 5 {
						t.Errorf("row %d\n%s %q\n%s %q", i, theirs.Name, a, ours.Name, b)
					}
				}
			}
			t.Logf("%d records in, %d rows out, %d of them different", *rows, len(want), different)
			if s.makes {
				compareTypes(t, d, s.table(theirs), s.table(ours))
			}
		})
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

func (s setting) table(w Worker) string { return w.Name + "_" + s.name }

func (s setting) topic(id string, d servers.Database) string {
	return "rows-" + id + "-" + d.Product + "-" + s.name
}

func (s setting) connector(w Worker, d servers.Database) string {
	return w.Name + "-" + d.Product + "-" + s.name
}

// begin makes tables, topic and connectors of a setting.
func (s setting) begin(t *testing.T, client *kgo.Client, id string, d servers.Database, workers ...Worker) {
	t.Helper()
	topic, c := s.topic(id, d), newCorpus(*seed, d.Product, s.upserts)
	_, err := kadm.NewClient(client).CreateTopic(t.Context(), partitions, 1, nil, topic)
	require.NoError(t, err)
	for i := range *rows {
		r := c.record(i, *rows)
		r.Topic = topic
		client.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	require.NoError(t, client.Flush(t.Context()))
	for _, w := range workers {
		if !s.makes {
			d.Exec(t, c.ddl(s.table(w), d.Product))
		}
		status, answer, err := exchange(t.Context(), http.MethodPut, w.Base+"/connectors/"+s.connector(w, d)+"/config", s.config(w, topic, d))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, status, answer)
	}
}

func (s setting) config(w Worker, topic string, d servers.Database) map[string]string {
	c := map[string]string{"tasks.max": "1", "topics": topic, "connection.url": d.JDBC,
		"key.converter": jsonClass, "key.converter.schemas.enable": "true", "value.converter": jsonClass, "value.converter.schemas.enable": "true"}
	if !w.Java {
		c["connector.class"], c["table.name.format"], c["date.calendar.system"] = "io.confluent.connect.jdbc.JdbcSinkConnector", s.table(w), "PROLEPTIC_GREGORIAN"
		maps.Copy(c, s.props)
		return c
	}
	c["connector.class"], c["collection.name.format"], c["quote.identifiers"], c["insert.mode"] = "io.debezium.connector.jdbc.JdbcSinkConnector", s.table(w), "true", s.props["insert.mode"]
	u, err := url.Parse(strings.TrimPrefix(d.JDBC, "jdbc:"))
	if err == nil {
		c["connection.username"], c["connection.password"] = u.Query().Get("user"), ""
	}
	maps.Copy(c, s.java)
	return c
}

const jsonClass = "org.apache.kafka.connect.json.JsonConverter"

// waitFor waits until a worker has committed that it has done all records.
func (s setting) waitFor(t *testing.T, id string, d servers.Database, w Worker) {
	t.Helper()
	base := w.Base + "/connectors/" + s.connector(w, d)
	var seen string
	for deadline := time.Now().Add(patience); ; {
		var answer struct {
			Offsets []struct {
				Offset struct {
					At int `json:"kafka_offset"`
				}
			}
		}
		_, text, err := exchange(t.Context(), http.MethodGet, base+"/offsets", nil)
		require.NoError(t, err)
		done := 0
		if json.Unmarshal([]byte(text), &answer) == nil { // an error's body is not this one
			for _, o := range answer.Offsets {
				done += o.Offset.At
			}
		}
		if done == *rows {
			return
		}
		_, seen, err = exchange(t.Context(), http.MethodGet, base+"/status", nil)
		require.NoError(t, err)
		if strings.Contains(seen, `"FAILED"`) || time.Now().After(deadline) {
			t.Fatalf("%s has done %d of %d records: %s", s.connector(w, d), done, *rows, strings.ReplaceAll(seen, `\n`, "\n"))
		}
		select {
		case <-time.After(tick):
		case <-t.Context().Done():
		}
	}
}

// rows are those of the setting's table, in order.
func (s setting) rows(t *testing.T, d servers.Database, w Worker) []string {
	t.Helper()
	c := newCorpus(*seed, d.Product, s.upserts)
	names := make([]string, len(c.columns))
	for i, f := range c.columns {
		names[i] = quotedName(d.Product, f.name)
		if s.makes && f.reads != "" && d.Like() == "mariadb" {
			names[i] = "CAST(" + names[i] + " AS " + f.reads + ")"
		}
	}
	return d.Rows(t, "SELECT "+strings.Join(names, ", ")+" FROM "+s.table(w)+" ORDER BY 1")
}

func exchange(ctx context.Context, method, url string, config map[string]string) (status int, answer string, err error) {
	var body io.Reader
	if config != nil {
		b, err := json.Marshal(config)
		if err != nil {
			return 0, "", err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("%s %s: %w", method, url, err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(all), err
}
