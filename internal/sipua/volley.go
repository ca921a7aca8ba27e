package sipua

import (
	"fmt"
	"net/netip"
	"time"
)

// Volley sends the requests of several exchanges together: one system call where
// there is one for that, and one look at the table of exchanges. It belongs to one
// goroutine. The zero Volley is empty.
type Volley struct {
	shots   []*Exchange // that wait to be sent
	now     []*Exchange // that are being sent, all by one listener
	packets []packet    // theirs
}

// packet is a datagram on its way out.
type packet struct {
	wire []byte
	to   netip.AddrPort
	err  error // what came of it
}

// Add has a message sent with the next Send, which is what Exchange.Start does with it
// but for this: whatever is wrong, the Asker is told. An exchange that is stopped
// before that is not sent.
func (v *Volley) Add(x *Exchange, wire []byte) {
	x.wire = wire
	x.readers = 1 // nobody else knows it before its owner lets go of it
	v.shots = append(v.shots, x)
}

// Len is how many wait to be sent.
func (v *Volley) Len() int { return len(v.shots) }

// Send sends them, in the order of Add for each listener.
func (v *Volley) Send() {
	for len(v.shots) > 0 {
		l, rest := v.shots[0].Way.layer, v.shots[:0]
		for _, x := range v.shots {
			if x.Way.layer == l {
				v.now = append(v.now, x)
			} else {
				rest = append(rest, x)
			}
		}
		clear(v.shots[len(rest):])
		v.shots = rest
		v.sendBy(l)
		clear(v.now)
		clear(v.packets)
		v.now, v.packets = v.now[:0], v.packets[:0]
	}
}

// sendBy sends those of one listener.
func (v *Volley) sendBy(l *layer) {
	for _, x := range v.now {
		v.packets = append(v.packets, packet{wire: x.wire, to: x.Way.to})
	}
	l.exchanges.addAll(v.now, v.packets)
	l.packet.sendAll(v.packets)
	l.exchanges.releaseAll(v.now)
	for i, x := range v.now {
		switch err := v.packets[i].err; {
		case err == nil, err == errStopped:
		case err == ErrClosed:
			x.tell(Answer{}, fmt.Errorf("%s: %w", x.method, err))
		case l.exchanges.remove(x):
			x.tell(Answer{}, fmt.Errorf("%s: %w: %w", x.method, ErrTransport, err))
		}
	}
}

// addAll opens exchanges that are about to be sent, and takes what cannot be opened
// out of the packets.
func (t *exchanges) addAll(list []*Exchange, packets []packet) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, x := range list {
		switch {
		case x.state == stopped:
			packets[i] = packet{err: errStopped}
		case !t.open(x, now):
			packets[i] = packet{err: ErrClosed}
		}
	}
}

// releaseAll says that whoever has read messages reads them no more.
func (t *exchanges) releaseAll(list []*Exchange) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range list {
		x.readers--
		x.vacate()
	}
}
