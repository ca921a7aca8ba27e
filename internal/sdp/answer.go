package sdp

import (
	"fmt"
	"slices"
)

// Answer answers the offer r: our description, with every m= line in its order,
// and what is agreed. One codec is chosen, so that the peer cannot change it
// under way: the one named prefer if it is offered, else the first of the
// peer's order that is among l.Codecs (RFC 3264 6.1). A stream offered with
// port 0 is answered so, with nothing sent or received (RFC 3264 8.2).
// l.Elsewhere is named only if the codec is the one chosen, and nothing is protected:
// our key is not for others. Where a stream is, of the offer's a=crypto lines the first
// that can be is answered, whether its transport says so or not.
// Errors: ErrSecure, ErrClear, ErrNoCodec, ErrLocal.
func (r Remote) Answer(l Local, prefer string) ([]byte, Agreed, error) {
	r = r.under(l.Security)
	lock, err := r.protected(l)
	if err != nil {
		return nil, Agreed{}, err
	}
	c, ok := r.choose(l.Codecs, prefer)
	if !ok && !r.Removed() {
		return nil, Agreed{}, fmt.Errorf("%w: offered %v", ErrNoCodec, r.formats())
	}
	if !r.Removed() {
		if err := l.check(); err != nil {
			return nil, Agreed{}, err
		}
	}
	// RFC 3264 6.1: what the offerer sends we receive, and the other way round.
	a := r.agreed(l, c, r.Event)
	a.RecvPT, a.RecvEvent = c.PT, r.Event // RFC 3264 6.1: the offer's own numbers
	var locks []crypto
	if lock != (crypto{}) {
		a.Secured = Secured{Suite: lock.suite, Ours: l.keyOf(lock.suite), Theirs: lock.key, Terms: lock.terms}
		if !a.Secured.Ours.Known() {
			return nil, Agreed{}, fmt.Errorf("%w: no key", ErrLocal)
		}
		locks = l.cryptos([]crypto{lock}) // RFC 4568 5.1.2: the same tag and suite, a key of our own
		l.Elsewhere = Elsewhere{}
	}
	way := direction(r.Direction.receives() && l.Direction.sends(), r.Direction.sends() && l.Direction.receives())

	lines := make([]section, len(r.lines))
	for i, m := range r.lines {
		lines[i] = section{mline: m.rejected()}
	}
	if !r.Removed() {
		if e := l.Elsewhere; e.Codec.Name != c.Name {
			l.Elsewhere = Elsewhere{}
		} else { // the numbers of whoever receives
			event := e.Event
			if r.Event.PT == 0 {
				event = Event{}
			}
			c, a.RecvPT = e.Codec, e.Codec.PT
			a.RecvEvent = event
		}
		lines[r.Index] = audio(r.lines[r.Index].proto, l.receives().Port(), []Codec{c}, a.RecvEvent, way, locks)
		// RFC 5761 5.1.1, RFC 8035: only what was offered is answered.
		mux := r.RTCPMux && l.RTCP != 0 && muxes(c.PT, a.RecvEvent.PT)
		lines[r.Index].attributes = append(lines[r.Index].attributes, l.control(mux, !mux)...)
		lines[r.Index].silent = r.RTCPOff && l.Elsewhere.IsZero()
		a.reports(r, l, mux)
	}
	body, err := l.write(lines, r.times)
	return body, a, err
}

// Accept takes r as the answer to our offer l.Previous (or, without it, to the
// one that Offer makes of l.Codecs). Errors: ErrSecure, ErrClear, ErrNoCodec.
func (r Remote) Accept(l Local) (Agreed, error) {
	// RFC 3264 6: port 0 in an answer refuses the stream.
	if r.Removed() {
		return Agreed{}, fmt.Errorf("%w: stream refused", ErrNoCodec)
	}
	secured, err := r.secured(l)
	if err != nil {
		return Agreed{}, err
	}
	ours, event := l.offered()
	common := slices.DeleteFunc(slices.Clone(r.Codecs), func(c Codec) bool {
		_, ok := find(ours, c.Name)
		return !ok
	})
	if len(common) == 0 {
		return Agreed{}, fmt.Errorf("%w: answered %v", ErrNoCodec, r.formats())
	}
	ev := r.Event
	if event.PT == 0 {
		ev = Event{}
	}
	a := r.agreed(l, common[0], ev)
	mine, _ := find(ours, common[0].Name)
	a.RecvPT, a.Secured = mine.PT, secured
	for i, c := range common[1:] { // three codecs at most
		a.Also[i], _ = find(ours, c.Name)
	}
	a.reports(r, l, r.RTCPMux && l.offersMux())
	if ev.PT != 0 {
		a.RecvEvent = event
	}
	return a, nil
}

// protected chooses by which line of an offer the stream is protected; the zero
// crypto: by none. RFC 4568 5.1.2: the first that is acceptable.
func (r Remote) protected(l Local) (crypto, error) {
	switch {
	case r.Removed():
		return crypto{}, nil
	case l.Security != Off && len(r.cryptos) > 0:
		return r.cryptos[0], nil
	case r.Secure:
		return crypto{}, ErrSecure
	case l.Security == Required:
		return crypto{}, ErrClear
	}
	return crypto{}, nil
}

// secured is what an answer protects the stream by: RFC 4568 5.1.3, a line of our
// offer, by tag and suite.
func (r Remote) secured(l Local) (Secured, error) {
	for _, c := range l.locks() {
		for _, theirs := range r.cryptos {
			if theirs.tag == c.tag && theirs.suite == c.suite {
				return Secured{Suite: c.suite, Ours: c.key, Theirs: theirs.key, Terms: theirs.terms}, nil
			}
		}
	}
	switch {
	case r.Secure:
		return Secured{}, ErrSecure
	case l.Security == Required:
		return Secured{}, ErrClear
	}
	return Secured{}, nil
}

func (r Remote) agreed(l Local, c Codec, ev Event) Agreed {
	a := Agreed{Codec: c, Event: ev, Ptime: r.Ptime, Remote: r.Addr, RTCP: r.RTCP}
	if r.Removed() {
		return a
	}
	a.Send = !r.Hold && r.Direction.receives() && l.Direction.sends()
	a.Recv = r.Direction.sends() && l.Direction.receives()
	return a
}

func (r Remote) choose(ours []string, prefer string) (Codec, bool) {
	if prefer != "" && wants(ours, prefer) {
		if c, ok := find(r.Codecs, prefer); ok {
			return c, true
		}
	}
	i := slices.IndexFunc(r.Codecs, func(c Codec) bool { return wants(ours, c.Name) })
	if i < 0 {
		return Codec{}, false
	}
	return r.Codecs[i], true
}

func (r Remote) formats() []string {
	if r.Index < len(r.lines) {
		return r.lines[r.Index].formats
	}
	return nil
}

// offered is what our last offer said: the codecs with our numbers for them.
func (l Local) offered() ([]Codec, Event) {
	if l.Previous != nil {
		if p, err := Parse(l.Previous); err == nil {
			return p.Codecs, p.Event
		}
	}
	var out []Codec
	for _, n := range l.Codecs {
		if c, ok := codecByName(n); ok {
			out = append(out, c)
		}
	}
	return out, Event{PT: eventPT, Clock: 8000}
}
