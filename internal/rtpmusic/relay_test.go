package rtpmusic

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
)

// pair is a world with two phones.
func pair(t *testing.T) (*world, *phone, *phone) {
	w := newWorld(t)
	return w, w.phone("10.0.0.2:4000"), w.phone("10.0.0.3:4000")
}

// during runs f every 20 ms, n times.
func during(n int, f func(i int)) {
	for i := range n {
		f(i)
		time.Sleep(20 * time.Millisecond)
	}
	synctest.Wait()
}

func TestBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMU, 96)) // a number of its own
		tune := newLoop(10)
		a.port.Play(tune)
		b.port.Play(tune)
		during(50, func(i int) { a.say([]byte("unheard")); b.say([]byte("unheard")) })
		musicA := a.received()
		b.received()
		stream(t, musicA, 20)

		Bridge(a.port, b.port)
		synctest.Wait()
		musicA = append(musicA, a.received()...) // how it fades out
		b.received()
		a.say([]byte("hello"))
		synctest.Wait()
		first := b.received()
		if len(first) != 1 || string(first[0].Payload) != "hello" || first[0].PayloadType != 96 || !first[0].Marker {
			t.Fatalf("the first voice came as %v", first)
		}
		during(50, func(i int) { a.say([]byte{byte(i)}); b.say([]byte{100 + byte(i)}) })
		voiceA, voiceB := a.received(), b.received()
		if len(voiceA) != 50 || len(voiceB) != 50 {
			t.Fatalf("%d and %d packets of 50 came through", len(voiceA), len(voiceB))
		}
		for i := range 50 {
			if !bytes.Equal(voiceA[i].Payload, []byte{100 + byte(i)}) || !bytes.Equal(voiceB[i].Payload, []byte{byte(i)}) {
				t.Fatalf("packet %d: %x and %x", i, voiceA[i].Payload, voiceB[i].Payload)
			}
		}
		oneStream(t, append(musicA, voiceA...))

		Unbridge(a.port, b.port)
		synctest.Wait()
		for _, f := range []*phone{a, b} { // how voice dies away
			tail := f.received()
			if len(tail) != 1 || len(tail[0].Payload) != 80 || tail[0].Marker {
				t.Fatalf("at the end of the bridge came %v", tail)
			}
			if f == a {
				voiceA = append(voiceA, tail...)
			}
		}
		during(10, func(i int) { a.say([]byte("unheard")); b.say([]byte("unheard")) })
		if got := len(a.received()) + len(b.received()); got > 0 {
			t.Errorf("%d packets after the bridge", got)
		}
		a.port.Play(tune)
		time.Sleep(time.Second)
		again := a.received()
		stream(t, again, 20)
		oneStream(t, append(voiceA, again...))
		if !again[0].Marker || !bytes.Equal(again[0].Payload, tune.audio[codec.PCMU][:160]) {
			t.Error("music did not begin anew")
		}
		if st := w.e.Stats(); st.Relayed != 101 || st.Strangers+st.Invalid+st.Failed != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// oneStream checks what a receiver may expect of one source: sequence numbers
// without a gap, timestamps that follow the clock to within two packets.
func oneStream(t *testing.T, got []heardPacket) {
	t.Helper()
	for i := 1; i < len(got); i++ {
		p, q := got[i], got[i-1]
		if p.SSRC != q.SSRC || p.SequenceNumber != q.SequenceNumber+1 || int32(p.Timestamp-q.Timestamp) <= 0 {
			t.Fatalf("packet %d: %v after %v", i, p.Header, q.Header)
		}
		clock := int64(p.at.Sub(q.at)/time.Millisecond) * 8
		if d := int64(p.Timestamp-q.Timestamp) - clock; d > 320 || d < -320 {
			t.Fatalf("packet %d: timestamp strayed by %d", i, d)
		}
	}
}

func TestBridgeKeepsLossAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		order := []uint16{65530, 65531, 65529, 65533, 65532, 65532, 65535, 0, 2, 1}
		during(len(order), func(i int) {
			a.send(false, 0, order[i], 1000+160*uint32(order[i]-65530), []byte{byte(order[i])})
		})
		got := b.received()
		order = append(order[:2], order[3:]...) // 65529 is of before the bridge
		if len(got) != len(order) {
			t.Fatalf("%d packets, want %d", len(got), len(order))
		}
		for i, p := range got {
			d := order[i] - order[0]
			if p.SequenceNumber-got[0].SequenceNumber != d || p.Timestamp-got[0].Timestamp != 160*uint32(d) || p.Payload[0] != byte(order[i]) {
				t.Errorf("packet %d: %v", i, p.Header)
			}
		}
	})
}

