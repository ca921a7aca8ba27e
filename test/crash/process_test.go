package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parkd/test/live"
)

// A process is one life of a parkd.
type process struct {
	t     testing.TB
	cmd   *exec.Cmd
	log   *lines
	began time.Time     // when it was started
	ready time.Time     // when it said so
	ended chan struct{} // closed after the end; code is valid then
	code  int           // -1 = by a signal
}

// launch starts a command that is a parkd, and returns at once.
func launch(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, log: newLines(), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PARKD_") })
	p.began = time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		var exit *exec.ExitError
		switch err := cmd.Wait(); {
		case errors.As(err, &exit):
			p.code = exit.ExitCode()
		case err != nil:
			p.code = -1
		}
		p.log.end()
	}()
	return p
}

// serves waits until it is ready.
func (p *process) serves() {
	p.t.Helper()
	l := p.says("ready", live.Patience)
	if l == nil {
		p.t.Fatalf("parkd does not get ready:\n%s", p.log)
	}
	p.ready = l.at
}

// kill ends it by SIGKILL and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// stops waits until it has ended by itself, with exit code 0.
func (p *process) stops(limit time.Duration) {
	p.t.Helper()
	end := time.NewTimer(limit)
	defer end.Stop()
	select {
	case <-p.ended:
		if p.code != 0 {
			p.t.Fatalf("exit code %d:\n%s", p.code, p.log)
		}
	case <-end.C:
		p.t.Fatalf("parkd does not stop:\n%s", p.log)
	}
}

// terminate is SIGTERM.
func (p *process) terminate() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// runs reports whether it has not ended.
func (p *process) runs() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// starved is how long its threads have waited for a processor that others had,
// in all: on a busy machine nobody is to be blamed for that. Zero where the
// system does not say.
func (p *process) starved() (wait time.Duration) {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	for _, t := range threads {
		text, _ := os.ReadFile(t) // the thread may have ended
		var ran, waited int64     // in nanoseconds
		if _, err := fmt.Sscan(string(text), &ran, &waited); err == nil {
			wait += time.Duration(waited)
		}
	}
	return wait
}

// says waits so long for a log line with that message; nil if there is none.
func (p *process) says(message string, limit time.Duration) *line {
	end := time.NewTimer(limit)
	defer end.Stop()
	for next := 0; ; {
		lines, changed, over := p.log.from(next)
		for i := range lines {
			if lines[i].fields["message"] == message {
				return &lines[i]
			}
		}
		if next += len(lines); over {
			return nil
		}
		select {
		case <-changed:
		case <-end.C:
			return nil
		}
	}
}

// A line is one of a log.
type line struct {
	at     time.Time
	text   string
	fields map[string]any
}

// level of the line; "" of what is no log line, as a panic.
func (l *line) level() string { s, _ := l.fields["level"].(string); return s }

// lines are the log of a process as it comes.
type lines struct {
	mu      sync.Mutex // leaf; guards all below
	changed chan struct{}
	list    []line
	rest    []byte // begun
	over    bool
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.rest = append(l.rest, b...)
	for {
		text, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			break
		}
		one := line{at: now, text: string(text)}
		_ = json.Unmarshal(text, &one.fields) // what is no JSON has no fields
		l.list, l.rest = append(l.list, one), rest
	}
	l.notify()
	return len(b), nil
}

func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.notify()
}

// notify wakes whoever waits. The lock is held.
func (l *lines) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// from lists the lines from the first-th on, and tells when there are more.
func (l *lines) from(first int) (list []line, changed chan struct{}, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]line(nil), l.list[first:]...), l.changed, l.over
}

// String is the whole log.
func (l *lines) String() string {
	var b strings.Builder
	list, _, _ := l.from(0)
	for _, one := range list {
		b.WriteString(one.text + "\n")
	}
	return b.String()
}
