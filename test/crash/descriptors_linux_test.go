package crash

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"parkd/test/live"
)

// descriptors counts the process's open files, and which of them are UDP sockets.
func (p *process) descriptors(t *testing.T) (all, udp int) {
	t.Helper()
	files := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	list, err := os.ReadDir(files)
	if err != nil {
		t.Fatal(err)
	}
	sockets := make(map[string]bool) // by inode: proc_pid_fd(5)
	for _, e := range list {
		to, _ := os.Readlink(filepath.Join(files, e.Name())) // it may have been closed
		if rest, ok := strings.CutPrefix(to, "socket:["); ok {
			sockets[strings.TrimSuffix(rest, "]")] = true
		}
	}
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(table)) {
		const inode = 9 // the column
		if fields := strings.Fields(l); len(fields) > inode && sockets[fields[inode]] {
			udp++
		}
	}
	return len(list), udp
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
	// UDP sockets are counted, since other descriptors come and go: the test's requests
	// for the state, and what the media threads open when they first run.
	settled := func(n int) (besides int) {
		t.Helper()
		var all, udp int
		const others = 2 // SIP, RTCP
		s.until(fmt.Sprintf("%d calls are %d UDP sockets", n, n+others), live.Patience, func() bool {
			all, udp = s.now.descriptors(t)
			return udp == n+others
		})
		return all - n
	}
	for _, n := range []int{1, calls / 3, 2 * calls / 3, calls} {
		for len(parked) < n {
			park(min(20, n-len(parked)))
		}
		if besides, spare := settled(n), needed-calls; besides > spare {
			t.Errorf("%d descriptors besides those of %d calls, the warning counts with %d", besides, n, spare)
		} else {
			t.Logf("%d descriptors besides those of %d calls; the warning counts with %d", besides, n, spare)
		}
	}
	for _, c := range parked {
		c.Bye()
	}
	s.until("the socket of SIP is left", live.Patience, func() bool {
		_, udp := s.now.descriptors(t)
		return udp == 1
	})
	s.states()
}
