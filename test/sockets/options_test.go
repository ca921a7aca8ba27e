package sockets

import (
	"fmt"
	"strings"
	"testing"

	"parkd/test/kit/wire"
	"parkd/test/live"
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
			w := bob.Watch("701")
			w.Served()
			if w.Dialog.Target != want {
				t.Errorf("Contact of the subscription %s, want %s", w.Dialog.Target, want)
			}
			dark := w.Shows("terminated")
			parked := ann.Park("701", bob, live.Offer{})
			if parked.Dialog.Target != want {
				t.Errorf("Contact of the call %s, want %s", parked.Dialog.Target, want)
			}
			// Sound keeps the address that the phone called.
			if got := parked.Media.Remote.Addr().String(); got != s.host {
				t.Errorf("SDP names %s, want %s", got, s.host)
			}
			for _, n := range []live.Note{dark, w.Shows("early")} {
				if got := wire.Address(n.Head.Get("Contact")); got != want {
					t.Errorf("Contact of a NOTIFY %s, want %s", got, want)
				}
			}
			parked.Bye() // to the advertised name, which parkd knows for its own
			w.Shows("terminated")
			w.Refresh(0)
		})
	}
}

func TestPhonesAreToldTheConfiguredMediaAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start("sip: {listen: [udp://HOST:5060]}\nmedia: {address: 192.0.2.7}\n")
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	parked := ann.Park("701", bob, live.Offer{})
	connection(t, "answer to the caller", parked.Asked.Final)
	if got := parked.Media.First(3)[0].From.Addr().String(); got != s.host {
		t.Errorf("music comes from %s, want %s", got, s.host) // as a NAT would see it
	}
	if got := wire.Address(parked.Asked.Final.Get("Contact")); got != parked.Phone.At("701") {
		t.Errorf("Contact %s, want %s", got, parked.Phone.At("701"))
	}
	fetched := bob.Dial("*4701", live.Offer{})
	connection(t, "answer to the retriever", fetched.Asked.Final)
	connection(t, "answer within the call", fetched.Reoffer("sendonly"))
	fetched.Bye()
	parked.Over()
}

// An address of the other family is no use to a phone: it is told our own.
func TestTheConfiguredMediaAddressIsForItsFamily(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start("sip: {listen: [\"udp://[::1]:PORT6\"]}\nmedia: {address: 192.0.2.7}\n")
	ann, bob := s.phone("ann", "udp", fmt.Sprintf("[::1]:%d", s.port6)), s.phone("bob", "udp", fmt.Sprintf("[::1]:%d", s.port6))
	parked := ann.Park("701", bob, live.Offer{})
	if body := parked.Asked.Final.Body; !strings.Contains(body, "c=IN IP6 ::1") || strings.Contains(body, "192.0.2.7") {
		t.Errorf("an IPv6 phone is told\n%s", body)
	}
	parked.Bye()
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
