package sockets

import (
	"fmt"
	"strings"
	"testing"

	"parkd/test/kit/wire"
)

func TestPhonesAreToldTheAdvertisedName(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.start("sip: {listen: [udp://HOST:5060, tcp://HOST:5060], advertise: pbx.example.test}\n")
			want := "sip:701@pbx.example.test:5060"
			if network == "tcp" {
				want += ";transport=tcp"
			}
			ann, bob := s.phone("ann", network, s.host+":5060"), s.phone("bob", network, s.host+":5060")
			w := bob.watch("701")
			w.served()
			if w.d.target != want {
				t.Errorf("Contact of the subscription %s, want %s", w.d.target, want)
			}
			dark := w.shows("terminated")
			parked := ann.park("701", bob, offer{})
			if parked.d.target != want {
				t.Errorf("Contact of the call %s, want %s", parked.d.target, want)
			}
			// Sound keeps the address that the phone called.
			if got := parked.media.remote.Addr().String(); got != s.host {
				t.Errorf("SDP names %s, want %s", got, s.host)
			}
			for _, n := range []note{dark, w.shows("early")} {
				if got := wire.Address(n.head.Get("Contact")); got != want {
					t.Errorf("Contact of a NOTIFY %s, want %s", got, want)
				}
			}
			parked.bye() // to the advertised name, which parkd knows for its own
			w.shows("terminated")
			w.refresh(0)
		})
	}
}

func TestPhonesAreToldTheConfiguredMediaAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start("sip: {listen: [udp://HOST:5060]}\nmedia: {address: 192.0.2.7}\n")
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	parked := ann.park("701", bob, offer{})
	connection(t, "answer to the caller", parked.asked.final)
	if got := parked.media.first(3)[0].from.Addr().String(); got != s.host {
		t.Errorf("music comes from %s, want %s", got, s.host) // as a NAT would see it
	}
	if got := wire.Address(parked.asked.final.Get("Contact")); got != parked.p.at("701") {
		t.Errorf("Contact %s, want %s", got, parked.p.at("701"))
	}
	fetched := bob.dial("*4701", offer{})
	connection(t, "answer to the retriever", fetched.asked.final)
	connection(t, "answer within the call", fetched.reoffer("sendonly"))
	fetched.bye()
	parked.over()
}

// An address of the other family is no use to a phone: it is told our own.
func TestTheConfiguredMediaAddressIsForItsFamily(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start("sip: {listen: [\"udp://[::1]:PORT6\"]}\nmedia: {address: 192.0.2.7}\n")
	ann, bob := s.phone("ann", "udp", fmt.Sprintf("[::1]:%d", s.port6)), s.phone("bob", "udp", fmt.Sprintf("[::1]:%d", s.port6))
	parked := ann.park("701", bob, offer{})
	if body := parked.asked.final.Body; !strings.Contains(body, "c=IN IP6 ::1") || strings.Contains(body, "192.0.2.7") {
		t.Errorf("an IPv6 phone is told\n%s", body)
	}
	parked.bye()
}

// connection checks that every c= line of a description is 192.0.2.7.
func connection(t *testing.T, what string, m *wire.Message) {
	t.Helper()
	n := 0
	for line := range strings.Lines(m.Body) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "c=") {
			n++
			if want := "c=IN IP4 192.0.2.7"; line != want {
				t.Errorf("%s: %s, want %s", what, line, want)
			}
		}
	}
	if n == 0 {
		t.Errorf("%s: no c= line in\n%s", what, m.Body)
	}
}
