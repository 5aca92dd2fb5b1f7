package pgstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/memstore"
	"github.com/millrace/millrace/tests/conformance/storetest"
)

func TestDifferential_the_store_answers_as_its_twin_in_memory_does(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), database(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	storetest.Differential(t,
		func() storetest.Store { return memstore.New(time.Now) },
		func() (storetest.Store, func()) {
			s, schema := openSchema(t)
			return s, func() {
				require.NoError(t, s.VerifyAudit(t.Context()))
				s.Close()
				_, err := conn.Exec(t.Context(), "DROP SCHEMA "+pgx.Identifier{schema}.Sanitize()+" CASCADE")
				require.NoError(t, err)
			}
		})
}
