package rtpmusic

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/packet"
	"parkd/internal/rtpmusic/srtp"
	"parkd/internal/sdp"
)

// secretPhone is a phone that speaks SRTP, with a key of each side.
type secretPhone struct {
	*phone
	is  sdp.Secured
	out *srtp.Sender
	in  *srtp.Receiver
}

// secured are keys: every octet of ours and theirs is one of those.
func secured(suite string, ours, theirs byte) sdp.Secured {
	size := map[string]int{"AEAD_AES_128_GCM": 28, "AEAD_AES_256_GCM": 44}[suite]
	if size == 0 {
		size = 30
	}
	return sdp.Secured{Suite: suite, Ours: sdp.Key(bytes.Repeat([]byte{ours}, size)), Theirs: sdp.Key(bytes.Repeat([]byte{theirs}, size))}
}

// lock gives the phone and its port keys.
func (f *secretPhone) lock(s sdp.Secured) Session {
	f.is = s
	f.out, f.in = f.contexts(s)
	session := f.session(codec.PCMU, 0)
	session.Secured = s
	f.port.Set(session)
	return session
}

func (f *secretPhone) contexts(s sdp.Secured) (*srtp.Sender, *srtp.Receiver) {
	f.t.Helper()
	out, err := srtp.NewSender(s.Suite, []byte(s.Theirs))
	must(f.t, err)
	in, err := srtp.NewReceiver(s.Suite, []srtp.Key{{Key: []byte(s.Ours)}}, false)
	must(f.t, err)
	return out, in
}

// says sends the next 20 ms, protected by s.
func (f *secretPhone) says(s *srtp.Sender, payload []byte) []byte {
	f.seq++
	f.ts += 160
	b, err := s.RTP(rtpBytes(false, f.pt, f.seq, f.ts, f.ssrc, payload))
	must(f.t, err)
	_, _ = f.conn.WriteToUDPAddrPort(b, f.to)
	return b
}

// hears returns what came since, opened; each packet must be authentic.
func (f *secretPhone) hears() []heardPacket {
	f.t.Helper()
	var got []heardPacket
	for {
		select {
		case d := <-f.conn.in:
			b, err := f.in.RTP(d.b)
			if err != nil {
				f.t.Fatalf("%v: %x", err, d.b[:12])
			}
			h := heardPacket{from: d.from, at: d.at}
			if h.Parse(b) != packet.RTP {
				f.t.Fatalf("the phone got something that is not RTP: %x", b)
			}
			got = append(got, h)
		default:
			return got
		}
	}
}

// TestSecureMusic: music is protected by each suite, and its numbers begin low.
func TestSecureMusic(t *testing.T) {
	for _, suite := range sdp.Suites() {
		t.Run(suite, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.e.Close()
				f := &secretPhone{phone: w.phone("10.0.0.2:4000")}
				f.lock(secured(suite, 1, 2))
				tune := newLoop(2)
				f.port.Play(tune)
				time.Sleep(time.Second)
				got := f.hears()
				stream(t, got, 20)
				if !bytes.Equal(got[0].Payload, tune.audio[codec.PCMU][:160]) || got[0].SequenceNumber > 0x8000 || !got[0].Marker {
					t.Errorf("the first packet is %v", got[0].Header)
				}
			})
		})
	}
}

