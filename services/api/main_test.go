package main

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/internal/exitcode"
)

func TestRun_without_a_database_says_which_setting_is_missing(t *testing.T) {
	t.Parallel()
	err := (&settings{}).run(t.Context(), nil, slog.New(slog.DiscardHandler))
	require.Equal(t, exitcode.BadInput, exitcode.Of(err))
	require.ErrorContains(t, err, "-postgres-url")
	require.ErrorContains(t, err, "MILLRACE_POSTGRES_URL")
}
