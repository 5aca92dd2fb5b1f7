package obs

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/tests/logs"
)

// set is one step: a logger made by a component (level ""), or a level set, with the loggers that change.
type set struct {
	name, level string
	changed     string // blank-separated
}

func TestLevels_are_set_as_Kafka_Connect_sets_them(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		steps []set
		want  map[string]string // effective afterwards; "" = unknown
		list  string            // names that are listed
	}{
		{"first level is the root's", []set{{name: "a.b"}}, map[string]string{"a.b": "WARN", "a": "", "root": "WARN", "ROOT": "WARN"}, "a.b root"},
		{"an unknown logger is made", []set{{"a.b", "ERROR", "a.b"}}, map[string]string{"a.b": "ERROR", "a": "", "a.b.c": ""}, "a.b root"},
		{"with the level it has already it does not change", []set{{"a", "WARN", ""}}, map[string]string{"a": "WARN"}, "a root"},
		{"a child begins with the nearest ancestor's", []set{{"a", "DEBUG", "a"}, {name: "a.b.c"}, {name: "ab"}}, map[string]string{"a.b.c": "DEBUG", "ab": "WARN"}, "a a.b.c ab root"},
		{"whatever begins with the text is covered", []set{{"a.b", "ERROR", "a.b"}, {"a.b.c", "INFO", "a.b.c"}, {"a.bc", "INFO", "a.bc"}, {"a.b", "TRACE", "a.b a.b.c a.bc"}},
			map[string]string{"a.b": "TRACE", "a.b.c": "TRACE", "a.bc": "TRACE", "root": "WARN"}, "a.b a.b.c a.bc root"},
		{"the root is all", []set{{name: "x"}, {"y", "ERROR", "y"}, {"Root", "ERROR", "root x"}}, map[string]string{"x": "ERROR", "root": "ERROR"}, "root x y"},
		{"the root is not covered by a text", []set{{"ro", "ERROR", "ro"}}, map[string]string{"root": "WARN"}, "ro root"},
		{"off is known and not listed", []set{{"x", "OFF", "x"}}, map[string]string{"x": "OFF"}, "root"},
		{"again is no change", []set{{"x", "ALL", "x"}, {"x", "ALL", ""}}, map[string]string{"x": "ALL"}, "root x"},
		{"a trailing dot is part of the name", []set{{"a.b", "INFO", "a.b"}, {"a.", "ERROR", "a. a.b"}}, map[string]string{"a.": "ERROR", "a.b": "ERROR", "a": ""}, "a. a.b root"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log, err := NewLogger(&bytes.Buffer{}, "json", "warn")
			require.NoError(t, err)
			_, l := Leveled(log)
			for _, s := range c.steps {
				if s.level == "" {
					Named(log, s.name)
					continue
				}
				level, ok := ParseLevel(s.level)
				require.True(t, ok)
				require.Equal(t, strings.Fields(s.changed), append([]string{}, l.Set(s.name, level)...), "%s", s.name)
			}
			for name, want := range c.want {
				got, known := l.Get(name)
				require.Equal(t, want, got.Level, name)
				require.Equal(t, want != "", known, name)
			}
			list := l.List()
			require.Len(t, list, len(strings.Fields(c.list)))
			for _, name := range strings.Fields(c.list) {
				require.Contains(t, list, name)
			}
		})
	}
}

func TestLevels_tell_when_they_changed(t *testing.T) {
	t.Parallel()
	log, err := NewLogger(&bytes.Buffer{}, "json", "warn")
	require.NoError(t, err)
	_, l := Leveled(log)
	at := time.UnixMilli(1_700_000_000_000)
	l.now = func() time.Time { return at }
	l.Set("same", slog.LevelWarn)
	l.Set("other", slog.LevelInfo)
	got, _ := l.Get("same")
	require.Zero(t, got.Modified)
	got, _ = l.Get("other")
	require.Equal(t, at, got.Modified)
}

func TestNamed_loggers_write_what_their_level_lets_through(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log, err := NewLogger(&b, "json", "warn")
	require.NoError(t, err)
	_, l := Leveled(log)
	x := Named(log.With("service", "api"), "a.x").With("task", 1)
	y := Named(x, "a.y") // made from another one
	x.Info("left out")
	require.Empty(t, b.String())
	l.Set("a.x", slog.LevelInfo)
	x.Info("written")
	y.Info("left out")
	log.Info("left out")
	line := b.String()
	require.Equal(t, 1, strings.Count(line, "\n"))
	require.Contains(t, line, `"logger":"a.x"`)
	require.Contains(t, line, `"service":"api"`)
	require.Contains(t, line, `"task":1`)
	b.Reset()
	y.Warn("written")
	require.Equal(t, 1, strings.Count(b.String(), `"logger":`), b.String())
	require.Contains(t, b.String(), `"logger":"a.y"`)
	b.Reset()
	l.Set("a", LevelOff)
	x.Log(t.Context(), LevelFatal, "left out")
	require.Empty(t, b.String())
	l.Set("a", LevelAll)
	x.Log(t.Context(), LevelFatal, "written")
	x.Log(t.Context(), LevelTrace, "written")
	require.Contains(t, b.String(), `"level":"FATAL"`)
	require.Contains(t, b.String(), `"level":"TRACE"`)
}

func TestNamed_levels_may_change_while_lines_are_written(t *testing.T) {
	t.Parallel()
	log, err := NewLogger(&logs.Buffer{}, "json", "warn")
	require.NoError(t, err)
	_, l := Leveled(log)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				Named(log, "a.b").Info("x")
			}
		})
	}
	wg.Go(func() {
		for i := range 500 {
			l.Set("a", []slog.Level{LevelAll, LevelOff}[i%2])
			l.List()
		}
	})
	wg.Wait()
}

func TestNamed_leaves_a_logger_without_levels_alone(t *testing.T) {
	t.Parallel()
	plain := slog.New(slog.DiscardHandler)
	require.Same(t, plain, Named(plain, "a"))
	wrapped, l := Leveled(plain)
	require.NotSame(t, wrapped, Named(wrapped, "a"))
	_, known := l.Get("a")
	require.True(t, known)
}

func BenchmarkNamed_line_that_is_left_out(b *testing.B) {
	log, err := NewLogger(&bytes.Buffer{}, "json", "warn")
	require.NoError(b, err)
	log = Named(log, "a.b")
	for b.Loop() {
		log.Debug("x")
	}
}
