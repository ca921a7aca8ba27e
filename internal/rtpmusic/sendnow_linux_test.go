package rtpmusic

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Reports to neighbours that are gone, more than the socket has room for, hold up nobody:
// in a network namespace, on a link with nobody at its other end.
func TestReportsToTheGone(t *testing.T) {
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("left out: needs ip (Debian package iproute2)")
	}
	done := make(chan struct{})
	var barred error
	go func() { // a thread with another network, which ends with the goroutine
		defer close(done)
		runtime.LockOSThread()
		if barred = unix.Unshare(unix.CLONE_NEWNET); barred != nil {
			return
		}
		out, err := exec.Command("sh", "-ec", `
ip link add here type veth peer name there
ip addr add 192.0.2.1/24 dev here
ip link set here up
ip link set there up`).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
			return
		}
		reportToTheGone(t)
	}()
	<-done
	if barred != nil {
		t.Skipf("left out: the system allows no network namespaces: %v", barred)
	}
}

// reportToTheGone uses no t.Fatal: it is not the test's goroutine.
func reportToTheGone(t *testing.T) {
	e := NewEngine(Config{Ports: [2]uint16{20000, 20998}})
	defer e.Close()
	c := e.control(netip.MustParseAddr("192.0.2.1"), 0)
	if c == nil {
		t.Error("no socket")
		return
	}
	defer c.leave()
	lost, begin := 0, time.Now()
	for i := range 2000 {
		switch err := c.send(make([]byte, 100), netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:4001", 2+i%250))); {
		case errors.Is(err, unix.EAGAIN):
			lost++
		case err != nil:
			t.Error(err)
			return
		}
	}
	if lost == 0 {
		t.Error("the buffer was never full: nothing is shown")
	}
	if d := time.Since(begin); d > 2*time.Second { // ARP would have had them wait for three
		t.Errorf("it took %v", d)
	}
}
