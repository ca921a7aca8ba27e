//go:build linux

package systemd

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestNotify(t *testing.T) {
	tests := []struct {
		name string
		send func() error
		want string
	}{
		{"ready", Ready, "READY=1"},
		{"stopping", Stopping, "STOPPING=1"},
		{"status", func() error { return Status("12 calls parked") }, "STATUS=12 calls parked"},
		{"a status adds no assignment", func() error { return Status("a\nMAINPID=1") }, "STATUS=a MAINPID=1"},
	}
	sockets := map[string]string{
		"path":     socketPath(t),
		"abstract": fmt.Sprintf("@parkd-systemd-test-%d", os.Getpid()),
	}
	for kind, name := range sockets {
		t.Run(kind, func(t *testing.T) {
			m := newManager(t, name)
			for _, tt := range tests {
				if err := tt.send(); err != nil {
					t.Errorf("%s: %v", tt.name, err)
				}
				if got, _ := m.next(patience); got != tt.want {
					t.Errorf("%s: the service manager reads %q, want %q", tt.name, got, tt.want)
				}
			}
		})
	}
}

// The service manager takes a RELOADING=1 for the answer to its signal only if its
// time is not before that of the signal.
func TestReloadingTellsTheTime(t *testing.T) {
	m := newManager(t, socketPath(t))
	before, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	if err := Reloading(); err != nil {
		t.Fatal(err)
	}
	after, err := monotonic()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := m.next(patience)
	digits, ok := strings.CutPrefix(got, "RELOADING=1\nMONOTONIC_USEC=")
	at, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || at < before.Microseconds() || at > after.Microseconds() {
		t.Errorf("got %q, want RELOADING=1 and a time from %d to %d", got, before.Microseconds(), after.Microseconds())
	}
}

func TestExtend(t *testing.T) {
	m := newManager(t, socketPath(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Extend(ctx, 30*time.Millisecond) }()
	for range 3 {
		if got, _ := m.next(patience); got != "EXTEND_TIMEOUT_USEC=30000" {
			t.Errorf("got %q", got)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	m.waiting()
	if got, ok := m.next(100 * time.Millisecond); ok {
		t.Errorf("got %q after the end", got)
	}
}

func TestWithoutServiceManager(t *testing.T) {
	for _, v := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"} {
		t.Setenv(v, "") // puts it back at the end
		os.Unsetenv(v)
	}
	calls := map[string]func() error{
		"Ready": Ready, "Reloading": Reloading, "Stopping": Stopping,
		"Status": func() error { return Status("x") },
		"Watchdog": func() error {
			return Watchdog(t.Context(), func(context.Context) error { panic("asked") })
		},
		"Listeners": func() error {
			if l, err := Listeners(); l != nil || err != nil {
				return fmt.Errorf("got %v, %w", l, err)
			}
			return nil
		},
	}
	for name, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServiceManagerIsGone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", socketPath(t))
	for name, call := range map[string]func() error{
		"Ready": Ready, "Reloading": Reloading, "Stopping": Stopping,
		"Extend": func() error { return Extend(t.Context(), time.Second) },
	} {
		if err := call(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
