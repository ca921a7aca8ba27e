package rtpmusic

import (
	"bytes"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
)

// stream checks that packets are one stream that goes on as a packet of music
// each ptime ms, and returns their payload.
func stream(t *testing.T, got []heardPacket, ptime int) []byte {
	t.Helper()
	var sound []byte
	for i, p := range got {
		sound = append(sound, p.Payload...)
		if len(p.Payload) != 8*ptime {
			t.Fatalf("packet %d has %d octets, want %d", i, len(p.Payload), 8*ptime)
		}
		if i == 0 {
			continue
		}
		q := got[i-1]
		if p.SSRC != q.SSRC || p.SequenceNumber != q.SequenceNumber+1 || p.Timestamp != q.Timestamp+uint32(8*ptime) || p.Marker {
			t.Fatalf("packet %d: %v after %v", i, p.Header, q.Header)
		}
		if d := p.at.Sub(q.at); d != time.Duration(ptime)*time.Millisecond {
			t.Fatalf("packet %d came %v after the one before", i, d)
		}
	}
	return sound
}

func TestMusicIsPaced(t *testing.T) {
	for _, tt := range []struct {
		name  string
		codec string
		pt    uint8
		asked int
		ptime int
	}{
		{"default", codec.PCMU, 0, 0, 20},
		{"20 ms", codec.PCMA, 8, 20, 20},
		{"10 ms", codec.G722, 9, 10, 10},
		{"30 ms", codec.PCMU, 0, 30, 30},
		{"40 ms", codec.PCMU, 0, 40, 40},
		{"50 ms", codec.PCMU, 0, 50, 50},
		{"60 ms", codec.PCMU, 0, 60, 60},
		{"longer than we send", codec.PCMU, 0, 120, 60},
		{"no multiple of ten", codec.PCMU, 0, 25, 20},
		{"dynamic payload type", codec.PCMU, 96, 20, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.e.Close()
				f := w.phone("10.0.0.2:4000")
				s := f.session(tt.codec, tt.pt)
				s.Ptime = tt.asked
				f.port.Set(s)
				tune := newLoop(1)
				f.port.Play(tune)
				synctest.Wait()
				begun := time.Now()
				const seconds = 3
				time.Sleep(seconds * time.Second)
				f.port.Stop()
				time.Sleep(time.Second)
				got := f.received()
				last := got[len(got)-1] // fades out
				got = got[:len(got)-1]
				if n := 8 * min(tt.ptime, 20); len(last.Payload) != n || last.Timestamp != got[len(got)-1].Timestamp+uint32(8*tt.ptime) {
					t.Errorf("the last packet has %d octets: %v", len(last.Payload), last.Header)
				}
				// The last of them is due in the very moment that ends them.
				if n := seconds * 1000 / tt.ptime; len(got) < n || len(got) > n+1 {
					t.Fatalf("%d packets in %d s, want %d", len(got), seconds, n)
				}
				if d := got[0].at.Sub(begun); d > time.Duration(tt.ptime)*time.Millisecond {
					t.Errorf("music began after %v", d)
				}
				if !got[0].Marker || got[0].PayloadType != tt.pt {
					t.Errorf("first packet %v", got[0].Header)
				}
				sound := stream(t, got, tt.ptime)
				want := bytes.Repeat(tune.audio[tt.codec], seconds+1)[:len(sound)]
				if !bytes.Equal(sound, want) {
					t.Error("music is not the tune from its start, looping")
				}
				if st := w.e.Stats(); st.Out != uint64(len(got)+1) || st.Late != 0 || st.Skipped != 0 || st.Streams != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// TestPacingDoesNotDrift plays for twenty minutes, so that sequence numbers come near a wrap.
func TestPacingDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("10.0.0.2:4000")
		f.port.Set(f.session(codec.PCMU, 0))
		f.port.Play(newLoop(7))
		var first, last heardPacket
		count := 0
		for range 20 {
			time.Sleep(time.Minute)
			got := f.received()
			if count == 0 {
				first = got[0]
			}
			count += len(got)
			last = got[len(got)-1]
		}
		if d := last.at.Sub(first.at); d != time.Duration(count-1)*20*time.Millisecond {
			t.Errorf("%d packets in %v", count, d)
		}
		if last.Timestamp-first.Timestamp != uint32(count-1)*160 || last.SequenceNumber-first.SequenceNumber != uint16(count-1) {
			t.Errorf("from %v to %v with %d packets", first.Header, last.Header, count)
		}
	})
}

func TestSequenceAndTimestampWrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("10.0.0.2:4000")
		f.port.out.seq, f.port.out.ts = 65530, 1<<32-800
		f.port.Set(f.session(codec.PCMU, 0))
		f.port.Play(newLoop(1))
		time.Sleep(time.Second)
		got := f.received()
		stream(t, got, 20)
		if got[0].SequenceNumber < 65530 || got[len(got)-1].SequenceNumber > 1000 {
			t.Error("sequence numbers did not wrap")
		}
	})
}

func TestMusicGoesOnUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("10.0.0.2:4000")
		s := f.session(codec.PCMU, 0)
		f.port.Set(s)
		tune := newLoop(10)
		f.port.Play(tune)
		time.Sleep(time.Second)
		before := f.received()
		s.Send = false
		f.port.Set(s)
		time.Sleep(2 * time.Second)
		if got := f.received(); len(got) > 0 {
			t.Errorf("%d packets to a peer on hold", len(got))
		}
		s.Send = true
		f.port.Set(s)
		time.Sleep(time.Second)
		after := f.received()
		stream(t, after, 20)
		last, next := before[len(before)-1], after[0]
		gap := next.at.Sub(last.at)
		if !next.Marker || next.SequenceNumber != last.SequenceNumber+1 || next.SSRC != last.SSRC {
			t.Errorf("resumed with %v after %v", next.Header, last.Header)
		}
		if next.Timestamp-last.Timestamp != uint32(gap/time.Millisecond)*8 {
			t.Errorf("timestamp rose by %d in %v", next.Timestamp-last.Timestamp, gap)
		}
		pos := int(next.at.Sub(before[0].at)/time.Millisecond) * 8
		if !bytes.Equal(next.Payload, tune.audio[codec.PCMU][pos:pos+160]) {
			t.Error("the tune's time did not go on")
		}
	})
}

func TestChangesWhilePlaying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("10.0.0.2:4000")
		s := f.session(codec.PCMU, 0)
		f.port.Play(newLoop(10)) // before anything is agreed on
		time.Sleep(time.Second)
		f.port.Set(s)
		time.Sleep(time.Second)
		a := f.received()
		stream(t, a, 20)
		s.Codec, s.PT, s.Ptime = codec.G722, 9, 40
		f.port.Set(s)
		time.Sleep(time.Second)
		b := f.received()
		stream(t, b, 40)
		last, next := a[len(a)-1], b[0]
		if next.SequenceNumber != last.SequenceNumber+1 || next.PayloadType != 9 || next.SSRC != last.SSRC {
			t.Errorf("%v after %v", next.Header, last.Header)
		}
		if d := next.at.Sub(last.at); d > 100*time.Millisecond || next.Timestamp-last.Timestamp != uint32(d/time.Millisecond)*8 {
			t.Errorf("timestamp rose by %d in %v", next.Timestamp-last.Timestamp, d)
		}
		f.port.Play(newLoop(3)) // another tune
		time.Sleep(time.Second)
		c := f.received()
		if len(c) < 24 || c[0].SequenceNumber != b[len(b)-1].SequenceNumber+1 {
			t.Errorf("%d packets of the other tune", len(c))
		}
	})
}

func TestLateFramesAreSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("10.0.0.2:4000")
		f.port.Set(f.session(codec.PCMU, 0))
		tune := newLoop(10)
		f.port.Play(tune)
		time.Sleep(990 * time.Millisecond)
		synctest.Wait()
		f.received()
		w.e.still()
		w.e.listenStall(f.port, 107*time.Millisecond)
		time.Sleep(time.Second)
		got := f.received()
		for i := 2; i < len(got); i++ {
			d := got[i].at.Sub(got[i-1].at)
			if d < 5*time.Millisecond {
				t.Errorf("packets %d and %d came within %v", i-1, i, d)
			}
		}
		st := w.e.Stats()
		if st.Skipped < 4 || st.Skipped > 5 || st.Late == 0 {
			t.Errorf("skipped %d, late %d", st.Skipped, st.Late)
		}
		jump := got[1].Timestamp - got[0].Timestamp
		if jump != uint32(st.Skipped+1)*160 || !got[1].Marker || got[1].SequenceNumber != got[0].SequenceNumber+1 {
			t.Errorf("%v after %v", got[1].Header, got[0].Header)
		}
		stream(t, got[3:], 20)
	})
}

