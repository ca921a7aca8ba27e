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
	shown map[string]string // by resource; there is one if it is there
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
	body := fmt.Sprintf("version=%d shown=-%s entity=%s", p.Version, shown, p.Entity)
	return Document{Body: []byte(body), ContentType: p.Accept, Shown: shown}, ok
}

// bed is a notifier on a network, inside a bubble.
type bed struct {
	t    *testing.T
	net  *network
	n    *Notifier
	src  *lamps
	lat  chan time.Duration
	stop func()
}

// bubble runs f with a notifier under fake time.
func bubble(t *testing.T, f func(*bed)) { bubbleOf(t, Options{}, f) }

func bubbleOf(t *testing.T, o Options, f func(*bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bed{t: t, net: newNetwork(), lat: make(chan time.Duration, 1000), src: &lamps{shown: map[string]string{"701": "", "702": ""}}}
		e, err := sipua.New(sipua.Options{
			Listeners: []sipua.Listener{{Network: "udp", Packet: b.net.listen(serverAddr.String())}},
			Log:       zerolog.Nop(),
			Settings: sipua.Settings{Access: sipua.Access{Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
				Credentials: []sipua.Credential{{Realm: "phones", Username: "parkd", Password: "secret"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		wheel := dialog.NewWheel()
		table := dialog.NewTable(wheel)
		o.Endpoint, o.Wheel, o.Table, o.Source, o.Log = e, wheel, table, b.src, zerolog.Nop()
		o.Observe = func(d time.Duration) { b.lat <- d }
		b.n = New(o)
		e.Handle("SUBSCRIBE", b.n.Subscribe)
		e.HandleInDialog(table.Request)
		e.HandleStray(b.n.Stray)
		served := make(chan error, 1)
		go func() { served <- e.Serve(context.Background()) }()
		<-e.Ready()
		b.stop = func() {
			b.n.Close()
			e.Shutdown()
			wheel.Close()
			if err := <-served; err != nil {
				t.Error(err)
			}
			b.net.mu.Lock()
			defer b.net.mu.Unlock()
			for _, p := range b.net.ports {
				p.Close()
			}
		}
		f(b)
		b.stop()
	})
}

// park changes what an orbit shows.
func (b *bed) park(orbit, shown string) {
	b.src.mu.Lock()
	b.src.shown[orbit] = shown
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