func TestSenderBeginsAnew(t *testing.T) {
	for _, tt := range []struct {
		name string
		with func(f *phone)
	}{
		{"another SSRC", func(f *phone) { f.ssrc, f.seq, f.ts = 5, 60000, 1<<31 }},
		{"sequence numbers jump", func(f *phone) { f.seq += 20000 }},
		{"timestamps jump", func(f *phone) { f.ts += 1 << 30 }},
		{"timestamps fall", func(f *phone) { f.ts -= 1 << 20 }},
		{"a pause of a minute", func(f *phone) { time.Sleep(time.Minute); f.ts += 480000 }},
		{"a pause without timestamps", func(f *phone) { time.Sleep(time.Minute) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.e.Close()
				a.port.Set(a.session(codec.PCMU, 0))
				b.port.Set(b.session(codec.PCMU, 0))
				Bridge(a.port, b.port)
				during(10, func(int) { a.say([]byte("x")) })
				tt.with(a)
				during(10, func(int) { a.say([]byte("y")) })
				got := b.received()
				if len(got) != 20 {
					t.Fatalf("%d packets", len(got))
				}
				oneStream(t, got)
			})
		})
	}
}

// A peer that was offered several codecs, and took more than one, changes from one to
// another as it likes (RFC 3264 5.1); keys and comfort noise change nothing.
func TestBridgeOfOneWhoChangesCodecs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		s := a.session(codec.PCMU, 0)
		s.Also = [2]Format{{codec.PCMA, 8}, {codec.G722, 9}}
		a.port.Set(s)
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		sound := map[uint8][]byte{}
		for pt, name := range map[uint8]string{0: codec.PCMU, 8: codec.PCMA, 9: codec.G722} {
			sound[pt] = codec.AppendSilence(nil, name, 160)
		}
		order := []uint8{0, 8, 0, 9, 9, 13, 9, 8, 8, 101, 8}
		during(len(order), func(i int) {
			if a.pt = order[i]; a.pt == 13 || a.pt == 101 {
				a.say([]byte{5, 0x80, 0, 160})
			} else {
				a.say(sound[a.pt])
			}
		})
		got := b.received()
		oneStream(t, got)
		var heard []uint8
		for _, p := range got {
			heard = append(heard, p.PayloadType)
		}
		if want := []uint8{0, 0, 0, 0, 0, 0, 0, 0, 101, 0}; !bytes.Equal(heard, want) {
			t.Errorf("heard %d, want %d", heard, want)
		}
		for i, p := range got {
			if p.PayloadType == 0 {
				for _, v := range codec.NewDecoder(codec.PCMU).Decode(nil, p.Payload) {
					if v > 300 || v < -300 {
						t.Fatalf("packet %d has %d of silence", i, v)
					}
				}
			}
		}
		if st := w.e.Stats(); st.Invalid != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestBridgeToPeerOnHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		s := b.session(codec.PCMU, 0)
		b.port.Set(s)
		Bridge(a.port, b.port)
		during(10, func(int) { a.say([]byte("x")) })
		s.Send = false
		b.port.Set(s)
		during(10, func(int) { a.say([]byte("unheard")) })
		s.Send = true
		b.port.Set(s)
		during(10, func(int) { a.say([]byte("y")) })
		got := b.received()
		if len(got) != 20 || !got[10].Marker {
			t.Fatalf("%d packets", len(got))
		}
		oneStream(t, got)

		s.Recv = false // b may not send; what it sends is not relayed
		b.port.Set(s)
		during(5, func(int) { b.say([]byte("unheard")) })
		if got := a.received(); len(got) > 0 {
			t.Errorf("%d packets of a peer that may not send", len(got))
		}
	})
}

