package presence

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"pgregory.net/rapid"
)

// step is one thing that happens in a history.
type step struct {
	what  string // park, wait, silent, slow, busy, well, refresh
	phone int
	for_  time.Duration
}

func history(t *rapid.T) []step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			what:  rapid.SampledFrom([]string{"park", "park", "park", "wait", "silent", "slow", "busy", "well", "refresh"}).Draw(t, "what"),
			phone: rapid.IntRange(0, 2).Draw(t, "phone"),
			for_:  time.Duration(rapid.SampledFrom([]int{0, 1, 90, 700, 1500, 2100, 9000, 40000}).Draw(t, "ms")) * time.Millisecond,
		}
	}), 1, 25).Draw(t, "steps")
}

// wire watches what the server sends to each address.
type wire struct {
	faults []string
	sent   map[netip.AddrPort]*sent
	loss   []bool // of the next packets, over and over
	n      int
}

type sent struct {
	seq      uint32
	version  int
	at       time.Time
	answered bool
}

// packet checks the promises of the package on every NOTIFY and its answers.
func (w *wire) packet(from, to netip.AddrPort, data []byte) (lose bool) {
	w.n++
	lose = len(w.loss) > 0 && w.loss[w.n%len(w.loss)] && !strings.HasPrefix(string(data), "SUBSCRIBE") && !strings.Contains(string(data), " SUBSCRIBE\r\n")
	msg, err := sip.ParseMessage(append([]byte(nil), data...))
	if err != nil {
		w.faults = append(w.faults, err.Error())
		return lose
	}
	if msg.CSeq().MethodName != sip.NOTIFY {
		return lose
	}
	if from != serverAddr {
		if s := w.sent[from]; s != nil && s.seq == msg.CSeq().SeqNo && !lose {
			s.answered = true
		}
		return lose
	}
	n := sent{seq: msg.CSeq().SeqNo, at: time.Now()}
	fmt.Sscanf(string(msg.Body()), "version=%d", &n.version)
	old := w.sent[to]
	switch {
	case old == nil && n.version != 0, old != nil && old.seq == n.seq && old.version != n.version,
		old != nil && old.seq != n.seq && (n.version != old.version+1 || n.seq != old.seq+1):
		w.faults = append(w.faults, fmt.Sprintf("%v: %+v after %+v", to, n, old))
	case old != nil && old.seq != n.seq && !old.answered && n.at.Sub(old.at) < 2*time.Second:
		w.faults = append(w.faults, fmt.Sprintf("%v: two in flight: %+v after %+v", to, n, old))
	}
	if old == nil || old.seq != n.seq {
		w.sent[to] = &n
	}
	return lose
}

// After any history, with packets lost and phones silent, slow or busy, every
// phone's last document is the state, versions and CSeq rose by one a document,
// and there were never two NOTIFYs in flight within two seconds.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := history(r)
		loss := rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, false, true}), 0, 7).Draw(r, "loss")
		if fault := play(t, steps, loss); fault != "" {
			r.Fatal(fault)
		}
	})
}

func play(t *testing.T, steps []step, loss []bool) (fault string) {
	bubble(t, func(b *bed) {
		w := &wire{sent: map[netip.AddrPort]*sent{}, loss: loss}
		b.net.tap = w.packet
		phones := []*phone{b.phone("192.0.2.9:5060"), b.phone("192.0.2.10:5060"), b.phone("192.0.2.11:5060")}
		for _, p := range phones {
			p.subscribe("sip:701@192.0.2.1", "Expires: 7200")
			synctest.Wait()
		}
		for i, s := range steps {
			p := phones[s.phone]
			switch s.what {
			case "park":
				b.park("701", fmt.Sprint("call", i))
			case "refresh":
				p.subscribe("sip:701@192.0.2.1", "Expires: 7200")
			case "silent":
				p.answers(func(notice, int) (int, string) { return 0, "" })
			case "busy":
				p.answers(func(notice, int) (int, string) { return 503, "Retry-After: 30" })
			case "slow":
				p.answers(func(n notice, copies int) (int, string) {
					if copies == 1 {
						time.AfterFunc(3*time.Second, func() { p.respond(n.req, 200, "", p.serverAddr()) })
					}
					return 0, ""
				})
			case "well":
				p.answers(nil)
			}
			pass(s.for_)
		}
		for _, p := range phones {
			p.answers(nil)
		}
		b.net.mu.Lock()
		w.loss = nil
		b.net.mu.Unlock()
		pass(11 * time.Minute)
		b.src.mu.Lock()
		state := b.src.shown["701"]
		b.src.mu.Unlock()
		for _, p := range phones {
			if n := p.last(); n.shown != state {
				w.faults = append(w.faults, fmt.Sprintf("%v was last told %q and not %q", p.sock.addr, n.shown, state))
			}
		}
		for _, l := range b.n.Lamps() {
			if l.Shown != state || l.Silent {
				w.faults = append(w.faults, fmt.Sprintf("%+v at the end", l))
			}
		}
		if b.n.Len() != len(phones) {
			w.faults = append(w.faults, fmt.Sprint(b.n.Len(), " subscriptions left"))
		}
		fault = strings.Join(w.faults, "\n")
	})
	return fault
}

// A subscription can be written down and read again.
func TestSubscriptionIsAValue(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.phone("192.0.2.9:5060")
		p.subscribe("sip:701@192.0.2.1", `Contact: <sip:bob@192.0.2.9:5060>;+sip.instance="<urn:uuid:1>"`, "Event: dialog;id=4", "User-Agent: Test/1")
		synctest.Wait()
		b.park("701", "ann")
		if got := value(p.last().req, "Event"); got != "dialog;id=4" {
			t.Errorf("Event %s", got)
		}
		s := b.n.index.all()[0]
		text, err := json.Marshal(s.rec)
		if err != nil {
			t.Fatal(err)
		}
		var back Subscription
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		back.Since, back.Expires = s.rec.Since, s.rec.Expires // clocks without the monotonic reading
		if !reflect.DeepEqual(back, s.rec) || back.Instance != "<urn:uuid:1>" || back.Agent != "Test/1" || back.Shown != "ann" || back.Version != 2 {
			t.Errorf("%s", text)
		}
	})
}
