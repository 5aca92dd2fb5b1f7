package herder_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/validate"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/version"
	"github.com/millrace/millrace/services/api/internal/herder"
)

// serve plays the runner's part of validation.
func (w *world) serve(answer func(ctx context.Context, q wire.ValidateRequest) (validate.Infos, error)) {
	w.Helper()
	stop, err := w.bus.Serve(wire.Validator(source), func(ctx context.Context, msg []byte) ([]byte, error) {
		e, err := wire.Open(msg)
		if err != nil {
			return nil, err
		}
		q, err := wire.Decode[wire.ValidateRequest](e, wire.KindValidate)
		if err != nil {
			return nil, err
		}
		infos, err := answer(ctx, q)
		if err != nil {
			return nil, err
		}
		b, err := json.Marshal(infos)
		if err != nil {
			return nil, err
		}
		return wire.Encode(wire.KindValidate, e.ID, wire.ValidateReply{Infos: b, Class: source, Type: cluster.TypeSource})
	})
	require.NoError(w, err)
	w.Cleanup(stop)
}

func TestValidate_asks_a_runner_that_has_the_plugin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var short []bool // what was asked for
	w.serve(func(_ context.Context, q wire.ValidateRequest) (validate.Infos, error) {
		short = append(short, q.OnlyErrors)
		items, _ := q.Config.Get("items")
		if items == "13" {
			return validate.Infos{ErrorCount: 1, Configs: []validate.Info{{Value: &validate.ValueInfo{Name: "items", Errors: []string{"13 brings bad luck"}}}}}, nil
		}
		return validate.Infos{Name: source}, nil
	})
	infos, err := w.Validate(t.Context(), "ListSource", list("items", "13"))
	require.NoError(t, err)
	require.Equal(t, 1, infos.ErrorCount)
	_, _, err = w.Create(t.Context(), herder.CreateRequest{Name: "list", Config: list("items", "13"), By: by})
	w.refused(err, cluster.Invalid, "13 brings bad luck")
	w.create("list")
	require.Equal(t, []bool{false, true, true}, short, "who creates one wants to know the errors alone")
}

// Time is simulated.
func TestValidate_falls_back_to_the_stored_definition_when_no_runner_answers(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string]func(*world){
		"nobody serves":      func(*world) {},
		"the bus is away":    func(w *world) { w.hub.Down() },
		"it does not answer": func(w *world) { w.hub.Cut(wire.Validator(source)) },
		"it hangs": func(w *world) {
			w.serve(func(ctx context.Context, _ wire.ValidateRequest) (validate.Infos, error) {
				select {
				case <-ctx.Done():
				case <-time.After(time.Hour):
				}
				return validate.Infos{}, cluster.Errorf(cluster.Unavailable, "too late")
			})
		},
		"it can't just now": func(w *world) {
			w.serve(func(context.Context, wire.ValidateRequest) (validate.Infos, error) {
				return validate.Infos{}, cluster.Errorf(cluster.Unavailable, "shutting down")
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				silent(w)
				began := time.Now()
				infos, err := w.Validate(t.Context(), "ListSource", list("items", "many", "name", "list"))
				require.NoError(t, err)
				require.LessOrEqual(t, time.Since(began), time.Second, "it waits no longer than it was told to")
				require.Equal(t, 1, infos.ErrorCount)
				require.Contains(t, infos.FirstErrors(), "Invalid value many for configuration items")
				w.create("list")
			})
		})
	}
}

func TestValidate_respects_the_deadline_of_the_request(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.hub.Cut(wire.Validator(source))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, _, err := w.Create(ctx, herder.CreateRequest{Name: "list", Config: list(), By: by})
		require.Error(t, err, "there is no time left to store it")
		require.Equal(t, 300*time.Millisecond, time.Since(began))
		names, _, err := w.Names(t.Context(), cluster.ConnectorQuery{})
		require.NoError(t, err)
		require.Empty(t, names)
	})
}

func TestValidate_tells_what_it_could_not_check(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asks := list()
	delete(asks, "connector.class")
	for name, c := range map[string]struct {
		plugin string
		config cluster.Config
		code   cluster.Code
		text   string
	}{
		"another class in the body": {"ListSink", list(), cluster.Invalid, "Included connector type " + source + " does not match request type ListSink"},
		"no class":                  {"ListSource", asks, cluster.Failed, "BadRequestException: Connector config contains no connector type"},
		"an unknown class":          {"NoSuch", list("connector.class", "NoSuch"), cluster.Failed, "BadRequestException: Failed to find any class"},
	} {
		_, err := w.Validate(t.Context(), c.plugin, c.config)
		require.Error(t, err, name)
		w.refused(err, c.code, c.text)
	}
	for _, alias := range []string{source, "ListSource", "ListSourceConnector"} {
		_, err := w.Validate(t.Context(), alias, list())
		require.NoError(t, err, alias)
	}
}

func TestValidate_a_connector_that_panics_or_refuses_is_told_of_and_not_stored(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"panics":  func() error { panic("boom") },
		"refuses": func() error { return cluster.Errorf(cluster.Failed, "boom") },
		"other":   func() error { return errors.New("boom") },
	} {
		w := newWorld(t)
		w.serve(func(context.Context, wire.ValidateRequest) (validate.Infos, error) { return validate.Infos{}, fail() })
		_, _, err := w.Create(t.Context(), herder.CreateRequest{Name: "list", Config: list(), By: by})
		require.Error(t, err, name)
		names, _, err := w.Names(t.Context(), cluster.ConnectorQuery{})
		require.NoError(t, err)
		require.Empty(t, names, name)
	}
}

func TestPlugins_lists_sinks_then_sources_then_the_rest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all, err := w.Plugins(t.Context(), false)
	require.NoError(t, err)
	require.Equal(t, []herder.PluginInfo{{Class: sink, Type: "sink", Version: "1.2"}, {Class: source, Type: "source", Version: "1.2"},
		{Class: text, Type: "converter", Version: "1.2"}}, all)
	some, err := w.Plugins(t.Context(), true)
	require.NoError(t, err)
	require.Equal(t, all[:2], some)
}

func TestPluginConfig_lists_own_keys_then_those_of_the_framework(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys, err := w.PluginConfig(t.Context(), "ListSource", "latest")
	require.NoError(t, err)
	require.Equal(t, "items", keys[0].Name)
	names := map[string]int{}
	for _, k := range keys {
		names[k.Name]++
		require.Equal(t, 1, names[k.Name], k.Name)
	}
	require.Contains(t, names, "tasks.max")
	converter, err := w.PluginConfig(t.Context(), text, "latest")
	require.NoError(t, err)
	require.Empty(t, converter)
	_, err = w.PluginConfig(t.Context(), "NoSuch", "latest")
	w.refused(err, cluster.NotFound, "Unknown plugin NoSuch.")
}

func TestServer_describes_the_cluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	info, err := w.Server(t.Context())
	require.NoError(t, err)
	require.Equal(t, "kafka-1", info.KafkaClusterID)
	require.Equal(t, version.Connect, info.Version)
}
