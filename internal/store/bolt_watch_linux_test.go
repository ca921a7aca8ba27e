package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// op is a system call on the file that is watched.
type op struct {
	Kind   string // write, cut, sync; append, durable: marks of the test
	Offset int64  // of a write; the length after a cut; the number of a mark
	Data   []byte // of a write
	Err    int    // what it was answered with, without being done; 0: it was done
}

// watch sees every system call by which this process writes or syncs one file,
// before it is done, and can let it fail (seccomp user notification).
type watch struct {
	fd int // of the notifications

	mu    sync.Mutex // guards what follows
	path  string     // of the file that is watched
	judge func(n int, kind string) unix.Errno
	n     int // calls so far
	trace []op
}

// notice and answer are struct seccomp_notif and seccomp_notif_resp.
type notice struct {
	id        uint64
	pid, _    uint32
	nr        int32
	_         uint32
	_         uint64
	arguments [6]uint64
}

type answer struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

// newWatch begins to watch all threads of this process, for good.
func newWatch() (*watch, error) {
	arch, ok := map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}[runtime.GOARCH]
	if !ok {
		return nil, errMissing{fmt.Errorf("no way to watch system calls on %s", runtime.GOARCH)}
	}
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4}, // seccomp_data.arch
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: arch, SkipTrue: 5},
		bpf.LoadAbsolute{Off: 0, Size: 4}, // seccomp_data.nr
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_PWRITE64, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_FDATASYNC, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_FSYNC, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SYS_FTRUNCATE, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
		bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF},
	}
	raw, err := bpf.Assemble(code)
	if err != nil {
		return nil, err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, errMissing{fmt.Errorf("system calls cannot be watched here: %w", err)}
	}
	const flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return nil, errMissing{fmt.Errorf("system calls cannot be watched here: %w", errno)}
	}
	w := &watch{fd: int(fd)}
	go w.run()
	return w, nil
}

// watched plays a part that watches its own calls, in a child, and returns what
// that writes.
func watched(t *testing.T, role string) []byte {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	cmd := exec.Command(os.Args[0])
	// An interrupted call is made again: it need not happen.
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "STORE_TEST_DIR="+dir, "GODEBUG=asyncpreemptoff=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == cannotPlay {
		t.Skip(strings.TrimSpace(stderr.String()))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	return out
}

// begin watches the file at a path; judge says which calls fail, and with what.
// A call hangs as long as judge does.
func (w *watch) begin(path string, judge func(n int, kind string) unix.Errno) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.path, w.judge, w.n, w.trace = path, judge, 0, nil
}

// mark puts a mark between the calls.
func (w *watch) mark(kind string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, op{Kind: kind, Offset: int64(n)})
}

// end returns what was seen.
func (w *watch) end() []op {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.path = ""
	return w.trace
}

func (w *watch) run() {
	for {
		var n notice
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w.fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&n))); errno != 0 {
			if errno == unix.EINTR || errno == unix.ENOENT {
				continue
			}
			panic(errno)
		}
		w.one(&n)
	}
}

// one judges one call. A mark cannot come between the call and its place in the
// trace.
func (w *watch) one(n *notice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := answer{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	before := w.n
	path, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", int32(n.arguments[0])))
	if path == w.path && path != "" {
		o := seen(n)
		if errno := w.judge(w.n, o.Kind); errno != 0 {
			o.Err = int(errno)
			a.flags, a.err = 0, -int32(errno)
		}
		w.n++
		w.trace = append(w.trace, o)
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w.fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&a)))
	if errno != 0 && w.n != before { // interrupted: it is made again
		w.n = before
		w.trace = w.trace[:len(w.trace)-1]
	}
}

// seen describes a call. The thread that makes it waits meanwhile.
func seen(n *notice) op {
	switch n.nr {
	case unix.SYS_PWRITE64:
		o := op{Kind: "write", Offset: int64(n.arguments[3]), Data: make([]byte, n.arguments[2])}
		memory, err := os.Open("/proc/self/mem")
		if err == nil {
			_, err = memory.ReadAt(o.Data, int64(n.arguments[1]))
			_ = memory.Close()
		}
		if err != nil {
			panic(err)
		}
		return o
	case unix.SYS_FTRUNCATE:
		return op{Kind: "cut", Offset: int64(n.arguments[1])}
	}
	return op{Kind: "sync"}
}
