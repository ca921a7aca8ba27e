package presence

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// judge reads every packet on the network and holds the notifier to what it
// promises. It knows what a watcher and the wire can know, and nothing of the
// notifier's insides. It is called under the network's lock.
type judge struct {
	b      *bed
	talks  map[string]*talk // by Call-ID and our tag
	faults []string
	run    int         // of the server
	down   bool        // it is
	killed time.Time   // last
	kills  []time.Time // by run
	loss   []bool      // of the next packets, over and over; SUBSCRIBE and its answers are not lost
	n      int
}

// talk is a subscription as the wire shows it.
type talk struct {
	name     string
	resource string
	phone    netip.AddrPort
	run      int // of the last NOTIFY

	expires  time.Time     // zero = a fetch
	longest  time.Duration // that it was ever granted at once
	granted  time.Time     // when that was, the last time
	lately   int           // the run that it was in
	said     uint32        // CSeq of the last SUBSCRIBE that was answered
	wanted   []time.Time   // as the last SUBSCRIBEs in the dialog have asked, be they answered or not
	asked    bool          // a SUBSCRIBE was answered since the last NOTIFY
	known    uint32        // the CSeq then
	leaves   bool          // Expires was 0
	quits    bool          // Expires of the last SUBSCRIBE was 0, be it answered or not
	replaced time.Time     // by another of the same phone; zero = not
	over     bool          // the watcher said so
	ended    string        // Subscription-State of the last NOTIFY of all

	seq        uint32
	version    int
	text       string // the last NOTIFY
	shown      string
	at         time.Time
	answered   bool
	challenged bool
	has        string // what it was told by the last NOTIFY that it took

	told  time.Time // the last change, and how many came fast since the quiet time before
	fast  int
	until time.Time // Retry-After
}

// slowest is what the disk of a history takes at most: after a restart an interval
// counts from the SUBSCRIBE, not from the 200 that waited for the disk.
const slowest = 300 * time.Millisecond

// final are the answers after which there is nothing more to say (RFC 5057 5.1).
var final = []int{404, 405, 410, 416, 480, 481, 482, 483, 484, 485, 489, 501, 604}

func (j *judge) fault(t *talk, format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf("%v %s %s at %v: ", t.phone, t.name, t.resource, time.Since(started))+fmt.Sprintf(format, args...))
}

// started is when time begins in a bubble.
var started = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (j *judge) packet(from, to netip.AddrPort, data []byte) (lose bool) {
	text := string(data)
	j.n++
	lose = len(j.loss) > 0 && j.loss[j.n%len(j.loss)] && !strings.Contains(text, " SUBSCRIBE\r\n")
	m, err := sip.ParseMessage(append([]byte(nil), data...))
	if err != nil {
		j.faults = append(j.faults, err.Error())
		return lose
	}
	name := m.CallID().Value()
	tagged := m.From()
	var tag string
	if m.CSeq().MethodName == sip.SUBSCRIBE {
		tag, _ = m.To().Params.Get("tag")
	} else {
		tag, _ = tagged.Params.Get("tag")
	}
	key := name + " " + tag
	switch m := m.(type) {
	case *sip.Response:
		switch {
		case m.CSeq().MethodName == sip.SUBSCRIBE && m.IsSuccess():
			j.accepted(key, to, m)
		case m.CSeq().MethodName == sip.SUBSCRIBE && m.StatusCode == 481 && j.talks[key] != nil && j.talks[key].quits && j.talks[key].run != j.run:
			j.talks[key].over = true // the disk had forgotten it, and the end of that server kept the 200 back
		case m.CSeq().MethodName == sip.NOTIFY && !lose && !j.down && j.talks[key] != nil:
			j.talks[key].answer(m)
		}
	case *sip.Request:
		if m.Method == sip.SUBSCRIBE {
			if t := j.talks[key]; t != nil && !j.down {
				seconds, _ := strconv.Atoi(value(m, "Expires"))
				t.quits = seconds == 0
				t.wanted = append(t.wanted, time.Now().Add(time.Duration(seconds)*time.Second))
			}
			break
		}
		if t := j.talks[key]; t != nil {
			j.notify(t, m, text)
		} else {
			j.faults = append(j.faults, "NOTIFY before the 200: "+key)
		}
	}
	return lose
}

