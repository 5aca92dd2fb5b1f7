package avro

import (
	"testing"

	"github.com/stretchr/testify/require"
	other "github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/plugins/converters/registry"
	"github.com/millrace/millrace/sdk/converter"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/tests/conformance/convertertest"
)

// Whatever is written is read as the same under the same schema, and another implementation of Avro reads the same bytes by
// the same schema and writes them again.
func TestAvro_property_round_trip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := &Converter{}
		require.NoError(rt, c.Configure(map[string]string{"schema.registry.url": "mock://" + t.Name()}, converter.ForValue))
		defer c.Close()
		s, v := convertertest.Draw(rt, 3)
		b, err := c.FromConnect("t", s, v)
		require.NoError(rt, err)
		back, err := c.ToConnect("t", b)
		require.NoError(rt, err)
		require.True(rt, back.Schema.Equal(s), "%s\n%s", back.Schema, s)
		require.True(rt, data.Equal(v, back.Value), "%v\n%v", v, back.Value)

		own, err := c.own(s)
		require.NoError(rt, err)
		theirs, err := other.Parse(own.String())
		require.NoError(rt, err, own.String())
		var generic any
		rest, err := theirs.Decode(b[registry.HeaderSize:], &generic)
		require.NoError(rt, err, own.String())
		require.Empty(rt, rest)
		again, err := theirs.AppendEncode([]byte{}, generic)
		require.NoError(rt, err, own.String())
		require.Equal(rt, b[registry.HeaderSize:], again, own.String())
	})
}
