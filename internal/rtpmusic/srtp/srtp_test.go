package srtp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

var names = []string{"AEAD_AES_128_GCM", "AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80"}

func keyOf(name string) []byte {
	b := make([]byte, suites[name].key+suites[name].salt)
	for i := range b {
		b[i] = byte(17*i + 3)
	}
	return b
}

// voice is a packet of 20 ms with room behind it.
func voice(ssrc uint32, seq uint16) []byte {
	b := make([]byte, 172, 172+Overhead)
	b[0] = 0x80
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	for i := range b[12:] {
		b[12+i] = byte(i) + byte(seq)
	}
	return b
}

// report is an empty receiver report and a bit of a source description.
func report(ssrc uint32) []byte {
	b := make([]byte, 24, 24+Overhead)
	copy(b, []byte{0x80, 201, 0, 1, 0, 0, 0, 0, 0x81, 202, 0, 3, 0, 0, 0, 0, 1, 2, 'a', 'b', 0})
	binary.BigEndian.PutUint32(b[4:], ssrc)
	binary.BigEndian.PutUint32(b[12:], ssrc)
	return b
}

func sender(t testing.TB, name string) *Sender {
	t.Helper()
	s, err := NewSender(name, keyOf(name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func receiver(t testing.TB, name string, late bool) *Receiver {
	t.Helper()
	r, err := NewReceiver(name, []Key{{Key: keyOf(name)}}, late)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOnTheWire: packets are those of the RFCs' text, across the roll over.
func TestOnTheWire(t *testing.T) {
	if len(names) != len(suites) {
		t.Fatal("a suite is not tested")
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			s, r := sender(t, name), receiver(t, name, false)
			seq, roll := uint16(32000), uint32(0)
			for i := range 3 * 3000 {
				plain := voice(9, seq)
				want := protectRTP(name, keyOf(name), plain, roll)
				got, err := s.RTP(bytes.Clone(plain))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("packet %d: %x %v, want %x", i, got, err, want)
				}
				if got, err = r.RTP(got); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("packet %d opened: %x %v", i, got, err)
				}
				if seq += 13; seq < 13 {
					roll++
				}
			}
			if roll == 0 {
				t.Fatal("nothing rolled over")
			}
			for i := range uint32(3) {
				plain := report(9)
				want := protectRTCP(name, keyOf(name), plain, i+1)
				got, err := s.RTCP(bytes.Clone(plain))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("report %d: %x %v, want %x", i, got, err, want)
				}
				if got, err = r.RTCP(got); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("report %d opened: %x %v", i, got, err)
				}
			}
		})
	}
}

func TestWrongKeys(t *testing.T) {
	if _, err := NewSender("AES_CM_128_NULL_AUTH", make([]byte, 30)); !errors.Is(err, ErrSuite) {
		t.Errorf("a suite that is none: %v", err)
	}
	for _, name := range names {
		if _, err := NewReceiver(name, []Key{{Key: make([]byte, len(keyOf(name))+1)}}, false); !errors.Is(err, ErrKey) {
			t.Errorf("%s with too long a key: %v", name, err)
		}
	}
}

// TestNothingTwice: whatever a Sender is given, what it returns never has an index
// that it had before, and it loses nothing that it need not.
func TestNothingTwice(t *testing.T) {
	s := sender(t, names[0])
	seen := map[[2]uint64]bool{} // SSRC and index
	rng := rand.New(rand.NewPCG(1, 2))
	high := uint64(40)
	first := high
	for range 50000 {
		at := high + uint64(rng.IntN(4))
		switch rng.IntN(8) {
		case 0:
			at = high - uint64(rng.IntN(100))
		case 1:
			at = high + uint64(rng.IntN(3000))
		}
		_, err := s.RTP(voice(7, uint16(at)))
		if low := uint16(at); err == nil {
			got := high + uint64(int64(int16(low-uint16(high))))
			if seen[[2]uint64{7, got}] {
				t.Fatalf("index %d twice", got)
			}
			seen[[2]uint64{7, got}] = true
			high = max(high, got)
			continue
		}
		if !errors.Is(err, ErrUsed) {
			t.Fatal(err)
		}
		if !seen[[2]uint64{7, at}] && int64(at) >= int64(first) && at+64 > high {
			t.Fatalf("index %d was refused, %d is the highest", at, high)
		}
	}
	if high < 5<<16 {
		t.Fatalf("only %d packets", high)
	}
}

