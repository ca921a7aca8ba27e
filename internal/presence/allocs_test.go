package presence

import (
	"bytes"
	"net"
	"testing"

	"parkd/internal/sipua"
)

// drawn is a Source whose document is there already.
type drawn struct{}

var drawing = []byte("<dialog-info/>")

func (drawn) Resolve(user string) (string, bool) { return user, true }

func (drawn) Document(_ string, p Params) (Document, bool) {
	return Document{Body: append(p.Room, drawing...), ContentType: p.Accept, Shown: "a call"}, true
}

// tall is a Source whose document is too long for UDP.
type tall struct{ drawn }

func (tall) Document(_ string, p Params) (Document, bool) {
	return Document{Body: bytes.Repeat([]byte(" "), 1500), ContentType: p.Accept}, true
}

// Where no connection would be tried, a NOTIFY that is too long for UDP goes as
// quickly as any.
func TestTallGoesTheShortWay(t *testing.T) {
	n, addr := loopback(t, tall{})
	phone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	subscribeAt(phone, addr, 1)
	in := make([]byte, 4096)
	for size := 0; size < 1500; { // behind the 200
		if size, _, err = phone.ReadFrom(in); err != nil {
			t.Fatal(err)
		}
	}
	s, short := n.index.all()[0], make(chan bool)
	_ = s.queue.Post(func() { short <- s.sending != nil && s.sending.cancel == nil })
	if !<-short {
		t.Error("it has gone the long way")
	}
}

// A NOTIFY and its answer take no more than two allocations: what is known of it
// until it is answered, and our URI. A crowd of ten thousand would have the system
// find memory for everything else.
func TestNotifyTakesLittleMemory(t *testing.T) {
	n, addr := loopback(t, drawn{})
	phone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	go answerAll(phone.(*net.UDPConn), func() { close(first) })
	subscribeAt(phone, addr, 1)
	<-first
	phone.Close() // what comes now nobody answers
	s := n.index.all()[0]
	allocs := make(chan float64)
	_ = s.queue.Post(func() {
		allocs <- testing.AllocsPerRun(300, func() {
			if s.sending != nil { // the first one
				s.answered(s.sending, sipua.Answer{Code: 200, Seq: s.sending.seq}, nil)
			}
			s.pace = pacer{} // quiet for long
			s.news.Store(1)
			s.changed(nil)
		})
	})
	if got := <-allocs; got > 2+dropped {
		t.Errorf("%v allocations a NOTIFY", got)
	}
}
