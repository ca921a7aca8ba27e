package rtpmusic

import (
	"sync"
	"sync/atomic"
	"time"

	"parkd/internal/rtpmusic/packet"
	"parkd/internal/rtpmusic/srtp"
)

// pacer sends the music of many ports, each frame at its time. Time is cut into
// ticks of 1 ms since the engine started; a stream with packets of n ms is in one
// of n slots and is walked every n ticks. As few slots are used as are enough, and these
// are evenly full. A slot that is late by a whole packet is passed over: its streams
// notice by the tick of their last frame, and skip.
type pacer struct {
	e     *Engine
	shift int64         // its ticks, modulo phase
	wake  chan struct{} // capacity 1: there is something in added
	load  atomic.Int64  // streams: those in slots and in added
	count counters

	mu    sync.Mutex
	added []*Port // guarded by mu; at most one entry a port

	// Owned by run.
	rings  [maxPtime / ptimeStep][][]*Port // by ptime, then by tick
	spare  []*Port                         // becomes added when that is taken
	tick   int64                           // the next to be walked
	now    time.Duration                   // a moment ago
	frames []frame                         // made, not yet sent; their ports are locked
	looks  []*Port                         // of these, where to look what has come
	r      reader                          // of those
	buf    [maxDatagram]byte               // for r
	ring   *ring                           // sends several frames at once; nil = none
	pacing sleeper
}

// frame is a packet of music. Its port stays locked from when the frame is made until
// it is sent, so that what Stop, Set and Close promise holds.
type frame struct {
	port *Port
	b    []byte // in buf
	size int    // of the payload, octets
	err  error  // why it was not sent
	buf  [frameRoom]byte
}

// frameRoom is how much room a frame needs, with what protects it.
const frameRoom = packet.HeaderSize + maxPtime*bytesPerMs + srtp.Overhead

// batchSize is how many frames are sent at once, and how often the clock is looked
// at; a port stays locked for as long as that takes, some 80 µs. A power of two.
const batchSize = 32

// phase is how many ticks a sender sleeps at a time, until slots of slotFill streams are
// not enough; packets of ptimeStep have whole phases. To wake up, with nothing in the
// caches, takes some 25 µs on a virtual machine: as long as to send fifteen frames. But
// the last ones of a slot wait for all others, and all of them if somebody else has the
// CPU just then. So with more streams of a ptime it has more slots: those phaseStep ticks
// after the first ones, then those as much later. Senders begin a tick apart.
const (
	phase     = 5
	slotFill  = 500
	phaseStep = 2
)

func newPacer(e *Engine, shift int) *pacer {
	w := &pacer{e: e, shift: int64(shift), wake: make(chan struct{}, 1)}
	w.r = reader{e: e, count: &w.count}
	for i := range w.rings {
		w.rings[i] = make([][]*Port, (i+1)*ptimeStep)
	}
	return w
}