// TestSecureBridge: of two legs each is in the clear, or protected by a suite of its
// own; either hears the other.
func TestSecureBridge(t *testing.T) {
	for _, tt := range []struct{ name, a, b string }{
		{"secure and clear", "AES_CM_128_HMAC_SHA1_80", ""},
		{"two suites", "AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_32"},
		{"one suite", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_80"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.e.Close()
				a, b := &secretPhone{phone: w.phone("10.0.0.2:4000")}, &secretPhone{phone: w.phone("10.0.0.3:4000")}
				a.lock(secured(tt.a, 1, 2))
				hears := b.hears
				say := func(p []byte) { b.says(b.out, p) }
				if tt.b != "" {
					b.lock(secured(tt.b, 3, 4))
				} else {
					hears, say = b.received, b.say
					b.port.Set(b.session(codec.PCMA, 8)) // and its voice is transcoded
				}
				var keys []byte
				b.port.OnKey(func(d byte) { keys = append(keys, d) })
				Bridge(a.port, b.port)
				during(50, func(i int) {
					a.says(a.out, bytes.Repeat([]byte{0x55}, 160))
					say(bytes.Repeat([]byte{0xd5}, 160))
				})
				toA, toB := a.hears(), hears()
				oneStream(t, toA)
				oneStream(t, toB)
				if len(toA) != 50 || len(toB) != 50 {
					t.Fatalf("%d and %d packets of 50", len(toA), len(toB))
				}
				if st := w.e.Stats(); st.Forged+st.Failed+st.Invalid+st.Strangers > 0 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// TestNumbersOfAPeer: whoever speaks in the clear and uses a number again for
// something else does not make us use a keystream again.
func TestNumbersOfAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		a, b := &secretPhone{phone: w.phone("10.0.0.2:4000")}, w.phone("10.0.0.3:4000")
		a.lock(secured("AEAD_AES_128_GCM", 1, 2))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		for _, seq := range []uint16{100, 101, 101, 103, 102, 102, 100} {
			b.send(false, 0, seq, uint32(seq)*160, bytes.Repeat([]byte{byte(seq)}, 160))
		}
		synctest.Wait()
		var seqs []uint16
		for _, h := range a.hears() {
			seqs = append(seqs, h.SequenceNumber)
		}
		if len(seqs) != 4 || seqs[2] != seqs[1]+2 || seqs[3] != seqs[1]+1 {
			t.Errorf("numbers on the wire: %v", seqs)
		}
	})
}

// TestForgersLeadNowhere: packets that are not authentic are no sign of life, latch
// nothing, are passed on to nobody and press no key; and neither do good ones that come
// again, from whereever.
func TestForgersLeadNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		a, b := &secretPhone{phone: w.phone("10.0.0.2:4000")}, w.phone("10.0.0.3:4000")
		a.lock(secured("AES_CM_128_HMAC_SHA1_80", 1, 2))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		a.port.OnKey(func(byte) { t.Error("a key") })
		thief, err := w.net.listen(netip.MustParseAddrPort("10.6.6.6:6666"))
		must(t, err)
		other, _ := a.contexts(secured("AES_CM_128_HMAC_SHA1_80", 1, 9))
		report := []byte{0x80, 201, 0, 1, 0, 0, 0, 77}
		for i := range uint16(50) {
			b, err := other.RTP(rtpBytes(false, 0, i, 160*uint32(i), 77, make([]byte, 160)))
			must(t, err)
			for _, from := range []*fakeConn{thief, a.conn} {
				_, _ = from.WriteToUDPAddrPort(b, a.to)
				_, _ = from.WriteToUDPAddrPort(rtpBytes(false, 0, i, 160*uint32(i), 77, make([]byte, 160)), a.to)
				_, _ = from.WriteToUDPAddrPort(rtpBytes(false, 101, i, 160, 77, []byte{5, 0x80, 3, 32}), a.to)
				_, _ = from.WriteToUDPAddrPort(report, a.to)
				_, _ = from.WriteToUDPAddrPort(report[:i%8], a.to)
			}
		}
		synctest.Wait()
		if !a.port.Heard().IsZero() || a.port.Source().IsValid() || len(b.received()) > 0 {
			t.Fatal("a forger was heard")
		}
		a.says(a.out, make([]byte, 160))
		good := a.says(a.out, make([]byte, 160))
		for range 20 {
			_, _ = thief.WriteToUDPAddrPort(good, a.to)
		}
		synctest.Wait()
		if got := len(b.received()); got != 2 || a.port.Source() != a.conn.addr {
			t.Errorf("%d packets passed on, from %v", got, a.port.Source())
		}
		if st := w.e.Stats(); st.Forged != 50*2*5+20 || st.In != 2 {
			t.Errorf("stats %+v", st)
		}
		before := a.port.Heard()
		time.Sleep(time.Second)
		good, err = a.out.RTCP(report)
		must(t, err)
		_, _ = a.conn.WriteToUDPAddrPort(good, a.to)
		synctest.Wait()
		if !a.port.Heard().After(before) {
			t.Error("a report of the phone's is no sign of life")
		}
	})
}

