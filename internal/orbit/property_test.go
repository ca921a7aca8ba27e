package orbit

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// arrive sends a drawn INVITE and checks what came of it.
func (c *chaos) arrive(t *rapid.T, in Invite) {
	before, oldest := c.Encode(), ""
	code := in.Retrieve || in.To[0] == '*'
	if code {
		oldest = c.oldest(in.To[len(in.To)-1:])
	}
	var replaced party
	if in.Replaces != nil && in.Replaces.Leg != "" {
		replaced = *c.w.legs[in.Replaces.Leg]
	}
	crowd := c.counts()
	c.w.ask(in.Leg)
	c.w.legs[in.Leg].arrival = replaced.arrival // RFC 3891: it takes that leg's place
	c.w.legs[in.Leg].Orbit = replaced.Orbit
	err := c.send(in)
	leg := c.w.legs[in.Leg]
	switch {
	case err != nil:
		if string(c.Encode()) != string(before) {
			t.Fatalf("refusal %v changed the state", err)
		}
		if !errors.Is(leg.refused, err) || leg.State != "ended" {
			t.Fatalf("refused leg is %+v", leg)
		}
	case in.Replaces == nil && oldest != "" && leg.Peer != oldest:
		t.Fatalf("retrieve from %s fetched %q, the oldest is %q", in.To, leg.Peer, oldest)
	case in.Replaces == nil && (in.Shown != "" && c.pools[in.To] == nil || code) && leg.State != "joined":
		t.Fatalf("a press or a code parked: %+v", leg)
	}
	if err == nil && in.Replaces == nil && leg.State == "music" {
		p := c.places[leg.Orbit]
		if pool := c.pools[in.To]; pool != nil {
			if crowd[leg.Orbit] > 0 && pool.Overflow != leg.Orbit && c.pools[pool.Overflow] == nil {
				t.Fatalf("pool %s parked %s with %d others in %s", in.To, in.Leg, crowd[leg.Orbit], leg.Orbit)
			}
			if !slices.Contains(pool.Orbits, leg.Orbit) && pool.Overflow == "" {
				t.Fatalf("pool %s parked %s in %s", in.To, in.Leg, leg.Orbit)
			}
		}
		if limit := p.capacity(); !p.Enabled || p.removed || c.drain || limit > 0 && p.count > limit || c.set.MaxCalls > 0 && c.parked > c.set.MaxCalls {
			t.Fatalf("%s parked in %+v, %d parked of %d, draining %t", in.Leg, p, c.parked, c.set.MaxCalls, c.drain)
		}
	}
	if in.Referred && leg.State == "joined" {
		t.Fatalf("a transferred caller was joined with %s", leg.Peer)
	}
}