func TestEventsThroughBridge(t *testing.T) {
	for _, codecs := range [][2]string{{codec.PCMU, codec.PCMU}, {codec.PCMU, codec.G722}} {
		t.Run(codecs[0]+" to "+codecs[1], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.e.Close()
				a.port.Set(a.session(codecs[0], 0))
				s := b.session(codecs[1], 9)
				s.EventPT = 110
				b.port.Set(s)
				var keys []byte
				a.port.OnKey(func(d byte) { keys = append(keys, d) })
				Bridge(a.port, b.port)
				during(5, func(int) { a.say(make([]byte, 160)) })
				ts := a.ts + 160
				during(8, func(i int) {
					a.seq++
					end, dur := byte(0), 160*(i+1)
					if i >= 5 {
						end, dur = 0x80, 960
					}
					a.send(i == 0, 101, a.seq, ts, []byte{7, end | 10, byte(dur >> 8), byte(dur)})
				})
				a.ts += 8 * 160
				during(5, func(int) { a.say(make([]byte, 160)) })
				synctest.Wait()
				got := b.received()
				if len(got) != 18 {
					t.Fatalf("%d packets", len(got))
				}
				for i, p := range got {
					if p.SequenceNumber != got[0].SequenceNumber+uint16(i) {
						t.Errorf("packet %d: %v", i, p.Header)
					}
					event := i >= 5 && i < 13
					if event != (p.PayloadType == 110) {
						t.Errorf("packet %d has payload type %d", i, p.PayloadType)
					}
					if event && (p.Timestamp != got[0].Timestamp+800 || p.Marker != (i == 5) || p.Payload[0] != 7 || len(p.Payload) != 4) {
						t.Errorf("packet %d: %v %x", i, p.Header, p.Payload)
					}
				}
				if got[13].Timestamp != got[0].Timestamp+13*160 {
					t.Errorf("after the key: %v, at first %v", got[13].Header, got[0].Header)
				}
				if string(keys) != "7" {
					t.Errorf("keys %q", keys)
				}
			})
		})
	}
}

// Where durations are in units of another clock at the other end they are changed, and
// timestamps that follow that clock do not lead the stream astray.
func TestEventsOnAnotherClock(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to int
		ts       uint32 // of the press, from where it would be by 8000 Hz
		want     []uint16
	}{
		{"16 to 8 kHz", 16000, 8000, 0, []uint16{0, 5000, 32767}},
		{"8 to 16 kHz", 8000, 16000, 0, []uint16{0, 20000, 65535}},
		{"16 to 16 kHz", 16000, 16000, 0, []uint16{0, 10000, 65535}},
		{"timestamps astray", 16000, 8000, 1 << 24, []uint16{0, 5000, 32767}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.e.Close()
				s := a.session(codec.G722, 9)
				s.EventClock = c.from
				a.port.Set(s)
				s = b.session(codec.G722, 9)
				s.EventClock = c.to
				b.port.Set(s)
				Bridge(a.port, b.port)
				during(10, func(int) { a.say(make([]byte, 160)) })
				ts := a.ts + 160 + c.ts
				for i, d := range []uint16{0, 10000, 65535} {
					a.seq, a.ts = a.seq+1, a.ts+160
					a.send(i == 0, 101, a.seq, ts, []byte{5, 10, byte(d >> 8), byte(d)})
					time.Sleep(20 * time.Millisecond)
				}
				during(10, func(int) { a.say(make([]byte, 160)) })
				got := b.received()
				if len(got) != 23 {
					t.Fatalf("%d packets", len(got))
				}
				for i, p := range got {
					if i > 0 && p.SequenceNumber != got[i-1].SequenceNumber+1 {
						t.Errorf("packet %d: %v after %v", i, p.Header, got[i-1].Header)
					}
					want := got[0].Timestamp + uint32(160*i)
					if i >= 10 && i < 13 {
						want = got[10].Timestamp
						if d := binary.BigEndian.Uint16(p.Payload[2:]); d != c.want[i-10] || p.PayloadType != 101 {
							t.Errorf("event %d of type %d is %d long, want %d", i-10, p.PayloadType, d, c.want[i-10])
						}
					}
					if d := int32(p.Timestamp - want); d != 0 {
						t.Errorf("packet %d: timestamp %d off", i, d)
					}
				}
				if d := int32(got[10].Timestamp - got[9].Timestamp); d != 160 {
					t.Errorf("the press begins %d after the voice", d)
				}
			})
		})
	}
}

// A key that had a meaning of its own here does not reach whoever its leg is bridged
// with then: its end comes twice more.
func TestKeyBeforeBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMU, 0))
		var keys []byte
		a.port.OnKey(func(d byte) {
			if keys = append(keys, d); len(keys) == 1 {
				Bridge(a.port, b.port)
			}
		})
		press := func(code byte) {
			a.ts += 160
			ts := a.ts
			during(8, func(i int) {
				a.seq++
				end, dur := byte(0), 160*(i+1)
				if i >= 5 {
					end, dur = 0x80, 960
				}
				a.send(i == 0, 101, a.seq, ts, []byte{code, end | 10, byte(dur >> 8), byte(dur)})
			})
			a.ts += 8 * 160
		}
		press(1)
		if got := b.received(); len(got) != 0 {
			t.Errorf("%d packets of the key that was pressed before", len(got))
		}
		during(3, func(int) { a.say(make([]byte, 160)) })
		press(1)
		if got := b.received(); len(got) != 11 || string(keys) != "11" {
			t.Errorf("%d packets of voice and the next key; keys %q", len(got), keys)
		}
	})
}

