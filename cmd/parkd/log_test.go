package main

import (
	"bytes"
	"strings"
	"testing"

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
		{"console without colours", config.Log{Level: "info", Format: "console"}, "", false, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var out bytes.Buffer
			log := newLog(row.c, &out)
			log.Debug().Msg("ours")
			sipgoLog(log).Debug("theirs")
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
