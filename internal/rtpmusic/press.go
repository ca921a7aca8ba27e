package rtpmusic

import (
	"time"

	"parkd/internal/rtpmusic/packet"
	"parkd/internal/rtpmusic/srtp"
)

// How keys are sent to a peer.
const (
	keyStep   = framePtime * time.Millisecond // between two packets of an event
	keyEnds   = 3                             // packets that say that it is over (RFC 4733 2.5.1.4)
	keyPause  = 60 * time.Millisecond         // after a key: a receiver must be able to tell two of them apart
	keyVolume = 10                            // -dBm0
	maxKeys   = 32                            // that wait to be sent
	// keyShortest and keyLongest bound what is sent of a press; meanwhile the peer hears
	// nothing else.
	keyShortest = 60 * time.Millisecond
	keyLongest  = 30 * time.Second
	// segment is what the duration field can say. A press that lasts longer goes on as
	// another segment (RFC 4733 2.5.1.3).
	segment = 0xFFFF
)

// press is a key that is to be sent.
type press struct {
	code uint8
	long time.Duration
	sent int           // packets
	told time.Duration // of it, in segments that are over
}

// Press sends a key to the peer as telephone-events of so long (RFC 4733), after
// those that wait already. Meanwhile nothing else is sent to it, so that the stream
// remains one. False: nothing is sent, for the port is not bridged, the peer takes no
// events or may not be sent to now, or the key is none.
func (p *Port) Press(digit byte, long time.Duration) bool {
	code, ok := packet.KeyCode(digit)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !ok || p.closed || !p.presses() || len(p.keys) >= maxKeys {
		return false
	}
	p.keys = append(p.keys, press{code: code, long: min(max(long, keyShortest), keyLongest)})
	if !p.pressing {
		p.pressing = true
		p.e.wg.Go(p.pressAll)
	}
	return true
}

// eventClock is in what units telephone-events that are sent say how long they are.
// Their timestamps are those of the one stream all the same (RFC 4733 2.1), whose
// clock is 8000 Hz.
func (s *Session) eventClock() int {
	if s.EventClock <= 0 {
		return ticksPerMs * 1000
	}
	return s.EventClock
}

// presses reports whether events may be sent now.
func (p *Port) presses() bool { return p.peer != nil && p.out.ready && p.session.EventPT != 0 }

// pressAll sends what waits, key by key.
func (p *Port) pressAll() {
	ticker := time.NewTicker(keyStep)
	defer ticker.Stop()
	for {
		pause, more := p.pressStep()
		if !more {
			return
		}
		if pause {
			ticker.Reset(keyPause)
		}
		select {
		case <-ticker.C:
		case <-p.e.done:
			return
		}
		if pause {
			ticker.Reset(keyStep)
		}
	}
}

// pressStep sends the next packet of the first key that waits. pause says that this
// was its last one; without more there is nothing left to do.
func (p *Port) pressStep() (pause, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || !p.presses() || len(p.keys) == 0 {
		p.keys, p.pressing = nil, false
		return false, false
	}
	o, k, n := &p.out, &p.keys[0], p.keys[0].sent
	k.sent++
	now := p.e.now()
	if n == 0 {
		o.keyTS, o.keyLead = o.resume(now)
	}
	steps := int((k.long + keyStep - 1) / keyStep)
	long := min(k.long, time.Duration(n+1)*keyStep)
	clock := p.session.eventClock()
	units := int((long - k.told) * time.Duration(clock) / time.Second)
	if units > segment { // RFC 4733 2.5.1.3: it ends full, without E; the next has no marker
		p.sendEvent(packet.Event{Code: k.code, Volume: keyVolume, Duration: segment}, false, now)
		o.keyTS += uint32(segment * ticksPerMs * 1000 / clock)
		k.told, units = k.told+segment*time.Second/time.Duration(clock), units-segment
	}
	p.sendEvent(packet.Event{Code: k.code, Volume: keyVolume, End: n >= steps-1, Duration: uint16(min(units, segment))}, n == 0, now)
	if n < steps-1+keyEnds-1 {
		return false, true
	}
	p.keys = p.keys[1:]
	return true, true
}

// sendEvent sends a packet of the key that is being sent.
func (p *Port) sendEvent(ev packet.Event, marker bool, now time.Duration) {
	o := &p.out
	b := make([]byte, packet.HeaderSize, packet.HeaderSize+packet.EventSize+srtp.Overhead)
	b = ev.Append(b)
	o.seq++
	if o.nearCeiling() {
		p.near()
	}
	o.used(o.keyTS+uint32(int(ev.Duration)*ticksPerMs*1000/p.session.eventClock()), now, o.keyLead, keyStep)
	packet.PutHeader(b, marker, p.session.EventPT, o.seq, o.keyTS, o.ssrc)
	if count := p.e.spare(); p.send(b, now) {
		count.out.Add(1)
	} else {
		count.failed.Add(1)
	}
}
