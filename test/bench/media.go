//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"parkd/internal/benchmedia"
	"parkd/internal/rtpmusic"
)

// Sizes of the rows of media.
const (
	mediaParks = 100 // parks a second beside the music
	filling    = 1000
	warm       = 2 * time.Second
	seldom     = 64 // a caller's packets of which the kernel filter lets one through
)

// streams are parked callers and what they are measured against.
type streams struct {
	o       options
	n       int
	callers *benchmedia.Callers
	parkd   *process
	calls   *generator
	other   *process // parks beside the floor
	beside  *generator

	floors []benchmedia.Sent // every one so far
}

// music: what streams of music cost a packet and how late they are, beside parks,
// while callers are silent, are heard now and then, and talk. The floor is measured
// before, between and after, beside as many parks, while parkd is stopped; and how late
// it is beside callers who talk, since these take much of the CPU.
func music(o options) error {
	for text := range strings.SplitSeq(o.streams, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		if err := musicOf(o, n); err != nil {
			return fmt.Errorf("%d streams: %w", n, err)
		}
	}
	return nil
}

// answered is how long a call is answered until the transaction of its INVITE is gone
// (RFC 6026 7.1: 64*T1), which is no part of what its music costs.
const answered = 34 * time.Second

func musicOf(o options, n int) error {
	s, err := newStreams(o, n)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.fill(func() error { return s.calls.fill("701", n, filling) }); err != nil {
		return err
	}
	time.Sleep(answered)
	kinds := []struct {
		name  string
		every int // so many frames each caller sends a packet; 0 = never
	}{{"callers silent", 0}, {fmt.Sprintf("callers heard one packet in %d", seldom), seldom}, {"callers talk", 1}}
	rounds := make([][]mediaRound, len(kinds))
	for range o.rounds {
		for i, k := range kinds {
			if err := s.measureFloor(); err != nil {
				return err
			}
			r, err := s.round(k.every)
			if err != nil {
				return fmt.Errorf("%s: %w", k.name, err)
			}
			rounds[i] = append(rounds[i], r)
		}
	}
	if err := s.measureFloor(); err != nil {
		return err
	}
	s.printFloor()
	for i, k := range kinds {
		s.print(k.name, rounds[i])
	}
	return nil
}

// newStreams starts a parkd for n callers, and another one for parks beside the floor.
func newStreams(o options, n int) (s *streams, err error) {
	s = &streams{o: o, n: n}
	if s.callers, err = benchmedia.NewCallers(); err != nil {
		return nil, err
	}
	if s.parkd, s.calls, err = begin(o, nil); err != nil {
		s.close()
		return nil, err
	}
	if s.other, s.beside, err = begin(o, nil); err != nil {
		s.close()
		return nil, err
	}
	for _, g := range []*generator{s.calls, s.beside} {
		g.at, g.rtcp = s.callers.At, s.callers.RTCP()
	}
	return s, nil
}

func (s *streams) close() {
	if s.beside != nil {
		s.beside.close()
		s.other.stop()
	}
	if s.calls != nil {
		s.calls.close()
		s.parkd.stop()
	}
	s.callers.Close()
}

// fill parks the callers, and says what memory they take.
func (s *streams) fill(f func() error) error {
	if _, _, err := s.calls.churn("702", mediaParks, warm); err != nil { // what a process needs once, it has
		return err
	}
	resident, heap := s.parkd.memory(), s.parkd.heap()
	if err := f(); err != nil {
		return err
	}
	fmt.Printf("music    %d calls: %.1f KB resident each, %.1f KB of them live in the heap\n", s.n,
		float64(s.parkd.memory()-resident)/1024/float64(s.n), (s.parkd.heap()-heap)/1024/float64(s.n))
	return nil
}

// heap is what the last collection found alive, in bytes, by the goal that it set.
func (p *process) heap() float64 {
	goal, _ := p.metric("go_memstats_next_gc_bytes ") // 0 beside other figures is seen
	percent, _ := p.metric("go_gc_gogc_percent ")
	return goal / (1 + percent/100)
}

// measureFloor adds to the floors.
func (s *streams) measureFloor() error {
	sent, err := s.floor()
	if err == nil {
		s.floors = append(s.floors, sent)
	}
	return err
}

