package pgstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/controlplane/cluster"
)

func TestPlugins_definitions_are_read_again_only_when_something_has_changed(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	def := func(class, text string) cluster.PluginRecord {
		return cluster.PluginRecord{PluginRef: cluster.PluginRef{Class: class, Version: "1", Kind: "source", Digest: "d"}, TaskClass: "T", Definition: []byte(text)}
	}
	read := func() []cluster.PluginRecord {
		all, err := s.Plugins(t.Context())
		require.NoError(t, err)
		return all
	}
	require.Empty(t, read())
	require.NoError(t, s.DefinePlugins(t.Context(), []cluster.PluginRecord{def("a", "1"), def("b", "2")}))
	first := read()
	require.Len(t, first, 2)
	again := read()
	require.Same(t, &first[0].Definition[0], &again[0].Definition[0])
	again[0].Class = "mine" // a caller's own
	require.Equal(t, first, read())

	require.NoError(t, s.DefinePlugins(t.Context(), []cluster.PluginRecord{def("b", "3")})) // under the same digest
	require.Equal(t, "3", string(read()[1].Definition))
	_, _, err := s.Register(t.Context(), cluster.Registration{Runner: "r", Session: "s", Plugins: []cluster.PluginRef{def("a", "").PluginRef}})
	require.NoError(t, err)
	require.Equal(t, []cluster.PluginRecord{def("a", "1")}, read(), "those of who is there")
}
