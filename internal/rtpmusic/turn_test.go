package rtpmusic

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"parkd/internal/rtpmusic/codec"
	"parkd/internal/rtpmusic/library"
)

// A stream takes up what follows its loop at the loop's end to the octet, though a
// packet may hold the end of one and the start of the other.
func TestMusicTurnsAtItsEnd(t *testing.T) {
	for _, ptime := range []int{10, 20, 30, 40, 50, 60} {
		for _, after := range []time.Duration{0, 300 * time.Millisecond, 2950 * time.Millisecond} {
			t.Run(fmt.Sprintf("%d ms, %v", ptime, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					defer w.e.Close()
					f := w.phone("10.0.0.2:4000")
					s := f.session(codec.PCMA, 8)
					s.Ptime = ptime
					f.port.Set(s)
					old, next, newest := newLoop(1), newLoop(2), newLoop(3)
					for _, l := range []*loop{next, newest} {
						slices.Reverse(l.audio[codec.PCMA])
					}
					f.port.Play(old)
					time.Sleep(after)
					old.after.Store(next)
					time.Sleep(4*time.Second - after)
					next.after.Store(newest)
					time.Sleep(6 * time.Second)
					got := stream(t, f.received(), ptime)
					rounds := 1 + int(after/time.Second)
					want := bytes.Repeat(old.audio[codec.PCMA], rounds)
					for len(want) < 4*codec.ByteRate {
						want = append(want, next.audio[codec.PCMA]...)
					}
					want = append(want, bytes.Repeat(newest.audio[codec.PCMA], 3)...)
					if len(got) < 9*codec.ByteRate {
						t.Fatalf("%d octets", len(got))
					}
					for i := range got {
						if got[i] != want[i] {
							t.Fatalf("after %d octets of %d it is not what it should be", i, len(got))
						}
					}
				})
			})
		}
	}
}

// Nobody hears it, but time goes on, and the loop that was is over.
func TestMusicTurnsUnheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.e.Close()
		f := w.phone("10.0.0.2:4000")
		s := f.session(codec.PCMU, 0)
		f.port.Set(s)
		old, next := newLoop(2), newLoop(5)
		f.port.Play(old)
		time.Sleep(time.Second)
		begun := f.received()[0].at
		s.Send = false
		f.port.Set(s)
		old.after.Store(next)
		time.Sleep(2 * time.Second)
		s.Send, s.Codec, s.PT = true, codec.G722, 9 // and another codec
		f.port.Set(s)
		time.Sleep(time.Second)
		got := f.received()
		stream(t, got, 20)
		pos := int(got[0].at.Sub(begun)/time.Millisecond)*bytesPerMs - 2*codec.ByteRate
		if !bytes.Equal(got[0].Payload, next.audio[codec.G722][pos:pos+160]) {
			t.Error("it is not where time has come to")
		}
	})
}

// A change of the codec amid the last packet of a loop changes neither the place nor
// what follows.
func TestCodecChangesAsMusicTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := music{codec: codec.PCMU, ptime: 30}
		old, next := newLoop(1), newLoop(2)
		m.play(old, 0)
		b := make([]byte, 30*bytesPerMs)
		m.move(codec.ByteRate - 80)
		m.fill(b) // 10 ms of the old loop, and 20 of its start again
		old.after.Store(next)
		m.set(Session{Codec: codec.G722, Ptime: 30})
		m.move(len(b))
		m.fill(b)
		if !bytes.Equal(b, old.audio[codec.G722][160:160+len(b)]) {
			t.Error("what had begun does not go on")
		}
		m.move(codec.ByteRate)
		m.fill(b)
		if !bytes.Equal(b, next.audio[codec.G722][160:160+len(b)]) {
			t.Error("it did not turn a round later")
		}
		m.move(3600 * 2 * codec.ByteRate) // an hour in a suspended machine
		m.fill(b)
		if !bytes.Equal(b, next.audio[codec.G722][160:160+len(b)]) {
			t.Error("it lost its place in an hour")
		}
	})
}

// writeMusic writes some seconds of a saw-tooth as a WAV file.
func writeMusic(t testing.TB, path string, seconds, step int) {
	t.Helper()
	le := binary.LittleEndian
	size := uint32(2 * 8000 * seconds)
	b := le.AppendUint32([]byte("RIFF"), 36+size)
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1F\x00\x00\x80\x3E\x00\x00\x02\x00\x10\x00data"...)
	b = le.AppendUint32(b, size)
	for i := range 8000 * seconds {
		b = le.AppendUint16(b, uint16(int16(i*step)))
	}
	must(t, os.WriteFile(path, b, 0o644))
}

// TestReload swaps music that streams play, each at another place of its loop.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "sales.wav")
		writeMusic(t, path, 3, 100)
		lib, err := library.Load(dir, []string{"sales"})
		must(t, err)
		tune := lib.Tune("sales")
		begin := func() (round []byte, loop Piece) { // out of silence
			first := tune.Next(nil)
			rest := tune.Next(first)
			return slices.Concat(first.Audio(codec.PCMU), rest.Audio(codec.PCMU)), tune.Next(rest)
		}
		old, loop := begin()
		kept := weak.Make(&loop.Audio(codec.PCMU)[0])

		w := newWorld(t)
		defer w.e.Close()
		var phones []*phone
		for i := range 4 {
			f := w.phone(fmt.Sprintf("10.0.0.2:400%d", i))
			f.port.Set(f.session(codec.PCMU, 0))
			f.port.Play(tune)
			phones = append(phones, f)
			time.Sleep(700 * time.Millisecond)
		}
		// Whose music has ended has no part in it.
		stopped, a, b := w.phone("10.0.0.3:4000"), w.phone("10.0.0.3:4001"), w.phone("10.0.0.3:4002")
		for _, f := range []*phone{stopped, a, b} {
			f.port.Play(tune)
		}
		stopped.port.Stop()
		Bridge(a.port, b.port)
		writeMusic(t, path, 2, 333)
		changed, err := lib.Reload(dir, []string{"sales"})
		if must(t, err); len(changed) != 1 {
			t.Errorf("changed: %v", changed)
		}
		_, loop = begin()
		next := loop.Audio(codec.PCMU)
		if runtime.GC(); kept.Value() == nil {
			t.Error("the old music is gone although it is played")
		}
		time.Sleep(6 * time.Second)
		for i, f := range phones {
			got := stream(t, f.received(), 20)
			if !bytes.Equal(got[:len(old)], old) {
				t.Errorf("stream %d: the old loop was not played to its end", i)
			}
			got = got[len(old):]
			if bytes.Equal(got[:320], next[:320]) || !bytes.Equal(got[320:len(next)], next[320:]) {
				t.Errorf("stream %d: after 40 ms of both it is not the new music", i)
			}
			if !bytes.Equal(got[len(next):len(next)+320], next[:320]) {
				t.Errorf("stream %d: the new music does not begin again", i)
			}
		}
		for i := 0; kept.Value() != nil; i++ {
			if runtime.GC(); i == 5 {
				t.Fatal("the old music is kept although nobody plays it")
			}
		}
	})
}
