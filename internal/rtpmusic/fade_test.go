package rtpmusic

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/library"
)

// toneTune is music of one loud tone, which is in the middle of a wave wherever it is
// cut.
func toneTune(t *testing.T, hz float64) Tune {
	t.Helper()
	dir, le := t.TempDir(), binary.LittleEndian
	const n = 2 * 16000
	b := le.AppendUint32([]byte("RIFF"), 36+2*n)
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x80\x3E\x00\x00\x00\x7D\x00\x00\x02\x00\x10\x00data"...)
	b = le.AppendUint32(b, 2*n)
	for i := range n {
		b = le.AppendUint16(b, uint16(int16(12000*math.Cos(2*math.Pi*hz*float64(i)/16000))))
	}
	must(t, os.WriteFile(filepath.Join(dir, "tone.wav"), b, 0o644))
	lib, err := library.Load(dir, []string{"tone"})
	must(t, err)
	return lib.Tune("tone")
}

// heardSound is what a listener hears of packets: each where its timestamp says, and
// silence where there is none.
func heardSound(got []heardPacket, name string) (pcm []int16) {
	dec, rate := codec.NewDecoder(name), codec.Rate(name)
	for _, p := range got {
		at := int(int32(p.Timestamp-got[0].Timestamp)) * rate / 8000
		if at > len(pcm) {
			pcm = append(pcm, make([]int16, at-len(pcm))...)
		}
		pcm = dec.Decode(pcm[:at], p.Payload)
	}
	return pcm
}

// clicks counts the places where a sound has a step or a bend that alone has not.
func clicks(pcm, alone []int16) (n int) {
	var step, bend, last float64
	rough := func(x []int16, i int) (float64, float64) {
		a, b, c := float64(x[i-2]), float64(x[i-1]), float64(x[i])
		return math.Abs(c - b), math.Abs(c - 2*b + a)
	}
	for i := 2; i < len(alone); i++ {
		s, b := rough(alone, i)
		step, bend = max(step, s), max(bend, b)
	}
	last = math.Inf(-1)
	for i := 2; i < len(pcm); i++ {
		if s, b := rough(pcm, i); (s > 1.4*step || b > 2*bend) && float64(i)-last > 80 {
			n, last = n+1, float64(i)
		}
	}
	return n
}

// From music to voice, here silence, and back, and to other music: neither the end nor
// the beginning of music clicks, timestamps and numbers go on, and nothing comes in a
// burst. A plain cut does click.
func TestSwitchesDoNotClick(t *testing.T) {
	for _, name := range codec.Names() {
		for _, ptime := range []int{10, 20, 30, 60} {
			t.Run(fmt.Sprintf("%s, %d ms", name, ptime), func(t *testing.T) {
				tune, other := toneTune(t, 440.25), toneTune(t, 300.5)
				synctest.Test(t, func(t *testing.T) {
					w, a, b := pair(t)
					defer w.e.Close()
					s := a.session(name, 96)
					s.Ptime = ptime
					a.port.Set(s)
					b.port.Set(b.session(name, 96))
					silence := codec.AppendSilence(nil, name, 160)
					b.ts = 1000
					for round := range 3 {
						a.port.Play(tune)
						time.Sleep(1003 * time.Millisecond)
						Bridge(a.port, b.port)
						during(25+round, func(int) { b.say(silence) })
					}
					a.port.Play(tune)
					time.Sleep(503 * time.Millisecond)
					a.port.Play(other)
					time.Sleep(503 * time.Millisecond)
					a.port.Stop()
					time.Sleep(time.Second)
					got := a.received()
					var cut []heardPacket // as it would be without what fades out
					voices := 0
					for i, p := range got {
						if i > 0 {
							q := got[i-1]
							if p.SSRC != q.SSRC || p.SequenceNumber != q.SequenceNumber+1 || int32(p.Timestamp-q.Timestamp) < int32(len(q.Payload)) {
								t.Fatalf("packet %d: %v after %v", i, p.Header, q.Header)
							}
							clock := p.at.Sub(got[0].at).Milliseconds() * 8
							if d := int64(p.Timestamp-got[0].Timestamp) - clock; d > 640 || d < -160 {
								t.Errorf("packet %d: timestamp strayed by %d", i, d)
							}
						}
						if string(p.Payload) == string(silence) {
							voices++
						}
						if last := i+1 == len(got) || got[i+1].Marker; !last || string(p.Payload) == string(silence) {
							cut = append(cut, p)
						}
					}
					if voices < 70 || len(got)-len(cut) != 5 {
						t.Fatalf("%d packets of voice, %d of music that fades out", voices, len(got)-len(cut))
					}
					alone := heardSound(got[200/ptime:900/ptime], name)
					alone = alone[len(alone)/4:]
					if n := clicks(heardSound(got, name), alone); n != 0 {
						t.Errorf("%d clicks", n)
					}
					if n := clicks(heardSound(cut, name), alone); n < 3 {
						t.Errorf("%d clicks where music is cut", n)
					}
				})
			})
		}
	}
}

