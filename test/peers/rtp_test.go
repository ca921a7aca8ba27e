//go:build unix

package peers

import (
	"encoding/binary"
	"math"
	"net"
	"sync"
	"testing"
	"time"
)

// An rtpPeer is a device whose media leaves from another port than the one it
// listens at and writes into its SDP: PCMU, 20 ms.
type rtpPeer struct {
	port    int // where it listens
	mu      sync.Mutex
	samples []float64 // heard at port; guarded by mu
	strays  int       // packets that came to the port it sends from; guarded by mu
}

// rtpPeer opens both ports.
func (s *scene) rtpPeer(host int) (*rtpPeer, *net.UDPConn) {
	s.Helper()
	listen := s.udp(host)
	send := s.udp(host)
	p := &rtpPeer{port: listen.LocalAddr().(*net.UDPAddr).Port}
	var readers sync.WaitGroup
	readers.Go(func() {
		p.read(listen, func(payload []byte) {
			for _, b := range payload {
				p.samples = append(p.samples, fromMuLaw(b))
			}
		})
	})
	readers.Go(func() { p.read(send, func([]byte) { p.strays++ }) })
	s.Cleanup(func() {
		listen.Close()
		send.Close()
		readers.Wait()
	})
	return p, send
}

func (s *scene) udp(host int) *net.UDPConn {
	s.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(s.ip(host))})
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// read hands over the payload of RTP packets of PCMU until the socket closes.
func (p *rtpPeer) read(c *net.UDPConn, f func(payload []byte)) {
	b := make([]byte, 1500)
	for {
		n, _, err := c.ReadFromUDP(b)
		if err != nil {
			return
		}
		if n > 12 && b[0]>>6 == 2 && b[1]&0x7f == 0 { // RFC 3550 5.1
			p.mu.Lock()
			f(b[12:n])
			p.mu.Unlock()
		}
	}
}

func (p *rtpPeer) heard() sound {
	p.mu.Lock()
	defer p.mu.Unlock()
	return sound{rate: 8000, samples: append([]float64(nil), p.samples...)}
}

// strayed is how many packets came to the port that only sends.
func (p *rtpPeer) strayed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.strays
}

// talk sends a tone to an address until the test ends.
func (s *scene) talk(c *net.UDPConn, to *net.UDPAddr, tone float64) {
	stop := make(chan struct{})
	var talking sync.WaitGroup
	talking.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		samples := chord(8000, 1, tone).samples
		for seq := 0; ; seq++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			b := []byte{0x80, 0, byte(seq >> 8), byte(seq)}
			b = binary.BigEndian.AppendUint32(b, uint32(160*seq))
			b = binary.BigEndian.AppendUint32(b, 0x0badcafe)
			for i := range 160 {
				b = append(b, toMuLaw(samples[(seq*160+i)%len(samples)]))
			}
			if _, err := c.WriteToUDP(b, to); err != nil {
				return
			}
		}
	})
	s.Cleanup(func() {
		close(stop)
		talking.Wait()
	})
}

// fromMuLaw decodes one sample (ITU-T G.711, table 2a).
func fromMuLaw(b byte) float64 {
	b = ^b
	v := float64((int(b&0x0f)<<3+0x84)<<(b>>4&7) - 0x84)
	if b&0x80 != 0 {
		v = -v
	}
	return v / 32768
}

// toMuLaw encodes one sample by looking for the nearest value.
func toMuLaw(v float64) byte {
	best, off := byte(0), math.Inf(1)
	for b := range 256 {
		if d := math.Abs(fromMuLaw(byte(b)) - v); d < off {
			best, off = byte(b), d
		}
	}
	return best
}

func TestMuLawRoundTrip(t *testing.T) {
	for b := range 256 {
		if got := fromMuLaw(toMuLaw(fromMuLaw(byte(b)))); got != fromMuLaw(byte(b)) {
			t.Errorf("%#x comes back as %v", b, got)
		}
	}
	if v := fromMuLaw(0x80); math.Abs(v-32124.0/32768) > 1e-9 {
		t.Errorf("the loudest value is %v", v)
	}
}
