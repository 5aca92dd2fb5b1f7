package plugins_test

import (
	"database/sql"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/record"
	"github.com/millrace/millrace/tests/conformance/connectortest"
	"github.com/millrace/millrace/tests/servers"
)

func jdbcSink(t *testing.T, p plugin.Plugin) {
	schema := data.StructOf([]data.Field{{Name: "n", Schema: data.NewSchema(data.String)}})
	connectortest.RunSink(t, connectortest.Sink{
		Plugin: p,
		New: func(t *testing.T) connectortest.SinkPlace {
			file := path(t)
			return connectortest.SinkPlace{
				Config: map[string]string{"connection.url": "jdbc:sqlite:" + file, "auto.create": "true"},
				Read: func() []string {
					db, err := sql.Open("sqlite", file)
					require.NoError(t, err)
					list, err := servers.Database{DB: db}.Query(t.Context(), "SELECT n FROM t ORDER BY rowid")
					require.NoError(t, db.Close())
					if err != nil {
						return nil // the table is made with the first record
					}
					return list
				},
			}
		},
		Record: func(n int) record.Sink {
			v := data.NewStruct(schema)
			require.NoError(t, v.Set("n", strconv.Itoa(n)))
			return record.Sink{ValueSchema: schema, Value: v}
		},
	})
}
