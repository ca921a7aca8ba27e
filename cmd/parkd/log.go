package main

import (
	"io"
	"log/slog"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"parkd/internal/config"
)

// newLog writes lines for people to a terminal and JSON to anything else, unless
// the configuration says which.
func newLog(c config.Log, w io.Writer) zerolog.Logger {
	zerolog.TimeFieldFormat = "2006-01-02T15:04:05.000Z07:00"
	if c.Format == "console" || c.Format == "auto" && isTerminal(w) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000", NoColor: !isTerminal(w) || os.Getenv("NO_COLOR") != ""}
	}
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil { // config lets no other word through
		level = zerolog.InfoLevel
	}
	return zerolog.New(zerolog.SyncWriter(w)).Level(level).With().Timestamp().Logger()
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// sipgoLog is the log for sipgo, whose debug lines are worth no more than trace.
func sipgoLog(log zerolog.Logger) *slog.Logger {
	if log.GetLevel() == zerolog.DebugLevel {
		log = log.Level(zerolog.InfoLevel)
	}
	return slog.New(zerolog.NewSlogHandler(log.With().Str("part", "sipgo").Logger()))
}
