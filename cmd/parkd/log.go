package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"parkd/internal/config"
)

// newLog writes lines for people to a terminal and JSON to anything else, unless
// the configuration says which. How much it writes is up to setLevel.
func newLog(c config.Log, w io.Writer) zerolog.Logger {
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	if c.Format == "console" || c.Format == "auto" && isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", NoColor: !isTerminal(w) || os.Getenv("NO_COLOR") != ""}
	}
	return zerolog.New(zerolog.SyncWriter(w)).With().Timestamp().Logger()
}

// setLevel sets how much every log of this process writes, from the next line on.
func setLevel(name string) {
	level, err := zerolog.ParseLevel(name)
	if err != nil { // config lets no other word through
		level = zerolog.InfoLevel
	}
	zerolog.SetGlobalLevel(level)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// sipgoLog is the log for sipgo, whose debug lines are worth no more than trace.
func sipgoLog(log zerolog.Logger) *slog.Logger {
	return slog.New(lower{zerolog.NewSlogHandler(log.With().Str("part", "sipgo").Logger())})
}

// lower passes debug lines on as ones of trace.
type lower struct{ slog.Handler }

func lowered(l slog.Level) slog.Level {
	if l < slog.LevelInfo {
		l -= slog.LevelInfo - slog.LevelDebug
	}
	return l
}

// Enabled implements slog.Handler.
func (l lower) Enabled(ctx context.Context, level slog.Level) bool {
	return l.Handler.Enabled(ctx, lowered(level))
}

// Handle implements slog.Handler.
func (l lower) Handle(ctx context.Context, r slog.Record) error {
	r.Level = lowered(r.Level)
	return l.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l lower) WithAttrs(attrs []slog.Attr) slog.Handler { return lower{l.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (l lower) WithGroup(name string) slog.Handler { return lower{l.Handler.WithGroup(name)} }