// floor measures the bare sender, in a process of its own, beside parks.
func (s *streams) floor() (sent benchmedia.Sent, err error) {
	s.parkd.cmd.Process.Signal(syscall.SIGSTOP)
	defer s.parkd.cmd.Process.Signal(syscall.SIGCONT)
	args := []string{"floor", warm.String(), s.o.window.String()}
	for i := range s.n {
		args = append(args, s.callers.At(i+1).String())
	}
	self, err := os.Executable()
	if err != nil {
		return sent, err
	}
	cmd := exec.Command(self, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return sent, err
	}
	if err := cmd.Start(); err != nil {
		return sent, err
	}
	_, _, failed := s.beside.churn("702", mediaParks, warm+s.o.window)
	if err := json.NewDecoder(out).Decode(&sent); err != nil {
		return sent, fmt.Errorf("floor: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return sent, fmt.Errorf("floor: %w", err)
	}
	return sent, failed
}

// floorMain is the floor's process: for how long, and to which addresses.
func floorMain(args []string) {
	var spans [2]time.Duration
	for i := range spans {
		var err error
		if spans[i], err = time.ParseDuration(args[i]); err != nil {
			fatal(err)
		}
	}
	var to []netip.AddrPort
	for _, a := range args[2:] {
		at, err := netip.ParseAddrPort(a)
		if err != nil {
			fatal(err)
		}
		to = append(to, at)
	}
	sent, err := benchmedia.Floor(context.Background(), to, spans[0], spans[1])
	if err != nil {
		fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(sent); err != nil {
		fatal(err)
	}
}

// mediaRound is what a round gave.
type mediaRound struct {
	alone, parks mediaWindow // without and beside parks
	done         int         // parks
	talk         benchmedia.Sent
	deaf         benchmedia.Sent // the same callers, to nobody
	floor        benchmedia.Sent // beside these
}

// round measures the streams while each caller sends a packet every so many frames.
func (s *streams) round(every int) (r mediaRound, err error) {
	if every > 0 {
		ways := s.calls.ways()
		if every == 1 {
			if r.floor, r.deaf, err = s.deaf(ways); err != nil {
				return r, err
			}
		}
		talk, err := s.callers.Talk(ways, every)
		if err != nil {
			return r, err
		}
		defer func() { r.talk = talk.End() }()
	}
	time.Sleep(time.Duration(max(every, 25)) * frame * 5 / 4) // everybody was heard
	time.Sleep(warm)
	r.alone, err = s.parkd.window(func() error { time.Sleep(s.o.window); return nil })
	if err != nil {
		return r, err
	}
	r.parks, err = s.parkd.window(func() (err error) {
		r.done, _, err = s.calls.churn("702", mediaParks, s.o.window)
		return err
	})
	return r, err
}

// deaf measures the floor while callers talk to sockets that throw all of it away, as a
// filter does: to each other's. It tells what that costs them, too.
func (s *streams) deaf(ways []benchmedia.Way) (floor, talked benchmedia.Sent, err error) {
	var to []benchmedia.Way
	for i, w := range ways {
		to = append(to, benchmedia.Way{From: w.From, To: ways[(i+1)%len(ways)].From})
	}
	talk, err := s.callers.Talk(to, 1)
	if err != nil {
		return floor, talked, err
	}
	defer func() { talked = talk.End() }()
	floor, err = s.floor()
	return floor, talked, err
}

// ways are those of the packets of who is parked.
func (g *generator) ways() (list []benchmedia.Way) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.calls {
		if c.media.IsValid() && !c.leave {
			list = append(list, benchmedia.Way{From: c.at, To: c.media})
		}
	}
	return list
}

// mediaWindow is what parkd did within a window.
type mediaWindow struct {
	benchmedia.Sent               // of music: all that the process took
	pacing          time.Duration // CPU of the pacing threads alone
	in              int           // packets read
}

// window measures while f runs.
func (p *process) window(f func() error) (w mediaWindow, err error) {
	before, err := p.media()
	if err != nil {
		return w, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return w, err
	}
	after, err := p.media()
	if err != nil {
		return w, err
	}
	w.Took = time.Since(begin)
	w.CPU, w.pacing = after.CPU-before.CPU, after.pacing-before.pacing
	w.Packets, w.in = after.Packets-before.Packets, after.in-before.in
	w.Late = after.Late.Since(before.Late)
	return w, nil
}

// media is all that parkd has done so far.
func (p *process) media() (w mediaWindow, err error) {
	if w.CPU, w.pacing = p.cpu(), p.thread("parkd music"); w.CPU == 0 {
		return w, fmt.Errorf("no CPU time of parkd")
	}
	res, err := http.Get("http://" + p.sip + "/metrics")
	if err != nil {
		return w, err
	}
	defer res.Body.Close()
	h := rtpmusic.Histogram{Buckets: map[float64]uint64{}}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			continue // a comment
		}
		switch name {
		case `parkd_rtp_packets_total{direction="out"}`:
			w.Packets = int(n)
		case `parkd_rtp_packets_total{direction="in"}`:
			w.in = int(n)
		case "parkd_rtp_late_seconds_count":
			h.Count = uint64(n)
		}
		if le, ok := strings.CutPrefix(name, `parkd_rtp_late_seconds_bucket{le="`); ok && !strings.HasPrefix(le, "+Inf") {
			bound, err := strconv.ParseFloat(strings.TrimSuffix(le, `"}`), 64)
			if err != nil {
				return w, err
			}
			h.Buckets[bound] = uint64(n)
		}
	}
	w.Late = benchmedia.NewLateness(h)
	return w, nil
}

