package sockets

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"parkd/test/kit/wire"
)

// A trunk parks many callers from one socket. It acknowledges what is answered,
// answers requests with 200 and counts them; the music goes where nobody listens.
type trunk struct {
	t      *testing.T
	conn   *net.UDPConn
	sink   *net.UDPConn
	server string
	window chan struct{} // INVITEs that are not answered yet

	mu       sync.Mutex // leaf; guards all below
	answered map[string]bool
	refused  []string
	requests map[string]int // that parkd sent, by method
}

func newTrunk(s *site) *trunk {
	s.Helper()
	tr := &trunk{t: s.T, server: s.host + ":5060", window: make(chan struct{}, 128), answered: map[string]bool{}, requests: map[string]int{}}
	server, err := net.ResolveUDPAddr("udp", tr.server)
	if err == nil {
		tr.conn, err = net.DialUDP("udp", nil, server)
	}
	if err == nil {
		tr.sink, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	}
	if err != nil {
		s.Fatal(err)
	}
	_ = tr.conn.SetReadBuffer(4 << 20) // the system may allow less
	var wg sync.WaitGroup
	wg.Go(tr.read)
	s.Cleanup(func() {
		tr.conn.Close()
		tr.sink.Close()
		wg.Wait()
	})
	return tr
}

// park sends an INVITE as soon as few others are under way.
func (tr *trunk) park(ext, name string) {
	tr.window <- struct{}{}
	sdp := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\na=ptime:20\r\n",
		tr.sink.LocalAddr().(*net.UDPAddr).Port)
	local := tr.conn.LocalAddr()
	tr.send(fmt.Sprintf("INVITE sip:%[1]s@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[4]s;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:%[4]s@%[3]s>;tag=%[4]s\r\nTo: <sip:%[1]s@%[2]s>\r\nCall-ID: %[4]s\r\nCSeq: 1 INVITE\r\nContact: <sip:%[4]s@%[3]s>\r\n"+
		"Referred-By: <sip:desk@%[3]s>\r\nContent-Type: application/sdp\r\nContent-Length: %[5]d\r\n\r\n%[6]s", ext, tr.server, local, name, len(sdp), sdp))
}

func (tr *trunk) send(text string) { _, _ = tr.conn.Write([]byte(text)) } // a socket that is closed sends nothing

func (tr *trunk) read() {
	b := make([]byte, 65536)
	for {
		n, err := tr.conn.Read(b)
		if err != nil {
			return
		}
		m := wire.Split(string(b[:n]))
		if !m.Response() {
			tr.request(m)
			continue
		}
		if m.Code() >= 200 && m.Method() == "INVITE" {
			tr.final(m)
		}
	}
}

// final acknowledges the final response to an INVITE (RFC 3261 13.2.2.4, 17.1.1.3).
func (tr *trunk) final(m *wire.Message) {
	uri, branch := wire.Address(m.Get("Contact")), "z9hG4bKack"+m.CallID()
	if m.Code() >= 300 {
		uri, branch = wire.Address(m.Get("To")), m.Branch()
	}
	tr.send(fmt.Sprintf("ACK %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\n"+
		"Call-ID: %s\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n", uri, tr.conn.LocalAddr(), branch, m.Get("From"), m.Get("To"), m.CallID()))
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.answered[m.CallID()] {
		return
	}
	tr.answered[m.CallID()] = true
	if m.Code() >= 300 {
		tr.refused = append(tr.refused, m.Start)
	}
	<-tr.window
}

// request answers whatever parkd asks.
func (tr *trunk) request(m *wire.Message) {
	tr.mu.Lock()
	tr.requests[m.Method()]++
	tr.mu.Unlock()
	if m.Method() == "ACK" {
		return
	}
	lines := []string{"SIP/2.0 200 OK"}
	for _, h := range m.Headers {
		switch h.Name {
		case "Via", "From", "To", "Call-ID", "CSeq":
			lines = append(lines, h.Name+": "+h.Value)
		}
	}
	tr.send(strings.Join(append(lines, "Content-Length: 0"), "\r\n") + "\r\n\r\n")
}

// got is how many requests with some methods parkd has sent.
func (tr *trunk) got(methods ...string) (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, m := range methods {
		n += tr.requests[m]
	}
	return n
}

// parked waits until n calls are answered, all with 200.
func (tr *trunk) parked(s *site, n int) {
	s.Helper()
	s.until(fmt.Sprintf("%d calls are answered", n), func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return len(tr.answered) >= n
	})
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.refused) > 0 {
		s.Fatalf("%d calls are refused: %s", len(tr.refused), tr.refused[0])
	}
}
