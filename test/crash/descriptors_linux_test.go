package crash

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"parkd/test/live"
)

// descriptors counts the process's open files.
func (p *process) descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// limited is a command that may open so many files.
func limited(files int, args ...string) *exec.Cmd {
	return exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, files), "sh", binary}, args...)...)
}

// A parked call is one descriptor, and all of them together have one more, for RTCP. So
// many files as `parkd check` asks for suffice, and with one less it warns.
func TestACallIsOneDescriptor(t *testing.T) {
	t.Parallel()
	const calls = 300
	s := newSite(t, fmt.Sprintf("orbits: [{extension: \"701\", allow_multiple: true}]\npark: {max_calls: %d}\n", calls))
	check := func(files int) string {
		out, err := limited(files, "check", "-c", s.file()).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	var needed int
	_, rest, ok := strings.Cut(check(calls), fmt.Sprintf("%d calls need ", calls))
	if _, err := fmt.Sscan(rest, &needed); !ok || err != nil {
		t.Fatalf("no warning: %v", err)
	}
	if text := check(needed - 1); !strings.Contains(text, "open files") {
		t.Errorf("no warning at %d files", needed-1)
	}
	if text := check(needed); strings.Contains(text, "open files") {
		t.Errorf("with %d files: %s", needed, text)
	}

	s.around = func(args ...string) *exec.Cmd { return limited(needed, args...) }
	s.start()
	callers := s.trunk("callers")
	var parked []*live.Call
	park := func(n int) {
		for range n {
			parked = append(parked, callers.Call("701", live.Offer{}))
		}
		for _, c := range parked {
			c.Expect(200)
		}
	}
	// Requests of this test for the state come and go.
	settled := func(want int) {
		t.Helper()
		s.until(fmt.Sprintf("%d calls are %d descriptors", len(parked), want), live.Patience, func() bool { return s.now.descriptors(t) == want })
	}
	park(1)
	s.until("one call", live.Patience, func() bool { return len(s.calls()) == 1 })
	with := s.now.descriptors(t)
	s.until("connections have ended", live.Patience, func() bool {
		last := with
		with = s.now.descriptors(t)
		return with == last
	})
	for _, n := range []int{calls / 3, 2 * calls / 3, calls} {
		for len(parked) < n {
			park(min(20, n-len(parked)))
		}
		settled(with - 1 + n)
	}
	t.Logf("%d descriptors with %d calls, %d of them not of calls; the warning counts with %d", s.now.descriptors(t), calls, with-1, needed)
	if spare := needed - calls; with-1 > spare {
		t.Errorf("%d descriptors besides those of calls, the warning counts with %d", with-1, spare)
	}
	for _, c := range parked {
		c.Bye()
	}
	s.until("nothing is left", live.Patience, func() bool { return s.now.descriptors(t) <= with-1 })
	s.states()
}
