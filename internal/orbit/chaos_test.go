package orbit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// small is a configuration in which everything happens soon.
func small() Settings {
	t := Timeout{Enabled: true, After: 30 * time.Second, Ring: 15 * time.Second, Fallback: "900", FallbackAfter: 1}
	confirmed := t
	confirmed.Confirm = true
	return Settings{
		RetrieveCodes: []string{"*4"},
		MaxCalls:      7,
		MaxTime:       5 * time.Minute,
		Return:        Recall{Display: "{orbit} {caller}"},
		Orbits: []Orbit{
			{Extension: "1", Enabled: true, Music: "one", Timeout: t, TransferKey: '0'},
			{Extension: "2", Enabled: true, Music: "two", Multiple: true, Timeout: t, Press: PressAlways, Retrieve: RetrieveDirect},
			{Extension: "3", Enabled: true, Music: "three", Multiple: true, MaxCalls: 2, Timeout: confirmed, Retrieve: RetrieveRefer},
			{Extension: "4", Enabled: true, Music: "four", Multiple: true},
		},
		Pools: []Pool{ // what these two pick does not depend on what was before a restart
			{Extension: "6", Orbits: []string{"1", "3", "5"}, Pick: PickFirst, Announce: true},
			{Extension: "7", Orbits: []string{"4", "1", "2"}, Pick: PickRandom, Overflow: "6", Message: true},
		},
	}
}

// settings draws a configuration that somebody makes of the small one.
func settings(t *rapid.T) Settings {
	set := small()
	set.RetrieveCodes = rapid.SampledFrom([][]string{{"*4"}, {"*4"}, {"*4", "*5"}, {"*5"}}).Draw(t, "codes")
	set.MaxCalls = rapid.SampledFrom([]int{7, 3, 0}).Draw(t, "max calls")
	set.MaxTime = rapid.SampledFrom([]time.Duration{5 * time.Minute, 2 * time.Minute, 0}).Draw(t, "max time")
	for _, ext := range []string{"5", "bob"} { // the latter was a phone before
		if rapid.IntRange(0, 3).Draw(t, "new") == 0 {
			set.Orbits = append(set.Orbits, Orbit{Extension: ext, Enabled: true, Music: "new", Timeout: set.Orbits[0].Timeout})
		}
	}
	var orbits []Orbit
	for _, o := range set.Orbits {
		switch rapid.IntRange(0, 15).Draw(t, "change") {
		case 0, 1:
			continue
		case 2:
			o.Enabled = false
		case 3:
			o.Timeout.Enabled = !o.Timeout.Enabled
			o.Timeout.After, o.Timeout.Ring = 30*time.Second, 15*time.Second
		case 4:
			o.Timeout.After = 10 * time.Second
		case 5:
			o.Timeout.After, o.Timeout.Ring = time.Minute, 5*time.Second
		case 6:
			o.Timeout.Fallback = ""
		case 7:
			o.Music, o.Name = "other", "other"
		case 8:
			o.Multiple = !o.Multiple
		case 9:
			o.MaxCalls = 1
		case 10:
			o.Press, o.TransferKey = PressAlways, '0'
		case 11:
			o.Retrieve = RetrieveDirect
		case 12:
			o.Timeout.Action = ToFallback
		case 13:
			o.Timeout.Action = Keep
		case 14:
			o.Timeout.Confirm = !o.Timeout.Confirm
		}
		orbits = append(orbits, o)
	}
	set.Orbits = orbits
	set.Pools = pools(t, set.Pools)
	return set
}

// pools draws what somebody makes of pools.
func pools(t *rapid.T, before []Pool) (after []Pool) {
	for _, p := range before {
		switch rapid.IntRange(0, 5).Draw(t, "change") {
		case 0:
			continue
		case 1:
			p.Pick = PickFirst + PickRandom - p.Pick
		case 2:
			p.Overflow = rapid.SampledFrom([]string{"", "2", "900"}).Draw(t, "overflow")
		case 3:
			p.Orbits = rapid.Permutation(p.Orbits).Draw(t, "orbits")[:2]
		case 4:
			p.Announce, p.Message = !p.Announce, !p.Message
		}
		after = append(after, p)
	}
	return after
}

// chaos draws what phones, trunks and operators do next.
type chaos struct {
	*rig
	n       int
	aliases []Alias // ever published
	record  func(Command)
}

