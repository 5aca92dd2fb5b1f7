package httpapi

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

var update = flag.Bool("update", false, "write the reference page")

func TestErrors_every_code_has_a_status_and_a_text_that_hides_what_is_inside(t *testing.T) {
	t.Parallel()
	page := "# Errors of the REST API\n\nEvery error has the body `{\"error_code\":STATUS,\"message\":\"…\"}`. Written by `make docs`.\n\n| kind | status | message |\n| --- | --- | --- |\n"
	for _, code := range cluster.Codes() {
		require.Contains(t, statuses, code)
		e, logged := answer(cluster.Wrapf(code, errors.New("password=hush"), "what was wrong"), "ID")
		require.Equal(t, statuses[code], e.Code)
		require.NotContains(t, e.Message, "hush")
		require.Equal(t, code == cluster.Unavailable || code == cluster.Internal, logged, code)
		message := "what is wrong"
		if e.Message != "what was wrong" {
			message = e.Message
		}
		page += fmt.Sprintf("| %s | %d | %s |\n", code, e.Code, message)
	}
	page += fmt.Sprintf("| a body that is no JSON, or of the wrong type | %d | what Kafka Connect's parser would say |\n", http.StatusInternalServerError)
	page += fmt.Sprintf("| no such route, method or media type | %d, %d, %d, %d | `HTTP 404 Not Found`, … |\n",
		http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType)

	path := filepath.Join("../../../../docs/reference", "errors.md")
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(page), 0o600))
	}
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, page, string(have), "errors.md is stale: run make docs")

	e, logged := answer(errors.New("a secret of ours"), "req-1")
	require.True(t, logged)
	require.Equal(t, envelope{http.StatusInternalServerError, "Internal error; it is in the log of this server under request id req-1"}, e)
}