// thread is the CPU time so far of the threads of a name.
func (p *process) thread(name string) (sum time.Duration) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid)) // the pattern is fine
	for _, task := range tasks {
		comm, _ := os.ReadFile(task + "/comm")
		if strings.TrimSpace(string(comm)) != name {
			continue
		}
		text, _ := os.ReadFile(task + "/schedstat") // time on the CPU first, in ns
		ns, _ := strconv.ParseInt(strings.Fields(string(text) + " 0")[0], 10, 64)
		sum += time.Duration(ns)
	}
	return sum
}

func (s *streams) printFloor() {
	one, least, most := s.bare()
	var late benchmedia.Lateness
	sent, skipped := 0, 0
	for _, f := range s.floors {
		late, sent, skipped = late.Plus(f.Late), sent+f.Packets, skipped+f.Skipped
	}
	fmt.Printf("music    %d streams, floor beside %d parks a second at another parkd: %v of CPU a packet (%v-%v in %d runs), late %v, %v at 99 %%, %v at 99.9 %%; %.2f %% left out\n",
		s.n, mediaParks, one, least, most, len(s.floors), us(late.At(0.5)), us(late.At(0.99)), us(late.At(0.999)), share(skipped, sent))
}

// bare is the floor's CPU a packet: at the median, least and most.
func (s *streams) bare() (median, least, most time.Duration) {
	var l latencies
	for _, f := range s.floors {
		l = append(l, f.Packet())
	}
	return mid(l), slices.Min(l), slices.Max(l)
}

func (s *streams) print(name string, rounds []mediaRound) {
	bare, _, _ := s.bare()
	var all, alone, rest, park latencies
	var late, floorLate, amid benchmedia.Lateness
	sent, due := 0, 0.0
	filter, among := "", ""
	for _, r := range rounds {
		all = append(all, r.alone.Packet())
		alone = append(alone, r.parks.pacing/time.Duration(max(r.parks.Packets, 1)))
		rest = append(rest, (r.alone.CPU-r.alone.pacing)/time.Duration(max(r.alone.Packets, 1)))
		park = append(park, (r.parks.CPU-r.parks.pacing)/time.Duration(max(r.done, 1)))
		late = late.Plus(r.parks.Late)
		sent, due = sent+r.parks.Packets, due+float64(s.n)*r.parks.Took.Seconds()/frame.Seconds()
		if r.deaf.Packets > 0 {
			filter = fmt.Sprintf("; a packet of theirs costs who sends it %v, %v if it is thrown away at once; parkd read %.1f %% of them",
				r.talk.Packet(), r.deaf.Packet(), share(r.alone.in, r.alone.Packets))
			amid = amid.Plus(r.floor.Late)
			among = fmt.Sprintf(", %.2f to that of a floor beside who talks, %v", float64(late.At(0.999))/float64(max(amid.At(0.999), 1)), us(amid.At(0.999)))
		}
	}
	for _, f := range s.floors {
		floorLate = floorLate.Plus(f.Late)
	}
	ratio := func(d time.Duration) float64 { return float64(d) / float64(bare) }
	fmt.Printf("music    %d streams, %s: %v of CPU a packet, ratio %.2f (%v of it beside the pacing threads); beside %d parks a second the pacing threads %v, ratio %.2f, and what is left %v a park; late %v, %v at 99 %%, %v at 99.9 %%: ratio %.2f%s; %.2f %% left out%s\n",
		s.n, name, mid(all), ratio(mid(all)), mid(rest), mediaParks, mid(alone), ratio(mid(alone)), us(mid(park)),
		us(late.At(0.5)), us(late.At(0.99)), us(late.At(0.999)), float64(late.At(0.999))/float64(max(floorLate.At(0.999), 1)), among, max(0, 100*(1-float64(sent)/due)), filter)
}

// mid is the median, exactly.
func mid(l latencies) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(l))[len(l)/2]
}

// share is how much of all something is, in percent.
func share(n, rest int) float64 { return 100 * float64(n) / float64(max(n+rest, 1)) }

func us(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
