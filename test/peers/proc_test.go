//go:build unix

package peers

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A proc is a child process with its own process group. Whatever it prints goes
// to one file, which is shown when the test fails.
type proc struct {
	name  string
	log   string // path
	stdin io.WriteCloser
	cmd   *exec.Cmd
	done  chan struct{} // closed after the process ended; code is valid then
	code  int
}

// start runs a program in the scene's folder home, with HOME there, and ends
// it with the test: gently, by SIGTERM, or at once.
func (s *scene) start(name, home string, gently bool, program string, args ...string) *proc {
	s.Helper()
	path, err := findProgram(program)
	if err != nil {
		s.Fatal(err)
	}
	p := &proc{name: name, log: s.path(name + ".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		s.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = home
	p.cmd.Env = append(os.Environ(), "HOME="+home, "LC_ALL=C", "TERM=dumb")
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		s.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		s.Fatalf("%s: %v", name, err)
	}
	go func() {
		p.code = exitCode(p.cmd.Wait())
		close(p.done)
	}()
	s.Cleanup(func() {
		p.end(gently)
		if s.Failed() {
			s.Logf("%s (exit %d):\n%s", name, p.code, tail(p.log, 60))
		}
	})
	return p
}

func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// end stops the whole process group, and only that. A program that ends gently
// gets SIGTERM, again after half a second, and three seconds in all.
func (p *proc) end(gently bool) {
	for _, wait := range []time.Duration{500 * time.Millisecond, 2500 * time.Millisecond} {
		if gently && !p.ended() {
			p.signal(syscall.SIGTERM)
			t := time.NewTimer(wait)
			select {
			case <-p.done:
			case <-t.C:
			}
			t.Stop()
		}
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// signal goes to the group as long as its leader has not been waited for.
func (p *proc) signal(sig syscall.Signal) {
	if p.ended() {
		return
	}
	// An error means that it ended this very moment, which is what was wanted.
	_ = syscall.Kill(-p.cmd.Process.Pid, sig)
}

func (p *proc) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// say types a line.
func (p *proc) say(s *scene, line string) {
	s.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		s.Fatalf("%s: typing %q: %v", p.name, line, err)
	}
}

// printed counts how often text occurs in what the process has printed.
func (p *proc) printed(text string) int { return strings.Count(contents(p.log), text) }

// expect waits until the process has printed text n times.
func (p *proc) expect(s *scene, text string, n int) {
	s.Helper()
	s.eventually(func() bool {
		return p.printed(text) >= n || p.ended()
	}, "%s prints %q", p.name, text)
	if got := p.printed(text); got < n {
		s.Fatalf("%s ended with code %d before it printed %q %d times", p.name, p.code, text, n)
	}
}

// contents is what a file holds so far, empty if there is none.
func contents(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

// tail is the last lines of a file.
func tail(path string, lines int) string {
	all := strings.Split(contents(path), "\n")
	if len(all) > lines {
		all = append([]string{"..."}, all[len(all)-lines:]...)
	}
	return strings.Join(all, "\n")
}
