package presence

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"

	"github.com/rs/zerolog"
)

var serverAddr = netip.MustParseAddrPort("192.0.2.1:5060")

// lamps is a Source in memory.
type lamps struct {
	mu    sync.Mutex
	shown map[string]string   // by resource; there is one if it is there
	lists map[string][]string // by name
	user  string              // who was told last, by the name that they proved
}

func (l *lamps) Resolve(user string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.shown[user]
	return user, ok
}

func (l *lamps) Document(resource string, p Params) (Document, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shown, ok := l.shown[resource]
	l.user = p.User
	body := fmt.Sprintf("version=%d shown=-%s entity=%s", p.Version, shown, p.Entity)
	return Document{Body: []byte(body), ContentType: p.Accept, Shown: shown}, ok
}

// lookup is what a resource shows.
func (l *lamps) lookup(resource string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shown, ok := l.shown[resource]
	return shown, ok
}

// bed is a notifier on a network, inside a bubble.
type bed struct {
	t     *testing.T
	net   *network
	n     *Notifier
	src   *lamps
	lat   chan time.Duration
	o     Options
	disk  *disk  // nil = nothing is kept
	block uint32 // 0 = as it is
	sock  *port
	kill  func() // ends what runs, as if it had never been asked to
	stop  func()
}

// bubble runs f with a notifier under fake time.
func bubble(t *testing.T, f func(*bed)) { bubbleOf(t, Options{}, f) }

func bubbleOf(t *testing.T, o Options, f func(*bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { newBed(t, o, nil).run(f) })
}

// journaled runs f with a notifier that keeps its subscriptions on a disk.
func journaled(t *testing.T, f func(*bed)) { journaledOf(t, Options{}, f) }

func journaledOf(t *testing.T, o Options, f func(*bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { newBed(t, o, newDisk()).run(f) })
}

func newBed(t *testing.T, o Options, d *disk) *bed {
	return &bed{t: t, net: newNetwork(), lat: make(chan time.Duration, 100000), o: o, disk: d,
		src: &lamps{shown: map[string]string{"701": "", "702": ""}}}
}

func (b *bed) run(f func(*bed)) {
	b.start()
	f(b)
	b.stop()
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	for _, p := range b.net.ports {
		p.Close()
	}
}

// start starts a server from what is on the disk.
func (b *bed) start() (faults map[string]error) {
	b.sock = b.net.listen(serverAddr.String())
	e, err := sipua.New(sipua.Options{
		Listeners: []sipua.Listener{{Network: "udp", Packet: b.sock}},
		Log:       zerolog.Nop(),
		Settings: sipua.Settings{Access: sipua.Access{Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
			Credentials: []sipua.Credential{{Realm: "phones", Username: "parkd", Password: "secret"}}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	wheel := dialog.NewWheel()
	table := dialog.NewTable(wheel)
	o := b.o
	o.Endpoint, o.Wheel, o.Table, o.Source, o.Log = e, wheel, table, b.src, zerolog.Nop()
	o.Observe = func(d time.Duration) { b.lat <- d }
	var was map[string][]byte
	if b.disk != nil {
		o.Journal, o.Epoch = b.disk.open()
		was = b.disk.records()
	}
	b.n = New(o)
	if b.block > 0 {
		b.n.block = b.block
	}
	faults = b.n.Restore(was)
	e.Handle("SUBSCRIBE", b.n.Subscribe)
	e.HandleInDialog(table.Request)
	e.HandleStray(b.n.Stray)
	served := make(chan error, 1)
	go func() { served <- e.Serve(context.Background()) }()
	<-e.Ready()
	n := b.n
	b.stop = func() {
		if b.disk != nil { // another process follows
			e.Freeze()
		}
		n.Close()
		e.Shutdown()
		wheel.Close()
		if err := <-served; err != nil {
			b.t.Error(err)
		}
		synctest.Wait()
	}
	b.kill = func() {
		b.net.cut(b.sock)
		if b.disk != nil {
			b.disk.crash()
		}
		b.stop()
	}
	n.Resume()
	return faults
}

// crash kills the server and starts another one from what is on the disk.
func (b *bed) crash() {
	b.t.Helper()
	b.kill()
	if faults := b.start(); len(faults) > 0 {
		b.t.Error(faults)
	}
}

// park changes what an orbit shows.
func (b *bed) park(orbit, shown string) {
	b.src.mu.Lock()
	b.src.shown[orbit] = shown
	b.src.mu.Unlock()
	b.n.Changed(orbit)
	synctest.Wait()
}

// remove takes an orbit away.
func (b *bed) remove(orbit string) {
	b.src.mu.Lock()
	delete(b.src.shown, orbit)
	b.src.mu.Unlock()
	b.n.Changed(orbit)
	synctest.Wait()
}

func (b *bed) phone(addr string) *phone { return newPhone(b.t, b.net, addr) }

// watch is a phone with a subscription to 701.
func (b *bed) watch(addr string) *phone {
	b.t.Helper()
	p := b.phone(addr)
	p.subscribe("sip:701@192.0.2.1")
	synctest.Wait()
	if p.reply().StatusCode != 200 || len(p.got()) != 1 {
		b.t.Fatalf("%d, %d NOTIFYs", p.reply().StatusCode, len(p.got()))
	}
	return p
}

func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
