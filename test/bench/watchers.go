//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of the rows of watchers.
const (
	rounds   = 7                       // parks that all are told of
	breather = 3200 * time.Millisecond // between two: what was told before does not count any more
	settle   = 200 * time.Millisecond  // after the last one was told, until CPU is read
)

// watchers: one orbit that many watch; when the last one was told, and the CPU
// of each.
func watchers(o options) error { return told(o, "watchers", 1000, false) }

// crowd: ten times as many, of whom one in a hundred has died.
func crowd(o options) error { return told(o, "crowd", 10000, true) }

// list: an event list (RFC 4662) of 98 orbits, that many watch; each is told of the
// one orbit that changed.
func list(o options) error {
	return alone(o, func(p *process, g *generator) error { return tell(o, "list", 1000, "hall", false, p, g) })
}

func told(o options, row string, many int, dead bool) error {
	return alone(o, func(p *process, g *generator) error { return tell(o, row, many, "701", dead, p, g) })
}

func tell(o options, row string, many int, what string, dead bool, p *process, g *generator) error {
	g.hold = true // no music, which would cost CPU beside the lamps
	ph, err := newPhones(p.sip, many)
	if err != nil {
		return err
	}
	defer ph.close()
	ph.lists = what == "hall"
	if err := ph.watch(2*o.rate, func(int) string { return what }); err != nil {
		return err
	}
	if err := ph.rest(time.Second, time.Minute); err != nil { // a list comes in pieces
		return err
	}
	ph.dead.Store(dead)
	var t tally
	for range rounds {
		time.Sleep(breather)
		if err := t.round(p, g, ph); err != nil {
			return err
		}
	}
	t.print(row, many, what, many-ph.live())
	return nil
}

// tally is what the rounds of a row gave.
type tally struct {
	last, bare   latencies // the last one was told: by parkd after the INVITE was sent, by the floor after its first packet
	answered     latencies // the INVITE was
	cpu, floor   latencies // a watcher
	again        int       // NOTIFYs that came more than once
	size, answer int       // bytes of a NOTIFY and of its answer
}

// round is a park and its end, and the floor.
func (t *tally) round(p *process, g *generator, ph *phones) error {
	ph.expect(">early<", ph.live())
	c, cpu, took, err := p.spend(g, "701", func() error { return ph.wait("a park", 20*time.Second) }, 0)
	if err != nil {
		return err
	}
	last, again := ph.last()
	// The same without watchers, in the same time.
	alone, base, _, err := p.spend(g, "799", func() error { return nil }, took)
	if err != nil {
		return err
	}
	t.last = append(t.last, last.Sub(c.sent.Round(0)))
	t.answered = append(t.answered, c.took)
	t.cpu = append(t.cpu, (cpu-base)/time.Duration(len(ph.list)))
	t.again += again
	time.Sleep(breather)
	ph.expect(">terminated<", ph.live())
	for _, c := range []*call{c, alone} {
		g.request("BYE", c.contact, c.id, c.to, 2, "", "")
	}
	if err := ph.wait("the end of a park", 20*time.Second); err != nil {
		return err
	}
	return t.lowest(ph)
}

// spend parks a call, waits for what done waits for, and no less than span, and
// returns the CPU that it took meanwhile.
func (p *process) spend(g *generator, ext string, done func() error, span time.Duration) (c *call, cpu, took time.Duration, err error) {
	begin, before := time.Now(), p.cpu()
	c = g.invite(ext, false)
	if err := done(); err != nil {
		return nil, 0, 0, err
	}
	if err := g.wait("an answer", 5*time.Second, func() bool { return c.to != "" }); err != nil {
		return nil, 0, 0, err
	}
	if span == 0 {
		span = time.Since(begin) + settle
	}
	time.Sleep(span - time.Since(begin))
	return c, p.cpu() - before, span, nil
}