// send runs a command and what follows from it.
func (c *chaos) send(cmd Command) error {
	if c.record != nil {
		c.record(cmd)
	}
	callers := map[string]*party{}
	refer, _ := cmd.(Refer)
	switch cmd.(type) {
	case Invite, Summon: // whoever sends them says where somebody goes
	default:
		if refer.Ours { // and here
			break
		}
		for _, e := range c.calls {
			callers[e.ID] = c.w.legs[e.Caller]
		}
	}
	err := c.do(cmd)
	for _, e := range c.calls {
		// Whoever is left by a caller waits, or will, where that one was.
		if was, is := callers[e.ID], c.w.legs[e.Caller]; was != nil && was != is && was.Orbit != "" {
			is.arrival, is.Orbit = was.arrival, was.Orbit
		}
		if a := e.Alias(); e.fetchable() && !slices.Contains(c.aliases, a) {
			c.aliases = append(c.aliases, a)
		}
	}
	slices.SortFunc(c.aliases, func(a, b Alias) int { return cmp.Compare(a.CallID, b.CallID) })
	return err
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
	return rapid.SampledFrom([]string{"1", "2", "3", "4", "2", "3", "5", "6", "7", "6", "7"}).Draw(t, "orbit")
}

// newcomer draws an INVITE of any sort.
func (c *chaos) newcomer(t *rapid.T) Invite {
	c.n++
	in := Invite{Leg: fmt.Sprintf("L%02d", c.n), To: c.ext(t), Codec: "PCMU", Record: []byte{byte(c.n)}}
	in.Self, in.Name = "sip:"+in.Leg+"@example.com", in.Leg
	in.Barred = rapid.IntRange(0, 19).Draw(t, "barred") == 0
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
		if leg := c.some(t, "music", "joined", "ringing", "asked", "ended"); leg != "" {
			in.Replaces = &Replaces{CallID: "real", Leg: leg, EarlyOnly: rapid.IntRange(0, 9).Draw(t, "early") == 0}
		}
	}
	return in
}

// referral draws a REFER within some dialog.
func (c *chaos) referral(t *rapid.T) Command {
	leg := c.some(t, rapid.SampledFrom([]string{"joined", "joined", "joined", "music", "ended"}).Draw(t, "whose"))
	if leg == "" {
		return nil
	}
	in := Refer{Leg: leg, To: c.ext(t), Ours: rapid.IntRange(0, 4).Draw(t, "ours") > 0}
	switch rapid.IntRange(0, 8).Draw(t, "sort of refer") {
	case 0, 1:
	case 2:
		in.To = "*4" + in.To
	case 3:
		in.Retrieve = true
	case 4:
		if len(c.aliases) > 0 {
			in.Replaces = replaces(rapid.SampledFrom(c.aliases).Draw(t, "alias"), rapid.Bool().Draw(t, "swap"))
		}
	case 5, 6:
		whom := rapid.SampledFrom([]string{"music", "joined", "joined", "ringing", "ended"}).Draw(t, "whom")
		if other := c.some(t, whom); other != "" {
			in.Replaces = &Replaces{CallID: "real", Leg: other, EarlyOnly: rapid.IntRange(0, 9).Draw(t, "early") == 0}
		}
	case 7, 8:
		in.To, in.Ours, in.Target = "carol", false, carol
	}
	return in
}

// summons draws a REFER outside of any dialog.
func (c *chaos) summons(t *rapid.T) Command {
	c.n++
	in := Summon{Refer: Refer{Leg: fmt.Sprintf("R%02d", c.n), Target: carol}, At: c.ext(t)}
	if rapid.Bool().Draw(t, "parker") {
		in.Parker = bob
	}
	if rapid.IntRange(0, 9).Draw(t, "to somebody else") == 0 {
		in.Target = ""
	}
	if rapid.IntRange(0, 3).Draw(t, "somebody who is behind us") == 0 {
		if leg := c.some(t, rapid.SampledFrom([]string{"joined", "music", "ringing"}).Draw(t, "whom")); leg != "" {
			in.Replaces = &Replaces{CallID: "real", Leg: leg}
		}
	}
	c.w.legs[in.Leg] = &party{State: "referring"}
	return in
}

const carol = "sip:carol@example.com"

