package sockets

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parkd/test/live"
)

// process is a parkd as users run it.
type process struct {
	s     *site
	cmd   *exec.Cmd
	ended sync.WaitGroup

	mu    sync.Mutex // leaf
	lines []string   // of the log
}

// launch starts parkd with the site's configuration and waits until it serves.
func (s *site) launch() *process {
	s.Helper()
	path, err := installed()
	if err != nil {
		s.Fatal(err)
	}
	p := &process{s: s, cmd: exec.Command(path, "-c", filepath.Join(s.dir, "parkd.yaml"))}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.Fatal(err)
	}
	p.ended.Go(func() { p.read(out) })
	s.Cleanup(p.stop)
	p.says(0, `"message":"ready"`)
	return p
}

func (p *process) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		p.mu.Unlock()
	}
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	p.ended.Wait()
	if err := p.cmd.Wait(); err != nil || p.s.Failed() {
		p.s.Errorf("parkd: %v\n%s", err, strings.Join(p.lines, "\n"))
	}
}

// log is what was logged from the first-th line on.
func (p *process) log(first int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines[first:]...)
}

// says waits until a text was logged, looking from the first-th line on. It
// returns how many lines there are then.
func (p *process) says(first int, text string) int {
	p.s.Helper()
	n := 0
	p.s.until("parkd logs "+text, func() bool {
		lines := p.log(first)
		n = first + len(lines)
		return strings.Contains(strings.Join(lines, "\n"), text)
	})
	return n
}

// Each way to a reload of the program, with a call in it: a file that changed, the
// music beside it, SIGHUP, and the command.
func TestTheProgramReloads(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.file("music/sales.wav", stereo(8000, 2, 440, 440))
	configure := func(level, more string) {
		s.write(fmt.Sprintf("sip: {listen: [udp://HOST:5060]}\nlog: {level: %s}\n%s", level, more) + common)
	}
	const before = "orbits: [{extension: 701, music: sales}, {extension: 702}]\n"
	configure("info", before)
	p := s.launch()
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	w := bob.Watch("701")
	w.Served()
	w.Shows("terminated") // else the first NOTIFY may be of the parked call, and so the second
	parked := ann.Park("701", bob, live.Offer{})
	w.Shows("early")
	parked.Media.Tone(440, 0)
	first, since := parked.Media.Heard(), time.Now()
	notes := len(w.Notes())

	// A changed file.
	at := len(p.log(0))
	configure("trace", before)
	at = p.says(at, `"changed":["log.level"]`)
	ann.Dial("702", live.Offer{}).Bye()
	p.says(at, `"level":"trace"`)

	// SIGHUP, which is sooner than the change is noticed.
	configure("warn", before)
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.until("the level is warn", func() bool {
		n := len(p.log(0))
		ann.Dial("702", live.Offer{}).Bye()
		return !strings.Contains(strings.Join(p.log(n), "\n"), "call parked")
	})

	// A file of music, replaced as editors do.
	at = len(p.log(0))
	configure("info", before)
	at = p.says(at, `"message":"configuration reloaded"`)
	heard := parked.Media.Heard()
	s.file("music/next", stereo(8000, 2, 1000, 1000))
	if err := os.Rename(filepath.Join(s.dir, "music/next"), filepath.Join(s.dir, "music/sales.wav")); err != nil {
		t.Fatal(err)
	}
	at = p.says(at, `"tunes":["sales"]`)
	parked.Media.Tone(1000, heard)

	// By the command.
	s.write("sip: {listen: [udp://HOST:5060]}\norbits: [{extension: 701, music: sales}, {extension: 703}]\n" + common)
	if out, fault, code := s.parkd("reload"); code != 0 || fault != "" {
		t.Errorf("parkd reload: %d %s%s", code, out, fault)
	}
	p.says(at, `"changed":["orbits.702","orbits.703"]`)
	ann.Dial("703", live.Offer{}).Bye()
	ann.Invite("702", live.Offer{}).Expect(404)

	undisturbed(t, parked, first, since)
	if n := len(w.Notes()); n != notes {
		t.Errorf("the lamp was told %d times", n-notes)
	}
	if out, _, _ := s.parkd("status"); !bytes.Contains([]byte(out), []byte("sales")) || strings.Contains(out, "faults") {
		t.Errorf("parkd status:\n%s", out)
	}
	fetched := bob.Dial("*4701", live.Offer{})
	bothHear(t, parked, fetched)
	fetched.Bye()
	parked.Over()
	w.Refresh(0)
}
