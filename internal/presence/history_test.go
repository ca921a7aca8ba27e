package presence

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// step is one thing that happens in a history.
type step struct {
	what  string
	phone int
	after time.Duration
}

// doings are what can happen, the frequent more than once.
var doings = []string{
	"park", "park", "park", "park", "park", "remove", "build", "wait", // orbits
	"silent", "slow", "busy", "away", "trouble", "guarded", "gone", "lost", "well", "well", // how a phone answers
	"subscribe", "subscribe", "brief", "reboot", "unsubscribe", "fetch", // what it asks for
	"crash", "stop", "slow disk", "fast disk", "settle", // the server
}

func history(t *rapid.T) []step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			what:  rapid.SampledFrom(doings).Draw(t, "what"),
			phone: rapid.IntRange(0, 2).Draw(t, "phone"),
			after: time.Duration(rapid.SampledFrom([]int{0, 1, 90, 700, 1500, 2100, 9000, 40000}).Draw(t, "ms")) * time.Millisecond,
		}
	}), 1, 40).Draw(t, "steps")
}

// keyset is a phone as it behaves: what it takes for ended is.
type keyset struct {
	*phone
	orbit string
	boots int

	now struct { // its mind, under phone.mu
		mode   string
		callID string // "" = it has no subscription
	}
	asked struct { // the last SUBSCRIBE; owned by the history
		name    name
		cseq    int
		expires string
	}
}

func newKeyset(b *bed, addr, orbit string) *keyset {
	k := &keyset{phone: b.phone(addr), orbit: orbit}
	k.answers(k.reacts)
	return k
}

// reacts answers a NOTIFY.
func (k *keyset) reacts(n notice, copies int) (int, string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ended, own := strings.HasPrefix(n.state, "terminated"), n.req.CallID().Value() == k.now.callID
	if !own && !ended {
		return 481, ""
	}
	if own && (ended || k.now.mode == "gone" || k.now.mode == "lost") {
		k.now.callID = ""
	}
	switch k.now.mode {
	case "silent":
		return 0, ""
	case "slow":
		if copies == 1 {
			time.AfterFunc(3*time.Second, func() { k.respond(n.req, 200, "", k.serverAddr()) })
		}
		return 0, ""
	case "busy":
		return 503, "Retry-After: 30"
	case "away": // RFC 6665 4.2.2: not a final answer, since it says when
		return 480, "Retry-After: 20"
	case "trouble":
		return 500, ""
	case "guarded":
		if value(n.req, "Authorization") == "" {
			return 401, `WWW-Authenticate: Digest realm="phones", nonce="abc", algorithm=MD5, qop="auth"`
		}
	case "gone":
		return 481, ""
	case "lost":
		return 404, ""
	}
	return 200, ""
}

func (k *keyset) mode(m string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now.mode = m
}

// ask sends a SUBSCRIBE, in the dialog if the phone has one.
func (k *keyset) ask(expires string) {
	k.mu.Lock()
	if k.now.callID == "" {
		k.boots++
		k.callID, k.toTag = fmt.Sprintf("boot-%d@%s", k.boots, k.sock.addr), ""
		k.now.callID = k.callID
	}
	k.mu.Unlock()
	before := len(k.all())
	k.send(expires)
	synctest.Wait()
	if all := k.all(); len(all) > before && all[len(all)-1].StatusCode != 200 {
		k.reboot()
	}
}

func (k *keyset) send(expires string) {
	to := "<sip:" + k.orbit + "@192.0.2.1>"
	if k.toTag != "" {
		to += ";tag=" + k.toTag
	}
	k.asked.name, k.asked.cseq, k.asked.expires = name{k.callID, k.toTag}, k.cseq+1, expires
	k.subscribe("sip:"+k.orbit+"@192.0.2.1", "To: "+to, "Expires: "+expires)
}

// again sends the last SUBSCRIBE once more if nobody has answered it: that goes on for
// 32 s (RFC 3261 17.1.2.2, timer F), longer than any server is away.
func (k *keyset) again() {
	was := k.asked
	for _, res := range k.all() {
		if res.CallID().Value() == was.name.callID && int(res.CSeq().SeqNo) == was.cseq {
			return
		}
	}
	now, cseq := k.become(was.name.callID, was.name.tag), k.cseq
	k.cseq = was.cseq - 1
	k.send(was.expires)
	k.cseq = max(k.cseq, cseq)
	if now.callID != was.name.callID {
		synctest.Wait()
		k.become(now.callID, now.tag)
	}
}

// reboot forgets the subscription.
func (k *keyset) reboot() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now.callID = ""
}

// fetch asks once, beside the subscription (RFC 6665 4.4.3).
func (k *keyset) fetch() {
	k.boots++
	was := k.become(fmt.Sprintf("fetch-%d@%s", k.boots, k.sock.addr), "")
	k.send("0")
	synctest.Wait()
	k.become(was.callID, was.tag)
}

// name is by what a phone knows its dialog.
type name struct{ callID, tag string }

// become has the phone go by another name; it returns the one of before.
func (k *keyset) become(callID, tag string) (was name) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was = name{k.callID, k.toTag}
	k.callID, k.toTag = callID, tag
	return was
}

