package sipua

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Neighbours that are gone, many more than the send buffer has room for, hold up
// nobody: in a network namespace, on a link with nobody at its other end.
func TestSendBufferFullOfTheGone(t *testing.T) {
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
ip link set lo up
ip link add here type veth peer name there
ip addr add 192.0.2.1/24 dev here
ip link set here up
ip link set there up`).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
			return
		}
		sendToTheGone(t)
	}()
	<-done
	if barred != nil {
		t.Skipf("left out: the system allows no network namespaces: %v", barred)
	}
}

func sendToTheGone(t *testing.T) {
	c, err := net.ListenPacket("udp", "192.0.2.1:0")
	if err != nil {
		t.Error(err)
		return
	}
	r := openRaw(c, func() bool { return false })
	if r == nil {
		t.Error("not opened")
		return
	}
	defer r.close()
	_ = unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<16)
	message := bytes.Repeat([]byte("x"), 1100)
	sendAllToTheGone(t, func(to netip.AddrPort) error { return r.send(message, to) })
	sendAllToTheGone(t, func(to netip.AddrPort) error {
		list := []packet{{wire: message, to: to}}
		r.sendAll(list)
		return list[0].err
	})
}

func sendAllToTheGone(t *testing.T, send func(to netip.AddrPort) error) {
	t.Helper()
	lost := 0
	begin := time.Now()
	for i := range 1000 {
		to := netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:5060", 2+i%250))
		switch err := send(to); {
		case errors.Is(err, errFull):
			lost++
		case err != nil:
			t.Error(err)
			return
		}
	}
	if lost == 0 {
		t.Error("the buffer was never full: nothing is shown")
	}
	t.Logf("%d of 1000 packets lost, in %v", lost, time.Since(begin))
	// What ARP would have had them wait for: three seconds.
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
}
