package sockets

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// hosted is a registrar over TCP that takes everything.
type hosted struct {
	t      *testing.T
	l      net.Listener
	mute   atomic.Bool // answers no keep-alive
	conns  atomic.Int32
	alive  chan struct{} // one for each keep-alive
	taken  chan net.Conn // one for each REGISTER that was taken
	others chan string   // first lines and all of what else came
}

func newHosted(t *testing.T, addr string) *hosted {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	h := &hosted{t: t, l: l, alive: make(chan struct{}, 16), taken: make(chan net.Conn, 16), others: make(chan string, 16)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.conns.Add(1)
			t.Cleanup(func() { c.Close() })
			go h.serve(c)
		}
	}()
	return h
}

// message reads one message; "" is a keep-alive.
func message(r *bufio.Reader) (string, error) {
	var head strings.Builder
	length := 0
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Content-Length") {
			length, _ = strconv.Atoi(strings.TrimSpace(value))
		}
		if line == "\r\n" && head.Len() == 0 {
			if line, err = r.ReadString('\n'); line != "\r\n" || err != nil {
				return "", fmt.Errorf("half a keep-alive: %q, %w", line, err)
			}
			return "", nil
		}
		head.WriteString(line)
		if line == "\r\n" {
			break
		}
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return head.String() + string(body), err
}

func (h *hosted) serve(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		m, err := message(r)
		switch {
		case err != nil:
			return
		case m == "":
			select {
			case h.alive <- struct{}{}:
			default: // nobody counts any more
			}
			if !h.mute.Load() {
				_, _ = io.WriteString(c, "\r\n")
			}
		case strings.HasPrefix(m, "REGISTER "):
			_, _ = io.WriteString(c, answer(m))
			h.taken <- c
		default:
			h.others <- m
		}
	}
}

// answer is a 200 with what has to be copied.
func answer(m string) string {
	lines := []string{"SIP/2.0 200 OK"}
	for l := range strings.SplitSeq(m, "\r\n") {
		name, _, _ := strings.Cut(l, ":")
		switch name {
		case "Via", "From", "Call-ID", "CSeq", "Contact":
			lines = append(lines, l)
		case "To":
			lines = append(lines, l+";tag=pbx")
		}
	}
	return strings.Join(lines, "\r\n") + "\r\nExpires: 600\r\nContent-Length: 0\r\n\r\n"
}

func (h *hosted) await(what string, within time.Duration) net.Conn {
	h.t.Helper()
	select {
	case c := <-h.taken:
		return c
	case <-time.After(within):
		h.t.Fatalf("%s: no REGISTER", what)
		return nil
	}
}

// keptAlive waits for keep-alives, which follow each other over one connection only
// where each is answered.
func (h *hosted) keptAlive(n int32) {
	h.t.Helper()
	limit := time.After(30 * time.Second)
	for range n {
		select {
		case <-h.alive:
		case <-h.taken:
			h.t.Fatal("another REGISTER between keep-alives that were answered")
		case <-limit:
			h.t.Fatal("no keep-alive")
		}
	}
	if c := h.conns.Load(); c != 1 {
		h.t.Errorf("%d connections, want 1", c)
	}
}

func (h *hosted) other(start string) string {
	h.t.Helper()
	select {
	case m := <-h.others:
		if !strings.HasPrefix(m, start) {
			h.t.Fatalf("got\n%s\nwant %s", m, start)
		}
		return m
	case <-time.After(patience):
		h.t.Fatalf("no %s", start)
		return ""
	}
}

// A hosted PBX calls over the connection that we have registered by; one that does
// not answer keep-alives any more is left, and another opened (RFC 5626 3.5.1, 4.4.1).
func TestRegisteringOverTCP(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	h := newHosted(t, s.host+":5070")
	s.start(`
sip:
  listen: ["udp://HOST:5060", "tcp://HOST:5060"]
  register:
    - {orbits: 701, registrar: "sip:HOST:5070;transport=tcp", domain: pbx.example.com, password: geheim, expires: 10m, keepalive: 5s}
access: {trusted: []}
orbits: [{extension: 701}]
`)
	c := h.await("at the start", patience)
	invite := func(branch string) string {
		sdp := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n", s.host)
		return fmt.Sprintf("INVITE sip:701@%[1]s:5060;transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP %[1]s:5070;branch=z9hG4bK%[2]s\r\nMax-Forwards: 70\r\n"+
			"From: <sip:ann@pbx.example.com>;tag=a\r\nTo: <sip:701@pbx.example.com>\r\nCall-ID: %[2]s\r\nCSeq: 1 INVITE\r\n"+
			"Contact: <sip:ann@%[1]s:5070;transport=tcp>\r\nContent-Type: application/sdp\r\nContent-Length: %[3]d\r\n\r\n%[4]s", s.host, branch, len(sdp), sdp)
	}
	if _, err := io.WriteString(c, invite("one")); err != nil {
		t.Fatal(err)
	}
	m := h.other("SIP/2.0 200")
	var to string
	for l := range strings.SplitSeq(m, "\r\n") {
		if strings.HasPrefix(l, "To: ") {
			to = l
		}
	}
	request := func(method string, cseq int) string {
		return fmt.Sprintf("%s sip:701@%s:5060;transport=tcp SIP/2.0\r\nVia: SIP/2.0/TCP %s:5070;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\n"+
			"From: <sip:ann@pbx.example.com>;tag=a\r\n%s\r\nCall-ID: one\r\nCSeq: %d %s\r\nContent-Length: 0\r\n\r\n", method, s.host, s.host, method, to, cseq, method)
	}
	if _, err := io.WriteString(c, request("ACK", 1)+request("BYE", 2)); err != nil {
		t.Fatal(err)
	}
	h.other("SIP/2.0 200")
	h.keptAlive(2)
	h.mute.Store(true)
	h.await("after silence", 30*time.Second)
	if n := h.conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	s.finish()
	h.await("un-registered at the end", patience)
}
