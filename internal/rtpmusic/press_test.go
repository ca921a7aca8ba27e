package rtpmusic

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// keysIn lists the keys in what a phone heard, as a receiver finds them, and for how
// long each was pressed, in ms.
func keysIn(got []heardPacket, pt uint8) (list []string) {
	var keys packet.Keys
	long := map[uint32]uint16{}
	for _, p := range got {
		ev, ok := packet.ParseEvent(p.Payload)
		if p.PayloadType != pt || !ok {
			continue
		}
		long[p.Timestamp] = max(long[p.Timestamp], ev.Duration)
		for _, d := range keys.Event(nil, p.SSRC, p.Timestamp, p.Marker, ev, 0) {
			list = append(list, fmt.Sprintf("%c %d", d, long[p.Timestamp]/ticksPerMs))
		}
	}
	return list
}

func TestPress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		s := b.session(codec.PCMU, 0)
		s.EventPT, s.EventRecvPT = 96, 96 // a number of its own
		b.port.Set(s)
		Bridge(a.port, b.port)
		during(10, func(i int) { a.say([]byte{byte(i)}) })
		voice := len(b.received())
		start := time.Now()
		for _, d := range []byte{'1', '#', 'D'} {
			if !b.port.Press(d, 160*time.Millisecond) {
				t.Fatalf("%c is not sent", d)
			}
		}
		during(60, func(i int) { a.say([]byte("voice")) })
		got := b.received()
		if want := "[1 160 # 160 D 160]"; fmt.Sprint(keysIn(got, 96)) != want {
			t.Fatalf("the phone heard %v, want %v", keysIn(got, 96), want)
		}
		keyedStream(t, got, 96)
		var events []heardPacket
		for i, p := range got {
			if p.PayloadType == 96 {
				events = append(events, p)
				continue
			}
			if i > 0 && got[i-1].PayloadType == 96 && !p.Marker {
				t.Error("voice goes on without a marker")
			}
		}
		// Eight packets of 20 ms, the last of them three times.
		if voice < 9 || len(events) != 3*(8+2) {
			t.Fatalf("%d packets of voice before, %d of events", voice, len(events))
		}
		for i, p := range events {
			ev, _ := packet.ParseEvent(p.Payload)
			n := i % 10
			want := packet.Event{Code: ev.Code, Volume: 10, Duration: uint16(160 * min(n+1, 8)), End: n >= 7}
			if ev != want || p.Marker != (n == 0) || p.Timestamp != events[i-n].Timestamp {
				t.Errorf("packet %d: %+v, marker %t, at %d; want %+v", i, ev, p.Marker, p.Timestamp, want)
			}
			if n > 0 && p.at.Sub(events[i-1].at) != 20*time.Millisecond {
				t.Errorf("packet %d comes %v after the one before", i, p.at.Sub(events[i-1].at))
			}
		}
		for i := 10; i < len(events); i += 10 {
			if gap := events[i].at.Sub(events[i-1].at); gap != keyPause {
				t.Errorf("%v between two keys", gap)
			}
		}
		if first := events[0].at.Sub(start); first != 0 {
			t.Errorf("the key is sent after %v", first)
		}
		// While a key is sent no voice is between its packets.
		for i := 1; i < len(got); i++ {
			if got[i].PayloadType != 96 && got[i-1].PayloadType == 96 && i+1 < len(got) && got[i+1].PayloadType == 96 {
				t.Fatal("voice within the keys")
			}
		}
		if st := w.e.Stats(); st.Failed != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// keyedStream checks that voice and keys are one stream: sequence numbers without a
// gap, and timestamps that follow the clock, those of a key from its start.
func keyedStream(t *testing.T, got []heardPacket, pt uint8) {
	t.Helper()
	last := got[0]
	for i := 1; i < len(got); i++ {
		p := got[i]
		if p.SequenceNumber != got[i-1].SequenceNumber+1 || p.SSRC != last.SSRC {
			t.Fatalf("packet %d: %v after %v", i, p.Header, got[i-1].Header)
		}
		if p.PayloadType == pt && !p.Marker {
			continue // of the same key
		}
		ticks, clock := int64(int32(p.Timestamp-last.Timestamp)), p.at.Sub(last.at).Milliseconds()*ticksPerMs
		if d := ticks - clock; ticks < 160 || d < -320 || d > 320 {
			t.Fatalf("packet %d: %d ticks after the one before, want %d", i, ticks, clock)
		}
		last = p
	}
}

