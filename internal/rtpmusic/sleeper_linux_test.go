package rtpmusic

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
	self, err := unix.SchedGetAttr(0, 0)
	must(t, err)
	// wrong is what is not as it should be: a thread that begins has its slice before its name.
	wrong := func() (list []string) {
		senders := 0
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
			sends := strings.TrimSpace(string(name)) == unix.ByteSliceToString(threadName[:])
			if sends {
				senders++
			}
			if sends != (a.Runtime == slice) || a.Nice != self.Nice || a.Policy != self.Policy {
				list = append(list, fmt.Sprintf("thread %s: %+v", name, *a))
			}
		}
		if senders < len(e.pacers) { // one of before may be left: the thread that a process began with never ends
			list = append(list, fmt.Sprintf("%d senders", senders))
		}
		return list
	}
	for end := time.Now().Add(patience); len(wrong()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q, others have %+v", wrong(), *self)
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
