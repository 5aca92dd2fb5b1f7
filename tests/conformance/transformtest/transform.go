// Package transformtest says how transformations and predicates behave, whatever they do to a record. One that does not pass
// is not done.
//
// Start reading at Run; records.go has the records that everything is tried with.
package transformtest

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/sdk/connecterr"
	"github.com/millrace/millrace/sdk/data"
	"github.com/millrace/millrace/sdk/plugin"
	"github.com/millrace/millrace/sdk/transform"
)

// Harness is a transformation or a predicate, and how it can be configured.
type Harness struct {
	Plugin plugin.Plugin
	// Config are the ways to configure it that differ.
	Config []map[string]string
	// Refused are configurations that are wrong.
	Refused []map[string]string
}

// step is a transformation, or a predicate as one that drops what it does not hold for.
type step interface {
	Configure(config map[string]string) error
	Close() error
	Apply(r *transform.Record) (bool, error)
}

type condition struct{ transform.Predicate }

func (c condition) Apply(r *transform.Record) (bool, error) { return c.Test(r) }

func (h Harness) make() step {
	if h.Plugin.Kind == plugin.Predicate {
		return condition{h.Plugin.NewPredicate()}
	}
	return h.Plugin.NewTransformation()
}

func (h Harness) configured(t *testing.T, props map[string]string) step {
	t.Helper()
	s := h.make()
	require.NoError(t, s.Configure(props), "%v", props)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func (h Harness) each(t *testing.T, f func(t *testing.T, s step, props map[string]string)) {
	t.Helper()
	t.Parallel()
	require.NotEmpty(t, h.Config)
	for _, props := range h.Config {
		f(t, h.configured(t, props), props)
	}
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Run("the definition accepts what it accepts, and refuses what it refuses or leaves it to it", h.definition)
	t.Run("a wrong configuration is said to be one", h.refused)
	t.Run("its configuration is not its own to change, and may have further keys", func(t *testing.T) {
		h.each(t, func(t *testing.T, _ step, props map[string]string) {
			given := maps.Clone(props)
			given["no.such.key"] = "x"
			before := maps.Clone(given)
			h.configured(t, given)
			require.Equal(t, before, given)
		})
	})
	t.Run("any record is transformed, dropped or refused as bad, never a panic", h.anyRecord)
	t.Run("what the record shares with others stays as it is", h.shared)
	t.Run("the record's place in Kafka and origin stay as they are", h.origin)
	t.Run("the same record gives the same result, with the same schema, however many others came between", h.again)
	t.Run("a new configuration replaces the old one", h.reconfigured)
}

func (h Harness) definition(t *testing.T) {
	t.Parallel()
	require.NotNil(t, h.Plugin.Def)
	for _, props := range h.Config {
		_, problems := h.Plugin.Def.Parse(props)
		require.Empty(t, problems, "%v", props)
		for key := range props {
			_, known := h.Plugin.Def.Key(key)
			require.True(t, known, "%s is not in the definition", key)
		}
	}
	for _, k := range h.Plugin.Def.Keys {
		require.NotEmpty(t, k.Doc, k.Name)
	}
}

func (h Harness) refused(t *testing.T) {
	t.Parallel()
	for _, props := range h.Refused {
		err := h.make().Configure(props)
		require.Error(t, err, "%v", props)
		require.Equal(t, connecterr.Config, connecterr.KindOf(err), "%v: %v", props, err)
	}
	for _, k := range h.Plugin.Def.Keys {
		if !k.Required {
			continue
		}
		without := maps.Clone(h.Config[0])
		delete(without, k.Name)
		require.ErrorContains(t, h.make().Configure(without), fmt.Sprintf("Missing required configuration %q which has no default value.", k.Name))
	}
}

func (h Harness) anyRecord(t *testing.T) {
	h.each(t, func(t *testing.T, s step, props map[string]string) {
		for name, make := range records() {
			r := make()
			before := *r
			require.NotPanics(t, func() {
				_, err := s.Apply(r)
				if err != nil {
					require.NotEmpty(t, err.Error())
					require.False(t, connecterr.IsRetriable(err), "%v, %s: it would be as bad the next time", props, name)
					return
				}
				require.True(t, wellFormed(r.KeySchema, r.Key) || !wellFormed(before.KeySchema, before.Key), "%v, %s: the key is no struct of its schema", props, name)
				require.True(t, wellFormed(r.ValueSchema, r.Value) || !wellFormed(before.ValueSchema, before.Value), "%v, %s: the value is no struct of its schema", props, name)
			}, "%v, %s", props, name)
		}
	})
}

// wellFormed tells whether a struct is of the schema beside it.
func wellFormed(s *data.Schema, v any) bool {
	st, ok := v.(*data.Struct)
	return !ok || s == nil || st.Schema().Equal(s)
}

// text is all of a record that can be shared.
func text(r *transform.Record) string {
	return data.Text(r.Key) + "\n" + data.Text(r.Value) + "\n" + r.Headers.String()
}

func (h Harness) shared(t *testing.T) {
	h.each(t, func(t *testing.T, s step, props map[string]string) {
		for name, make := range records() {
			r := make()
			twin := *r // a second record with the same values and the same list of headers
			before := text(r)
			_, first := s.Apply(r)
			require.Equal(t, before, text(&twin), "%v, %s", props, name)
			after := text(r)
			_ = twin.Headers.Add("other", nil, "other") // as another transformation would, on the list that both began with
			if first == nil {
				require.Equal(t, after, text(r), "%v, %s: the list of headers is another's to append to", props, name)
			}
			_, second := s.Apply(&twin)
			require.Equal(t, first == nil, second == nil)
			if first == nil {
				require.Equal(t, after, text(r), "%v, %s: the second record wrote into the first", props, name)
			}
		}
	})
}

func (h Harness) origin(t *testing.T) {
	h.each(t, func(t *testing.T, s step, props map[string]string) {
		for name, make := range records() {
			r := make()
			before := *r
			if _, err := s.Apply(r); err != nil {
				continue
			}
			got, want := transform.Record{Sink: r.Sink, Source: r.Source}, transform.Record{Sink: before.Sink, Source: before.Source} // not what it notes of its maps
			for _, x := range []*transform.Record{&got, &want} {
				x.Topic, x.KeySchema, x.Key, x.ValueSchema, x.Value, x.Headers = "", nil, nil, nil, nil, nil
			}
			require.Equal(t, want, got, "%v, %s", props, name)
			if h.Plugin.Kind == plugin.Predicate {
				require.Equal(t, before, *r, "%v, %s: a predicate changes nothing", props, name)
			}
		}
	})
}

// outcome is a result in a form that can be compared.
type outcome struct {
	keep       bool
	err, value string
	topic      string
	key, val   *data.Schema
}

func (h Harness) result(s step, r *transform.Record) outcome {
	keep, err := s.Apply(r)
	if err != nil {
		return outcome{err: connecterr.Trace(err)}
	}
	return outcome{keep, "", text(r), r.Topic, r.KeySchema, r.ValueSchema}
}

func (h Harness) again(t *testing.T) {
	h.each(t, func(t *testing.T, s step, props map[string]string) {
		for name, make := range records() {
			r := make()
			twin := *r
			require.Equal(t, h.result(s, r), h.result(s, &twin), "%v, %s", props, name)
		}
		for name, make := range records() {
			fresh := h.result(h.configured(t, props), make())
			for range 3 { // other records of many schemas, so that some are forgotten
				for i := range 30 {
					_ = h.result(s, numbered(i))
				}
				got := h.result(s, make())
				require.True(t, got.key.Equal(fresh.key) && got.val.Equal(fresh.val), "%v, %s", props, name)
				got.key, got.val = fresh.key, fresh.val
				require.Equal(t, fresh, got, "%v, %s", props, name)
			}
		}
	})
}

func (h Harness) reconfigured(t *testing.T) {
	h.each(t, func(t *testing.T, s step, _ map[string]string) {
		for _, props := range h.Config {
			require.NoError(t, s.Configure(props))
			fresh := h.configured(t, props)
			for name, make := range records() {
				got, want := h.result(s, make()), h.result(fresh, make())
				require.True(t, got.key.Equal(want.key) && got.val.Equal(want.val), "%v, %s", props, name)
				got.key, got.val = want.key, want.val
				require.Equal(t, want, got, "%v, %s", props, name)
			}
		}
	})
}
