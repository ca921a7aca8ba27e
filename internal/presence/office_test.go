package presence

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"
)

// office is a server on TCP that is killed and started anew at one address.
type office struct {
	t    *testing.T
	addr string
	disk *disk
	src  *lamps
	n    *Notifier
	end  func()
	log  chan string // lines
}

// Write takes a line of the log.
func (o *office) Write(line []byte) (int, error) {
	select {
	case o.log <- string(line):
	default:
	}
	return len(line), nil
}

// logged waits for a line of the log.
func (o *office) logged(what string) {
	o.t.Helper()
	late := time.After(5 * time.Second)
	for {
		select {
		case line := <-o.log:
			if strings.Contains(line, what) {
				return
			}
		case <-late:
			o.t.Fatalf("%q is not logged", what)
		}
	}
}

func newOffice(t *testing.T) *office {
	o := &office{t: t, addr: "127.0.0.1:0", disk: newDisk(), log: make(chan string, 1000), src: &lamps{shown: map[string]string{"701": "", "702": "", "703": ""}}}
	o.start()
	t.Cleanup(func() { o.end() })
	return o
}

func (o *office) start() {
	ln, err := net.Listen("tcp", o.addr)
	if err != nil {
		o.t.Fatal(err)
	}
	o.addr = ln.Addr().String()
	e, err := sipua.New(sipua.Options{
		Listeners: []sipua.Listener{{Network: "tcp", Stream: ln}}, Log: zerolog.Nop(),
		Settings: sipua.Settings{Access: sipua.Access{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	wheel := dialog.NewWheel()
	table := dialog.NewTable(wheel)
	j, epoch := o.disk.open()
	o.n = New(Options{Endpoint: e, Table: table, Wheel: wheel, Source: o.src, Log: zerolog.New(o), Journal: j, Epoch: epoch})
	if faults := o.n.Restore(o.disk.records()); len(faults) > 0 {
		o.t.Error(faults)
	}
	e.Handle("SUBSCRIBE", o.n.Subscribe)
	e.HandleInDialog(table.Request)
	e.HandleStray(o.n.Stray)
	e.HandleConnect(o.n.Connected)
	served := make(chan error, 1)
	go func() { served <- e.Serve(context.Background()) }()
	<-e.Ready()
	n := o.n
	o.end = func() {
		n.Close()
		e.Shutdown()
		wheel.Close()
		if err := <-served; err != nil {
			o.t.Error(err)
		}
	}
	n.Resume()
}

func (o *office) kill() {
	o.disk.crash()
	o.end()
	for len(o.log) > 0 { // lines of the one that is gone
		<-o.log
	}
}

func (o *office) park(orbit, shown string) {
	o.src.mu.Lock()
	o.src.shown[orbit] = shown
	o.src.mu.Unlock()
	o.n.Changed(orbit)
}

// deskphone is a phone on TCP: it answers NOTIFYs on whichever connection they
// come.
type deskphone struct {
	t       *testing.T
	user    string // From
	contact string
	tags    map[string]string // To, by orbit; of the dialogs that it has
	cseq    int

	got    chan string // NOTIFYs: orbit and what was shown
	before []string    // those that nobody asked for yet
	conn   net.Conn    // of its own
	ended  chan struct{}
	reply  chan *sip.Response

	mu    sync.Mutex
	code  int // its answer
	conns []net.Conn
}

func newDeskphone(t *testing.T) *deskphone {
	p := &deskphone{t: t, code: 200, user: "bob", tags: map[string]string{}, reply: make(chan *sip.Response, 16), got: make(chan string, 100)}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.conns {
			c.Close()
		}
	})
	return p
}

// connect opens a connection, from a port if one is given.
func (p *deskphone) connect(server, from string) {
	p.t.Helper()
	var d net.Dialer
	if from != "" {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))
	}
	c, err := d.Dial("tcp", server)
	if err != nil && from != "" {
		p.t.Skipf("somebody else has the port now: %v", err)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.conn, p.ended = c, p.serve(c)
}

// hangUp closes its connection, and waits until its port is free.
func (p *deskphone) hangUp() {
	p.conn.Close()
	<-p.ended
}

// serve reads a connection until its end.
func (p *deskphone) serve(c net.Conn) (ended chan struct{}) {
	ended = make(chan struct{})
	p.mu.Lock()
	p.conns = append(p.conns, c)
	p.mu.Unlock()
	_ = c.(*net.TCPConn).SetLinger(0) // the port can be used again at once
	go func() {
		defer close(ended)
		in := bufio.NewReader(c)
		for {
			text, err := read(in)
			if err != nil {
				return
			}
			p.message(c, text)
		}
	}()
	return ended
}

func (p *deskphone) message(c net.Conn, text string) {
	m, err := sip.ParseMessage([]byte(text))
	if err != nil {
		p.t.Errorf("%v\n%s", err, text)
		return
	}
	if res, ok := m.(*sip.Response); ok {
		p.reply <- res
		return
	}
	req := m.(*sip.Request)
	p.mu.Lock()
	code := p.code
	p.mu.Unlock()
	orbit, _, _ := strings.Cut(strings.TrimPrefix(req.CallID().Value(), "call-"), "@")
	shown := strings.TrimPrefix(strings.Fields(string(req.Body()) + " -")[1], "shown=-")
	if code != 200 {
		shown = "refused"
	}
	p.got <- orbit + " " + shown
	fmt.Fprint(c, sip.NewResponseFromRequest(req, code, "Answer", nil).String())
}

// subscribe sends a SUBSCRIBE, within the dialog if there is one.
func (p *deskphone) subscribe(orbit string) {
	p.t.Helper()
	p.cseq++
	to := "<sip:" + orbit + "@127.0.0.1>"
	if tag := p.tags[orbit]; tag != "" {
		to += ";tag=" + tag
	}
	fmt.Fprintf(p.conn, "SUBSCRIBE sip:%s@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP %s;branch=z9hG4bK%d%s\r\nMax-Forwards: 70\r\n"+
		"From: <sip:%s@example.com>;tag=from\r\nTo: %s\r\nCall-ID: call-%s@phone\r\nCSeq: %d SUBSCRIBE\r\n"+
		"Contact: <%s>\r\nEvent: dialog\r\nContent-Length: 0\r\n\r\n", orbit, p.conn.LocalAddr(), p.cseq, orbit, p.user, to, orbit, p.cseq, p.contact)
	select {
	case res := <-p.reply:
		if res.StatusCode != 200 {
			p.t.Fatalf("%s", res)
		}
		p.tags[orbit], _ = res.To().Params.Get("tag")
	case <-time.After(10 * time.Second):
		p.t.Fatal("no answer")
	}
}

// told waits until the phone is told that of that orbit.
func (p *deskphone) told(what string, within time.Duration) bool {
	late := time.After(within)
	for {
		if i := slices.Index(p.before, what); i >= 0 {
			p.before = slices.Delete(p.before, i, i+1)
			return true
		}
		select {
		case g := <-p.got:
			p.before = append(p.before, g)
		case <-late:
			return false
		}
	}
}