func (c *chaos) actions() map[string]func(*rapid.T) {
	orSkip := func(t *rapid.T, cmd Command) {
		if cmd == nil {
			t.Skip("nothing to do it to")
		}
		before := c.Encode()
		if err := c.send(cmd); err != nil && string(c.Encode()) != string(before) {
			t.Fatalf("refusal %v changed the state", err)
		}
	}
	invite := func(t *rapid.T) { c.arrive(t, c.newcomer(t)) }
	result := func(t *rapid.T) { orSkip(t, c.result(t)) }
	return map[string]func(*rapid.T){
		"invite": invite, "invite again": invite, "invite once more": invite,
		"result": result, "result again": result,
		"refer": func(t *rapid.T) { c.refer(t) },
		"summon": func(t *rapid.T) {
			rung, in := len(c.w.rung), c.summons(t).(Summon)
			peer, was := &party{}, 0 // who is parked at once, last in the queue
			if in.Replaces != nil && c.w.legs[c.w.legs[in.Replaces.Leg].Peer] != nil {
				peer = c.w.legs[c.w.legs[in.Replaces.Leg].Peer]
				was, peer.arrival = peer.arrival, 0
			}
			orSkip(t, in)
			if peer.State != "music" {
				peer.arrival = was
			}
			if len(c.w.rung) > rung { // the place is kept from now on
				c.w.arrivals++
				c.w.legs[c.w.rung[rung].Leg].arrival = c.w.arrivals
			}
		},
		"order": func(t *rapid.T) { orSkip(t, c.order(t)) },
		"time": func(t *rapid.T) {
			c.now = c.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
		},
		"due": func(t *rapid.T) {
			if next := c.Next(); !next.IsZero() {
				if next.After(c.now) {
					c.now = next
				}
				orSkip(t, Due{})
			}
		},
		"store fails": func(t *rapid.T) { // a park comes back as Undo
			if leg := c.some(t, "music"); leg != "" {
				orSkip(t, Undo{Leg: leg})
			}
		},
		"": func(t *rapid.T) {
			if err := c.check(); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// queues lists the calls of each orbit, by place.
func (c *chaos) queues() map[string][]string {
	m := map[string][]string{}
	for ext := range c.places {
		for _, call := range c.CallsAt(ext) {
			m[ext] = append(m[ext], call.ID)
		}
	}
	return m
}

// configure puts other settings in force: nobody is moved, and what they ask
// for is done once.
func (c *chaos) configure(t *rapid.T, in Configure) {
	calls, queues := c.ordered(), c.queues()
	_ = c.send(in)
	if got := c.queues(); !reflect.DeepEqual(got, queues) {
		t.Fatalf("orbits hold %v, before %v", got, queues)
	}
	for i, after := range c.ordered() {
		before := calls[i]
		if before.Phase == Parked {
			before.Due, after.Due = time.Time{}, time.Time{}
		}
		if after != before {
			t.Fatalf("configuring made %+v\nof %+v", after, before)
		}
	}
	if again, _ := c.Decide(c.now, in); len(again.Put)+len(again.After) != 0 || len(c.touched(&again)) != 0 {
		t.Fatalf("the same settings again: %+v", again)
	}
}

// reborn starts anew from what is on disk, perhaps under other settings.
func (c *chaos) reborn(t *rapid.T) {
	calls, legs, err := c.disk.load()
	if err != nil {
		t.Fatal(err)
	}
	c.State = NewState(c.set)
	if rapid.Bool().Draw(t, "other settings") {
		c.State = NewState(settings(t))
	}
	c.w.ended = nil // nobody was there to hear of it
	c.w.forget()
	c.Restore(calls, legs)
	c.crowd, c.changed = c.counts(), true
	if err := c.restarted(); err != nil {
		t.Fatal(err)
	}
	c.deliver()
}

// Nobody is lost, nobody is in two places, orbits keep order and capacity,
// refusals change nothing, other settings and restarts move nobody, and when
// everybody has hung up nothing is left, here or on disk.
func TestProperties(t *testing.T) {
	for range 10 { // a thousand sequences
		rapid.Check(t, sequence)
	}
}

func sequence(t *rapid.T) {
	set := small()
	for i := range set.Pools {
		set.Pools[i].Pick = Pick(rapid.IntRange(0, 3).Draw(t, "pick"))
	}
	c := &chaos{rig: newRig(set)}
	actions := c.actions()
	actions["plan"] = func(t *rapid.T) {
		switch cmd := c.plan(t).(type) {
		case Configure:
			c.configure(t, cmd)
		case Drain:
			_ = c.send(cmd)
		}
	}
	actions["restart"] = func(t *rapid.T) {
		if rapid.IntRange(0, 4).Draw(t, "really") == 0 {
			c.reborn(t)
		}
	}
	t.Repeat(actions)
	for _, leg := range slices.Sorted(maps.Keys(c.w.legs)) {
		if c.w.legs[leg].State != "ended" {
			c.w.end(leg)
			_ = c.send(Hangup{Leg: leg})
			if err := c.check(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(c.calls)+len(c.legs)+len(c.alias)+len(c.due)+c.parked != 0 {
		t.Fatalf("left over: %s, aliases %v, deadlines %v", c.Encode(), c.alias, c.due)
	}
	if len(c.disk.calls)+len(c.disk.legs) != 0 {
		t.Fatalf("left over on disk: %+v", c.disk)
	}
	for ext, p := range c.places {
		if p.head != nil || p.tail != nil || p.count != 0 {
			t.Fatalf("orbit %s is not empty: %+v", ext, p)
		}
	}
}

// refer sends a drawn REFER and checks what came of it.
func (c *chaos) refer(t *rapid.T) {
	in, ok := c.referral(t).(Refer)
	if !ok {
		t.Skip("nobody to send it")
	}
	leg := c.w.legs[in.Leg]
	before, place, peer := c.Encode(), 0, leg.Peer // who may be parked for it, and where in the queue
	if in.Replaces != nil && in.Replaces.Leg != "" {
		place = c.w.legs[in.Replaces.Leg].arrival
	}
	if leg.State == "music" {
		place, peer = leg.arrival, ""
		if in.Replaces != nil && in.Replaces.Leg != "" {
			peer = c.w.legs[in.Replaces.Leg].Peer
		}
	}
	was := 0
	if p := c.w.legs[peer]; p != nil {
		was, p.arrival = p.arrival, place
	}
	rung, told := len(c.w.rung), len(c.w.reports[in.Leg])
	err := c.send(in)
	if p := c.w.legs[peer]; p != nil && p.State != "music" && p.arrival == place {
		p.arrival = was
	}
	if len(c.w.rung) > rung {
		c.w.legs[c.w.rung[rung].Leg].arrival = place
	}
	if err != nil && string(c.Encode()) != string(before) {
		t.Fatalf("refusal %v changed the state", err)
	}
	if leg.State == "ended" && err != nil { // it was before: nobody is told
		return
	}
	reports := c.w.reports[in.Leg][told:]
	switch want := (Report{Leg: in.Leg, Code: 200}); {
	case err != nil:
		want = Report{Leg: in.Leg, Err: err}
		fallthrough
	case len(c.w.rung) == rung:
		if len(reports) != 1 || reports[0] != want {
			t.Fatalf("told %+v, want %+v", reports, want)
		}
	case len(reports) != 1 || reports[0].Code != 100:
		t.Fatalf("told %+v as somebody is called", reports)
	}
}
