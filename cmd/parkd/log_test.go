package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"parkd/internal/config"
)

func TestLog(t *testing.T) {
	rows := []struct {
		name         string
		c            config.Log
		starts       string
		debug, sipgo bool // whether our debug line, and sipgo's, is there
	}{
		{"info to a file", config.Log{Level: "info", Format: "auto"}, `{"level":"info"`, false, false},
		{"debug", config.Log{Level: "debug", Format: "json"}, `{"level":"debug"`, true, false},
		{"trace", config.Log{Level: "trace", Format: "json"}, `{"level":"debug"`, true, true},
		{"no such level", config.Log{Level: "loud", Format: "json"}, `{"level":"info"`, false, false},
		{"console without colours", config.Log{Level: "info", Format: "console"}, "", false, false},
	}
	t.Cleanup(func() { zerolog.SetGlobalLevel(zerolog.TraceLevel) })
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			log := newLog(row.c, &out)
			setLevel(row.c.Level)
			log.Debug().Msg("ours")
			sipgoLog(log).With("a", 1).WithGroup("g").Debug("theirs", "b", 2)
			log.Info().Msg("said")
			sipgoLog(log).Warn("warned")
			got := out.String()
			if !strings.HasPrefix(got, row.starts) || !strings.Contains(got, "said") || !strings.Contains(got, "warned") || strings.Contains(got, "\x1b") {
				t.Errorf("got %s", got)
			}
			if strings.Contains(got, "ours") != row.debug || strings.Contains(got, "theirs") != row.sipgo {
				t.Errorf("got %s", got)
			}
		})
	}
}

// Loggers that are there already write by the new level.
func TestLevelOfAReload(t *testing.T) {
	t.Cleanup(func() { zerolog.SetGlobalLevel(zerolog.TraceLevel) })
	var out bytes.Buffer
	log := newLog(config.Log{Format: "json"}, &out)
	part, theirs := log.With().Str("part", "x").Logger(), sipgoLog(log)
	for _, step := range []struct{ level, want string }{{"info", ""}, {"debug", "ours"}, {"trace", "ours theirs"}, {"error", ""}} {
		out.Reset()
		setLevel(step.level)
		part.Debug().Msg("ours")
		theirs.Debug("theirs")
		var got []string
		for _, word := range []string{"ours", "theirs"} {
			if strings.Contains(out.String(), word) {
				got = append(got, word)
			}
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("%s: %q", step.level, out.String())
		}
	}
}