// accepted takes the 200 to a SUBSCRIBE.
func (j *judge) accepted(key string, to netip.AddrPort, m *sip.Response) {
	seconds, _ := strconv.Atoi(value(m, "Expires"))
	t := j.talks[key]
	if t == nil {
		t = &talk{name: m.CallID().Value(), resource: m.To().Address.User, phone: to, run: j.run}
		j.talks[key] = t
		for _, o := range j.talks {
			if o != t && o.phone == to && o.resource == t.resource && seconds > 0 && o.replaced.IsZero() && !o.leaves {
				o.replaced = time.Now()
			}
		}
	} else if t.said == m.CSeq().SeqNo && t.run == j.run {
		return // the 200 once more
	}
	t.said = m.CSeq().SeqNo
	t.wanted = t.wanted[max(0, len(t.wanted)-2):] // the disk counts from these
	t.asked, t.until = true, time.Time{}
	if t.run == j.run {
		t.known = t.seq
	}
	t.leaves = seconds == 0
	if seconds > 0 {
		d := time.Duration(seconds) * time.Second
		t.granted, t.lately, t.longest = time.Now(), j.run, max(t.longest, d)
		t.expires = t.granted.Add(d)
	}
}

// unsure says that this run may not know the last refresh, which came to one
// before it: it keeps the subscription longer, and promises less.
func (j *judge) unsure(t *talk) bool {
	return t.lately != j.run && time.Now().Before(t.expires.Add(t.longest))
}

// answer takes what the watcher says to a NOTIFY.
func (t *talk) answer(m *sip.Response) {
	wait, asked := strings.CutPrefix(value(m, "Retry-After"), "")
	asked = asked && wait != ""
	seq := m.CSeq().SeqNo
	switch {
	case m.StatusCode == 401 || m.StatusCode == 407:
	case m.StatusCode == 481 && seq <= t.known: // to what was sent before the 200
	case slices.Contains(final, m.StatusCode) && (!asked || m.StatusCode == 481):
		t.over = true
	case asked && m.StatusCode >= 300 && m.StatusCode != 481:
		seconds, _ := strconv.Atoi(wait)
		t.until = time.Now().Add(time.Duration(seconds) * time.Second)
	}
	if seq == t.seq {
		t.answered, t.challenged = true, t.challenged || m.StatusCode == 401 || m.StatusCode == 407
		if m.IsSuccess() {
			t.has = t.shown
		}
	}
}

// notify takes a NOTIFY.
func (j *judge) notify(t *talk, m *sip.Request, text string) {
	now, seq := time.Now(), m.CSeq().SeqNo
	var version int
	var shown string
	fmt.Sscanf(string(m.Body()), "version=%d shown=%s", &version, &shown)
	again := t.text != "" && seq == t.seq
	if again {
		if text != t.text {
			j.fault(t, "repeated with another content:\n%s\n%s", t.text, text)
		}
		return
	}
	fresh := t.run != j.run // the first of this run
	password := value(m, "Authorization") != ""
	if password && !fresh && seq < t.seq && version < t.version {
		return // overtaken in the moment of its challenge; a phone refuses it (RFC 3261 12.2.2)
	}
	retry := password && !fresh && t.challenged && version == t.version
	switch {
	case t.text == "" && !fresh && version != 0,
		t.text != "" && fresh && (version <= t.version || seq <= t.seq),
		t.text != "" && !fresh && !retry && version != t.version+1,
		t.text != "" && !fresh && seq != t.seq+1 && !(t.challenged && seq == t.seq+2): // one was for the password
		j.fault(t, "version %d, CSeq %d after %d, %d", version, seq, t.version, t.seq)
	}
	state := value(m, "Subscription-State")
	if !retry {
		j.timely(t, now, fresh, state)
		t.at, t.asked = now, false
		j.state(t, now, fresh, state)
	} // else it is the very one from before, with a password
	t.run, t.seq, t.version, t.text, t.shown = j.run, seq, version, text, strings.Trim(shown, "-")
	t.answered, t.challenged = false, false
	if fresh {
		t.known = 0
	}
}

