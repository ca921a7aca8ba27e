package rtpmusic

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Senders, and they alone, have the shortest time slice, and as much of the CPU as others.
func TestSendersHaveShortSlices(t *testing.T) {
	e := newTestEngine(t)
	var uts unix.Utsname
	must(t, unix.Uname(&uts))
	if v := unix.ByteSliceToString(uts.Release[:]); precedes(v, 6, 12) {
		t.Skipf("Linux %s has no time slices of a thread's own", v)
	}
	seen := func() (list []*unix.SchedAttr) {
		tasks, err := filepath.Glob("/proc/self/task/*")
		must(t, err)
		for _, task := range tasks {
			name, _ := os.ReadFile(task + "/comm") // a thread may have ended
			tid, err := strconv.Atoi(filepath.Base(task))
			must(t, err)
			a, err := unix.SchedGetAttr(tid, 0)
			if err != nil {
				continue
			}
			if sends := strings.TrimSpace(string(name)) == unix.ByteSliceToString(threadName[:]); sends {
				list = append(list, a)
			} else if a.Runtime == slice {
				t.Errorf("thread %s has a short slice, too", name)
			}
		}
		return list
	}
	self, err := unix.SchedGetAttr(0, 0)
	must(t, err)
	waitFor(t, "the senders", func() bool { return len(seen()) >= len(e.pacers) }) // the thread that a process began with never ends
	for _, a := range seen() {
		if a.Runtime != slice || a.Nice != self.Nice || a.Policy != self.Policy {
			t.Errorf("a sender has %+v, others %+v", *a, *self)
		}
	}
}

// precedes says whether a release of Linux is of before major.minor.
func precedes(release string, major, minor int) bool {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return true
	}
	a, _ := strconv.Atoi(parts[0])
	b, _ := strconv.Atoi(parts[1])
	return a < major || a == major && b < minor
}
