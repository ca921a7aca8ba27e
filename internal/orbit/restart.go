package orbit

import "time"

// restart resolves what a server that went down left half done. A return is
// given up, whoever rang may have stopped since, and tried again in a moment. A
// transfer is taken back likewise; whoever is alone then is called back in a moment.
// A retrieve whose ACK is waited for no more has failed; one that still may be
// confirmed goes on. Whoever was never to be returned, and is by the settings of
// now, is so a time-out from now. Nobody else is touched: places, ages,
// deadlines and failed returns are as they were, and what came due meanwhile is
// due now.
func (s *State) restart(now time.Time) (ch Change) {
	for _, c := range s.ordered() {
		switch {
		case c.Phase == Transferring || c.Phase == Inviting:
			s.transferLost(now, &ch, c)
		case c.Phase == Returning:
			ch.bye(c.Other, restarted)
			c.Phase, c.Other, c.With, c.Due = Parked, "", Identity{}, now.Add(callOff)
			c.Answered, c.Rung, c.Then = false, "", ""
			ch.put(c)
			ch.event(KindKept, &c, restarted)
		case c.Phase == Retrieving && !c.Due.After(now):
			ch.bye(c.Other, unconfirmed)
			s.retrieveFailed(now, &ch, c)
		case c.Phase == Parked && c.Due.IsZero():
			if s.arm(now, &c); !c.Due.IsZero() {
				ch.put(c)
			}
		}
	}
	return ch
}

// owedBridge joins the two of a call again. The media of one who has not confirmed
// yet stays with us.
func (s *State) owedBridge(c *Call) Bridge {
	b := s.bridge(c)
	b.Direct = b.Direct && c.Phase == Bridged
	return b
}

// callOff is how long a phone that rang is given to stop, before it is called anew:
// else it is busy with the call that is being taken back.
const callOff = 2 * time.Second

// Owed lists what a restored state wants done after Restart, in the order of
// the calls' places. Each effect may have been carried out before; doing it
// again does no harm.
func (s *State) Owed() []Effect {
	calls, ending := s.ordered(), s.ending()
	owed := make([]Effect, 0, 3*len(calls)+len(ending))
	for i := range calls {
		switch c := &calls[i]; c.Phase {
		case Parked:
			music := s.settings(c.At).Music
			answer := Answer{Leg: c.Caller, Call: c.ID, Orbit: c.Home, Music: music}
			if p := s.places[c.At]; c.Pool != "" && p != nil {
				answer.Party = p.named()
			}
			owed = append(owed, answer, Play{c.Caller, music})
		case Retrieving, Bridged:
			if c.Handing == HandingOn {
				continue // their phone will say
			}
			owed = append(owed, Answer{Leg: c.Caller, Call: c.ID, Orbit: c.Home, Peer: c.Other},
				Answer{Leg: c.Other, Call: c.ID, Orbit: c.Home, Peer: c.Caller, Party: Party{c.Name, c.URI}},
				s.owedBridge(c))
			if c.Told {
				owed = append(owed, c.introduction(c.Caller), c.introduction(c.Other))
			}
			if c.Handing == HandingOff {
				owed = append(owed, c.handOff())
			}
		}
	}
	for _, id := range ending {
		owed = append(owed, Bye{id, restarted})
	}
	return owed
}
