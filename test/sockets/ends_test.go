package sockets

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"parkd/internal/server"
	"parkd/test/kit"
	"parkd/test/live"
)

func TestAStopHangsUpOnEverybody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, conf := s.certify()
	s.start(lampSite)
	ann, ben, bob, desk := s.wide("udp", nil)("ann"), s.wide("tcp", nil)("ben"), s.wide("tls", conf)("bob"), s.wide("udp", nil)("desk")
	parked := ann.Park("701", desk, live.Offer{})
	bridged := ben.Park("702", desk, live.Offer{})
	fetched := bob.Dial("*4702", live.Offer{})
	bothHear(t, bridged, fetched)
	if code, body := s.http("POST", "/api/v1/calls/"+s.orbit("701").Calls[0].ID+"/return"); code != 202 {
		t.Fatalf("return: %d %s", code, body)
	}
	back := desk.Rung()

	took := s.finish() // Run returns nil
	t.Logf("stopped in %v", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Errorf("a stop took %v though everybody answered", took)
	}
	for _, c := range []*live.Call{parked, bridged, fetched} {
		c.Over()
	}
	desk.Await("CANCEL", func() bool { return back.Cancelled })
	s.allFree()
}

// allFree checks that nothing listens at the site's address any more.
func (s *site) allFree() {
	s.Helper()
	for _, port := range []string{"5060", "5061", "8080"} {
		addr := net.JoinHostPort(s.host, port)
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			s.Errorf("udp %s is still open: %v", addr, err)
		} else {
			c.Close()
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			s.Errorf("tcp %s is still open: %v", addr, err)
		} else {
			l.Close()
		}
	}
}

// What cannot work is told in one line at the start, and nothing stays open.
func TestAStartThatCannotWorkSaysWhyAndLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	const listen = "sip: {listen: [udp://HOST:5060, tcp://HOST:5060]}\n"
	const secure = `
sip:
  listen: [udp://HOST:5060, tcp://HOST:5060, tls://HOST:5061]
  tls: {cert: cert.pem, key: key.pem, client_ca: ca.pem}
`
	for name, row := range map[string]struct {
		yaml  string
		spoil func(s *site) func()
		want  []string
	}{
		"UDP port in use":          {listen, occupied("udp", ":5060"), []string{"udp://HOST:5060", "in use"}},
		"TCP port in use":          {listen, occupied("tcp", ":5060"), []string{"tcp://HOST:5060", "in use"}},
		"HTTP port in use":         {listen, occupied("tcp", ":8080"), []string{"HOST:8080", "in use"}},
		"no certificate":           {secure, without("cert.pem"), []string{"cert.pem", "no such file"}},
		"no key":                   {secure, without("key.pem"), []string{"key.pem", "no such file"}},
		"no authority":             {secure, without("ca.pem"), []string{"ca.pem", "no such file"}},
		"a certificate of nothing": {secure, rubbish("cert.pem"), []string{"cert"}},
		"an authority of nothing":  {secure, rubbish("ca.pem"), []string{"ca.pem", "no certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.certify()
			undo := row.spoil(s)
			var log kit.Log
			srv, err := server.New(server.Options{Config: s.load(row.yaml), Log: log.Logger()})
			undo()
			if err == nil {
				t.Fatalf("New: no error, %v", srv)
			}
			t.Log(err)
			for _, want := range row.want {
				if want = strings.ReplaceAll(want, "HOST", s.host); !strings.Contains(err.Error(), want) {
					t.Errorf("%q says nothing of %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than a line: %q", err)
			}
			s.allFree()
		})
	}
}

// occupied takes a port of parkd's; what it returns frees it.
func occupied(network, port string) func(*site) func() {
	return func(s *site) func() {
		if network == "udp" {
			c, err := net.ListenPacket("udp", s.host+port)
			if err != nil {
				s.Fatal(err)
			}
			return func() { c.Close() }
		}
		l, err := net.Listen("tcp", s.host+port)
		if err != nil {
			s.Fatal(err)
		}
		return func() { l.Close() }
	}
}

func without(name string) func(*site) func() {
	return func(s *site) func() {
		if err := os.Remove(s.dir + "/" + name); err != nil {
			s.Fatal(err)
		}
		return func() {}
	}
}

func rubbish(name string) func(*site) func() {
	return func(s *site) func() {
		s.file(name, []byte("rubbish\n"))
		return func() {}
	}
}
