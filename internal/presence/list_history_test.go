package presence

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// listJudge watches what the server says of lists.
type listJudge struct {
	faults []string
	loss   []bool
	n      int
	run    int // of the server
	talks  map[string]*listTalk
	asked  map[string]bool // SUBSCRIBEs answered whose NOTIFY has not come, by Call-ID
}

// listTalk is what was said in a dialog.
type listTalk struct {
	run      int
	seq      uint32
	version  uint32
	at       time.Time
	answered bool
	members  map[string]toldIn
}

// toldIn is what was told of a member by a run of the server.
type toldIn struct {
	run     int
	version uint32
}

func (j *listJudge) fault(format string, args ...any) {
	if len(j.faults) < 10 {
		j.faults = append(j.faults, fmt.Sprintf(format, args...))
	}
}

// packet judges each NOTIFY as it is sent, be it lost then.
func (j *listJudge) packet(from, to netip.AddrPort, data []byte) (lose bool) {
	j.n++
	msg, err := sip.ParseMessage(append([]byte(nil), data...))
	if err != nil {
		j.fault("%v", err)
		return false
	}
	lose = len(j.loss) > 0 && j.loss[j.n%len(j.loss)]
	id := msg.CallID().Value()
	switch {
	case msg.CSeq().MethodName != sip.NOTIFY:
		if res, ok := msg.(*sip.Response); ok && res.StatusCode == 200 {
			j.asked[id] = true
		}
		return false // a SUBSCRIBE that is lost is only sent later
	case from != serverAddr:
		if t := j.talks[id]; t != nil && t.seq == msg.CSeq().SeqNo && !lose {
			t.answered = true
		}
		return lose
	}
	j.notify(id, msg.(*sip.Request))
	return lose
}

func (j *listJudge) notify(id string, m *sip.Request) {
	r, err := rollOf(m)
	if err != nil {
		j.fault("%v in %s", err, m)
		return
	}
	t, seq := j.talks[id], m.CSeq().SeqNo
	if t != nil && t.seq == seq {
		return // sent again
	}
	ended := strings.HasPrefix(value(m, "Subscription-State"), "terminated")
	switch {
	case t == nil && (r.version != 0 || !r.full), t != nil && t.run != j.run && !(r.full && r.version > t.version && seq > t.seq):
		j.fault("%v begins %s", r, id)
	case j.asked[id] && !r.full: // RFC 4662 5.2
		j.fault("%v after a SUBSCRIBE of %s", r, id)
	case t != nil && t.run == j.run && (r.version != t.version+1 || seq != t.seq+1):
		j.fault("%v, CSeq %d after version %d, CSeq %d of %s", r, seq, t.version, t.seq, id)
	case t != nil && t.run == j.run && !t.answered && !ended && time.Since(t.at) < flight:
		j.fault("%v after %v without an answer", r, time.Since(t.at))
	case !r.full && len(r.members) == 0:
		j.fault("%v says nothing", r)
	}
	if t == nil {
		t = &listTalk{members: map[string]toldIn{}}
		j.talks[id] = t
	}
	for _, m := range r.members {
		was, known := t.members[m.user]
		switch {
		case m.shown == "?":
			continue
		case m.version > r.version:
			j.fault("%v: %s is above the list", r, m.user)
		case !known: // it begins at 0, or above all after a restart
		case was.run == j.run && m.version != was.version+1, m.version <= was.version:
			j.fault("%v: %s was at %d", r, m.user, was.version)
		}
		t.members[m.user] = toldIn{j.run, m.version}
	}
	t.run, t.seq, t.version, t.at, t.answered = j.run, seq, r.version, time.Now(), false
	delete(j.asked, id)
}

// listDoings are what can happen.
var listDoings = []string{
	"park", "park", "park", "park", "park", "remove", "build", "relist", "wait",
	"silent", "slow", "busy", "trouble", "gone", "well", "well",
	"subscribe", "subscribe", "reboot", "unsubscribe", "crash",
}

