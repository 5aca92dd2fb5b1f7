package runner

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/internal/secrets"
	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/services/taskrunner/internal/job"
)

type failing struct{ err error }

func (f failing) Run(_, _ context.Context, env job.Env) error {
	env.Report.Failed(f.err)
	return f.err
}

type heard struct {
	job.Reporter
	err error
}

func (h *heard) Failed(err error) { h.err = err }

func TestDiscreet_errors_do_not_quote_secrets_and_stay_what_they_are(t *testing.T) {
	t.Parallel()
	refs := secrets.New(map[string]secrets.Provider{"vault": fixed{"pw": "hunter2-long", "half": "hunter2", "port": "5432"}})
	spec := cluster.JobSpec{Config: cluster.ConfigOf(map[string]string{"password": "${vault:pw}", "url": "db:${vault:port}/${vault:half}"})}
	for _, c := range []struct {
		err   error
		trace string
	}{
		{connecterr.Wrap(connecterr.Data, fmt.Errorf("login with hunter2-long: %w", job.ErrFenced), "can't reach db:5432/hunter2"),
			"org.apache.kafka.connect.errors.DataException: can't reach db:5432/[hidden]\nCaused by: org.apache.kafka.connect.errors.ConnectException: login with [hidden]: fenced by a newer holder of this job\n"},
		{errors.New("no secret in it"), "org.apache.kafka.connect.errors.ConnectException: no secret in it\n"},
		{fmt.Errorf("wrapped: %w", connecterr.New(connecterr.Retriable, "hunter2")), "org.apache.kafka.connect.errors.RetriableException: wrapped: [hidden]\n"},
	} {
		told := &heard{}
		err := newDiscreet(failing{c.err}, refs, spec).Run(t.Context(), t.Context(), job.Env{Report: told})
		require.Equal(t, c.trace, connecterr.Trace(err))
		require.Equal(t, c.trace, connecterr.Trace(told.err))
		require.Equal(t, errors.Is(c.err, job.ErrFenced), errors.Is(err, job.ErrFenced))
		require.Equal(t, connecterr.KindOf(c.err), connecterr.KindOf(err))
	}
	in := failing{}
	require.Equal(t, job.Instance(in), newDiscreet(in, refs, cluster.JobSpec{Config: cluster.ConfigOf(map[string]string{"a": "b"})}), "nothing to hide")
	require.NoError(t, newDiscreet(in, refs, spec).Run(t.Context(), t.Context(), job.Env{Report: &heard{}}))
}
