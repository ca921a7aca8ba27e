package orbit

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// small is a configuration in which everything happens soon.
func small() Settings {
	t := Timeout{Enabled: true, After: 30 * time.Second, Ring: 15 * time.Second, Fallback: "900", FallbackAfter: 1}
	return Settings{
		RetrieveCodes: []string{"*4"},
		MaxCalls:      7,
		MaxTime:       5 * time.Minute,
		Orbits: []Orbit{
			{Extension: "1", Enabled: true, Music: "one", Timeout: t, TransferKey: '0'},
			{Extension: "2", Enabled: true, Music: "two", Multiple: true, Timeout: t, Press: PressAlways},
			{Extension: "3", Enabled: true, Music: "three", Multiple: true, MaxCalls: 2, Timeout: t},
			{Extension: "4", Enabled: true, Music: "four", Multiple: true},
		},
	}
}

// chaos draws what phones, trunks and operators do next.
type chaos struct {
	*rig
	n       int
	aliases []Alias // ever published
	record  func(Command)
}

// send runs a command and what follows from it, and keeps a list of them.
func (c *chaos) send(cmd Command) error {
	err := c.run(cmd)
	for len(c.w.ended) > 0 {
		leg := c.w.ended[0]
		c.w.ended = c.w.ended[1:]
		_ = c.run(Hangup{Leg: leg})
	}
	return err
}

func (c *chaos) run(cmd Command) error {
	if c.record != nil {
		c.record(cmd)
	}
	err := c.step(cmd)
	for _, e := range c.calls {
		if a := e.Alias(); e.fetchable() && !slices.Contains(c.aliases, a) {
			c.aliases = append(c.aliases, a)
		}
	}
	slices.SortFunc(c.aliases, func(a, b Alias) int { return compare(a.CallID, b.CallID) })
	return err
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// some draws a leg that is in one of the states, "" if there is none.
func (c *chaos) some(t *rapid.T, states ...string) string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(c.w.legs)) {
		if slices.Contains(states, c.w.legs[id].State) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	return rapid.SampledFrom(ids).Draw(t, "leg")
}

func (c *chaos) ext(t *rapid.T) string {
	return rapid.SampledFrom([]string{"1", "2", "3", "4", "2", "3"}).Draw(t, "orbit")
}

// newcomer draws an INVITE of any sort.
func (c *chaos) newcomer(t *rapid.T) Invite {
	c.n++
	in := Invite{Leg: fmt.Sprintf("L%02d", c.n), To: c.ext(t), Codec: "PCMU", Record: []byte{byte(c.n)}}
	in.Self, in.Name = "sip:"+in.Leg+"@example.com", in.Leg
	switch rapid.IntRange(0, 9).Draw(t, "sort") {
	case 0, 1, 2:
		in.Referred, in.Parker = true, bob
	case 3:
	case 4, 5:
		in.To = "*4" + in.To
	case 6:
		in.Retrieve = true
	case 7:
		if len(c.aliases) > 0 {
			in.Shown = rapid.SampledFrom(c.aliases).Draw(t, "shown").CallID
		}
	case 8:
		if len(c.aliases) > 0 {
			in.Replaces = replaces(rapid.SampledFrom(c.aliases).Draw(t, "alias"), rapid.Bool().Draw(t, "swap"))
		}
	case 9:
		if leg := c.some(t, "music", "joined", "ringing", "ended"); leg != "" {
			in.Replaces = &Replaces{CallID: "real", Leg: leg, EarlyOnly: rapid.IntRange(0, 9).Draw(t, "early") == 0}
		}
	}
	return in
}

// results draws something that the network reports of a leg.
func (c *chaos) result(t *rapid.T) Command {
	switch rapid.IntRange(0, 6).Draw(t, "result") {
	case 0, 1:
		if leg := c.some(t, "joined"); leg != "" {
			return Acked{Leg: leg}
		}
	case 2:
		if leg := c.some(t, "ringing"); leg != "" {
			return Answered{Leg: leg, Record: []byte(leg)}
		}
	case 3: // somebody who was told to end answers all the same
		if leg := c.some(t, "ended"); leg != "" {
			return Answered{Leg: leg}
		}
	case 4:
		if leg := c.some(t, "music", "joined", "ringing"); leg != "" {
			c.w.end(leg)
			return Hangup{Leg: leg, Code: 486}
		}
	case 5:
		if leg := c.some(t, "music", "joined"); leg != "" {
			return Key{Leg: leg, Digit: '0'}
		}
	case 6:
		if leg := c.some(t, "music", "joined", "ended"); leg != "" {
			return Note{Leg: leg, Record: []byte("note")}
		}
	}
	return nil
}

// order draws what an operator asks for.
func (c *chaos) order(t *rapid.T) Command {
	calls, _ := c.Snapshot()
	if len(calls) == 0 {
		return nil
	}
	id := rapid.SampledFrom(calls).Draw(t, "call").ID
	if rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
		return Drop{Call: id}
	}
	return Return{Call: id}
}

// oldest is the caller whom a code must fetch, as the world has it.
func (c *chaos) oldest(ext string) string {
	first := ""
	for id, p := range c.w.legs {
		if p.State == "music" && p.Orbit == ext && (first == "" || p.arrival < c.w.legs[first].arrival) {
			first = id
		}
	}
	return first
}

// invite sends a drawn INVITE and checks what came of it.
func (c *chaos) arrive(t *rapid.T, in Invite) {
	before, oldest := c.Encode(), ""
	if in.Retrieve || len(in.To) == 2 {
		oldest = c.oldest(in.To[len(in.To)-1:])
	}
	var replaced party
	if in.Replaces != nil && in.Replaces.Leg != "" {
		replaced = *c.w.legs[in.Replaces.Leg]
	}
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
	case in.Replaces == nil && (in.Shown != "" || len(in.To) == 2 || in.Retrieve) && leg.State != "joined":
		t.Fatalf("a press or a code parked: %+v", leg)
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

// Nobody is lost, nobody is in two places, orbits keep order and capacity,
// refusals change nothing, and when everybody has hung up nothing is left.
func TestProperties(t *testing.T) {
	for range 10 { // a thousand sequences
		rapid.Check(t, sequence)
	}
}

func sequence(t *rapid.T) {
	c := &chaos{rig: newRig(small())}
	actions := c.actions()
	actions["drain"] = func(t *rapid.T) {
		if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
			_ = c.send(Drain{})
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
	for ext, p := range c.places {
		if p.head != nil || p.tail != nil || p.count != 0 {
			t.Fatalf("orbit %s is not empty: %+v", ext, p)
		}
	}
}