// TestRekeying: descriptions that say the same again change nothing; a new key of the
// peer's is taken at once, and what was on its way under the old one for a while; a new
// one of ours begins a stream of its own, and an old one is never used again.
func TestRekeying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f, b := &secretPhone{phone: w.phone("10.0.0.2:4000")}, w.phone("10.0.0.3:4000")
		first := f.lock(secured("AEAD_AES_128_GCM", 1, 2))
		b.port.Set(b.session(codec.PCMU, 0))
		f.port.Play(newLoop(10))
		time.Sleep(time.Second)
		f.port.Set(first)
		time.Sleep(time.Second)
		before := f.hears() // by one context: nothing twice
		oneStream(t, before)

		old := f.out
		f.is.Theirs = secured(f.is.Suite, 1, 7).Theirs
		next := first
		next.Secured = f.is
		f.port.Set(next)
		Bridge(f.port, b.port)
		f.out, _ = f.contexts(f.is)
		passed := func(s *srtp.Sender) int {
			f.says(s, make([]byte, 160))
			synctest.Wait()
			return len(b.received())
		}
		if passed(old) != 1 || passed(f.out) != 1 || passed(old) != 1 {
			t.Error("a packet under one of both keys was not taken")
		}
		time.Sleep(rekeyGrace + time.Millisecond)
		if passed(old) != 0 || passed(f.out) != 1 {
			t.Error("the old key is still taken, or the new one is not")
		}

		f.port.Play(newLoop(10))
		time.Sleep(time.Second)
		after := f.hears()
		if after[0].SSRC != before[0].SSRC {
			t.Error("another stream, for a key that is the peer's")
		}
		f.lock(secured("AEAD_AES_128_GCM", 8, 7))
		time.Sleep(time.Second)
		anew := f.hears()
		if anew[0].SSRC == before[0].SSRC || anew[0].SequenceNumber > 0x8000 || !anew[0].Marker || len(anew) < 49 {
			t.Errorf("%d packets under a new key, the first is %v", len(anew), anew[0].Header)
		}
		next = f.session(codec.PCMU, 0)
		f.port.Set(next) // in the clear
		time.Sleep(time.Second)
		if got := len(f.received()); got < 49 {
			t.Errorf("%d packets in the clear", got)
		}
		next.Secured = f.is
		f.port.Set(next) // a key that was in use
		time.Sleep(time.Second)
		if got := len(f.conn.in); got > 0 {
			t.Errorf("%d packets under a key that had been given up", got)
		}
	})
}

// TestRoundsGoOnUnderANewKey: the peer's numbers have rolled over before it took a new
// key, which begins no other round (RFC 3711 3.3.1).
func TestRoundsGoOnUnderANewKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := &secretPhone{phone: w.phone("10.0.0.2:4000")}
		for i, suite := range []string{"AES_CM_128_HMAC_SHA1_80", "AEAD_AES_128_GCM"} {
			f.lock(secured(suite, byte(10*i+1), byte(10*i+2)))
			is := secured(suite, byte(10*i+1), byte(10*i+3))
			out, _ := f.contexts(is)
			for range 70000 {
				f.seq++
				_, err := out.RTP(rtpBytes(false, 0, f.seq, 0, f.ssrc, nil))
				must(t, err)
			}
			s := f.session(codec.PCMU, 0)
			s.Secured = is
			f.port.Set(s)
			heard := f.port.Heard()
			time.Sleep(time.Second)
			f.says(out, make([]byte, 160))
			synctest.Wait()
			if !f.port.Heard().After(heard) {
				t.Errorf("%s: the peer is not heard", suite)
			}
		}
	})
}

