package herder

import (
	"fmt"
	"log/slog"

	"github.com/millrace/millrace/controlplane/cluster"
	"github.com/millrace/millrace/controlplane/wire"
	"github.com/millrace/millrace/internal/obs"
)

// LoggerLevel is what users see of a logger.
type LoggerLevel struct {
	Level        string `json:"level"`
	LastModified *int64 `json:"last_modified"` // milliseconds since 1970; null: nobody has changed it
}

func shownLevel(l obs.LoggerLevel) LoggerLevel {
	out := LoggerLevel{Level: l.Level}
	if !l.Modified.IsZero() {
		ms := l.Modified.UnixMilli()
		out.LastModified = &ms
	}
	return out
}

// Loggers lists the loggers of this process that are not off.
func (h *Herder) Loggers() map[string]LoggerLevel {
	out := map[string]LoggerLevel{}
	for name, l := range h.levels.List() {
		out[name] = shownLevel(l)
	}
	return out
}

// Logger is one logger of this process.
func (h *Herder) Logger(name string) (LoggerLevel, error) {
	l, known := h.levels.Get(name)
	if !known {
		return LoggerLevel{}, cluster.Errorf(cluster.NotFound, "Logger %s not found.", name)
	}
	return shownLevel(l), nil
}

// SetLogger sets the level of a logger and of all whose names begin with the text, and returns the names of those that
// changed. level is what the request says; nil: nothing. everywhere tells all processes; then no names are returned, since
// the others change when they hear it.
func (h *Herder) SetLogger(name string, level *string, everywhere bool) ([]string, error) {
	parsed, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	if everywhere {
		if err := h.tellLevel(name, obs.LevelName(parsed)); err != nil {
			return nil, err
		}
	}
	changed := h.levels.Set(name, parsed)
	if len(changed) > 0 {
		h.log.Info("log level set", slog.String("of", name), slog.String("to", obs.LevelName(parsed)), slog.Int("changed", len(changed)))
	}
	return changed, nil
}

func parseLevel(level *string) (slog.Level, error) {
	if level == nil {
		return 0, cluster.Errorf(cluster.Invalid, "Desired 'level' parameter was not specified in request.")
	}
	if *level == "" {
		return 0, cluster.Errorf(cluster.Failed, "Illegal null or empty Level name.")
	}
	parsed, ok := obs.ParseLevel(*level)
	if !ok {
		return 0, cluster.Errorf(cluster.NotFound, "invalid log level '%s'.", *level)
	}
	return parsed, nil
}

// tellLevel tells every process that listens now, this one too.
func (h *Herder) tellLevel(logger, level string) error {
	msg, err := wire.Encode(wire.KindLogLevel, "", wire.LogLevel{Logger: logger, Level: level})
	if err != nil {
		return fmt.Errorf("encoding a log level: %w", err)
	}
	if err := h.bus.Broadcast(wire.LogLevels, msg); err != nil {
		return cluster.Wrapf(cluster.Failed, err, "The log level could not be sent to the other processes, and nothing was changed; the request can be repeated safely")
	}
	return nil
}