// A key that is pressed in a new bridge, before the sender of those of the former one has
// noticed its end, is sent as any other.
func TestPressInTheNextBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		c := w.phone("10.0.0.4:4000")
		for _, f := range []*phone{a, b, c} {
			f.port.Set(f.session(codec.PCMU, 0))
		}
		Bridge(a.port, b.port)
		b.port.Press('1', time.Second)
		time.Sleep(510 * time.Millisecond)
		Bridge(c.port, b.port)
		b.port.Press('2', 200*time.Millisecond)
		time.Sleep(time.Second)
		if got := keysIn(b.received(), 101); len(got) != 2 || got[0][0] != '1' || got[1] != "2 200" {
			t.Errorf("the phone heard %v", got)
		}
	})
}

func TestPressIsBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(a, b *phone, s *Session)
		digit byte
		long  time.Duration
		want  []string
	}{
		{name: "on a clock of 16 kHz", digit: '5', long: 110 * time.Millisecond, want: []string{"5 220"},
			set: func(_, _ *phone, s *Session) { s.EventClock = 16000 }},
		{name: "a short one", digit: '5', long: time.Millisecond, want: []string{"5 60"}},
		{name: "a long one", digit: '5', long: 8 * time.Second, want: []string{"5 8000"}},
		{name: "an odd length", digit: '5', long: 110 * time.Millisecond, want: []string{"5 110"}},
		{name: "no key", digit: 'x', long: time.Second},
		{name: "no events agreed on", digit: '5', long: time.Second, set: func(_, _ *phone, s *Session) { s.EventPT = 0 }},
		{name: "on hold", digit: '5', long: time.Second, set: func(_, _ *phone, s *Session) { s.Send = false }},
		{name: "not bridged", digit: '5', long: time.Second, set: func(a, b *phone, _ *Session) { Unbridge(a.port, b.port) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.e.Close()
				a.port.Set(a.session(codec.PCMU, 0))
				s := b.session(codec.PCMU, 0)
				Bridge(a.port, b.port)
				if c.set != nil {
					c.set(a, b, &s)
				}
				b.port.Set(s)
				if sent := b.port.Press(c.digit, c.long); sent != (c.want != nil) {
					t.Errorf("sent: %t", sent)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := keysIn(b.received(), 101); fmt.Sprint(got) != fmt.Sprint(c.want) {
					t.Errorf("heard %v, want %v", got, c.want)
				}
			})
		})
	}
}

// Whoever is parted while a key is sent hears no more of it, and neither does who
// comes next.
func TestPressEndsWithTheBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		c := w.phone("10.0.0.4:4000")
		for _, f := range []*phone{a, b, c} {
			f.port.Set(f.session(codec.PCMU, 0))
		}
		Bridge(a.port, b.port)
		b.port.Press('5', time.Second)
		b.port.Press('6', time.Second)
		time.Sleep(100 * time.Millisecond)
		Bridge(b.port, c.port)
		b.received()
		during(10, func(i int) { c.say([]byte("voice")) })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		got := b.received()
		if len(got) < 8 || len(keysIn(got, 101)) > 0 || got[len(got)-1].PayloadType == 101 {
			t.Errorf("%d packets, keys %v", len(got), keysIn(got, 101))
		}
	})
}

// The pause after a key is nothing that the engine's end waits for.
func TestPressEndsWithTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		b.port.Press('5', keyShortest)
		b.port.Press('6', keyShortest)
		for range 5 { // of 20 ms: the end of a key of 60 ms, three times
			time.Sleep(keyStep)
		}
		synctest.Wait()
		start := time.Now()
		w.e.Close()
		if d := time.Since(start); d != 0 {
			t.Errorf("the engine's end took %v", d)
		}
	})
}