// After any history, with packets lost and phones silent, slow, busy or gone, with
// orbits that come and go and a server that is killed or stopped, every watcher's last document
// is the state; versions and CSeq rose by one a document, and across a kill by more;
// no two NOTIFYs were in flight within two seconds; nobody was told more often than
// a burst and once a second; and whatever ended did so with its reason.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		steps := history(r)
		loss := rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, false, true}), 0, 7).Draw(r, "loss")
		block := rapid.SampledFrom([]uint32{0, 0, 128}).Draw(r, "block")
		places := rapid.SampledFrom([]int{0, 1, 2}).Draw(r, "places")
		double := rapid.SliceOfN(rapid.SampledFrom([]bool{false, false, true}), 0, 7).Draw(r, "double")
		if faults := play(t, steps, loss, double, block, places); len(faults) > 0 {
			r.Fatal(strings.Join(faults, "\n"))
		}
	})
}

// Histories that were found to go wrong once, in the server or in the eyes of the judge.
func TestHistoriesThatWentWrong(t *testing.T) {
	for name, steps := range map[string][]step{
		"a stop keeps back the 200 of a refresh":      {{what: "slow disk"}, {what: "brief", after: time.Millisecond}, {what: "stop", phone: 1, after: 9 * time.Second}},
		"a crash before the last one lost a refresh":  {{what: "park", after: 2100 * time.Millisecond}, {what: "subscribe"}, {what: "crash"}, {what: "settle"}, {what: "crash"}},
		"a stop keeps back the 200 of an unsubscribe": {{what: "slow disk"}, {what: "unsubscribe"}, {what: "stop", after: 700 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, fault := range play(t, steps, nil, nil, 0, 2) {
				t.Error(fault)
			}
		})
	}
}

func play(t *testing.T, steps []step, loss, double []bool, block uint32, places int) []string {
	var j *judge
	journaledOf(t, Options{places: places}, func(b *bed) {
		b.net.double = double
		if block > 0 {
			b.block, b.n.block = block, block
		}
		j = &judge{b: b, talks: map[string]*talk{}, loss: loss}
		b.net.tap = j.packet
		a := &act{b: b, j: j, loss: loss, phones: []*keyset{
			newKeyset(b, "192.0.2.9:5060", "701"), newKeyset(b, "192.0.2.10:5060", "701"), newKeyset(b, "192.0.2.11:5060", "702"),
		}}
		for _, k := range a.phones {
			k.ask("7200")
		}
		for i, s := range steps {
			a.do(i, s)
			pass(s.after)
		}
		a.settle()
		for _, k := range a.phones {
			k.ask("0")
		}
		pass(time.Minute)
		for what, n := range b.n.Sizes() {
			if n != 0 {
				j.faults = append(j.faults, fmt.Sprint(n, " ", what, " left over"))
			}
		}
	})
	return j.faults
}

// act is a history under way.
type act struct {
	b      *bed
	j      *judge
	phones []*keyset
	loss   []bool
}

func (a *act) do(i int, s step) {
	k := a.phones[s.phone]
	switch s.what {
	case "wait":
	case "park":
		shown := fmt.Sprint("call", i)
		if i%3 == 0 {
			shown = ""
		}
		if _, there := a.b.src.lookup(k.orbit); there {
			a.b.park(k.orbit, shown)
		}
	case "remove":
		a.b.remove(k.orbit)
	case "build":
		a.b.park(k.orbit, "")
	case "subscribe":
		k.ask("7200")
	case "brief":
		k.ask("60")
	case "reboot":
		k.reboot()
		k.ask("7200")
	case "unsubscribe":
		k.ask("0")
	case "fetch":
		k.fetch()
	case "crash":
		a.restart(a.b.kill, s.after)
	case "stop":
		a.restart(a.b.stop, s.after)
		// A stop says nothing to whoever has just asked (Notifier.refused): they ask the
		// next process.
		for _, k := range a.phones {
			k.again()
		}
	case "slow disk":
		a.b.disk.set(func(d *disk) { d.delay = slowest })
	case "fast disk":
		a.b.disk.set(func(d *disk) { d.delay = 0 })
	case "settle":
		a.settle()
	default:
		k.mode(s.what)
	}
}

// restart ends the server in some way and starts it again after a time.
func (a *act) restart(end func(), down time.Duration) {
	a.b.net.mu.Lock()
	a.j.down, a.j.killed = true, time.Now()
	a.j.kills = append(a.j.kills, a.j.killed)
	a.b.net.mu.Unlock()
	end()
	pass(min(down, 20*time.Second))
	a.b.net.mu.Lock()
	a.j.down = false
	a.j.run++
	a.b.net.mu.Unlock()
	if faults := a.b.start(); len(faults) > 0 {
		a.b.t.Error(faults)
	}
}

// settle lets everything go well for as long as the notifier may need, and has the
// judge look.
func (a *act) settle() {
	was := a.loss
	a.b.net.mu.Lock()
	a.j.loss = nil
	a.b.net.mu.Unlock()
	for _, k := range a.phones {
		k.mode("well")
	}
	a.b.disk.set(func(d *disk) { d.delay = 0 })
	pass(11 * time.Minute)
	a.b.net.mu.Lock()
	a.j.settled()
	a.j.loss = was
	a.b.net.mu.Unlock()
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
