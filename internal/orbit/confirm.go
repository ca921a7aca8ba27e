package orbit

import (
	"slices"
	"strings"
	"time"
)

// takeKey is the key with which whoever answers a return takes the caller; any
// other refuses them.
const takeKey = '1'

// How whoever answers a return is asked whether they take the caller.
const (
	askedTimes = 3                // that it is said
	askedFor   = 30 * time.Second // until it counts as no answer
)

// confirms reports whether the party that has answered a return is to press a key
// before they are joined with the caller: where it is configured, and where the
// call went on to another number than the parker's, for a mailbox may have it.
func (s *State) confirms(c *Call, in Answered) bool {
	if s.settings(c.At).Timeout.Confirm {
		return true
	}
	rung := strings.Fields(c.Rung)
	return c.personal() && (in.Forwarded || !strings.EqualFold(user(rung[0]), user(rung[len(rung)-1])))
}

// question asks whoever has answered. The caller keeps their place and the music,
// and may still be fetched by others.
func (s *State) question(now time.Time, ch *Change, c Call) {
	c.Answered, c.Due = true, now.Add(askedFor)
	ch.put(c)
	ch.after(Say{Leg: c.Other, Words: slices.Repeat(c.words(), askedTimes)})
	ch.event(KindReturning, &c, "answered, to press 1")
}

// words say who is on their way back, and from where.
func (c *Call) words() []string {
	words := []string{WordCallFrom}
	if number := spellable(user(c.URI)); number != nil {
		words = append(words, number...)
	} else {
		words = append(words, WordUnknownCaller)
	}
	words = append(words, WordParkedOn)
	return append(append(words, Spell(c.Home)...), WordPress1)
}

// longestName is how long a name may be to be spelled letter by letter.
const longestName = 8

// spellable are the words of a number, or of a name that is short; nil if it is
// neither.
func spellable(number string) []string {
	if strings.EqualFold(number, "anonymous") { // RFC 3323 4.1.1.3
		return nil
	}
	digits := strings.Trim(number, "+*#0123456789") == ""
	if number == "" || !digits && len(number) > longestName {
		return nil
	}
	return Spell(number)
}

// answeredKey: one takes the caller, another refuses them.
func (s *State) answeredKey(now time.Time, ch *Change, c Call, digit byte) {
	if digit == takeKey {
		s.taken(now, ch, c)
		return
	}
	ch.bye(c.Other, refusedByKey)
	s.returnFailed(now, ch, c, refusedByKey)
}

// taken: whoever a return has called has the caller.
func (s *State) taken(now time.Time, ch *Change, c Call) {
	c.Phase, c.At, c.Due, c.Answered, c.Rung, c.Then = Bridged, "", time.Time{}, false, "", ""
	ch.after(s.bridge(&c))
	if c.Told {
		ch.after(c.introduction(c.Caller), c.introduction(c.Other))
	}
	s.handOff(now, ch, &c)
	ch.put(c)
	ch.event(KindReturned, &c, "")
}