// results draws something that the network reports of a leg.
func (c *chaos) result(t *rapid.T) Command {
	switch rapid.IntRange(0, 12).Draw(t, "result") {
	case 11, 12: // whoever transfers hangs up early
		for _, call := range c.ordered() {
			if p := c.w.legs[call.Left]; p != nil && p.State != "ended" {
				c.w.end(call.Left)
				return Hangup{Leg: call.Left}
			}
		}
	case 10:
		if leg := c.some(t, "ringing", "ended"); leg != "" {
			return Progress{Leg: leg, Code: 180}
		}
	case 0, 1:
		if leg := c.some(t, "joined", "joined", "music"); leg != "" {
			return Acked{Leg: leg, Record: rapid.SampledFrom([][]byte{nil, []byte("acked")}).Draw(t, "record")}
		}
	case 2:
		if leg := c.some(t, "ringing"); leg != "" {
			return Answered{
				Leg: leg, Record: []byte(leg),
				Machine: rapid.IntRange(0, 3).Draw(t, "machine") == 0, Forwarded: rapid.IntRange(0, 2).Draw(t, "forwarded") == 0,
			}
		}
	case 3: // somebody who was told to end answers all the same
		if leg := c.some(t, "ended"); leg != "" {
			return Answered{Leg: leg}
		}
	case 4:
		if leg := c.some(t, "music", "joined", "ringing", "referring", "asked"); leg != "" {
			c.w.end(leg)
			return c.refusal(t, leg)
		}
	case 5:
		if leg := c.some(t, "music", "joined", "asked", "asked"); leg != "" {
			return Key{
				Leg: leg, Digit: rapid.SampledFrom([]byte("0112")).Draw(t, "key"), Info: rapid.Uint32Range(0, 1).Draw(t, "info"),
			}
		}
	case 6:
		if leg := c.some(t, "music", "joined", "asked", "ended"); leg != "" {
			return Note{Leg: leg, Record: []byte("note"), Reply: rapid.Bool().Draw(t, "reply")}
		}
	case 7:
		if leg := c.some(t, "music", "joined", "joined", "ended"); leg != "" {
			return Identified{Leg: leg, Who: identity(t)}
		}
	case 8, 9:
		if leg := c.some(t, "joined"); leg != "" {
			return HandedOff{Leg: leg, Peer: c.w.legs[leg].Sent, Code: rapid.SampledFrom([]int{200, 486, 408}).Draw(t, "code")}
		}
	}
	return nil
}

// identity draws who a party is said to be.
func identity(t *rapid.T) Identity {
	uri := rapid.SampledFrom([]string{"", "sip:yan@example.com", "sip:yan@10.0.0.1", "sip:zoe@example.com", "tel:+441234"}).Draw(t, "uri")
	i := Identity{Name: rapid.SampledFrom([]string{"", "Yan", "Zoe"}).Draw(t, "name"), URI: uri}
	if rapid.Bool().Draw(t, "may be called") {
		i.Self = uri
	}
	return i
}

// refusal draws how a leg ends by itself.
func (c *chaos) refusal(t *rapid.T, leg string) Hangup {
	in := Hangup{Leg: leg, Code: rapid.SampledFrom([]int{486, 480, 302, 302, 302, 603, 0}).Draw(t, "code"), Rang: rapid.Bool().Draw(t, "rang"), Early: rapid.IntRange(0, 3).Draw(t, "early") == 0}
	if in.Code == 302 {
		in.Moved = rapid.SliceOfN(rapid.SampledFrom([]string{bob, "sip:BOB@example.com", "sip:ann@example.com", "sip:1@example.com", "sip:eve@example.com", "sip:fay@example.com", "sip:gil@example.com", "sip:hal@example.com"}), 0, 4).Draw(t, "moved")
	}
	return in
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

// plan draws what an operator asks of all calls, nil mostly.
func (c *chaos) plan(t *rapid.T) Command {
	switch rapid.IntRange(0, 19).Draw(t, "plan") {
	case 0:
		return Drain{}
	case 1:
		return Drain{Return: true}
	case 2, 3, 4, 5, 6, 7:
		return Configure{settings(t)}
	}
	return nil
}

// oldest is the caller whom a code must fetch, as the world has it.
func (c *chaos) oldest(ext string) string {
	first, in := "", []string{ext}
	if p := c.pools[ext]; p != nil {
		in = p.Orbits
	}
	for id, p := range c.w.legs {
		if e := c.call(id); e == nil || !e.fetchable() {
			continue
		}
		if p.State == "music" && slices.Contains(in, p.Orbit) && c.places[p.Orbit] != nil && !(c.pools[ext] != nil && c.places[p.Orbit].removed) && (first == "" || p.arrival < c.w.legs[first].arrival) {
			first = id
		}
	}
	return first
}