// lowest runs the floor: a process that sends every phone a NOTIFY, as one of
// parkd's, and takes as many answers.
func (t *tally) lowest(ph *phones) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"notifies", strconv.Itoa(len(ph.list)), strconv.Itoa(ph.live())}
	for i := range outlets {
		_, port, _ := strings.Cut(ph.addr(i), ":")
		args = append(args, port)
	}
	ph.mu.Lock()
	sample := bytes.Clone(ph.sample)
	ph.mu.Unlock()
	t.size, t.answer = len(sample), len(ok(nil, sample))
	ph.expect("", ph.live())
	cmd := exec.Command(self, args...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(sample), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var begin, cpu int64
	if _, err := fmt.Sscan(string(out), &begin, &cpu); err != nil {
		return err
	}
	if err := ph.wait("the floor", time.Second); err != nil {
		return err
	}
	last, _ := ph.last()
	t.bare = append(t.bare, last.Sub(time.Unix(0, begin)))
	t.floor = append(t.floor, time.Duration(cpu)/time.Duration(len(ph.list)))
	return nil
}

func (t *tally) print(row string, many int, what string, dead int) {
	who := fmt.Sprintf("%d of one orbit", many)
	if what == "hall" {
		who = fmt.Sprintf("%d of a list of 98 orbits, told of one", many)
	}
	if dead > 0 {
		who += fmt.Sprintf(", %d of them dead", dead)
	}
	fmt.Printf("%-8s %s: the last one told %v after the INVITE at the median of %d parks, %v at the worst (the INVITE answered after %v); a bare sender that also takes the answers, on one thread, %v and %v: ratio %.2f\n",
		row, who, t.last.median(), len(t.last), t.last.at(1), t.answered.median(), t.bare.median(), t.bare.at(1),
		float64(t.last.median())/float64(t.bare.median()))
	fmt.Printf("%-8s %v of CPU each at the median, %v at the worst; the bare sender %v: ratio %.2f (NOTIFYs of %d bytes, answers of %d, %d sockets for all phones); %d came twice\n",
		row, t.cpu.median(), t.cpu.at(1), t.floor.median(), float64(t.cpu.median())/float64(t.floor.median()), t.size, t.answer, outlets, t.again)
}

// notifiesMain is that floor: one socket, one thread, one sendto and one recvfrom
// a phone. It prints when it began and the CPU that it took, in nanoseconds.
func notifiesMain(args []string) {
	runtime.LockOSThread()
	var numbers []int
	for _, a := range args {
		n, err := strconv.Atoi(a)
		if err != nil {
			fatal(err)
		}
		numbers = append(numbers, n)
	}
	sends, answers, ports := numbers[0], numbers[1], numbers[2:]
	sample, err := io.ReadAll(os.Stdin)
	if err != nil {
		fatal(err)
	}
	_, rest, _ := bytes.Cut(sample, []byte("@"))
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		fatal(err)
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, phoneBuf) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, phoneBuf)
	}
	var messages [][]byte
	for i := range sends {
		messages = append(messages, fmt.Appendf(nil, "NOTIFY sip:w%d@%s", i, rest))
	}
	buf := make([]byte, 2048)
	got := 0
	drain := func() {
		for {
			if _, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT); err != nil {
				return
			}
			got++
		}
	}
	begin, before := time.Now().UnixNano(), spent()
	for i, m := range messages {
		to := unix.SockaddrInet4{Port: ports[i%len(ports)], Addr: [4]byte{127, 0, 0, 1}}
		if err := unix.Sendto(fd, m, 0, &to); err != nil {
			fatal(err)
		}
		if i%batch == batch-1 {
			drain()
		}
	}
	for drain(); got < answers; drain() {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 2000)
		if n == 0 {
			fatal(errors.New("answers were lost"))
		}
		if err != nil && err != unix.EINTR {
			fatal(err)
		}
	}
	fmt.Println(begin, spent()-before)
}

// spent is the CPU time of this thread.
func spent() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return ts.Nano()
}
