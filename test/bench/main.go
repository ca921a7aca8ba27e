//go:build linux

// Command bench measures a real parkd from outside: it starts the binary,
// parks callers at it, and prints what that costs, beside what a bare paced
// sender of as many streams costs in the same run. Machines are noisy: trust
// the ratios. Everything stays on the loopback interface and ends by itself.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// options are the sizes of a run.
type options struct {
	parkd   string
	streams string
	rounds  int
	rate    int
	few     int
	many    int
	window  time.Duration
	only    string
	disk    string
	parked  string
	lamps   int
}

func main() {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "floor":
			floorMain(os.Args[2:])
			return
		case "uas":
			uasMain(os.Args[2])
			return
		case "sockets":
			socketsMain(os.Args[2])
			return
		case "notifies":
			notifiesMain(os.Args[2:])
			return
		}
	}
	var o options
	flag.StringVar(&o.parkd, "parkd", "./parkd", "the binary to measure")
	flag.StringVar(&o.streams, "streams", "2000,8000", "parked calls whose music is measured, by sizes")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each figure of media is measured, the floor before each")
	flag.IntVar(&o.rate, "rate", 500, "parks a second")
	flag.IntVar(&o.few, "few", 10, "calls parked beside the parks, at first")
	flag.IntVar(&o.many, "many", 5000, "and then")
	flag.DurationVar(&o.window, "window", 6*time.Second, "how long each figure is measured")
	flag.StringVar(&o.only, "only", "", "the rows to measure, as lamp,restart; all of them without it")
	flag.StringVar(&o.disk, "disk", "", "folder on the disk that journals are on; else where temporary files go")
	flag.StringVar(&o.parked, "parked", "1000,8000", "calls parked at a restart, by sizes")
	flag.IntVar(&o.lamps, "lamps", 10000, "lamps beside them, 0 = only without")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	for _, row := range []struct {
		name    string
		measure func(options) error
	}{{"lamp", lamp}, {"watchers", watchers}, {"crowd", crowd}, {"list", list}, {"idle", idle}, {"music", music}, {"relay", relay}, {"parks", parks}, {"journal", journal}, {"restart", restarts}} {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), row.name) {
			continue
		}
		if err := row.measure(o); err != nil {
			return fmt.Errorf("%s: %w", row.name, err)
		}
	}
	return nil
}

// begin starts a parkd and a generator of calls to it.
func begin(o options, s *sinks) (*process, *generator, error) {
	p, err := start(o.parkd)
	if err != nil {
		return nil, nil, err
	}
	g, err := newGenerator(p.sip, s)
	if err != nil {
		p.stop()
		return nil, nil, err
	}
	return p, g, nil
}

// parks: what a park and its end cost beside few and then many parked callers,
// whose music is taken off by measuring the same time without parks; and what
// memory the callers between take. A machine that cannot send the music of so
// many skips packets, and then the difference means nothing: so there is a run
// with the many on hold, too.
func parks(o options) error {
	sinks, err := openSinks(200)
	if err != nil {
		return err
	}
	defer sinks.close()
	if err := sipAlone(o, sinks); err != nil {
		return err
	}
	for _, hold := range []bool{false, true} {
		if err := occupied(o, sinks, hold); err != nil {
			return err
		}
	}
	return nil
}

func occupied(o options, sinks *sinks, hold bool) error {
	p, g, err := begin(o, sinks)
	if err != nil {
		return err
	}
	defer p.stop()
	defer g.close()
	if err := g.fill("701", o.few, o.rate); err != nil {
		return err
	}
	if err := cycle(o, p, g, fmt.Sprintf("%d parked", o.few)); err != nil {
		return err
	}
	few := p.memory() // warmed up by the parks before
	g.hold = hold
	if err := g.fill("701", o.many-o.few, o.rate); err != nil {
		return err
	}
	g.hold = false
	many := p.memory()
	what := fmt.Sprintf("%d parked", o.many)
	if hold {
		what = fmt.Sprintf("%d parked, %d of them on hold", o.many, o.many-o.few)
	}
	if err := cycle(o, p, g, what); err != nil {
		return err
	}
	fmt.Printf("memory   %.1f KB a call (%.1f MB resident with %d parked, %.1f MB with %d)\n",
		float64(many-few)/float64(o.many-o.few)/1024, float64(few)/1024/1024, o.few, float64(many)/1024/1024, o.many)
	return nil
}

// sipAlone: the same calls at a bare user agent server.
func sipAlone(o options, sinks *sinks) error {
	p, err := bare()
	if err != nil {
		return err
	}
	defer p.stop()
	g, err := newGenerator(p.sip, sinks)
	if err != nil {
		return err
	}
	defer g.close()
	cpu := p.cpu()
	done, _, err := g.churn("702", o.rate, o.window)
	if err != nil {
		return err
	}
	fmt.Printf("parks    a bare sipgo server that only answers INVITE and BYE: %v of CPU each\n",
		((p.cpu() - cpu) / time.Duration(max(done, 1))).Round(time.Microsecond))
	return nil
}

// cycle parks and ends calls for a while.
func cycle(o options, p *process, g *generator, beside string) error {
	idle, quiet, err := p.during(func() error { time.Sleep(o.window); return nil })
	if err != nil {
		return err
	}
	var done int
	var late latencies
	begin := time.Now()
	busy, sent, err := p.during(func() (err error) {
		done, late, err = g.churn("702", o.rate, o.window)
		return err
	})
	if err != nil {
		return err
	}
	took := time.Since(begin).Seconds()
	busy -= time.Duration(float64(idle) * took / o.window.Seconds())
	fmt.Printf("parks    beside %s: %.0f a second, %v of CPU each (INVITE, 200, ACK, BYE, music's start and stop), answered in %v at the median, %v at 99 %%\n",
		beside, float64(done)/took, (busy / time.Duration(max(done, 1))).Round(time.Microsecond), late.median(), late.at(0.99))
	if was := float64(quiet) / o.window.Seconds(); float64(sent)/took < 0.99*was {
		fmt.Printf("         (not to be trusted: music fell from %.0f to %.0f packets a second, the machine is too small)\n", was, float64(sent)/took)
	}
	return nil
}

// during measures CPU time and packets of music while f runs.
func (p *process) during(f func() error) (cpu time.Duration, packets int64, err error) {
	before, err := p.sent()
	if err != nil {
		return 0, 0, err
	}
	cpu = p.cpu()
	if err := f(); err != nil {
		return 0, 0, err
	}
	cpu = p.cpu() - cpu
	after, err := p.sent()
	return cpu, after - before, err
}

// alone measures a parkd whose callers nobody measures.
func alone(o options, measure func(*process, *generator) error) error {
	sinks, err := openSinks(1)
	if err != nil {
		return err
	}
	defer sinks.close()
	p, g, err := begin(o, sinks)
	if err != nil {
		return err
	}
	defer p.stop()
	defer g.close()
	return measure(p, g)
}

// lamp: from the answer of a park to its NOTIFY.
func lamp(o options) error {
	var late latencies
	err := alone(o, func(_ *process, g *generator) (err error) {
		late, err = g.lamps(50)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("lamp     %d parks: NOTIFY %v after the ACK at the median, %v at the worst\n", len(late), late.median(), late.at(1))
	return nil
}
