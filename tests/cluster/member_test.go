package cluster_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/cluster"
)

// The address in a status' worker_id answers the whole contract, so that a client that knows any member of the cluster works.
func TestFleet_any_member_answers(t *testing.T) {
	f := theFleet(t)
	f.asWanted(t)
	all, err := f.REST.Statuses(t.Context())
	require.NoError(t, err)
	members := map[string]bool{}
	for _, s := range all {
		for _, one := range s.All() {
			members[one.WorkerID] = true
		}
	}
	require.NotEmpty(t, members)
	n := 0
	for id := range members {
		n++
		member := cluster.REST{Base: "http://" + id}
		there, err := member.Statuses(t.Context())
		require.NoError(t, err)
		require.Len(t, there, len(all))

		// A whole life, by this member alone.
		name := fmt.Sprintf("member-%d", n)
		_, err = member.Do(t.Context(), http.MethodPost, "/connectors", map[string]any{"name": name, "config": map[string]string{
			"connector.class": "MockSource", "notes": strings.Repeat("x", 900<<10)}})
		require.NoError(t, err)
		f.until(t, startWithin, func(ctx context.Context) error {
			s, err := member.Status(ctx, name)
			if err == nil && !s.Is("RUNNING") {
				err = fmt.Errorf("%+v", s)
			}
			return err
		})
		_, err = member.Do(t.Context(), http.MethodDelete, "/connectors/"+name, nil)
		require.NoError(t, err)

		// What is refused is refused by the api itself, whatever its size.
		_, err = member.Do(t.Context(), http.MethodPut, "/connectors/"+name+"/config", map[string]string{"connector.class": "MockSource", "notes": strings.Repeat("x", 15<<20)})
		require.ErrorContains(t, err, "The configuration has")
	}
}

const startWithin = 60 * time.Second
