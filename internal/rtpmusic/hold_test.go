package rtpmusic

import (
	"bytes"
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

// A peer on hold costs no sender anything, however often it changes its mind; what
// it misses is not counted as skipped, and the stream goes on as if it had been sent.
func TestHoldHasNoTicks(t *testing.T) {
	for _, hold := range []time.Duration{time.Millisecond, 7 * time.Millisecond, 25 * time.Millisecond, time.Second, time.Hour} {
		t.Run(hold.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.e.Close()
				f := w.phone("10.0.0.2:4000")
				s := f.session(codec.PCMU, 0)
				f.port.Set(s)
				tune := newLoop(3)
				f.port.Play(tune)
				var got []heardPacket
				for range 5 {
					time.Sleep(333 * time.Millisecond)
					s.Send = false
					f.port.Set(s)
					time.Sleep(hold)
					if st := w.e.Stats(); hold > 20*time.Millisecond && st.Streams != 0 {
						t.Fatalf("%d streams on hold", st.Streams)
					}
					s.Send = true
					f.port.Set(s)
				}
				time.Sleep(333 * time.Millisecond)
				synctest.Wait()
				got = f.received()
				for i, p := range got[1:] {
					gap, step := p.at.Sub(got[i].at), p.Timestamp-got[i].Timestamp
					if step != ticks(gap) || gap < 20*time.Millisecond || p.SequenceNumber != got[i].SequenceNumber+1 || p.SSRC != got[i].SSRC {
						t.Fatalf("%v, %v after %v", p.Header, gap, got[i].Header)
					}
					if p.Marker != (gap != 20*time.Millisecond) && gap > 40*time.Millisecond {
						t.Errorf("marker %t after a gap of %v", p.Marker, gap)
					}
					sound := tune.audio[codec.PCMU]
					pos := int(p.at.Sub(got[0].at)/time.Millisecond) * bytesPerMs % len(sound)
					if want := append(slices.Clone(sound[pos:]), sound...)[:160]; !bytes.Equal(p.Payload, want) {
						t.Fatal("the tune's time did not go on")
					}
				}
				if st := w.e.Stats(); st.Skipped != 0 || st.Out != uint64(len(got)) || st.Streams != 1 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// A tune begins while its peer is on hold, after another party has been heard.
func TestMusicBeginsOnHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.e.Close()
		s := a.session(codec.PCMU, 0)
		a.port.Set(s)
		b.port.Set(b.session(codec.PCMU, 0))
		Bridge(a.port, b.port)
		during(10, func(int) { b.say([]byte("voice")) })
		last := a.received()[9]
		s.Send = false
		a.port.Set(s)
		tune := newLoop(10)
		a.port.Play(tune)
		begun := time.Now()
		time.Sleep(4 * time.Second)
		if st := w.e.Stats(); st.Streams != 0 {
			t.Errorf("%d streams on hold", st.Streams)
		}
		s.Send = true
		a.port.Set(s)
		time.Sleep(time.Second)
		got := a.received()
		stream(t, got, 20)
		p := got[0]
		if p.Timestamp-last.Timestamp != ticks(p.at.Sub(last.at)) || p.SequenceNumber != last.SequenceNumber+1 || !p.Marker {
			t.Errorf("%v at %v after %v", p.Header, p.at.Sub(last.at), last.Header)
		}
		pos := int(p.at.Sub(begun)/time.Millisecond) * bytesPerMs
		if !bytes.Equal(p.Payload, tune.audio[codec.PCMU][pos:pos+160]) {
			t.Error("the tune's time did not go on")
		}
	})
}

// Music on hold does not keep what it was before a reload, and is what it would be
// had it been heard.
func TestReloadOnHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "sales.wav")
		writeMusic(t, path, 3, 100)
		lib, err := library.Load(dir, []string{"sales"})
		must(t, err)
		tune := lib.Tune("sales")
		kept := weak.Make(&tune.Next(nil).Audio(codec.PCMU)[0])
		w := newWorld(t)
		defer w.e.Close()
		f, g := w.phone("10.0.0.2:4000"), w.phone("10.0.0.2:4001")
		s := f.session(codec.PCMU, 0)
		f.port.Set(s)
		f.port.Play(tune)
		g.port.Set(g.session(codec.PCMU, 0))
		g.port.Play(tune)
		time.Sleep(time.Second)
		later := g.received()[0].at.Sub(f.received()[0].at)
		s.Send = false
		f.port.Set(s)
		writeMusic(t, path, 2, 333)
		_, err = lib.Reload(dir, []string{"sales"})
		must(t, err)
		if runtime.GC(); kept.Value() == nil {
			t.Error("the old music is gone although it is played")
		}
		time.Sleep(2*time.Second + 2*reportEvery)
		for i := 0; kept.Value() != nil; i++ {
			if runtime.GC(); i == 5 {
				t.Fatal("the old music is kept although nobody hears it any more")
			}
		}
		s.Send = true
		f.port.Set(s)
		f.received()
		g.received()
		time.Sleep(3 * time.Second)
		a, b := f.received(), g.received()
		shift := int((b[0].at.Sub(a[0].at)-later)/time.Millisecond) * bytesPerMs // by which g is ahead in the tune
		x, y := stream(t, a, 20), stream(t, b, 20)
		if shift < 0 {
			x, y, shift = y, x, -shift
		}
		n := min(len(x)-shift, len(y))
		if !bytes.Equal(x[shift:shift+n], y[:n]) {
			t.Error("the music of who was on hold is not that of who was not")
		}
	})
}
