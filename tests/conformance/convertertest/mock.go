package convertertest

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/converter"
)

// OverMock configures a converter of values over a registry that is the test's own, named within it, and closes it at the end.
func OverMock[C interface {
	converter.Converter
	converter.Closer
}](t testing.TB, c C, name string, props map[string]string) C {
	t.Helper()
	all := map[string]string{"schema.registry.url": "mock://" + t.Name() + name}
	maps.Copy(all, props)
	require.NoError(t, c.Configure(all, converter.ForValue))
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}
