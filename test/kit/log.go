package kit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// Log keeps what the servers of a site log.
type Log struct {
	mu       sync.Mutex // leaf
	lines    []string
	expected []string
	trace    bool // set before anybody logs
}

// Expect has lines with that text count as no faults.
func (l *Log) Expect(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expected = append(l.expected, text)
}

// Logger is one that writes to the log.
func (l *Log) Logger() zerolog.Logger { return l.voice().logger() }

// voice is the log as one server has it, until it is killed: what it says then
// is heard by nobody.
type voice struct {
	log  *Log
	dead atomic.Bool
}

func (l *Log) voice() *voice { return &voice{log: l} }

func (v *voice) logger() zerolog.Logger {
	level := zerolog.DebugLevel
	if v.log.trace {
		level = zerolog.TraceLevel
	}
	return zerolog.New(v).Level(level)
}

func (v *voice) mute() { v.dead.Store(true) }

// Write implements io.Writer.
func (v *voice) Write(b []byte) (int, error) {
	if v.dead.Load() {
		return len(b), nil
	}
	return v.log.Write(b)
}

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
		wanted := slices.ContainsFunc(l.expected, func(text string) bool { return strings.Contains(line, text) })
		if !wanted && strings.Contains(line, `"level":"error"`) || strings.Contains(line, "panic") {
			list = append(list, line)
		}
	}
	return list
}
