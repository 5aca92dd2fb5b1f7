// Package convertertest says how converters behave, whatever they write. A converter that does not pass is not done.
package convertertest

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
)

// Harness is a converter and what it can do.
type Harness struct {
	Plugin plugin.Plugin       // a converter, or a header converter
	Config []map[string]string // each way to configure it that differs; none: its defaults
	// Samples come back equal after they were written and read. Each is tried with each configuration.
	Samples []data.SchemaAndValue
	// Refuses is what it can't write; nil: it writes everything.
	Refuses *data.SchemaAndValue
	// Lenient: it reads any bytes.
	Lenient bool
}

// coder is a converter of either kind.
type coder struct {
	configure func(map[string]string, converter.Use) error
	write     func(data.SchemaAndValue) ([]byte, error)
	read      func([]byte) (data.SchemaAndValue, error)
	view      func([]byte) (data.SchemaAndValue, error) // nil: it has none
}

func (h Harness) coder() coder {
	if h.Plugin.Kind == plugin.HeaderConverter {
		c := h.Plugin.NewHeaderConverter()
		return coder{func(m map[string]string, _ converter.Use) error { return c.Configure(m) },
			func(sv data.SchemaAndValue) ([]byte, error) {
				return c.FromConnectHeader("t", "h", sv.Schema, sv.Value)
			},
			func(b []byte) (data.SchemaAndValue, error) { return c.ToConnectHeader("t", "h", b) }, nil}
	}
	c := h.Plugin.NewConverter()
	var view func([]byte) (data.SchemaAndValue, error)
	if v, ok := c.(converter.Viewer); ok {
		view = func(b []byte) (data.SchemaAndValue, error) { return v.View("t", b) }
	}
	return coder{c.Configure,
		func(sv data.SchemaAndValue) ([]byte, error) { return c.FromConnect("t", sv.Schema, sv.Value) },
		func(b []byte) (data.SchemaAndValue, error) { return c.ToConnect("t", b) }, view}
}

func (h Harness) each(t *testing.T, f func(t *testing.T, c coder)) {
	t.Helper()
	t.Parallel()
	configs := h.Config
	if configs == nil {
		configs = []map[string]string{{}}
	}
	for _, config := range configs {
		c := h.coder()
		require.NoError(t, c.configure(config, converter.ForValue))
		f(t, c)
	}
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Run("what it writes it reads", func(t *testing.T) {
		require.NotEmpty(t, h.Samples)
		h.each(t, func(t *testing.T, c coder) {
			for _, s := range h.Samples {
				b, err := c.write(s)
				require.NoError(t, err)
				back, err := c.read(b)
				require.NoError(t, err, "%s", b)
				same(t, s.Value, back.Value, b)
			}
		})
	})
	t.Run("nothing is nothing in both directions", func(t *testing.T) {
		h.each(t, func(t *testing.T, c coder) {
			b, err := c.write(data.SchemaAndValue{})
			require.NoError(t, err)
			if b != nil { // such as an envelope; it must read as nothing
				back, err := c.read(b)
				require.NoError(t, err)
				require.Nil(t, back.Value)
			}
			back, err := c.read(nil)
			require.NoError(t, err)
			require.Nil(t, back.Value)
		})
	})
	t.Run("keeps no view of the bytes it read", func(t *testing.T) {
		h.each(t, func(t *testing.T, c coder) {
			for _, s := range h.Samples {
				b, err := c.write(s)
				require.NoError(t, err)
				view := bytes.Clone(b)
				back, err := c.read(view)
				require.NoError(t, err)
				for i := range view {
					view[i] = 0xAA
				}
				same(t, s.Value, back.Value, b)
			}
		})
	})
	t.Run("a view of bytes is what a copy of them is", func(t *testing.T) {
		h.each(t, func(t *testing.T, c coder) {
			if c.view == nil {
				return
			}
			alike := func(b []byte) {
				want, werr := c.read(bytes.Clone(b))
				got, err := c.view(b)
				require.Equal(t, werr, err)
				require.Equal(t, want, got, "of %q", b)
			}
			alike(nil)
			alike([]byte{})
			for _, s := range h.Samples {
				b, err := c.write(s)
				require.NoError(t, err)
				for cut := range len(b) + 1 {
					alike(b[:cut])
				}
			}
			random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // reproducible on purpose
			for range 2000 {
				b := make([]byte, random.IntN(10))
				for i := range b {
					b[i] = byte(random.IntN(256))
				}
				alike(b)
			}
		})
	})
	t.Run("bytes that are none of its own are bad data, never a panic", func(t *testing.T) {
		h.each(t, func(t *testing.T, c coder) {
			random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // reproducible on purpose
			for range 2000 {
				b := make([]byte, random.IntN(40))
				for i := range b {
					b[i] = byte(random.IntN(256))
				}
				h.readable(t, c, b)
			}
			for _, s := range h.Samples { // what is almost right
				whole, err := c.write(s)
				require.NoError(t, err)
				for cut := range len(whole) {
					h.readable(t, c, whole[:cut])
				}
				for i := range whole {
					spoilt := bytes.Clone(whole)
					spoilt[i] ^= 1 << (i % 8)
					h.readable(t, c, spoilt)
				}
			}
		})
	})
	t.Run("refuses what it can't write as bad data", func(t *testing.T) {
		if h.Refuses == nil {
			return
		}
		h.each(t, func(t *testing.T, c coder) {
			_, err := c.write(*h.Refuses)
			require.Error(t, err)
			require.True(t, connecterr.IsData(err), "%v", err)
		})
	})
	t.Run("converts keys, values and headers, and ignores keys it does not know", func(t *testing.T) {
		t.Parallel()
		for _, use := range []converter.Use{converter.ForKey, converter.ForValue, converter.ForHeader} {
			config := map[string]string{}
			if len(h.Config) > 0 { // keys that it must have
				config = maps.Clone(h.Config[0])
			}
			config["no.such.key"] = "x"
			given := maps.Clone(config)
			require.NoError(t, h.coder().configure(given, use))
			require.Equal(t, config, given, "the configuration is not its own to change")
		}
	})
}

// same requires that a value is what it was. A struct's schema may have come back with another version: a registry counts them.
func same(t *testing.T, want, got any, b []byte) {
	t.Helper()
	w, ok := want.(*data.Struct)
	if !ok {
		require.Equal(t, want, got, "%s", b)
		return
	}
	require.IsType(t, want, got, "%s", b)
	g := got.(*data.Struct)
	require.Len(t, g.Schema().Fields(), len(w.Schema().Fields()), "%s", b)
	for i, f := range w.Schema().Fields() {
		require.Equal(t, f.Name, g.Schema().Fields()[i].Name, "%s", b)
		same(t, w.Raw(i), g.Raw(i), b)
	}
}

// readable requires that bytes are read, or refused as bad data.
func (h Harness) readable(t *testing.T, c coder, b []byte) {
	t.Helper()
	require.NotPanics(t, func() {
		_, err := c.read(b)
		if h.Lenient {
			require.NoError(t, err, "%q", b)
		}
		if err != nil {
			require.True(t, connecterr.IsData(err), "%q: %v", b, err)
		}
	})
}