// A press that is longer than its packets can say goes on in segments (RFC 4733 2.5.1.3):
// each ends full and without E, the next begins where it ended, without a marker, and a
// receiver counts one key. After it voice goes on in the same stream.
func TestLongPressGoesOnInSegments(t *testing.T) {
	const full = 0xFFFF
	for _, c := range []struct {
		clock int
		long  time.Duration // asked for
		sent  time.Duration
	}{
		{8000, 8191 * time.Millisecond, 8191 * time.Millisecond}, {8000, 8200 * time.Millisecond, 8200 * time.Millisecond},
		{8000, 20 * time.Second, 20 * time.Second}, {8000, time.Hour, keyLongest},
		{16000, 4 * time.Second, 4 * time.Second}, {16000, 10 * time.Second, 10 * time.Second}, {16000, time.Hour, keyLongest},
	} {
		t.Run(fmt.Sprintf("%v at %d Hz", c.long, c.clock), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.e.Close()
				a.port.Set(a.session(codec.PCMU, 0))
				s := b.session(codec.PCMU, 0)
				s.EventClock = c.clock
				b.port.Set(s)
				Bridge(a.port, b.port)
				during(5, func(int) { a.say([]byte("voice")) })
				b.received()
				b.port.Press('5', c.long)
				during(int(c.sent/keyStep)+20, func(int) { a.say([]byte("voice")) })
				var keys packet.Keys
				var digits []byte
				var last heardPacket
				total, long := 0, packet.Event{} // in units
				got := b.received()
				for i, p := range got {
					if i > 0 && (p.SequenceNumber != got[i-1].SequenceNumber+1 || p.SSRC != got[i-1].SSRC) {
						t.Fatalf("%v after %v", p.Header, got[i-1].Header)
					}
					ev, ok := packet.ParseEvent(p.Payload)
					if p.PayloadType != 101 || !ok {
						if d := int64(p.Timestamp-got[0].Timestamp) - p.at.Sub(got[0].at).Milliseconds()*ticksPerMs; i > 0 && (d < -320 || d > 320) {
							t.Fatalf("voice is %d ticks off", d)
						}
						continue
					}
					digits = keys.Event(digits, p.SSRC, p.Timestamp, p.Marker, ev, p.at.Sub(got[0].at))
					switch step := p.Timestamp - last.Timestamp; {
					case last.at.IsZero():
						if !p.Marker {
							t.Error("it begins without a marker")
						}
					case p.Marker:
						t.Error("a marker within it")
					case step == 0:
						if ev.Duration < long.Duration {
							t.Errorf("%+v after %+v", ev, long)
						}
					case step != uint32(full*8000/c.clock) || long.Duration != full || long.End:
						t.Errorf("a segment begins %d ticks after one of %+v", step, long)
					default:
						total += full
					}
					last, long = p, ev
				}
				total += int(long.Duration)
				if want := int(c.sent * time.Duration(c.clock) / time.Second); total != want || !long.End {
					t.Errorf("it lasted %d units, want %d; at its end %+v", total, want, long)
				}
				if string(digits) != "5" {
					t.Errorf("a receiver counts %q", digits)
				}
			})
		})
	}
}

// A long press that is relayed to a clock twice as fast is in twice as many segments.
func TestLongPressIsRelayedToAnotherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		s := b.session(codec.G722, 9)
		s.EventClock = 16000
		b.port.Set(s)
		Bridge(a.port, b.port)
		during(5, func(int) { a.say(make([]byte, 160)) })
		b.received()
		const long = 10 * 8000 // units of 8 kHz: two segments, and three of 16 kHz
		ts, packets := a.ts+160, long/160
		send := func(i int, end byte) {
			units, at := min(160*(i+1), long), ts
			if units > segment {
				units, at = units-segment, ts+segment
			}
			a.seq++
			a.send(i == 0, 101, a.seq, at, []byte{5, end | 10, byte(units >> 8), byte(units)})
		}
		during(packets+2, func(i int) {
			if i == segment/160 { // RFC 4733 2.5.1.3: a full one first
				a.seq++
				a.send(false, 101, a.seq, ts, []byte{5, 10, 0xFF, 0xFF})
			}
			if i < packets-1 {
				send(i, 0)
			} else {
				send(i, 0x80) // the end, three times
			}
		})
		var keys packet.Keys
		var digits []byte
		total, last := 0, packet.Event{}
		got := b.received()
		for i, p := range got {
			ev, ok := packet.ParseEvent(p.Payload)
			if !ok || p.PayloadType != 101 {
				t.Fatalf("%v", p.Header)
			}
			digits = keys.Event(digits, p.SSRC, p.Timestamp, p.Marker, ev, p.at.Sub(got[0].at))
			if i > 0 && p.Timestamp != got[i-1].Timestamp {
				if step := p.Timestamp - got[i-1].Timestamp; last.Duration != segment || last.End || step < segment/2 || step > segment/2+1 || p.Marker {
					t.Errorf("a segment begins %d ticks after one of %+v", step, last)
				}
				total += segment
			}
			last = ev
		}
		if total += int(last.Duration); total != 2*long || !last.End || string(digits) != "5" {
			t.Errorf("%d units, want %d; at its end %+v; keys %q", total, 2*long, last, digits)
		}
	})
}
