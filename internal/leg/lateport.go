package leg

import (
	"net/netip"
	"sync"
	"time"

	"parkd/internal/sdp"
)

// latePort is the port of a restored leg that could not be bound yet, as when the
// network is not up. It takes note of what it is told, and does it when a port is
// found.
type latePort struct {
	mu      sync.Mutex // guards what follows; no other latePort is called under it
	port    Port       // nil = not found yet
	agreed  *sdp.Agreed
	words   []string // said before tune
	tune    string
	plays   bool
	peer    Port // joined with; nil = none
	onKey   func(byte)
	onPlace func()
	closed  bool
}

// found gives it a port. It does nothing, and closes that, after Close.
func (p *latePort) found(port Port) {
	if peer := p.take(port); peer != nil {
		p.meet(peer)
	}
}

// take is found without the peer that is to be met.
func (p *latePort) take(port Port) (peer Port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		port.Close()
		return nil
	}
	p.port = port
	port.OnKey(p.onKey)
	port.OnPlace(p.onPlace)
	if p.agreed != nil {
		port.Set(*p.agreed)
	}
	if p.plays {
		p.start(port)
		return nil
	}
	return p.peer
}

// there is the port, nil as long as there is none.
func (p *latePort) there() Port {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.port
}

// meet joins the two ports when both are there.
func (p *latePort) meet(peer Port) {
	if late, ok := peer.(*latePort); ok {
		if peer = late.there(); peer == nil {
			return // it meets when it is found
		}
	}
	port := p.there()
	if port == nil {
		return
	}
	port.Join(peer)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.peer == nil { // they were parted meanwhile
		port.Part(peer)
		if p.plays {
			p.start(port)
		}
	}
}

// Join implements Port.
func (p *latePort) Join(peer Port) {
	p.note(peer)
	if late, ok := peer.(*latePort); ok {
		late.note(p)
	}
	p.meet(peer)
}

func (p *latePort) note(peer Port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.peer, p.plays = peer, false
}

// Part implements Port.
func (p *latePort) Part(peer Port) {
	p.mu.Lock()
	port := p.port
	p.peer = nil
	p.mu.Unlock()
	if late, ok := peer.(*latePort); ok {
		peer = late.there()
	}
	if port != nil && peer != nil {
		port.Part(peer)
	}
}

// Play implements Port.
func (p *latePort) Play(tune string) { p.sound(nil, tune) }

// Say implements Port.
func (p *latePort) Say(words []string, then string) {
	if words == nil {
		words = []string{}
	}
	p.sound(words, then)
}

// sound is Play if words is nil, else Say.
func (p *latePort) sound(words []string, tune string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.words, p.tune, p.plays, p.peer = words, tune, true, nil
	if p.port != nil {
		p.start(p.port)
	}
}

// start has the port play what was asked for. The caller holds mu.
func (p *latePort) start(port Port) {
	if p.words != nil {
		port.Say(p.words, p.tune)
		return
	}
	port.Play(p.tune)
}

// Set implements Port.
func (p *latePort) Set(a sdp.Agreed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.agreed = &a
	if p.port != nil {
		p.port.Set(a)
	}
}

// OnKey implements Port.
func (p *latePort) OnKey(f func(byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onKey = f
	if p.port != nil {
		p.port.OnKey(f)
	}
}

// Press implements Port.
func (p *latePort) Press(digit byte, long time.Duration) bool {
	port := p.there()
	return port != nil && port.Press(digit, long)
}

// OnPlace implements Port.
func (p *latePort) OnPlace(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onPlace = f
	if p.port != nil {
		p.port.OnPlace(f)
	}
}

// LocalPort implements Port.
func (p *latePort) LocalPort() uint16 {
	if port := p.there(); port != nil {
		return port.LocalPort()
	}
	return 0
}

// RTCPPort implements Port.
func (p *latePort) RTCPPort() uint16 {
	if port := p.there(); port != nil {
		return port.RTCPPort()
	}
	return 0
}

// Place implements Port.
func (p *latePort) Place() []byte {
	if port := p.there(); port != nil {
		return port.Place()
	}
	return nil
}

// Heard implements Port.
func (p *latePort) Heard() time.Time {
	if port := p.there(); port != nil {
		return port.Heard()
	}
	return time.Time{}
}

// Source implements Port.
func (p *latePort) Source() netip.AddrPort {
	if port := p.there(); port != nil {
		return port.Source()
	}
	return netip.AddrPort{}
}

// Close implements Port.
func (p *latePort) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.peer = true, nil
	if p.port != nil {
		p.port.Close()
	}
}
