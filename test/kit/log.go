package kit

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"

	"github.com/rs/zerolog"
)

// Log keeps what a server logs.
type Log struct {
	mu    sync.Mutex // leaf
	lines []string
}

// Logger is one that writes to the log.
func (l *Log) Logger() zerolog.Logger { return zerolog.New(l).Level(zerolog.DebugLevel) }

// Write implements io.Writer: a line each.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(bytes.TrimSpace(b)))
	return len(b), nil
}

// String is the whole log.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// Find returns the lines with that message, decoded.
func (l *Log) Find(message string) (list []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && m["message"] == message {
			list = append(list, m)
		}
	}
	return list
}

// Number is a numeric field of the last line with that message.
func (l *Log) Number(message, key string) (float64, bool) {
	list := l.Find(message)
	if len(list) == 0 {
		return 0, false
	}
	n, ok := list[len(list)-1][key].(float64)
	return n, ok
}

// Faults are the lines that no scenario may cause: errors, and panics caught.
func (l *Log) Faults() (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, `"level":"error"`) || strings.Contains(line, "panic") {
			list = append(list, line)
		}
	}
	return list
}
