package apiserver

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/workerconfig"
	"github.com/millrace/millrace/internal/exitcode"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// made is a herder that notes what it is asked for; "there" exists, "bad" is refused.
type made []string

func (m *made) Create(_ context.Context, r herder.CreateRequest) (herder.ConnectorInfo, bool, error) {
	switch r.Name {
	case "there":
		return herder.ConnectorInfo{}, false, cluster.Errorf(cluster.AlreadyExists, "Connector there already exists")
	case "bad":
		return herder.ConnectorInfo{}, false, cluster.Errorf(cluster.Invalid, "Connector configuration is invalid")
	}
	*m = append(*m, "create "+r.Name+" "+string(r.Target)+" "+*r.Config["name"])
	return herder.ConnectorInfo{}, true, nil
}

func (m *made) Put(_ context.Context, name string, config cluster.Config, _ cluster.Author) (info herder.ConnectorInfo, created, delivered bool, err error) {
	*m = append(*m, "put "+name+" "+*config["name"])
	return herder.ConnectorInfo{}, false, true, nil
}

func TestMakeConnectors_in_order_until_one_fails(t *testing.T) {
	t.Parallel()
	file := func(name, state string) workerconfig.Connector {
		return workerconfig.Connector{File: name + ".json", Name: name, InitialState: state, Config: map[string]string{"name": name}}
	}
	var m made
	var log bytes.Buffer
	err := makeConnectors(t.Context(), &m, []workerconfig.Connector{file("a", ""), file("there", ""), file("p", "PAUSED"), file("bad", ""), file("never", "")}, slog.New(slog.NewTextHandler(&log, nil)))
	require.ErrorContains(t, err, "creating connector bad of bad.json: Connector configuration is invalid")
	require.Equal(t, exitcode.Unavailable, exitcode.Of(err), "Kafka Connect's code 3")
	require.Equal(t, made{"create a " + string(cluster.Started) + " a", "put there there", "create p " + string(cluster.Paused) + " p"}, m)
	require.Contains(t, log.String(), "Stopping after connector error")
	require.NoError(t, makeConnectors(t.Context(), &m, nil, slog.New(slog.DiscardHandler)))
}
