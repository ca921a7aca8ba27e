package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testSecondSignal: one SIGTERM waits for a parked call where the configuration says
// so, a second one ends the process as if nobody had taken it.
func testSecondSignal(t *testing.T, bin string) {
	caller, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer caller.Close()
	p := start(t, bin, "--sip-listen=udp://127.0.0.1:0", "--admin-listen=", "--shutdown=drain")
	line := p.waitFor(`"listening"`)
	_, address, _ := strings.Cut(line, `"address":"`)
	address, _, _ = strings.Cut(address, `"`)
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	p.waitFor(`"ready"`)
	if _, err := caller.WriteTo(invite(address, caller.LocalAddr().String()), to); err != nil {
		t.Fatal(err)
	}
	p.waitFor("call parked")
	p.signal(syscall.SIGTERM)
	p.waitFor("draining")

	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	for deadline := time.After(30 * time.Second); ; {
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatalf("%v, want an end by a signal", err)
			}
			if status, ok := exit.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
				t.Errorf("%v, want an end by SIGTERM", err)
			}
			return
		case <-time.After(100 * time.Millisecond): // the first was taken a moment ago
			_ = p.cmd.Process.Signal(syscall.SIGTERM) // may have ended
		case <-deadline:
			t.Fatal("it waits for the call")
		}
	}
}

// invite parks a call at 701.
func invite(server, caller string) []byte {
	const sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
	return fmt.Appendf(nil, "INVITE sip:701@%[1]s SIP/2.0\r\nVia: SIP/2.0/UDP %[2]s;branch=z9hG4bK1;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:ann@%[2]s>;tag=1\r\nTo: <sip:701@%[1]s>\r\nCall-ID: 1@%[2]s\r\nCSeq: 1 INVITE\r\nContact: <sip:ann@%[2]s>\r\n"+
		"Content-Type: application/sdp\r\nContent-Length: %[3]d\r\n\r\n%[4]s", server, caller, len(sdp), sdp)
}
