//go:build linux

package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadyMeansServing(t *testing.T) {
	u := newUnit(t, noAdmin)
	u.start()
	for _, network := range []string{"udp", "tcp"} {
		p := u.phone(network)
		p.answered(p.options())
	}
	// data_dir is the state directory (systemd.exec(5), StateDirectory=).
	if found, err := os.ReadDir(filepath.Join(u.dir, "state")); err != nil || len(found) == 0 {
		t.Errorf("in the state directory: %v, %v", found, err)
	}
	if _, err := os.Stat(filepath.Join(u.dir, "parkd-data")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is another data directory: %v", err)
	}
}

func TestSignsOfLife(t *testing.T) {
	u := newUnit(t, noAdmin)
	u.start()
	last := time.Now()
	for i := range 3 {
		u.expect("WATCHDOG=1")
		// systemd ends a process whose interval is over.
		if gap := time.Since(last); gap > watchdog {
			t.Errorf("sign of life %d comes after %v, wanted every %v", i+1, gap, watchdog)
		}
		last = time.Now()
	}
}

func TestStop(t *testing.T) {
	u := newUnit(t, noAdmin)
	u.start()
	u.signal(syscall.SIGTERM)
	u.expect("STOPPING=1")
	u.exit()
}

func TestReload(t *testing.T) {
	u := newUnit(t, noAdmin)
	u.start()
	for range 2 {
		before := monotonic(t)
		u.signal(syscall.SIGHUP)
		u.reloaded(before)
	}
	p := u.phone("udp")
	p.answered(p.options())
}

// A faulty file changes nothing, and the reload is over all the same: systemctl
// would wait for READY=1 until it gives up on the service.
func TestReloadOfAFaultyFile(t *testing.T) {
	u := newUnit(t, noAdmin)
	u.start()
	u.configure("orbits: none\n" + noAdmin)
	before := monotonic(t)
	u.signal(syscall.SIGHUP)
	u.reloaded(before)
	p := u.phone("udp")
	p.answered(p.options())
	if !u.logged("error", "orbits") && !u.logged("warn", "orbits") {
		t.Errorf("the log does not tell the fault:\n%s", u.log())
	}
}

// reloaded waits for RELOADING=1, made after a signal was sent, and READY=1.
func (u *unit) reloaded(after int64) {
	u.Helper()
	lines := u.expect("RELOADING=1")
	for _, l := range lines {
		if digits, ok := strings.CutPrefix(l, "MONOTONIC_USEC="); ok {
			if at, err := strconv.ParseInt(digits, 10, 64); err != nil || at < after {
				u.Errorf("reloading at %d (%v), the signal was sent at %d", at, err, after)
			}
			u.expect("READY=1")
			return
		}
	}
	u.Errorf("%q tells no time", lines)
}

// monotonic is the service manager's clock in microseconds.
func monotonic(t *testing.T) int64 {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano() / 1000
}

// While a drain waits for calls, the service manager is asked for patience.
func TestDrain(t *testing.T) {
	u := newUnit(t, "shutdown: drain\n"+noAdmin)
	u.start()
	p := u.phone("udp")
	bye := p.park()
	u.signal(syscall.SIGTERM)
	u.expect("STOPPING=1")
	u.expect("EXTEND_TIMEOUT_USEC=")
	bye()
	u.exit()
}

// What phones send while no process runs waits in the sockets that the service
// manager holds, once sent, and the next process answers it.
func TestSentWhileNobodyRuns(t *testing.T) {
	for _, how := range []string{"killed", "stopped"} {
		t.Run(how, func(t *testing.T) {
			u := newUnit(t, noAdmin)
			u.start()
			over := map[*phone][]string{u.phone("udp"): nil}
			for p := range over {
				p.answered(p.options()) // this process serves
			}
			if how == "killed" {
				u.kill()
			} else {
				u.signal(syscall.SIGTERM)
				u.expect("STOPPING=1")
				u.exit()
			}
			for range 3 {
				over[u.phone("tcp")] = nil // opened while nobody accepts
			}
			for p := range over {
				requests := 1
				if p.conn.LocalAddr().Network() == "udp" {
					requests = 50
				}
				for range requests {
					over[p] = append(over[p], p.options())
				}
			}
			u.start()
			for p, branches := range over {
				p.answered(branches...)
			}
		})
	}
}

// The buffers of passed sockets are the socket unit's: what parkd itself may ask
// for can be less (net.core.rmem_max).
func TestBuffersAreLeftAlone(t *testing.T) {
	u := newUnit(t, noAdmin)
	if err := u.udp.SetReadBuffer(48 << 10); err != nil {
		t.Fatal(err)
	}
	before := readBuffer(t, u.udp)
	u.start()
	if after := readBuffer(t, u.udp); after != before {
		t.Errorf("the buffer had %d bytes, parkd made that %d", before, after)
	}
}

func readBuffer(t *testing.T, c *net.UDPConn) (size int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { size, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// The HTTP socket is passed too; one that the configuration does not know is told.
func TestOtherSockets(t *testing.T) {
	u := newUnit(t, noAdmin)
	web, stray := u.listen("admin"), u.listen("sip")
	u.configure(fmt.Sprintf("admin: {listen: %q}", web.Addr()))
	u.start()
	client := http.Client{Timeout: patience}
	resp, err := client.Get("http://" + web.Addr().String() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/readyz: %s", resp.Status)
	}
	if !u.logged("warn", stray.Addr().String()) {
		t.Errorf("no warning about %s:\n%s", stray.Addr(), u.log())
	}
}
