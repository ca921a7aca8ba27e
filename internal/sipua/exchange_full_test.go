package sipua

import (
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/sipua/fakenet"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// stalled is a socket whose next write takes as long as it is told to.
type stalled struct {
	net.PacketConn
	next atomic.Pointer[chan struct{}]
}

func (s *stalled) WriteTo(b []byte, to net.Addr) (int, error) {
	if c := s.next.Swap(nil); c != nil {
		<-*c
	}
	return s.PacketConn.WriteTo(b, to)
}

// What has ended, or goes under another CSeq, while those before it are repeated
// into a socket that is full, is not repeated any more: it would come behind what
// followed it.
func TestRepeatedNoMore(t *testing.T) {
	for _, row := range []struct {
		name string
		end  func(p *peer, x *Exchange, req *sip.Request)
		want int // requests after that
	}{
		{"stopped", func(_ *peer, x *Exchange, _ *sip.Request) { x.Stop() }, 0},
		{"answered", func(p *peer, _ *Exchange, req *sip.Request) { p.respond(req, 200) }, 0},
		{"challenged", func(p *peer, _ *Exchange, req *sip.Request) {
			p.respond(req, 401, sip.NewHeader("WWW-Authenticate", (&digest.Challenge{Realm: "phones", Nonce: "n", QOP: []string{"auth"}}).String()))
		}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := fakenet.New()
				sock := &stalled{PacketConn: n.Listen(usAddr)}
				o := Options{Listeners: []Listener{{Network: "udp", Packet: sock}}, Settings: local()}
				o.Settings.Credentials = []Credential{{Realm: "phones", Username: "parkd", Password: "secret"}}
				e, p := run(t, o, nil), newPeer(t, n, peerAddr)
				first, second := asker{seq: 6}, asker{seq: 6}
				x := ask(t, e, &first, 0)
				p.request()
				y := ask(t, e, &second, 0)
				req := p.request()
				full := make(chan struct{})
				sock.next.Store(&full)
				time.Sleep(sip.T1 + time.Millisecond) // both are due, and the first is at it
				row.end(p, y, req)
				synctest.Wait()
				close(full)
				synctest.Wait()
				x.Stop()
				got := 0
				for m := p.read(100 * time.Millisecond); m != nil; m = p.read(100 * time.Millisecond) {
					if branch, _ := branchOf(m); branch != string(x.branch.append(nil)) {
						got++
					}
				}
				if got != row.want {
					t.Errorf("%d requests, want %d", got, row.want)
				}
				y.Stop()
			})
		})
	}
}

// A message that has ended is whole while it is still being sent, and then the next
// ones are written in its room.
func TestRoomOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := fakenet.New()
		sock := &stalled{PacketConn: n.Listen(usAddr)}
		e, p := run(t, Options{Listeners: []Listener{{Network: "udp", Packet: sock}}, Settings: local()}, nil), newPeer(t, n, peerAddr)
		var a asker
		x := ask(t, e, &a, 0)
		req := p.request()
		full := make(chan struct{})
		sock.next.Store(&full)
		time.Sleep(sip.T1 + time.Millisecond) // it is sent again
		p.respond(req, 200)
		synctest.Wait()
		if x.room == nil {
			t.Error("its room is free while it is being sent")
		}
		var others []*Exchange
		for range 8 { // of which one would have its room
			y := ask(t, e, &a, 0)
			if p.request().String() == req.String() {
				t.Error("a message went under another's branch")
			}
			others = append(others, y)
		}
		close(full)
		if again := p.request(); again.String() != req.String() {
			t.Errorf("sent again as\n%s", again)
		}
		synctest.Wait()
		if x.room != nil || x.wire != nil {
			t.Error("its room is not free")
		}
		for _, y := range others {
			if y.Stop(); y.room != nil {
				t.Error("the room of a stopped one is not free")
			}
		}
	})
}