// timely holds a new NOTIFY to its time: one in flight, a burst, one a second,
// and Retry-After.
func (j *judge) timely(t *talk, now time.Time, fresh bool, state string) {
	if fresh {
		t.told, t.fast, t.until = time.Time{}, 0, time.Time{}
		return
	}
	if t.text != "" && !t.answered && now.Sub(t.at) < 2*time.Second {
		j.fault(t, "two in flight, %v apart", now.Sub(t.at))
	}
	if t.asked || strings.HasPrefix(state, "terminated") {
		return
	}
	if now.Before(t.until) {
		j.fault(t, "told %v before Retry-After", t.until.Sub(now))
	}
	switch gap := now.Sub(t.told); {
	case t.told.IsZero() || gap >= 3*time.Second:
		t.fast = 0
	case gap < time.Second:
		if t.fast++; t.fast > 2 {
			j.fault(t, "more than a burst: %d, the last %v apart", t.fast+1, gap)
		}
	}
	t.told = now
}

// state holds Subscription-State to the truth.
func (j *judge) state(t *talk, now time.Time, fresh bool, state string) {
	if fresh && t.ended == "terminated;reason=noresource" { // nobody answered it: it goes on in this run
		t.ended = ""
	}
	switch {
	case t.ended != "":
		j.fault(t, "%s after %s", state, t.ended)
	case t.over && !fresh:
		j.fault(t, "%s after the watcher has ended it", state)
	case !t.replaced.IsZero() && now.After(t.replaced):
		j.fault(t, "%s after it was replaced", state)
	}
	if strings.HasPrefix(state, "terminated") {
		t.ended = state
		_, there := j.b.src.lookup(t.resource)
		right := state == "terminated;reason=timeout" && (t.leaves || !now.Before(t.expires.Add(-slowest))) ||
			state == "terminated;reason=noresource" && !there && !t.leaves
		if !right {
			j.fault(t, "%s", state)
		}
		return
	}
	left, err := strconv.Atoi(strings.TrimPrefix(state, "active;expires="))
	if err == nil && left <= 60 && j.unsure(t) && !t.leaves {
		return // so short that it shortens what a refresh that was lost has granted
	}
	for _, wanted := range t.wanted {
		if by := now.Add(time.Duration(left) * time.Second); fresh && wanted.Sub(by).Abs() < t.expires.Sub(by).Abs() {
			t.expires = wanted // the disk had the refresh, whose 200 the end of that server kept back
		}
	}
	real := t.expires.Sub(now).Seconds()
	// RFC 6665 4.2.2: never longer than it is, but for the last second. After a restart
	// it counts from the SUBSCRIBE, not from its 200. Timers go by a wheel of 10 ms.
	// What was written when the server ended is told.
	exact := t.lately == j.run || j.kills[t.lately].Sub(t.granted) > lag+2*slowest
	if err != nil || float64(left) > max(1, real+0.02) || exact && float64(left) < real-2 || t.leaves {
		j.fault(t, "%s, with %.1f s left", state, real)
	}
}

// live says whether the watcher counts on being told.
func (j *judge) live(t *talk) bool {
	_, there := j.b.src.lookup(t.resource)
	return there && !t.leaves && t.ended == "" && !t.over && t.replaced.IsZero() && time.Now().Before(t.expires)
}

// settled checks what must be so once everybody answers and time has passed:
// every watcher has the state, and nobody is remembered who has gone.
func (j *judge) settled() {
	live, unsure := 0, 0
	for _, t := range j.talks {
		if j.live(t) {
			live++
			if state, _ := j.b.src.lookup(t.resource); t.has != state {
				j.fault(t, "has %q and not %q", t.has, state)
			}
			continue
		}
		if j.unsure(t) && t.ended == "" && !t.over && t.replaced.IsZero() && !t.leaves {
			unsure++
			continue
		}
		// A server that dies while the last NOTIFY waits its turn does not know of it any more.
		cut := t.leaves || t.expires.After(j.killed.Add(-3*time.Second)) && t.expires.Before(j.killed.Add(time.Second))
		if t.ended == "" && !t.over && t.replaced.IsZero() && !cut {
			j.fault(t, "was never told that it has ended")
		}
	}
	lamps := j.b.n.Lamps()
	for _, l := range lamps {
		if state, _ := j.b.src.lookup(l.Resource); l.Shown != state || l.Silent {
			j.faults = append(j.faults, fmt.Sprintf("lamp %+v, state %q", l, state))
		}
	}
	if kept := len(j.b.disk.records()); len(lamps) < live || len(lamps) > live+unsure || kept != len(lamps) {
		j.faults = append(j.faults, fmt.Sprintf("%d subscriptions listed, %d kept, %d live, %d perhaps", len(lamps), kept, live, unsure))
	}
}