// TestPeerWithAnMKI: what a peer sends under a key that its packets name is heard, and
// under a key no longer than it said; that it says the same again, or a longer lifetime,
// makes nothing of it. What it is sent has no MKI.
func TestPeerWithAnMKI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f, b := &secretPhone{phone: w.phone("10.0.0.2:4000")}, w.phone("10.0.0.3:4000")
		b.port.Set(b.session(codec.PCMU, 0))
		const suite = "AES_CM_128_HMAC_SHA1_80"
		s := f.lock(secured(suite, 1, 2))
		spare := bytes.Repeat([]byte{9}, 30)
		s.Secured.Theirs += sdp.Key(spare)
		s.Secured.Terms = "3|7:2;2^31|258:2"
		f.port.Set(s)
		Bridge(f.port, b.port)
		second, err := srtp.NewSender(suite, spare)
		must(t, err)
		passed := func(o *srtp.Sender, mki ...byte) int {
			f.seq++
			f.ts += 160
			p, err := o.RTP(rtpBytes(false, f.pt, f.seq, f.ts, f.ssrc, make([]byte, 160)))
			must(t, err)
			p = slices.Insert(p, len(p)-10, mki...)
			_, _ = f.conn.WriteToUDPAddrPort(p, f.to)
			synctest.Wait()
			return len(b.received())
		}
		time.Sleep(rekeyGrace + time.Millisecond)
		if passed(f.out) != 0 || passed(f.out, 0, 8) != 0 {
			t.Error("heard without an MKI, or by another")
		}
		for i := range 5 {
			if i == 2 {
				s.Secured.Terms = "2^20|7:2;2^31|258:2"
				f.port.Set(s)
			}
			if got, want := passed(f.out, 0, 7), min(1, max(0, 3-i)); got != want {
				t.Errorf("packet %d of a key for three: passed %d", i, got)
			}
		}
		if passed(second, 1, 2) != 1 {
			t.Error("the second key is not taken")
		}
		f.port.Play(newLoop(10))
		time.Sleep(time.Second)
		if got := f.hears(); len(got) < 49 {
			t.Errorf("%d packets without an MKI", len(got))
		}
	})
}

// TestLocked: a port whose keys nobody knows any more sends and hears nothing until
// there are new ones, and then begins another stream than that of its place. The peer
// may be in a later round of its own.
func TestLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := &secretPhone{phone: w.phone("10.0.0.2:4000")}
		place := Place{SSRC: 99, Seq: 40000, TS: 5, At: time.Now()}
		f.port.Resume(place)
		s := f.session(codec.PCMU, 0)
		s.Secured = sdp.Secured{Suite: "AES_CM_128_HMAC_SHA1_80"}
		f.port.Set(s)
		f.port.Play(newLoop(10))
		old, _ := f.contexts(secured(s.Secured.Suite, 1, 2))
		during(50, func(int) { f.says(old, make([]byte, 160)) })
		if len(f.conn.in) > 0 || !f.port.Heard().IsZero() {
			t.Fatal("sent, or heard")
		}
		for range 200000 { // the peer's numbers have rolled over by now
			f.seq++
			_, err := old.RTP(rtpBytes(false, 0, f.seq, 0, f.ssrc, nil))
			must(t, err)
		}
		f.lock(secured(s.Secured.Suite, 5, 2))
		time.Sleep(time.Second)
		got := f.hears()
		stream(t, got, 20)
		if got[0].SSRC == place.SSRC || got[0].SequenceNumber > 0x8000 {
			t.Errorf("the first packet is %v", got[0].Header)
		}
		f.says(old, make([]byte, 160))
		synctest.Wait()
		if f.port.Heard().IsZero() {
			t.Error("the peer is not heard")
		}
		if now := f.port.Place(); now.SSRC != got[0].SSRC {
			t.Error("the place is another stream's")
		}
	})
}

// TestSecureKeys: keys that are sent are protected, too.
func TestSecureKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f, b := &secretPhone{phone: w.phone("10.0.0.2:4000")}, w.phone("10.0.0.3:4000")
		f.lock(secured("AEAD_AES_256_GCM", 1, 2))
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(f.port, b.port)
		if !f.port.Press('5', 100*time.Millisecond) {
			t.Fatal("not sent")
		}
		time.Sleep(time.Second)
		got := f.hears()
		if len(got) < 5 || got[0].PayloadType != 101 || got[0].Payload[0] != 5 || binary.BigEndian.Uint16(got[len(got)-1].Payload[2:]) != 800 {
			t.Errorf("%d packets", len(got))
		}
	})
}