func TestBeforeTheFirst(t *testing.T) {
	s := sender(t, names[0])
	for _, tt := range []struct {
		seq  uint16
		want error
	}{{3, nil}, {2, ErrUsed}, {65530, ErrUsed}, {3, ErrUsed}, {4, nil}} {
		if _, err := s.RTP(voice(7, tt.seq)); !errors.Is(err, tt.want) {
			t.Errorf("%d: %v, want %v", tt.seq, err, tt.want)
		}
	}
	for i := range uint32(maxSent + 1) {
		if _, err := s.RTP(voice(100+i, 1)); (err != nil) != (i >= maxSent-1) {
			t.Errorf("stream %d: %v", i, err)
		}
	}
}

// TestForged: no octet may be another, nothing comes twice, and what was refused
// leaves no trace.
func TestForged(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			s, r := sender(t, name), receiver(t, name, false)
			good, err := s.RTP(voice(7, 100))
			if err != nil {
				t.Fatal(err)
			}
			reports, err := s.RTCP(report(7))
			if err != nil {
				t.Fatal(err)
			}
			for i := range good {
				b := bytes.Clone(good)
				b[i] ^= 0x40
				if got, err := r.RTP(b); err == nil {
					t.Fatalf("octet %d changed: opened as %x", i, got)
				}
			}
			for i := range reports {
				b := bytes.Clone(reports)
				b[i] ^= 0x40
				if got, err := r.RTCP(b); err == nil {
					t.Fatalf("octet %d of a report changed: opened as %x", i, got)
				}
			}
			for n := range len(good) {
				if _, err := r.RTP(bytes.Clone(good[:n])); !errors.Is(err, ErrForged) {
					t.Fatalf("%d octets of it: %v", n, err)
				}
				if _, err := r.RTCP(bytes.Clone(reports[:min(n, len(reports)-1)])); !errors.Is(err, ErrForged) {
					t.Fatalf("%d octets of a report: %v", n, err)
				}
			}
			if len(r.sources)+len(r.reports) != 0 {
				t.Fatal("a forger is remembered")
			}
			for i, want := range []error{nil, ErrForged} {
				if _, err := r.RTP(bytes.Clone(good)); !errors.Is(err, want) {
					t.Fatalf("round %d: %v", i, err)
				}
				if _, err := r.RTCP(bytes.Clone(reports)); !errors.Is(err, want) {
					t.Fatalf("report of round %d: %v", i, err)
				}
			}
		})
	}
}

// TestOneInSixtyFour: the kernel lets one packet in 64 through while nobody listens,
// and the roll over is noticed all the same.
func TestOneInSixtyFour(t *testing.T) {
	s, r := sender(t, names[3]), receiver(t, names[3], false)
	for i := range 300000 {
		b, err := s.RTP(voice(7, uint16(i)))
		if err != nil {
			t.Fatal(err)
		}
		if i%64 == 5 {
			if _, err := r.RTP(b); err != nil {
				t.Fatalf("packet %d: %v", i, err)
			}
		}
	}
}

// TestLate: a stream that has rolled over, to a former process, is found; a forger
// before it does not prevent that.
func TestLate(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			for _, roll := range []uint32{0, 1, 40} {
				r := receiver(t, name, true)
				for i := range uint32(2 * lateTries) {
					if _, err := r.RTP(protectRTP(name, make([]byte, 44), voice(1000+i, 5), 0)); !errors.Is(err, ErrForged) {
						t.Fatal(err)
					}
				}
				for i := range uint16(3) {
					plain := voice(7, 65534+i)
					got, err := r.RTP(protectRTP(name, keyOf(name), plain, roll+uint32(i/2)))
					if err != nil || !bytes.Equal(got, plain) {
						t.Fatalf("packet %d in round %d: %v", i, roll, err)
					}
				}
				if r.late != nil {
					t.Error("it still looks for the round")
				}
			}
			r := receiver(t, name, false)
			if _, err := r.RTP(protectRTP(name, keyOf(name), voice(7, 5), 1)); !errors.Is(err, ErrForged) {
				t.Errorf("one that joined from the start takes a later round: %v", err)
			}
		})
	}
}

