//go:build linux

package systemd

import (
	"context"
	"errors"
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// healthy is after how many answers the server of these tests has its trouble.
const healthy = 4

func TestWatchdogStopsPinging(t *testing.T) {
	tests := []struct {
		name    string
		trouble func(context.Context) error
	}{
		{"when the server says that it is unwell", func(context.Context) error { return errors.New("unwell") }},
		{"when it does not answer", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		{"when it answers too late", func(ctx context.Context) error { <-ctx.Done(); return nil }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newManager(t, socketPath(t))
			t.Setenv("WATCHDOG_USEC", "40000")
			ctx, cancel := context.WithCancel(t.Context())
			asked := make(chan int, 100)
			n := 0 // of the watchdog's goroutine
			done := make(chan error, 1)
			go func() {
				done <- Watchdog(ctx, func(ctx context.Context) error {
					n++
					asked <- n
					if n > healthy {
						return tt.trouble(ctx)
					}
					return nil
				})
			}()
			for range healthy {
				if got, _ := m.next(patience); got != "WATCHDOG=1" {
					t.Fatalf("got %q, want a ping", got)
				}
			}
			for <-asked < healthy+4 { // it is asked again, to no avail
			}
			if extra := m.waiting(); extra != 0 {
				t.Errorf("%d pings after the trouble", extra)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// A passing trouble does not end the pings.
func TestWatchdogResumes(t *testing.T) {
	m := newManager(t, socketPath(t))
	t.Setenv("WATCHDOG_USEC", "40000")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0 // of the watchdog's goroutine
	done := make(chan error, 1)
	go func() {
		done <- Watchdog(ctx, func(context.Context) error {
			if n++; n == 2 {
				return errors.New("unwell")
			}
			return nil
		})
	}()
	for range 3 {
		if got, _ := m.next(patience); got != "WATCHDOG=1" {
			t.Errorf("got %q, want a ping", got)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// The server is asked half an interval after each ping and has the other half: a
// ping comes in time even if the answer took nearly that long.
func TestWatchdogTimes(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "10000000")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		n := 0
		err := Watchdog(ctx, func(asked context.Context) error {
			want := time.Duration(n+1)*5*time.Second + time.Duration(n)*3*time.Second
			if since := time.Since(start); since != want {
				t.Errorf("asked after %v, want %v", since, want)
			}
			if limit, _ := asked.Deadline(); time.Until(limit) != 5*time.Second {
				t.Errorf("%v to answer, want 5 s", time.Until(limit))
			}
			time.Sleep(3 * time.Second)
			if n++; n == 4 {
				cancel()
			}
			return nil
		})
		if err != nil || n != 4 {
			t.Errorf("asked %d times, error %v", n, err)
		}
	})
}

func TestWatchdogNotForUs(t *testing.T) {
	tests := []struct {
		name, usec, pid string
		fails           bool
	}{
		{name: "of another process", usec: "40000", pid: strconv.Itoa(os.Getpid() + 1)},
		{name: "no number", usec: "soon", fails: true},
		{name: "no time at all", usec: "0", fails: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", tt.usec)
			t.Setenv("WATCHDOG_PID", tt.pid)
			err := Watchdog(t.Context(), func(context.Context) error { return nil })
			if (err != nil) != tt.fails {
				t.Errorf("error %v", err)
			}
		})
	}
}