// still stops visits: time in a bubble stands still while the wheel waits for a port
// whose socket sleeps.
func (e *Engine) still() {
	e.wheel.mu.Lock()
	defer e.wheel.mu.Unlock()
	e.wheel.slots, e.wheel.n = [wheelSlots][]*Port{}, 0
}

// listenStall makes the port's next packet take d.
func (e *Engine) listenStall(p *Port, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sock.(*connSocket).conn.(*fakeConn).stall = d
}

// Streams are spread evenly over the phases that their packets have, be these short or
// long.
func TestStreamsAreSpreadOverPhases(t *testing.T) {
	for _, ptime := range []int{10, 20, 30, 60} {
		t.Run(fmt.Sprintf("%d ms", ptime), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.e.Close()
				tune := newLoop(1)
				var phones []*phone
				for i := range 36 {
					f := w.phone(fmt.Sprintf("10.0.0.2:%d", 4000+i))
					s := f.session(codec.PCMU, 0)
					s.Ptime = ptime
					f.port.Set(s)
					f.port.Play(tune)
					phones = append(phones, f)
				}
				time.Sleep(time.Second)
				phases := map[time.Duration]int{}
				for _, f := range phones {
					got := f.received()
					stream(t, got, ptime)
					phases[got[0].at.Sub(w.e.start)%(time.Duration(ptime)*time.Millisecond)]++
				}
				for at, n := range phases {
					if n != len(phones)*phase/ptime {
						t.Errorf("%d of %d streams %v after the others", n, len(phones), at)
					}
				}
				if len(phases) != ptime/phase {
					t.Errorf("%d phases", len(phases))
				}
			})
		})
	}
}

// A sender uses few slots while they are enough, then more, and fills all it uses evenly,
// whenever streams come. Senders do so at ticks of their own.
func TestSlotsAreFewAndEven(t *testing.T) {
	few := framePtime / phase // slots
	for _, row := range []struct{ shift, streams, slots int }{
		{0, 3, 3}, {0, few, few}, {0, few * slotFill, few}, {1, few * slotFill, few},
		{0, 2 * few * slotFill, 2 * few}, {3, 5 * few * slotFill, framePtime}, {0, 6 * few * slotFill, framePtime},
	} {
		w := newPacer(nil, row.shift)
		for i := range row.streams {
			w.tick = int64(7 * i)
			w.place(&Port{}, framePtime)
		}
		used, most, first := 0, 0, 0
		for at, ports := range w.rings[framePtime/ptimeStep-1] {
			if len(ports) == 0 {
				continue
			}
			used, most = used+1, max(most, len(ports))
			if at%phase == row.shift {
				first += len(ports)
			}
		}
		if used != row.slots || most > (row.streams+used-1)/used || first < min(row.streams, few*slotFill) {
			t.Errorf("%d streams: %d slots with %d at most, %d in the first ones, want %d slots", row.streams, used, most, first, row.slots)
		}
	}
	e := newWorld(t).e
	defer e.Close()
	for i, w := range e.pacers {
		if w.shift != int64(i%phase) {
			t.Errorf("sender %d begins at tick %d", i, w.shift)
		}
	}
}

func TestFramesDoNotAllocate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("10.0.0.2:4000")
		f.port.Set(f.session(codec.PCMU, 0))
		must(t, f.conn.Close()) // packets go nowhere
		p := newPacer(w.e, 0)
		p.gather()
		f.port.music.play(newLoop(1), 0)
		f.port.Place()
		f.port.OnPlace(func() { t.Error("a new place within 1,000 packets") })
		tick := int64(0)
		n := testing.AllocsPerRun(1000, func() {
			tick += 20
			if v := f.port.frame(p, tick, 20); v != frameMade {
				t.Errorf("tick %d: verdict %d", tick, v)
			}
			p.flush()
		})
		if n != 0 {
			t.Errorf("%v allocations a frame", n)
		}
	})
}