// TestLateInAFlood: looking for the round of a stream that is in a later one takes no
// more of whoever is flooded with forged packets than twice what refusing them does; the
// stream is found all the same.
func TestLateInAFlood(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			r := receiver(t, name, true)
			forged := protectRTP(name, make([]byte, 44), voice(1000, 5), 0)
			made := testing.AllocsPerRun(100*lateRolls, func() {
				_, _ = r.RTP(bytes.Clone(forged))
			})
			r = receiver(t, name, false)
			least := testing.AllocsPerRun(100*lateRolls, func() {
				_, _ = r.RTP(bytes.Clone(forged))
			})
			if made > 2*least {
				t.Errorf("%v allocations for each forged packet, %v where nothing is looked for", made, least)
			}
			r = receiver(t, name, true)
			for range 1000 {
				_, _ = r.RTP(bytes.Clone(forged))
			}
			for i := range uint16(lateRolls) {
				if _, err := r.RTP(protectRTP(name, keyOf(name), voice(7, i), 40)); err == nil {
					return
				}
			}
			t.Error("the stream is not found")
		})
	}
}

// TestManySources: a peer that changes its SSRC with every packet takes no more
// memory than some.
func TestManySources(t *testing.T) {
	r := receiver(t, names[0], false)
	var last error
	for i := range uint32(maxSources + 1) {
		_, last = r.RTP(protectRTP(names[0], keyOf(names[0]), voice(i, 5), 0))
		_, _ = r.RTCP(protectRTCP(names[0], keyOf(names[0]), report(i), 1))
	}
	if !errors.Is(last, ErrSources) || len(r.sources) != maxSources || len(r.reports) != maxSources {
		t.Errorf("%v, %d and %d sources", last, len(r.sources), len(r.reports))
	}
	if _, err := r.RTP(protectRTP(names[0], keyOf(names[0]), voice(0, 6), 0)); err != nil {
		t.Errorf("one of them is not heard any more: %v", err)
	}
}

// TestInPlace: neither side moves or allocates anything, nor does an MKI of the peer's.
func TestInPlace(t *testing.T) {
	mki := []byte{0, 0, 0, 1}
	for i := range 2 * len(names) {
		name, keys := names[i/2], []Key{{Key: keyOf(names[i/2])}}
		if i%2 == 1 {
			keys[0].MKI = mki
		}
		s := sender(t, name)
		r, err := NewReceiver(name, keys, false)
		if err != nil {
			t.Fatal(err)
		}
		seq := uint16(1)
		first := voice(7, 0)
		n := testing.AllocsPerRun(2000, func() {
			b := first[:172]
			binary.BigEndian.PutUint16(b[2:], seq)
			b, err := s.RTP(b)
			if err == nil && i%2 == 1 {
				end := len(b) - suites[name].rtp
				b = b[:len(b)+len(mki)]
				copy(b[end+len(mki):], b[end:])
				copy(b[end:], mki)
			}
			if err == nil {
				b, err = r.RTP(b)
			}
			if err != nil || &b[0] != &first[0] {
				t.Fatalf("moved, or %v", err)
			}
			seq++
		})
		if n > dropped {
			t.Errorf("%s: %v allocations a packet and back", name, n)
		}
	}
}

// marked puts an MKI into a protected packet.
func marked(b, mki []byte, tag int) []byte { return slices.Insert(bytes.Clone(b), len(b)-tag, mki...) }

// several are three keys of a suite with MKIs of n octets.
func several(name string, n int) (keys []Key) {
	for i := range byte(3) {
		k := Key{Key: keyOf(name), MKI: make([]byte, n)}
		k.Key[0], k.MKI[n-1] = i, 5+i
		keys = append(keys, k)
	}
	return keys
}

