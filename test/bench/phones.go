//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	outlets  = 4        // sockets that all phones share: each phone is a Contact of its own at one of them
	batch    = 64       // messages read or answered with one system call
	deaf     = 100      // one phone in so many dies
	phoneBuf = 32 << 20 // of a socket, where the system allows it
)

// phones watch lamps, as cheaply as can be: a few sockets for all of them, read
// and answered by batches. When something came is told by the kernel, so that
// it does not matter when the phones get to it.
type phones struct {
	conns []*net.UDPConn
	lists bool // they subscribe to event lists
	to    *net.UDPAddr
	dead  atomic.Bool // one in deaf does not answer any more
	ended sync.WaitGroup

	mu     sync.Mutex
	list   []phone
	want   []byte // what a NOTIFY has in it that counts
	left   int    // live phones that it has not come to
	again  int    // NOTIFYs that came more than once
	all    chan struct{}
	agreed int // phones with a 200 to their last SUBSCRIBE
	agree  chan struct{}
	sample []byte // the longest NOTIFY
	came   int    // NOTIFYs
}

// phone is one subscriber.
type phone struct {
	ext     string
	to      string // of the 200, with its tag
	contact string
	seq     int
	agreed  int       // CSeq of its last SUBSCRIBE that was answered
	told    time.Time // when what was expected came
}

func newPhones(sip string, n int) (*phones, error) {
	to, err := net.ResolveUDPAddr("udp", sip)
	if err != nil {
		return nil, err
	}
	p := &phones{to: to, list: make([]phone, n), all: make(chan struct{}, 1), agree: make(chan struct{}, 1)}
	for range outlets {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			p.close()
			return nil, err
		}
		p.conns = append(p.conns, conn)
		if err := prepare(conn); err != nil {
			p.close()
			return nil, err
		}
		p.ended.Go(func() { p.read(ipv4.NewPacketConn(conn)) })
	}
	return p, nil
}

// prepare gives a socket room and has the kernel note when packets come.
func prepare(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, phoneBuf) != nil { // needs rights
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, phoneBuf)
		}
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	return errors.Join(err, set)
}

func (p *phones) close() {
	for _, c := range p.conns {
		c.Close()
	}
	p.ended.Wait()
}

// addr is where a phone receives.
func (p *phones) addr(i int) string { return p.conns[i%outlets].LocalAddr().String() }

// live is how many phones answer.
func (p *phones) live() int {
	if p.dead.Load() {
		return len(p.list) - len(p.list)/deaf
	}
	return len(p.list)
}

func dies(i int) bool { return i%deaf == deaf-1 }

// subscribe has a phone watch an extension, or refreshes its subscription.
func (p *phones) subscribe(i int, ext string, expires int) error {
	p.mu.Lock()
	h := &p.list[i]
	h.seq++
	uri, to := "sip:"+ext+"@127.0.0.1", "<sip:"+ext+"@127.0.0.1>"
	if h.to != "" {
		uri, to = h.contact, h.to
	}
	h.ext = ext
	accept := "application/dialog-info+xml"
	if p.lists { // RFC 4662 4.1
		accept += ", application/rlmi+xml, multipart/related\r\nSupported: eventlist"
	}
	seq, at := h.seq, p.addr(i)
	p.mu.Unlock()
	_, err := p.conns[i%outlets].WriteToUDP(fmt.Appendf(nil, "SUBSCRIBE %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKw%ds%d\r\nMax-Forwards: 70\r\n"+
		"From: <sip:w%d@phones.example.com>;tag=w%d\r\nTo: %s\r\nCall-ID: w%d-%s\r\nCSeq: %d SUBSCRIBE\r\nContact: <sip:w%d@%s>\r\n"+
		"Event: dialog\r\nAccept: %s\r\nUser-Agent: Bench 1.0\r\nExpires: %d\r\nContent-Length: 0\r\n\r\n",
		uri, at, i, seq, i, i, to, i, at, seq, i, at, accept, expires), p.to)
	return err
}

// watch subscribes all phones to what extension names for each, and waits until
// all are told.
func (p *phones) watch(rate int, extension func(i int) string) error {
	p.expect(">terminated<", len(p.list))
	i := 0
	var failed error
	paced(len(p.list), rate, func() {
		failed = errors.Join(failed, p.subscribe(i, extension(i), 3600))
		i++
	})
	if failed != nil {
		return failed
	}
	for range 20 {
		err := p.wait("first NOTIFYs", time.Second)
		if err == nil {
			return nil
		}
		failed = err
		if err := p.insist(extension); err != nil {
			return err
		}
	}
	return failed
}

// rest waits until nobody is told anything for a while, and forgets what they were.
func (p *phones) rest(still, limit time.Duration) error {
	for begin, was := time.Now(), -1; time.Since(begin) < limit; time.Sleep(still) {
		p.mu.Lock()
		came := p.came
		p.sample = nil
		p.mu.Unlock()
		if came == was {
			return nil
		}
		was = came
	}
	return fmt.Errorf("NOTIFYs still come after %v", limit)
}