// add takes over a port that plays; its first frame goes out within the time of two
// packets, mostly of one: the sender finds it when it wakes next.
func (w *pacer) add(p *Port) {
	w.load.Add(1)
	w.mu.Lock()
	w.added = append(w.added, p)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run sends until the engine closes.
func (w *pacer) run() {
	w.pacing = newSleeper(w.e)
	defer w.pacing.end()
	w.gather()
	defer w.ring.close()
	for {
		if w.load.Load() == 0 {
			select {
			case <-w.wake:
			case <-w.e.done:
				return
			}
			w.tick = w.ticks()
		}
		w.catchUp()
		w.adopt() // for ticks to come
		if !w.pacing.until(w.next()) {
			return
		}
	}
}

// gather decides how many frames are sent at once: one where sending may wait.
func (w *pacer) gather() {
	size := 1
	if w.e.listen == nil {
		size = batchSize
		var err error
		if w.ring, err = newRing(); err != nil {
			w.e.log.Debug().Err(err).Msg("music is sent packet by packet")
		}
	}
	w.frames = make([]frame, 0, size)
}

// ticks returns how many ticks have begun.
func (w *pacer) ticks() int64 {
	w.now = w.e.now()
	return int64(w.now / time.Millisecond)
}

// adopt puts the ports that were added into slots.
func (w *pacer) adopt() {
	w.mu.Lock()
	w.added, w.spare = w.spare[:0], w.added
	w.mu.Unlock()
	for i, p := range w.spare {
		w.spare[i] = nil
		p.mu.Lock()
		ptime := p.music.ptime
		p.mu.Unlock()
		w.place(p, ptime)
	}
}

// place puts a port into the emptiest slot of its ptime that is used, or is to be used
// from now on; the soonest of several.
func (w *pacer) place(p *Port, ptime int) {
	slots, best := w.rings[ptime/ptimeStep-1], -1
	for turn := range int64(phase) {
		soon := w.tick + (w.shift+turn*phaseStep+phase-w.tick%phase)%phase
		for i := 0; i < ptime; i += phase {
			j := int((soon + int64(i)) % int64(ptime))
			if best < 0 || len(slots[j]) < len(slots[best]) {
				best = j
			}
		}
		if len(slots[best]) < slotFill {
			break
		}
	}
	slots[best] = append(slots[best], p)
}

// catchUp walks every tick that has begun.
func (w *pacer) catchUp() {
	last := w.ticks()
	w.tick = max(w.tick, last-maxPtime) // what is older is too late for anybody
	for ; w.tick <= last; w.tick++ {
		for i, slots := range w.rings {
			ptime := (i + 1) * ptimeStep
			slot := &slots[w.tick%int64(ptime)]
			if len(*slot) == 0 || w.late() >= time.Duration(ptime)*time.Millisecond {
				continue
			}
			w.walk(slot, ptime)
		}
	}
}

// late returns how long ago the tick began.
func (w *pacer) late() time.Duration {
	return w.now - time.Duration(w.tick)*time.Millisecond
}

// walk sends a frame of each port of a slot.
func (w *pacer) walk(slot *[]*Port, ptime int) {
	ports := *slot
	for i := -fetchPort; i < 0; i++ {
		ahead(ports, i)
	}
	for i := 0; i < len(ports); {
		ahead(ports, i)
		p := ports[i]
		v := p.frame(w, w.tick, ptime)
		if len(w.frames) == cap(w.frames) {
			w.flush()
		}
		if v == frameMade || v == frameHeld {
			i++
			continue
		}
		last := len(ports) - 1
		ports[i], ports[last] = ports[last], nil
		ports = ports[:last]
		if v == frameMoved {
			w.readd(p)
		} else {
			w.load.Add(-1)
		}
	}
	*slot = ports
	w.flush()
}

// flush sends the frames that were made, and unlocks their ports.
func (w *pacer) flush() {
	if len(w.frames) == 0 {
		return
	}
	if w.ring != nil {
		w.ring.send(w.frames)
	} else {
		for i := range w.frames {
			f := &w.frames[i]
			f.err = f.port.sock.send(f.b)
		}
	}
	sent := 0
	for i := range w.frames {
		f := &w.frames[i]
		if f.port.sent(f.size, f.err) {
			sent++
		} else {
			w.count.failed.Add(1)
		}
		f.port.mu.Unlock()
		f.port, f.b = nil, nil
	}
	w.frames = w.frames[:0]
	w.now = w.e.now()
	w.count.sent(sent, w.late())
	for i, p := range w.looks {
		w.looks[i] = nil
		p.look(w)
	}
	w.looks = w.looks[:0]
}

// readd puts a port whose ptime has changed where it belongs now; not at once, for
// a slot is being walked.
func (w *pacer) readd(p *Port) {
	w.mu.Lock()
	w.added = append(w.added, p)
	w.mu.Unlock()
}

// next returns when the next tick begins that has anything to send.
func (w *pacer) next() time.Duration {
	for i := range int64(maxPtime) {
		for j, slots := range w.rings {
			if len(slots[(w.tick+i)%int64((j+1)*ptimeStep)]) > 0 {
				return time.Duration(w.tick+i) * time.Millisecond
			}
		}
	}
	return time.Duration(w.tick) * time.Millisecond
}