// TestMKI: the MKI of a packet says which key is meant; what names another, none, or is
// too short for one is dropped. One stream goes on from key to key (RFC 3711 3.3.1).
func TestMKI(t *testing.T) {
	for _, name := range names {
		for _, n := range []int{1, 4, 128} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				s, keys := suites[name], several(name, n)
				r, err := NewReceiver(name, keys, false)
				if err != nil {
					t.Fatal(err)
				}
				seq, roll := uint16(65000), uint32(0)
				for i := range 3000 {
					k, plain := keys[i*3/3000], voice(9, seq)
					b := marked(protectRTP(name, k.Key, plain, roll), k.MKI, s.rtp)
					for _, wrong := range [][]byte{keys[(i*3/3000+1)%3].MKI, bytes.Repeat([]byte{0xEE}, n)} {
						if got, err := r.RTP(marked(protectRTP(name, k.Key, plain, roll), wrong, s.rtp)); !errors.Is(err, ErrForged) {
							t.Fatalf("packet %d with the MKI of another: %x %v", i, got, err)
						}
					}
					if got, err := r.RTP(b); err != nil || !bytes.Equal(got, plain) {
						t.Fatalf("packet %d: %x %v", i, got, err)
					}
					if seq++; seq == 0 {
						roll++
					}
				}
				for i := range uint32(3) {
					plain := report(9)
					b := marked(protectRTCP(name, keys[i].Key, plain, i+1), keys[i].MKI, s.rtcp)
					for _, wrong := range [][]byte{protectRTCP(name, keys[i].Key, plain, i+1), marked(protectRTCP(name, keys[i].Key, plain, i+1), keys[(i+1)%3].MKI, s.rtcp)} {
						if got, err := r.RTCP(wrong); !errors.Is(err, ErrForged) {
							t.Fatalf("report %d with the MKI of another: %x %v", i, got, err)
						}
					}
					if got, err := r.RTCP(b); err != nil || !bytes.Equal(got, plain) {
						t.Fatalf("report %d: %x %v", i, got, err)
					}
				}
				for i := range 40 {
					if _, err := r.RTP(voice(9, 1)[:i]); !errors.Is(err, ErrForged) {
						t.Fatalf("%d octets: %v", i, err)
					}
					if _, err := r.RTCP(report(9)[:min(i, 24)]); !errors.Is(err, ErrForged) {
						t.Fatalf("%d octets of a report: %v", i, err)
					}
				}
			})
		}
	}
}

// TestMKILate: with an MKI, too, the round of a stream that was joined late is found.
func TestMKILate(t *testing.T) {
	for _, name := range names {
		keys := several(name, 4)
		r, err := NewReceiver(name, keys, true)
		if err != nil {
			t.Fatal(err)
		}
		plain := voice(9, 7)
		if got, err := r.RTP(marked(protectRTP(name, keys[2].Key, plain, 40), keys[2].MKI, suites[name].rtp)); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %x %v", name, got, err)
		}
	}
}