// level returns how much of a frequency is in sound, by Goertzel's algorithm: 1
// if it is all of it.
func level(sound []int16, rate int, hz float64) float64 {
	c := 2 * math.Cos(2*math.Pi*hz/float64(rate))
	var s1, s2, power float64
	for _, v := range sound {
		x := float64(v)
		s1, s2 = x+c*s1-s2, s1
		power += x * x
	}
	if power == 0 {
		return 0
	}
	return (s1*s1 + s2*s2 - c*s1*s2) / (power * float64(len(sound)) / 2)
}

func TestToneThroughBridge(t *testing.T) {
	for _, from := range codec.Names() {
		for _, to := range codec.Names() {
			t.Run(from+" to "+to, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, a, b := pair(t)
					defer w.e.Close()
					a.port.Set(a.session(from, 96))
					b.port.Set(b.session(to, 97))
					Bridge(a.port, b.port)
					enc, rate := codec.NewEncoder(from), codec.Rate(from)
					n := 0
					during(50, func(int) {
						pcm := make([]int16, rate/50)
						for i := range pcm {
							pcm[i] = int16(8000 * math.Sin(2*math.Pi*1000*float64(n)/float64(rate)))
							n++
						}
						a.say(enc.Encode(nil, pcm))
					})
					dec, pcm := codec.NewDecoder(to), []int16(nil)
					got := b.received()
					stream(t, got, 20)
					for _, p := range got {
						if p.PayloadType != 97 {
							t.Fatalf("payload type %d", p.PayloadType)
						}
						pcm = dec.Decode(pcm, p.Payload)
					}
					r := codec.Rate(to)
					if len(pcm) != r {
						t.Fatalf("%d samples of a second", len(pcm))
					}
					if l := level(pcm[r/4:], r, 1000); l < 0.99 {
						t.Errorf("the tone is %.3f of what came", l)
					}
				})
			})
		}
	}
}

func TestCodecChangesInBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		silence := codec.AppendSilence(nil, codec.PCMU, 160)
		during(5, func(int) { a.say(silence) })
		b.port.Set(b.session(codec.PCMA, 8))
		during(5, func(int) { a.say(silence) })
		got := b.received()
		if len(got) != 10 || got[9].PayloadType != 8 {
			t.Fatalf("%d packets, the last %v", len(got), got[len(got)-1].Header)
		}
		oneStream(t, got)
		if v := got[9].Payload[0] | 0x80; v != 0xD5 { // either side of zero
			t.Errorf("silence became %#x", got[9].Payload[0])
		}
	})
}

func TestBridgeOfClosedAndChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		c := w.phone("10.0.0.4:4000")
		for _, f := range []*phone{a, b, c} {
			f.port.Set(f.session(codec.PCMU, 0))
		}
		Bridge(a.port, a.port)
		Bridge(a.port, b.port)
		Bridge(a.port, c.port) // b is left alone
		during(5, func(int) { a.say([]byte("x")); b.say([]byte("y")) })
		if na, nb, nc := len(a.received()), len(b.received()), len(c.received()); na != 0 || nb != 0 || nc != 5 {
			t.Errorf("%d, %d and %d packets came", na, nb, nc)
		}
		Unbridge(a.port, b.port) // they have none
		a.port.Close()
		a.port.Close()
		during(5, func(int) { c.say([]byte("z")) })
		c.port.Play(newLoop(1))
		time.Sleep(100 * time.Millisecond)
		if len(c.received()) < 4 {
			t.Error("no music after the other end closed")
		}
		Bridge(a.port, b.port) // one of them closed
		a.port.Play(newLoop(1))
		a.port.Set(Session{})
		a.port.Stop()
		b.say([]byte("x"))
		time.Sleep(time.Second)
		if st := w.e.Stats(); st.Ports != 2 {
			t.Errorf("%d ports open", st.Ports)
		}
	})
}

func TestRelayDoesNotAllocate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		a.port.Set(a.session(codec.PCMU, 0))
		b.port.Set(b.session(codec.G722, 9))
		Bridge(a.port, b.port)
		w.net.conns = nil // packets go nowhere
		r := &reader{e: w.e, count: w.e.spare()}
		pkt := make([]byte, 172)
		seq := uint16(0)
		n := testing.AllocsPerRun(1000, func() {
			seq++
			packet.PutHeader(pkt, false, 0, seq, uint32(seq)*160, 7)
			a.port.mu.Lock()
			r.take(a.port, pkt, a.conn.addr)
			a.port.mu.Unlock()
			r.act(a.port)
		})
		if n != 0 {
			t.Errorf("%v allocations a packet", n)
		}
		w.net.conns = map[netip.AddrPort]*fakeConn{}
	})
}