// After any history, with packets lost and phones silent, slow, busy or gone, with
// orbits that come and go, lists that change and a server that is killed, every key
// of every phone shows the state of its orbit; versions of lists and members rose by
// one, and across a kill by more; what a SUBSCRIBE asks for begins in full; and no two
// NOTIFYs were in flight within two seconds.
func TestAnyListHistory(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				what:  rapid.SampledFrom(listDoings).Draw(t, "what"),
				phone: rapid.IntRange(0, 7).Draw(t, "which"),
				after: time.Duration(rapid.SampledFrom([]int{0, 1, 90, 700, 1500, 2100, 9000, 40000}).Draw(t, "ms")) * time.Millisecond,
			}
		}), 1, 30).Draw(r, "steps")
		loss := rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, false, true}), 0, 7).Draw(r, "loss")
		if faults := playList(t, steps, loss); len(faults) > 0 {
			r.Fatal(strings.Join(faults, "\n"))
		}
	})
}

func playList(t *testing.T, steps []step, loss []bool) []string {
	j := &listJudge{talks: map[string]*listTalk{}, asked: map[string]bool{}, loss: loss}
	journaled(t, func(b *bed) {
		b.office(8)
		b.relist("desk", "704", "701", "709")
		b.net.tap = j.packet
		var phones []*keyset
		for i, list := range []string{"all", "desk"} {
			k := newKeyset(b, fmt.Sprintf("192.0.2.%d:5060", 9+i), list)
			k.headers = []string{"Supported: eventlist"}
			k.ask("7200")
			phones = append(phones, k)
		}
		for i, s := range steps {
			j.do(b, phones[s.phone%2], fmt.Sprint(701+s.phone), i, s)
			pass(s.after)
		}
		b.net.mu.Lock()
		j.loss = nil
		b.net.mu.Unlock()
		for _, k := range phones {
			k.mode("well")
		}
		pass(11 * time.Minute)
		for _, k := range phones {
			j.shows(b, k)
			k.ask("0")
		}
		pass(time.Minute)
		for what, n := range b.n.Sizes() {
			if n != 0 {
				j.fault("%d %s left over", n, what)
			}
		}
	})
	return j.faults
}

// do does a step, with an orbit and a phone.
func (j *listJudge) do(b *bed, k *keyset, orbit string, i int, s step) {
	switch s.what {
	case "wait":
	case "park":
		if _, there := b.src.lookup(orbit); there {
			b.park(orbit, strings.Repeat(fmt.Sprint("call", i), i%3))
		}
	case "remove":
		b.remove(orbit)
	case "build":
		b.park(orbit, "")
	case "relist":
		b.relist("desk", orbit, "709")
	case "subscribe":
		k.ask("7200")
	case "reboot":
		k.reboot()
		k.ask("7200")
	case "unsubscribe":
		k.ask("0")
		k.reboot() // whether it hears of the end or not
	case "crash":
		b.kill()
		pass(min(s.after, 20*time.Second))
		b.net.mu.Lock()
		j.run++
		b.net.mu.Unlock()
		if faults := b.start(); len(faults) > 0 {
			b.t.Error(faults)
		}
		synctest.Wait()
	default:
		k.mode(s.what)
	}
}

// shows checks that a phone, if it has a subscription, shows the state.
func (j *listJudge) shows(b *bed, k *keyset) {
	k.mu.Lock()
	id := k.now.callID
	k.mu.Unlock()
	if id == "" {
		return
	}
	want := map[string]string{}
	members, _ := b.src.Members(k.orbit)
	for _, m := range members {
		want[m.Resource], _ = b.src.lookup(m.Resource)
	}
	if d := cmp.Diff(want, keys(k.rolls(id))); d != "" {
		j.fault("%s of %s: %s", k.orbit, k.sock.addr, d)
	}
	for _, l := range b.n.Lamps() {
		if l.Resource == k.orbit && l.Silent {
			j.fault("silent: %+v", l)
		}
	}
}