func TestKeysThatCannotBeToldApart(t *testing.T) {
	name := names[0]
	k := several(name, 2)
	for _, tt := range []struct {
		name string
		keys []Key
		want error
	}{
		{"none", nil, ErrKey},
		{"one MKI twice", []Key{k[0], k[0]}, ErrMKI},
		{"another length", []Key{k[0], {Key: k[1].Key, MKI: []byte{1}}}, ErrMKI},
		{"second without", []Key{k[0], {Key: k[1].Key}}, ErrMKI},
		{"first without", []Key{{Key: k[1].Key}, k[0]}, ErrMKI},
		{"second too short", []Key{k[0], {Key: k[1].Key[1:], MKI: k[1].MKI}}, ErrKey},
	} {
		if _, err := NewReceiver(name, tt.keys, false); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestLifetime: of a key as many packets are opened as it may protect, of RTP and of
// RTCP each; forged ones do not count, and other keys go on.
func TestLifetime(t *testing.T) {
	for _, name := range names {
		keys, s := several(name, 1), suites[name]
		keys[1].Lifetime = 5
		r, err := NewReceiver(name, keys, false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint16(8) {
			if r.Spent() != (i > 5) {
				t.Errorf("%s: before packet %d: spent %v", name, i, r.Spent())
			}
			var want error
			if i >= 5 {
				want = ErrSpent
			}
			bad := marked(protectRTP(name, keys[0].Key, voice(9, 100+i), 0), keys[1].MKI, s.rtp)
			if _, err := r.RTP(bad); err == nil {
				t.Fatal("forged")
			}
			if _, err := r.RTP(marked(protectRTP(name, keys[1].Key, voice(9, 100+i), 0), keys[1].MKI, s.rtp)); !errors.Is(err, want) {
				t.Errorf("%s: packet %d: %v", name, i, err)
			}
			if _, err := r.RTCP(marked(protectRTCP(name, keys[1].Key, report(9), uint32(i+1)), keys[1].MKI, s.rtcp)); !errors.Is(err, want) {
				t.Errorf("%s: report %d: %v", name, i, err)
			}
		}
		if _, err := r.RTP(marked(protectRTP(name, keys[2].Key, voice(9, 200), 0), keys[2].MKI, s.rtp)); err != nil {
			t.Errorf("%s: the next key: %v", name, err)
		}
	}
}

// FuzzReceiver: nothing is opened without the key, nothing panics.
func FuzzReceiver(f *testing.F) {
	for i, name := range names {
		s, mki := suites[name], []byte{0, 0, 0, 1}
		rtp, rtcp := protectRTP(name, keyOf(name), voice(7, 5), 0), protectRTCP(name, keyOf(name), report(7), 5)
		f.Add(uint8(i), rtp, []byte(nil))
		f.Add(uint8(i), rtcp, []byte(nil))
		f.Add(uint8(i), marked(rtp, mki, s.rtp), mki)
		f.Add(uint8(i), marked(rtcp, mki, s.rtcp), mki)
		f.Add(uint8(i), rtp[:13], bytes.Repeat(mki, 32))
	}
	f.Fuzz(func(t *testing.T, n uint8, b, mki []byte) {
		name := names[int(n)%len(names)]
		other := keyOf(name)
		slices.Reverse(other)
		for _, late := range []bool{false, true} {
			r, err := NewReceiver(name, []Key{{Key: other, MKI: mki}}, late)
			if err != nil {
				t.Fatal(err)
			}
			if out, err := r.RTP(bytes.Clone(b)); err == nil && name != "AES_CM_128_HMAC_SHA1_32" {
				t.Fatalf("opened as %x", out)
			}
			if out, err := r.RTCP(bytes.Clone(b)); err == nil {
				t.Fatalf("report opened as %x", out)
			}
		}
	})
}

// BenchmarkRTP is what a packet of 20 ms costs: protected; and protected and opened. The
// floor is the standard library's cryptography of protecting it, and no more.
func BenchmarkRTP(b *testing.B) {
	for _, name := range names {
		b.Run(name+"/floor", func(b *testing.B) {
			p, seal := voice(7, 0), floor(name)
			b.ReportAllocs()
			for range b.N {
				seal(p)
			}
		})
		b.Run(name+"/protect", func(b *testing.B) {
			s, p := sender(b, name), voice(7, 0)
			b.ReportAllocs()
			for i := range b.N {
				binary.BigEndian.PutUint16(p[2:], uint16(i))
				if _, err := s.RTP(p); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/both", func(b *testing.B) {
			s, r, p := sender(b, name), receiver(b, name, false), voice(7, 0)
			b.ReportAllocs()
			for i := range b.N {
				binary.BigEndian.PutUint16(p[2:], uint16(i))
				q, err := s.RTP(p)
				if err == nil {
					_, err = r.RTP(q)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// floor encrypts the payload of a packet and makes its tag.
func floor(name string) func(p []byte) {
	block, err := aes.NewCipher(keyOf(name)[:suites[name].key])
	if err != nil {
		panic(err)
	}
	if suites[name].salt == 12 {
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			panic(err)
		}
		iv := make([]byte, 12)
		return func(p []byte) { gcm.Seal(p[12:12], iv, p[12:172], p[:12]) }
	}
	mac, iv, sum := hmac.New(sha1.New, make([]byte, 20)), make([]byte, 16), make([]byte, 0, 20)
	var stream [160]byte
	return func(p []byte) {
		for i := range 10 {
			iv[15] = byte(i)
			block.Encrypt(stream[16*i:], iv)
		}
		subtle.XORBytes(p[12:172], p[12:172], stream[:])
		mac.Reset()
		mac.Write(p[:172])
		mac.Write(iv[:4])
		mac.Sum(sum)
	}
}
