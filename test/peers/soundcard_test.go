//go:build unix

package peers

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// fSetPipeSize is Linux's F_SETPIPE_SZ.
const fSetPipeSize = 1031

// A soundcard stands in for one that a machine in a rack does not have: ALSA's
// file plugin writes what is played into one pipe and reads the microphone from
// another. Small pipes, filled and emptied at 8,000 samples a second here, give
// the program the pace that a sound card would give it.
type soundcard struct {
	mu       sync.Mutex
	recorded bytes.Buffer // guarded by mu
}

// alsaConfig makes "card" the name of the two pipes.
const alsaConfig = `
pcm.card {
  type asym
  playback.pcm { type file slave.pcm { type null } file "%[1]s/speaker" format raw }
  capture.pcm { type file slave.pcm { type null } file "/dev/null" infile "%[1]s/microphone" format raw }
}
`

// soundcard makes the card in a home folder; its microphone hears a tone.
func (s *scene) soundcard(home string, tone float64) *soundcard {
	s.Helper()
	if err := os.WriteFile(filepath.Join(home, ".asoundrc"), fmt.Appendf(nil, alsaConfig, home), 0o600); err != nil {
		s.Fatal(err)
	}
	c := &soundcard{}
	stop := make(chan struct{})
	var running sync.WaitGroup
	mic, speaker := s.pipe(home, "microphone"), s.pipe(home, "speaker")
	running.Go(func() { playMicrophone(mic, chord(8000, 10, tone).pcm(), stop) })
	running.Go(func() { c.record(speaker, stop) })
	s.Cleanup(func() {
		close(stop)
		mic.Close()
		speaker.Close()
		running.Wait()
	})
	return c
}

// pipe makes a named pipe and opens it for both, so that it never ends.
func (s *scene) pipe(home, name string) *os.File {
	s.Helper()
	path := filepath.Join(home, name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		s.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		s.Fatal(err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		s.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { _, failed = unix.FcntlInt(fd, fSetPipeSize, 4096) }); err != nil || failed != nil {
		s.Fatal(err, failed)
	}
	return f
}

// frame is 20 ms of 16-bit samples.
const frame = 320

func playMicrophone(w io.Writer, pcm []byte, stop <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for at := 0; ; at = (at + frame) % len(pcm) {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		if _, err := w.Write(pcm[at : at+frame]); err != nil {
			return
		}
	}
}

// record empties the speaker's pipe frame by frame.
func (c *soundcard) record(r io.Reader, stop <-chan struct{}) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	b := make([]byte, frame)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		c.mu.Lock()
		c.recorded.Write(b)
		c.mu.Unlock()
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// heard is what was played on the card so far.
func (c *soundcard) heard() sound {
	c.mu.Lock()
	defer c.mu.Unlock()
	return readPCM(c.recorded.Bytes(), 8000)
}
