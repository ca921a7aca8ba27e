//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// generator plays callers over one UDP socket, by hand: it must cost little
// beside what it measures.
type generator struct {
	conn  *net.UDPConn
	local string
	sinks *sinks
	at    func(n int) netip.AddrPort // where caller n receives
	rtcp  uint16                     // the port of reports to all of them; 0 = the one beside, where nobody is
	next  int
	hold  bool // callers are on hold: no music to them
	ended chan struct{}

	mu    sync.Mutex
	calls map[string]*call
	seen  map[string]time.Time // Call-IDs of NOTIFYs, and when the first one came
	freed chan struct{}        // a call that leaves is gone; nil = nobody wants to know
	wake  chan struct{}
	lamp  chan time.Time
}

// call is one caller.
type call struct {
	id, ext string
	sent    time.Time
	took    time.Duration
	to      string // the To of the answer, with its tag
	contact string
	at      netip.AddrPort // where they receive
	media   netip.AddrPort // where parkd does
	failed  string
	leave   bool // BYE as soon as it is answered
	gone    bool
	acked   time.Time
}

func newGenerator(sip string, s *sinks) (*generator, error) {
	to, err := net.ResolveUDPAddr("udp", sip)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialUDP("udp", nil, to)
	if err != nil {
		return nil, err
	}
	conn.SetReadBuffer(4 << 20)
	g := &generator{conn: conn, local: conn.LocalAddr().String(), sinks: s, at: s.at, ended: make(chan struct{}),
		calls: map[string]*call{}, seen: map[string]time.Time{}, wake: make(chan struct{}, 1), lamp: make(chan time.Time, 16)}
	go g.read()
	return g, nil
}

func (g *generator) close() {
	g.conn.Close()
	<-g.ended
}

// request sends a request; its Call-ID is the user, too.
func (g *generator) request(method, uri, callID, to string, seq int, more, body string) {
	fmt.Fprintf(g.conn, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%s%d\r\nMax-Forwards: 70\r\nFrom: <sip:%s@127.0.0.1>;tag=%s\r\n"+
		"To: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:%s@%s>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, uri, g.local, callID, method, seq, callID, callID, to, callID, seq, method, callID, g.local, more, len(body), body)
}

// invite dials an extension.
func (g *generator) invite(ext string, leave bool) *call {
	g.mu.Lock()
	g.next++
	c := &call{id: fmt.Sprintf("c%d", g.next), ext: ext, at: g.at(g.next), sent: time.Now(), leave: leave}
	g.calls[c.id] = c
	g.mu.Unlock()
	way := "sendrecv"
	if g.hold {
		way = "inactive"
	}
	sdp := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=%s\r\n",
		c.at.Addr(), c.at.Port(), way)
	if g.rtcp != 0 {
		sdp += fmt.Sprintf("a=rtcp:%d\r\n", g.rtcp)
	}
	uri := "sip:" + ext + "@127.0.0.1"
	g.request("INVITE", uri, c.id, "<"+uri+">", 1, "Content-Type: application/sdp\r\n", sdp)
	return c
}