// insist repeats the SUBSCRIBEs that are not answered, as phones do (RFC 3261
// 17.1.2): a busy machine loses some.
func (p *phones) insist(extension func(i int) string) error {
	for i := range p.list {
		p.mu.Lock()
		h := &p.list[i]
		lost := h.agreed < h.seq
		if lost {
			h.seq--
		}
		p.mu.Unlock()
		if lost {
			if err := p.subscribe(i, extension(i), 3600); err != nil {
				return err
			}
		}
	}
	return nil
}

// expect begins to count who is told something.
func (p *phones) expect(what string, live int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want, p.left, p.again = []byte(what), live, 0
	for i := range p.list {
		p.list[i].told = time.Time{}
	}
	select {
	case <-p.all:
	default:
	}
}

// wait waits until all live phones are told what is expected.
func (p *phones) wait(what string, limit time.Duration) error {
	select {
	case <-p.all:
		return nil
	case <-time.After(limit):
		p.mu.Lock()
		defer p.mu.Unlock()
		return fmt.Errorf("%s: %d phones not told within %v", what, p.left, limit)
	}
}

// last is when the last live phone was told, and how many were told twice.
func (p *phones) last() (last time.Time, again int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.list {
		if t := p.list[i].told; t.After(last) && !(p.dead.Load() && dies(i)) {
			last = t
		}
	}
	return last, p.again
}

// read takes what comes to a socket until it is closed.
func (p *phones) read(conn *ipv4.PacketConn) {
	in, out := make([]ipv4.Message, batch), make([]ipv4.Message, batch)
	for i := range in {
		in[i].Buffers, in[i].OOB = [][]byte{make([]byte, 4096)}, make([]byte, 64)
		out[i].Buffers = [][]byte{make([]byte, 0, 2048)}
	}
	for {
		n, err := conn.ReadBatch(in, 0)
		if err != nil {
			return
		}
		answers := 0
		p.mu.Lock()
		for i := range in[:n] {
			msg := in[i].Buffers[0][:in[i].N]
			if bytes.HasPrefix(msg, []byte("SIP/2.0 ")) {
				p.response(string(msg))
				continue
			}
			at, err := stamp(in[i].OOB[:in[i].NN])
			if err != nil || !p.asked(msg, at) {
				continue
			}
			out[answers].Buffers[0] = ok(out[answers].Buffers[0][:0], msg)
			out[answers].Addr = in[i].Addr
			answers++
		}
		p.mu.Unlock()
		for sent := 0; sent < answers; {
			k, err := conn.WriteBatch(out[sent:answers], 0)
			if err != nil {
				return
			}
			sent += k
		}
	}
}

// response takes the 200 to a SUBSCRIBE; it holds mu.
func (p *phones) response(msg string) {
	i, err := strconv.Atoi(strings.TrimPrefix(strings.Split(header(msg, "Call-ID"), "-")[0], "w"))
	if err != nil || i >= len(p.list) || msg[8] != '2' {
		return
	}
	h := &p.list[i]
	h.to, h.contact = header(msg, "To"), strings.Trim(header(msg, "Contact"), "<>")
	if seq, _, _ := strings.Cut(header(msg, "CSeq"), " "); seq == strconv.Itoa(h.seq) && h.agreed < h.seq {
		h.agreed = h.seq
		p.agreed++
		select {
		case p.agree <- struct{}{}:
		default:
		}
	}
}

// asked takes a request and says whether it is answered; it holds mu.
func (p *phones) asked(msg []byte, at time.Time) bool {
	rest, ok := bytes.CutPrefix(msg, []byte("NOTIFY sip:w"))
	if !ok {
		return true
	}
	i := 0
	for _, c := range rest[:min(len(rest), 8)] {
		if c < '0' || c > '9' {
			break
		}
		i = 10*i + int(c-'0')
	}
	if i >= len(p.list) {
		return false
	}
	p.came++
	dead := p.dead.Load() && dies(i)
	if len(msg) > len(p.sample) {
		p.sample = slices.Clone(msg)
	}
	if h := &p.list[i]; p.want != nil && bytes.Contains(msg, p.want) && !dead {
		if !h.told.IsZero() {
			p.again++
			return true
		}
		h.told = at
		if p.left--; p.left == 0 {
			p.all <- struct{}{}
		}
	}
	return !dead
}

// ok appends the 200 to a request.
func ok(b, msg []byte) []byte {
	b = append(b, "SIP/2.0 200 OK\r\n"...)
	for len(msg) > 0 {
		var line []byte
		line, msg, _ = bytes.Cut(msg, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		for _, name := range [...]string{"Via:", "From:", "To:", "Call-ID:", "CSeq:"} {
			if len(line) > len(name) && string(line[:len(name)]) == name {
				b = append(append(b, line...), "\r\n"...)
				break
			}
		}
	}
	return append(b, "Content-Length: 0\r\n\r\n"...)
}
