package obs

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// KeyLogger names the component that wrote a log line.
const KeyLogger = "logger"

// Root is the name of the logger that all others take their first level from.
const Root = "root"

// The levels beyond those of slog, as Kafka Connect's users know them.
const (
	LevelAll   slog.Level = math.MinInt
	LevelTrace slog.Level = -8
	LevelFatal slog.Level = 12
	LevelOff   slog.Level = math.MaxInt
)

var levels = []struct {
	name  string
	level slog.Level
}{
	{"OFF", LevelOff},
	{"FATAL", LevelFatal},
	{"ERROR", slog.LevelError},
	{"WARN", slog.LevelWarn},
	{"INFO", slog.LevelInfo},
	{"DEBUG", slog.LevelDebug},
	{"TRACE", LevelTrace},
	{"ALL", LevelAll},
}

// ParseLevel reads the name of a level in any case, with blanks around it.
func ParseLevel(name string) (l slog.Level, ok bool) {
	name = strings.ToUpper(strings.TrimSpace(name))
	for _, known := range levels {
		if known.name == name {
			return known.level, true
		}
	}
	return 0, false
}

// LevelName is the name of a level.
func LevelName(l slog.Level) string {
	for _, known := range levels {
		if known.level == l {
			return known.name
		}
	}
	return l.String()
}

// Levels are the loggers of a process with their levels. A logger is known once a component has it (Named) or somebody has
// set its level; it begins with the level of its nearest ancestor by dots. It is safe for concurrent use, and writing a log
// line takes no lock: a line asks one atomic number.
type Levels struct {
	root *named

	mu  sync.Mutex
	all map[string]*named
	now func() time.Time
}

// named is one logger. Its level is also what its descendants begin with; setting an ancestor sets every one of them, so
// nothing is inherited later.
type named struct {
	level    atomic.Int64
	modified time.Time // when somebody changed it; zero: never. Guarded by Levels.mu
}

// LoggerLevel is what is known of a logger.
type LoggerLevel struct {
	Level    string
	Modified time.Time // zero: its level is still the first
}

func newLevels(root slog.Level) *Levels {
	l := &Levels{root: &named{}, all: map[string]*named{}, now: time.Now}
	l.root.level.Store(int64(root))
	l.all[Root] = l.root
	return l
}

// canonical is the key of a logger: root in any case is the root.
func canonical(name string) string {
	if strings.EqualFold(name, Root) {
		return Root
	}
	return name
}

// logger finds or makes a logger. Called with the lock held.
func (l *Levels) logger(name string) *named {
	if n := l.all[name]; n != nil {
		return n
	}
	n := &named{}
	n.level.Store(l.ancestor(name).level.Load())
	l.all[name] = n
	return n
}

func (l *Levels) ancestor(name string) *named {
	for i := strings.LastIndexByte(name, '.'); i > 0; i = strings.LastIndexByte(name[:i], '.') {
		if n := l.all[name[:i]]; n != nil {
			return n
		}
	}
	return l.root
}

// Get tells the level of a known logger.
func (l *Levels) Get(name string) (LoggerLevel, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.all[canonical(name)]
	if n == nil {
		return LoggerLevel{}, false
	}
	return n.shown(), true
}

func (n *named) shown() LoggerLevel {
	return LoggerLevel{Level: LevelName(slog.Level(n.level.Load())), Modified: n.modified}
}

// List returns the known loggers that are not off.
func (l *Levels) List() map[string]LoggerLevel {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]LoggerLevel, len(l.all))
	for name, n := range l.all {
		if slog.Level(n.level.Load()) != LevelOff {
			out[name] = n.shown()
		}
	}
	return out
}

// Set gives a level to a logger, which is made if it is unknown, and to all whose names begin with the given text; the root
// stands for all. It returns the names of those whose level changed, sorted.
func (l *Levels) Set(name string, level slog.Level) []string {
	name = canonical(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logger(name)
	changed, now := []string{}, l.now()
	for other, n := range l.all {
		covered := name == Root || other != Root && strings.HasPrefix(other, name)
		if covered && slog.Level(n.level.Load()) != level {
			n.level.Store(int64(level))
			n.modified = now
			changed = append(changed, other)
		}
	}
	slices.Sort(changed)
	return changed
}

// Apply is Set with the level by name; an unknown level changes nothing.
func (l *Levels) Apply(name, level string) {
	if parsed, ok := ParseLevel(level); ok && name != "" {
		l.Set(name, parsed)
	}
}

// handler writes the lines of one named logger that are at or above its level.
type handler struct {
	levels *Levels
	named  *named
	out    slog.Handler // with the logger's name
	bare   slog.Handler // without it, for loggers made from this one
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.Level(h.named.level.Load())
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error { return h.out.Handle(ctx, r) }

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.levels, h.named, h.out.WithAttrs(attrs), h.bare.WithAttrs(attrs)}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.levels, h.named, h.out.WithGroup(name), h.bare.WithGroup(name)}
}

// Leveled returns a logger whose named loggers have levels, and those levels: log itself when NewLogger made it, else one
// that writes through log's handler.
func Leveled(log *slog.Logger) (*slog.Logger, *Levels) {
	if h, ok := log.Handler().(*handler); ok {
		return log, h.levels
	}
	l := newLevels(slog.LevelInfo)
	return slog.New(&handler{l, l.root, log.Handler(), log.Handler()}), l
}

// Named returns the logger of a component: its lines say so, and its level can be set by name. What log carries stays. A
// logger without levels, or none, stays as it is.
func Named(log *slog.Logger, name string) *slog.Logger {
	if log == nil {
		return nil
	}
	h, ok := log.Handler().(*handler)
	if !ok {
		return log
	}
	h.levels.mu.Lock()
	n := h.levels.logger(canonical(name))
	h.levels.mu.Unlock()
	return slog.New(&handler{h.levels, n, h.bare.WithAttrs([]slog.Attr{slog.String(KeyLogger, name)}), h.bare})
}

// showLevel writes the names of levels that slog lacks.
func showLevel(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.LevelKey {
		if l, ok := a.Value.Any().(slog.Level); ok {
			a.Value = slog.StringValue(LevelName(l))
		}
	}
	return a
}

// levelError says what a level must be.
func levelError(name string) error {
	return fmt.Errorf("log level %q: must be off, fatal, error, warn, info, debug, trace or all", name)
}
