// Package ladder writes SIP exchanges down as text: one line a message, with
// an arrow between the lifelines of who sent and who got it, and what matters
// of it beside. Call-IDs, tags and branches are made plain (call-1, alice-1,
// branch-1), so that two runs of one scenario give the same text and a golden
// file is a sequence diagram as well.
package ladder

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"parkd/test/kit/fakenet"
	"parkd/test/kit/wire"
)

// width is the distance between two lifelines.
const width = 26

// Recorder keeps the SIP packets of a network.
type Recorder struct {
	mu      sync.Mutex // leaf; guards all below
	start   time.Time
	columns []netip.Addr
	names   map[netip.Addr]string
	events  []event
}

// event is a packet, or a note about what is not seen on the wire.
type event struct {
	at   time.Time
	from netip.Addr
	to   netip.Addr
	fate string
	msg  *wire.Message
	note string
}

// New returns a recorder whose clock starts now.
func New() *Recorder {
	return &Recorder{start: time.Now(), names: map[netip.Addr]string{}}
}

// Column adds the lifeline of a host, to the right of those before it.
func (r *Recorder) Column(host netip.Addr, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.columns = append(r.columns, host)
	r.names[host] = name
}

// Watch records a packet; it is made to be given to fakenet.Net.Watch.
func (r *Recorder) Watch(p fakenet.Packet, v fakenet.Verdict) {
	if !p.SIP() {
		return
	}
	e := event{at: p.At, from: p.From.Addr(), to: p.To.Addr(), msg: wire.Split(string(p.Data))}
	switch {
	case v.Drop:
		e.fate = "lost"
	case v.Extra > 0:
		e.fate = fmt.Sprintf("arrives %d times", 1+v.Extra)
	case v.Delay > 0:
		e.fate = fmt.Sprintf("%v late", v.Delay)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Note records something that is not seen on the wire.
func (r *Recorder) Note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event{at: time.Now(), note: fmt.Sprintf(format, args...)})
}

// String is the ladder.
func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	r.header(&b)
	plain := newPlain(r.name)
	for _, e := range r.ordered() {
		since := e.at.Sub(r.start)
		stamp := fmt.Sprintf("%9.3f  ", since.Seconds())
		if e.note != "" {
			b.WriteString(stamp + "-- " + e.note + "\n")
			continue
		}
		plain.learn(&e)
		line := stamp + r.arrow(&e) + "  " + plain.details(&e)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

func (r *Recorder) header(b *strings.Builder) {
	line := "  seconds  "
	for _, c := range r.columns {
		line += fmt.Sprintf("%-*s", width, r.names[c])
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

func (r *Recorder) name(host netip.Addr) string {
	if n, ok := r.names[host]; ok {
		return n
	}
	return host.String()
}

// ordered puts what happens at one instant into an order that does not depend
// on goroutines: by who sends to whom, then by call; within a call as sent.
func (r *Recorder) ordered() []event {
	list := slices.Clone(r.events)
	seen := map[string]int{} // Call-ID to when it was first seen
	for _, e := range list {
		if e.note != "" {
			continue
		}
		if _, ok := seen[e.msg.CallID()]; !ok {
			seen[e.msg.CallID()] = int(e.at.Sub(r.start))
		}
	}
	slices.SortStableFunc(list, func(a, b event) int {
		if c := a.at.Compare(b.at); c != 0 || a.note != "" && b.note != "" {
			return c
		}
		if a.note != "" || b.note != "" { // before the packets of its instant
			return -strings.Compare(a.note, b.note)
		}
		return cmp.Or(
			cmp.Compare(r.column(a.from), r.column(b.from)), cmp.Compare(r.column(a.to), r.column(b.to)),
			cmp.Compare(seen[a.msg.CallID()], seen[b.msg.CallID()]),
			strings.Compare(group(a.msg, b.msg), group(b.msg, a.msg)))
	})
	return list
}

func (r *Recorder) column(host netip.Addr) int {
	if i := slices.Index(r.columns, host); i >= 0 {
		return i
	}
	return len(r.columns)
}

// arrow draws the lifelines with the message between two of them.
func (r *Recorder) arrow(e *event) string {
	from, to := r.column(e.from), r.column(e.to)
	line := []rune(strings.Repeat(" ", width*(max(from, to, len(r.columns)-1))+1))
	for i := 0; i*width < len(line); i++ {
		line[i*width] = '|'
	}
	if from == to {
		return string(line) + " " + title(e.msg)
	}
	left, right := min(from, to)*width, max(from, to)*width
	for i := left + 1; i < right; i++ {
		line[i] = '-'
	}
	head, at := '>', right-1
	if to < from {
		head, at = '<', left+1
	}
	if strings.HasPrefix(e.fate, "lost") {
		head = 'x'
	}
	line[at] = head
	label := []rune(title(e.msg))
	if room := right - left - 7; len(label) > room {
		label = label[:room]
	}
	copy(line[left+(right-left-len(label))/2:], label)
	return string(line)
}