// From a voice in the middle of a wave to music, to another voice and to silence: it dies
// away in ten milliseconds and does not click, numbers and timestamps go on, and what
// follows is no later for it. A plain cut does click. (G.722 has no such tails: codec.Tail.)
func TestCutVoiceDoesNotClick(t *testing.T) {
	for _, name := range []string{codec.PCMU, codec.PCMA} {
		t.Run(name, func(t *testing.T) {
			tune := toneTune(t, 300.5)
			synctest.Test(t, func(t *testing.T) {
				w, a, b := pair(t)
				defer w.e.Close()
				c := w.phone("10.0.0.2:4900")
				for _, f := range []*phone{a, b, c} {
					f.port.Set(f.session(name, 96))
				}
				rate := codec.Rate(name)
				wave := make([]int16, rate/2)
				for i := range wave {
					wave[i] = int16(12000 * math.Sin(2*math.Pi*440.25*float64(i)/float64(rate)))
				}
				voice := codec.NewEncoder(name).Encode(nil, wave)
				talk := func(f *phone, packets int) {
					during(packets, func(i int) { f.say(voice[160*i : 160*i+160]) })
				}
				const rounds = 5
				for i := range rounds {
					Bridge(a.port, b.port)
					talk(b, 20+i)
					a.port.Play(tune)
					time.Sleep(511 * time.Millisecond)
				}
				Bridge(a.port, b.port)
				talk(b, 20)
				Bridge(a.port, c.port)
				during(5, func(int) { c.say(codec.AppendSilence(nil, name, 160)) })
				talk(c, 20)
				Unbridge(a.port, c.port)
				time.Sleep(time.Second)
				got := a.received()
				var cut []heardPacket // as it would be without tails
				for i, p := range got {
					if i > 0 {
						q := got[i-1]
						if p.SSRC != q.SSRC || p.SequenceNumber != q.SequenceNumber+1 || int32(p.Timestamp-q.Timestamp) < int32(len(q.Payload)) {
							t.Fatalf("packet %d: %v after %v", i, p.Header, q.Header)
						}
						clock := p.at.Sub(got[0].at).Milliseconds() * 8
						if d := int64(p.Timestamp-got[0].Timestamp) - clock; d > 640 || d < -160 {
							t.Errorf("packet %d: timestamp strayed by %d", i, d)
						}
					}
					if len(p.Payload) != 80 {
						cut = append(cut, p)
					}
				}
				if n := len(got) - len(cut); n != rounds+2 {
					t.Fatalf("%d tails, want %d", n, rounds+2)
				}
				alone := heardSound(got[2:20], name)
				alone = alone[len(alone)/4:]
				if n := clicks(heardSound(got, name), alone); n != 0 {
					t.Errorf("%d clicks", n)
				}
				if n := clicks(heardSound(cut, name), alone); n < 3 {
					t.Errorf("%d clicks where voice is cut", n)
				}
			})
		})
	}
}
