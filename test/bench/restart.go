//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// frame is how often a stream of music has a packet.
const frame = 20 * time.Millisecond

// listening is how long packets are kept after a start is ready.
const listening = 1500 * time.Millisecond

// restarts: from SIGKILL with many parked to everybody's music and lamp, by
// sizes; the floor is the start of a parkd that has nobody.
func restarts(o options) error {
	sizes := []int{0}
	for text := range strings.SplitSeq(o.parked, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		sizes = append(sizes, n)
	}
	for _, lamps := range slices.Compact([]int{0, o.lamps}) {
		for _, calls := range sizes {
			if err := restart(o, calls, lamps); err != nil {
				return fmt.Errorf("%d calls, %d lamps: %w", calls, lamps, err)
			}
		}
	}
	return nil
}

func restart(o options, calls, lamps int) error {
	sinks, err := openSinks(calls)
	if err != nil {
		return err
	}
	defer sinks.close()
	p, err := startKind(o.parkd, "bolt", o.disk)
	if err != nil {
		return err
	}
	defer p.stop()
	g, err := newGenerator(p.sip, sinks)
	if err != nil {
		return err
	}
	defer g.close()
	if err := g.populate(calls, lamps, o.rate); err != nil {
		return err
	}
	time.Sleep(time.Second) // the last ACKs are written
	before, err := p.flow()
	if err != nil {
		return err
	}
	began, ready, err := p.crash(g)
	if err != nil {
		return err
	}
	fmt.Printf("restart  %d parked, %d lamps: ready %v after the start", calls, lamps, ms(ready.Sub(began)))
	if err := p.floors(calls); err != nil {
		return err
	}
	if calls > 0 {
		h, err := sinks.music(ready)
		if err != nil {
			return err
		}
		h.print(before)
	}
	if lamps > 0 {
		if err := g.all(lamps, ready); err != nil {
			return err
		}
	}
	fmt.Println()
	return nil
}

// crash kills parkd, starts it again and keeps the music of the first moments.
func (p *process) crash(g *generator) (began, ready time.Time, err error) {
	p.kill()
	g.forget()
	if err := g.sinks.keep(); err != nil {
		return began, ready, err
	}
	began = time.Now()
	if ready, err = p.again(); err != nil {
		return began, ready, err
	}
	time.Sleep(time.Until(ready.Add(listening)))
	return began, ready, g.sinks.drop()
}

// populate parks callers with music, as evenly as orbits allow, and subscribes.
func (g *generator) populate(calls, lamps, rate int) error {
	for n := 0; n < calls; n += 100 {
		if err := g.fill(fmt.Sprint(701+n/100), min(100, calls-n), rate); err != nil {
			return err
		}
	}
	if lamps == 0 {
		return nil
	}
	return g.watch(lamps, 2*rate)
}

// all waits until all lamps are told, and prints when they were.
func (g *generator) all(lamps int, ready time.Time) error {
	err := g.wait("lamps", 20*time.Second, func() bool { return len(g.seen) >= lamps })
	if err != nil {
		return fmt.Errorf("%d of %d are told: %w", len(g.told()), lamps, err)
	}
	var late latencies
	for _, at := range g.told() {
		late = append(late, at.Sub(ready))
	}
	fmt.Printf("; lamps told %v after ready at the median, %v at the worst", ms(late.median()), ms(late.at(1)))
	return nil
}

// heard is how music began again, for all sinks.
type heard struct {
	first     latencies // packet after ready
	silent    int       // streams without one
	want, got int       // packets in the first second of each stream
	late      int       // packets that came more than a frame late, of those that came
}

func (s *sinks) music(ready time.Time) (h heard, err error) {
	for i := range s.fds {
		list, err := s.arrived(i)
		if err != nil {
			return h, err
		}
		if len(list) == 0 {
			h.silent++
			continue
		}
		h.first = append(h.first, list[0].at.Sub(ready))
		h.want += int(time.Second / frame)
		for _, a := range list {
			due := time.Duration(a.ts-list[0].ts) * time.Second / 8000
			if due >= time.Second {
				break
			}
			h.got++
			if a.at.Sub(list[0].at)-due > frame {
				h.late++
			}
		}
	}
	return h, nil
}

// print prints it, beside what part of the packets had been sent before.
func (h heard) print(before float64) {
	fmt.Printf("; music %v after ready at the median, %v at the worst (a frame is %v)", ms(h.first.median()), ms(h.first.at(1)), frame)
	if h.silent > 0 {
		fmt.Printf(", %d STREAMS SILENT after %v", h.silent, listening)
	}
	fmt.Printf("; first second: %.1f %% of the packets missing, %.1f %% more than a frame late (before: %.1f %% missing)",
		100*(1-float64(h.got)/float64(max(h.want, 1))), 100*float64(h.late)/float64(max(h.got, 1)), 100*(1-before/float64(h.streams())))
}

func (h heard) streams() int { return len(h.first) + h.silent }

func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// flow is how many streams' worth of packets parkd sends.
func (p *process) flow() (float64, error) {
	_, sent, err := p.during(func() error { time.Sleep(time.Second); return nil })
	return float64(sent) * frame.Seconds(), err
}

// again starts parkd on what it left, and returns when it said that it was ready.
func (p *process) again() (ready time.Time, err error) {
	p.cmd = exec.Command(p.cmd.Path, p.cmd.Args[1:]...)
	p.cmd.Env = append(os.Environ(), "PARKD_LOG_LEVEL=info")
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return ready, err
	}
	if err := p.cmd.Start(); err != nil {
		return ready, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Bytes()
		if bytes.Contains(line, []byte(`"message":"ready"`)) {
			ready = time.Now()
			go io.Copy(io.Discard, out)
			return ready, nil
		}
		if !bytes.Contains(line, []byte(`"level":"info"`)) {
			fmt.Fprintf(os.Stderr, "%s\n", line)
		}
	}
	return ready, errors.New("parkd does not get ready")
}

// floors prints what a bare process takes for the two things that a start
// cannot do without: as many sockets, and the journal's bytes.
func (p *process) floors(calls int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := exec.Command(self, "sockets", strconv.Itoa(calls)).Run(); err != nil {
		return err
	}
	bare := time.Since(begin)
	begin = time.Now()
	data, err := os.ReadFile(filepath.Join(p.dir, "data", "parkd.db"))
	if err != nil {
		return err
	}
	fmt.Printf(" (a bare process that binds as many sockets takes %v, to read the %.1f MB of the journal %v)", ms(bare), float64(len(data))/(1<<20), ms(time.Since(begin)))
	return nil
}

// socketsMain binds so many UDP sockets.
func socketsMain(n string) {
	count, err := strconv.Atoi(n)
	if err != nil {
		fatal(err)
	}
	for range count {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			fatal(err)
		}
	}
}