// read takes responses and requests.
func (g *generator) read() {
	defer close(g.ended)
	buf := make([]byte, 8192)
	for {
		n, err := g.conn.Read(buf)
		if err != nil {
			return
		}
		msg := string(buf[:n])
		switch {
		case strings.HasPrefix(msg, "SIP/2.0 "):
			g.response(msg)
		default:
			g.asked(msg)
		}
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}

func (g *generator) response(msg string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.calls[header(msg, "Call-ID")]
	if c == nil || msg[8] == '1' {
		return
	}
	switch cseq := header(msg, "CSeq"); {
	case strings.HasSuffix(cseq, "BYE"):
		c.gone = true
		delete(g.calls, c.id)
		g.free()
	case !strings.HasSuffix(cseq, "INVITE"):
	case msg[8] != '2':
		c.failed, c.gone = msg[8:11], true
		g.free()
	default:
		if c.to == "" {
			c.took = time.Since(c.sent)
		}
		c.to = header(msg, "To")
		c.contact = strings.Trim(header(msg, "Contact"), "<>")
		c.media = media(msg)
		g.request("ACK", c.contact, c.id, c.to, 1, "", "")
		c.acked = time.Now()
		if c.leave {
			g.request("BYE", c.contact, c.id, c.to, 2, "", "")
		}
	}
}

// free says that a call is over.
func (g *generator) free() {
	if g.freed != nil {
		g.freed <- struct{}{}
	}
}

// asked answers what parkd asks: NOTIFY and keep-alives.
func (g *generator) asked(msg string) {
	g.mu.Lock()
	if id := header(msg, "Call-ID"); g.seen[id].IsZero() {
		g.seen[id] = time.Now()
	}
	g.mu.Unlock()
	if strings.HasPrefix(msg, "NOTIFY") && strings.Contains(msg, ">early<") {
		select {
		case g.lamp <- time.Now():
		default:
		}
	}
	var b bytes.Buffer
	b.WriteString("SIP/2.0 200 OK\r\n")
	for line := range strings.SplitSeq(msg, "\r\n") {
		if name, _, ok := strings.Cut(line, ":"); ok && slices.Contains([]string{"Via", "From", "To", "Call-ID", "CSeq"}, name) {
			b.WriteString(line + "\r\n")
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	g.conn.Write(b.Bytes())
}

func header(msg, name string) string {
	_, rest, ok := strings.Cut(msg, "\r\n"+name+": ")
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// media is where parkd receives, which is on 127.0.0.1, by the description in a
// message; not valid without one.
func media(msg string) netip.AddrPort {
	_, rest, _ := strings.Cut(msg, "\r\nm=audio ")
	port, _, _ := strings.Cut(rest, " ")
	at, _ := netip.ParseAddrPort("127.0.0.1:" + port) // none otherwise
	return at
}

// wait waits until done says so, with the lock held while it looks.
func (g *generator) wait(what string, limit time.Duration, done func() bool) error {
	deadline := time.After(limit)
	for {
		g.mu.Lock()
		ok := done()
		g.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-g.wake:
		case <-deadline:
			return fmt.Errorf("%s not finished within %v", what, limit)
		}
	}
}

// paced calls f n times, rate times a second.
func paced(n, rate int, f func()) {
	begin := time.Now()
	for i := range n {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		f()
	}
}

// fill parks n callers who stay.
func (g *generator) fill(ext string, n, rate int) error {
	var calls []*call
	paced(n, rate, func() { calls = append(calls, g.invite(ext, false)) })
	return g.wait("filling", 20*time.Second, func() bool {
		return !slices.ContainsFunc(calls, func(c *call) bool { return c.to == "" })
	})
}

// single parks callers one after the other, who leave at once, and tells how
// long answers took. The disk is done with one before the next comes.
func (g *generator) single(ext string, n int) (latencies, error) {
	var late latencies
	for range n {
		time.Sleep(pause)
		c := g.invite(ext, true)
		if err := g.wait("a park", 5*time.Second, func() bool { return c.gone }); err != nil {
			return nil, err
		}
		if c.failed != "" {
			return nil, fmt.Errorf("a park was refused: %s", c.failed)
		}
		late = append(late, c.took)
	}
	return late, nil
}

// crowd has at most so many callers at once on their way in and out, each of
// whom leaves as soon as they are parked, and begins at most rate a second. It
// returns how many there were.
func (g *generator) crowd(ext string, many, rate int, window time.Duration) (int, error) {
	g.mu.Lock()
	g.freed = make(chan struct{}, many)
	g.mu.Unlock()
	for range many {
		g.freed <- struct{}{}
	}
	var calls []*call
	begin := time.Now()
	for time.Since(begin) < window {
		for due := int(time.Since(begin).Seconds() * float64(rate)); len(calls) < due; {
			<-g.freed
			calls = append(calls, g.invite(ext, true))
		}
		time.Sleep(time.Millisecond)
	}
	for range many {
		<-g.freed
	}
	if i := slices.IndexFunc(calls, func(c *call) bool { return c.failed != "" }); i >= 0 {
		return 0, fmt.Errorf("a park was refused: %s", calls[i].failed)
	}
	return len(calls), nil
}

// watch subscribes n times, to orbits in turn, and waits until all are told.
func (g *generator) watch(n, rate int) error {
	i := 0
	paced(n, rate, func() {
		ext := fmt.Sprint(701 + i%99)
		g.request("SUBSCRIBE", "sip:"+ext+"@127.0.0.1", fmt.Sprintf("lamp%d", i), "<sip:"+ext+"@127.0.0.1>", 1, "Event: dialog\r\nExpires: 3600\r\n", "")
		i++
	})
	return g.wait("first NOTIFYs", 20*time.Second, func() bool { return len(g.seen) >= n })
}

// forget forgets who has been told.
func (g *generator) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.seen)
}

// told is when each of those who were told since forget was told first.
func (g *generator) told() (list []time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, at := range g.seen {
		if strings.HasPrefix(id, "lamp") {
			list = append(list, at)
		}
	}
	return list
}

// churn parks callers who leave at once, and tells how long answers took.
func (g *generator) churn(ext string, rate int, window time.Duration) (int, latencies, error) {
	var calls []*call
	paced(int(window.Seconds()*float64(rate)), rate, func() { calls = append(calls, g.invite(ext, true)) })
	err := g.wait("parks", 10*time.Second, func() bool {
		return !slices.ContainsFunc(calls, func(c *call) bool { return !c.gone })
	})
	var late latencies
	for _, c := range calls {
		if c.failed != "" {
			return 0, nil, fmt.Errorf("a park was refused: %s", c.failed)
		}
		late = append(late, c.took)
	}
	return len(calls), late, err
}

// lamps watches n orbits, parks once at each, and tells how long after the
// ACK each lamp was lit; negative times are lamps that were faster than it.
func (g *generator) lamps(n int) (latencies, error) {
	var late latencies
	for i := range n {
		ext := fmt.Sprint(710 + i)
		g.request("SUBSCRIBE", "sip:"+ext+"@127.0.0.1", "watch"+ext, "<sip:"+ext+"@127.0.0.1>", 1, "Event: dialog\r\nExpires: 600\r\n", "")
		if err := g.dark(ext); err != nil {
			return nil, err
		}
		c := g.invite(ext, false)
		var at time.Time
		select {
		case at = <-g.lamp:
		case <-time.After(3 * time.Second):
			return nil, fmt.Errorf("no NOTIFY of %s", ext)
		}
		if err := g.wait("answer", 3*time.Second, func() bool { return c.to != "" }); err != nil {
			return nil, err
		}
		late = append(late, at.Sub(c.acked))
	}
	return late, nil
}

// dark waits for the first NOTIFY of a subscription.
func (g *generator) dark(ext string) error {
	return g.wait("first NOTIFY of "+ext, 3*time.Second, func() bool { return !g.seen["watch"+ext].IsZero() })
}

// latencies are durations of the same thing.
type latencies []time.Duration

func (l latencies) at(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(l))
	d := s[min(len(s)-1, int(q*float64(len(s))))]
	if d < 100*time.Microsecond {
		return d.Round(10 * time.Nanosecond)
	}
	return d.Round(time.Microsecond)
}

func (l latencies) median() time.Duration { return l.at(0.5) }
