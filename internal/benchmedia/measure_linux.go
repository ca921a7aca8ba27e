package benchmedia

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"parkd/internal/rtpmusic"
)

// Sizes of a measurement.
const (
	firstStep  = 250                    // calls; each step has twice as many, until there are too many
	floorCalls = 1000                   // of the bare sender
	narrowed   = 8                      // the search ends when what is left is so small a part
	settle     = 600 * time.Millisecond // from when calls have come until they are measured
)

// Measure finds out how many calls this machine carries: it opens ports as parkd
// does, has music played to callers, and doubles their number until packets are late
// or left out, and then halves the step. When ctx ends, so does it, with what is
// known. Errors are those of the system.
func Measure(ctx context.Context, o Options) (Report, error) {
	m := &measurement{o: o, tune: newNoise(), deadline: time.Now().Add(o.Time)}
	m.report = Report{Silent: o.Silent, Cores: runtime.GOMAXPROCS(0), PortPairs: pairs(o.Ports)}
	err := m.run(ctx)
	if ctx.Err() != nil && len(m.report.Steps) > 0 {
		err = nil
	}
	return m.report, err
}

// pairs is how many even ports a range has.
func pairs(ports [2]uint16) int { return int(ports[1])/2 - (int(ports[0])+1)/2 + 1 }

// measurement is one that is under way.
type measurement struct {
	o        Options
	deadline time.Time
	report   Report

	callers *Callers
	engine  *rtpmusic.Engine
	tune    *noise
	calls   []*rtpmusic.Port // those that were opened
	ways    []Way
	playing int    // so many of them
	memory  uint64 // before there were any
}

func (m *measurement) run(ctx context.Context) (err error) {
	most, err := m.limits()
	if err != nil {
		return err
	}
	if m.callers, err = NewCallers(); err != nil {
		return err
	}
	defer m.callers.Close()
	window := m.window(most)
	if err := m.floor(ctx, min(most, floorCalls), window); err != nil {
		return err
	}
	m.engine = rtpmusic.NewEngine(rtpmusic.Config{Ports: m.o.Ports})
	defer m.engine.Close()
	m.memory = inUse()
	return m.search(ctx, most, window)
}

// limits returns how many calls may be tried, and says what else there is room for.
func (m *measurement) limits() (most int, err error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 0, err
	}
	r := &m.report
	r.OpenFiles = files.Cur
	most, r.Limit = r.filesAllow(), "open files"
	if r.PortPairs < most {
		most, r.Limit = r.PortPairs, "ports"
	}
	if m.o.Calls > 0 && m.o.Calls <= most {
		most, r.Limit = m.o.Calls, "asked for"
	}
	if most <= 0 {
		return 0, fmt.Errorf("no calls can be tried: %d open files, %d media ports", r.OpenFiles, r.PortPairs)
	}
	return most, nil
}

// window is how long each step is measured, so that all have time.
func (m *measurement) window(most int) time.Duration {
	steps := 4 // the floor, and what the search takes in the end
	for n := firstStep; n < most; n *= 2 {
		steps++
	}
	return max(m.o.Time/time.Duration(steps)-2*settle, 200*time.Millisecond)
}

func (m *measurement) floor(ctx context.Context, n int, window time.Duration) error {
	var to []netip.AddrPort
	for i := range n {
		to = append(to, m.callers.At(i))
	}
	s, err := Floor(ctx, to, settle, window)
	if err != nil {
		return err
	}
	bare := step(n, s)
	r := &m.report
	r.FloorCalls, r.FloorPacket, r.FloorLate, r.Disturbed = n, bare.Packet, bare.Late, !bare.Fine
	return nil
}

// search tries numbers of calls between what is fine and what is too many: what is
// too many twice, since others may have had the CPU.
func (m *measurement) search(ctx context.Context, most int, window time.Duration) error {
	fine, over, again := 0, most+1, false
	for n := min(firstStep, most); ; {
		s, err := m.try(ctx, n, window)
		if errors.Is(err, rtpmusic.ErrNoPorts) && len(m.calls) > fine { // others have some of them
			most, m.report.Limit = len(m.calls), "ports"
			n, over = most, most+1
			continue
		}
		if err != nil {
			return err
		}
		late := time.Now().Add(window).After(m.deadline)
		switch again = !s.Fine && !again; {
		case s.Fine:
			fine = n
		case !again || late:
			over, m.report.Limit = n, "load"
		}
		m.report.Calls = fine
		if fine == most || over-fine <= max(fine, firstStep)/narrowed {
			return nil
		}
		if late {
			if over > most {
				m.report.Limit = "time"
			}
			return nil
		}
		switch {
		case again:
		case over > most:
			n = min(2*fine, most)
		default:
			n = (fine + over) / 2
		}
	}
}

// try measures so many calls.
func (m *measurement) try(ctx context.Context, n int, window time.Duration) (s Step, err error) {
	if err := m.play(n); err != nil {
		return s, err
	}
	talked := func() time.Duration { return 0 }
	if !m.o.Silent {
		talk, err := m.callers.Talk(m.ways[:n], 1)
		if err != nil {
			return s, err
		}
		defer talk.End()
		talked = func() time.Duration { return talk.Sent().CPU }
	}
	if err := wait(ctx, settle); err != nil {
		return s, err
	}
	begin, cpu, before := time.Now(), processCPU()-talked(), m.engine.Stats()
	if err := wait(ctx, window); err != nil {
		return s, err
	}
	after := m.engine.Stats()
	s = step(n, Sent{
		Packets: int(after.Out - before.Out), CPU: processCPU() - talked() - cpu, Took: time.Since(begin),
		Late: NewLateness(after.Lateness).Since(NewLateness(before.Lateness)),
	})
	m.report.Steps = append(m.report.Steps, s)
	if n == m.report.FloorCalls {
		m.report.FloorRatio = s.Packet / m.report.FloorPacket
	}
	return s, nil
}

// play has music played to n calls and to nobody else.
func (m *measurement) play(n int) error {
	had := len(m.calls)
	for i := had; i < n; i++ {
		p, err := m.engine.Open(loopback)
		if err != nil {
			return err
		}
		p.Set(rtpmusic.Session{Remote: m.callers.At(i), Codec: "PCMU", EventPT: 101, EventRecvPT: 101, Send: true, Recv: true})
		m.calls = append(m.calls, p)
		m.ways = append(m.ways, Way{From: m.callers.At(i), To: netip.AddrPortFrom(loopback, p.LocalPort())})
	}
	if n > had {
		m.report.Memory = float64(int64(inUse()-m.memory)) / float64(n) / 1024
	}
	for ; m.playing < n; m.playing++ {
		m.calls[m.playing].Play(m.tune)
	}
	for ; m.playing > n; m.playing-- {
		m.calls[m.playing-1].Stop()
	}
	return nil
}

// inUse is how much memory of this process lives, in octets.
func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// wait waits, unless ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
