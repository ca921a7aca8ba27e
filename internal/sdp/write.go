package sdp

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// section is an m= line of ours with its attributes.
type section struct {
	mline
	attributes []sdp.Attribute
	silent     bool // there is to be no RTCP
}

// Offer describes our end with the codecs named, in that order, and
// telephone-event: m=audio RTP/AVP 0 8 9 101. Where SRTP is required the transport is
// RTP/SAVP; where it is optional it is RTP/AVP with keys beside it, which who speaks
// no SRTP passes over. With l.Previous it is a new offer
// in that session: same o= id, same m= lines in order (those not ours with port
// 0), same payload numbers (RFC 3264 8). Codecs nil means l.Codecs. A Local that
// cannot be described yields nil.
func Offer(l Local, codecs []string) []byte {
	if codecs == nil {
		codecs = l.Codecs
	}
	if l.check() != nil {
		return nil
	}
	list, event, lines, index := l.numbers(codecs)
	if e := l.Elsewhere; !e.IsZero() {
		list, event = []Codec{e.Codec}, e.Event
	}
	if len(list) == 0 {
		return nil
	}
	proto := "RTP/AVP"
	if l.Security == Required {
		proto = "RTP/SAVP"
	}
	if rtp, _ := profile(lines[index].proto); rtp {
		proto = lines[index].proto // RFC 3264 8.3: the transport stays
	}
	lines[index] = audio(proto, l.receives().Port(), list, event, l.Direction, l.locks())
	lines[index].attributes = append(lines[index].attributes, l.control(true, true)...)
	lines[index].silent = l.keepsSilent()
	body, err := l.write(lines, nil)
	if err != nil {
		return nil
	}
	return body
}

// numbers gives each codec its payload number, and the m= lines to repeat.
func (l Local) numbers(names []string) (list []Codec, event Event, lines []section, index int) {
	var before Remote
	if l.Previous != nil {
		if p, err := Parse(l.Previous); err == nil {
			before = p
		}
	}
	// RFC 3264 8.3.2: a number keeps its meaning for the whole session.
	if event = before.Event; event.PT == 0 {
		event = Event{PT: eventPT, Clock: 8000}
		for slices.ContainsFunc(before.Codecs, func(c Codec) bool { return c.PT == event.PT }) {
			event.PT++ // at most three codecs: stays below 128
		}
	}
	for _, n := range names {
		c, ok := codecByName(n)
		if !ok {
			continue
		}
		if b, ok := find(before.Codecs, c.Name); ok {
			c.PT = b.PT
		}
		if _, twice := find(list, c.Name); !twice {
			list = append(list, c)
		}
	}
	lines = make([]section, max(1, len(before.lines)))
	for i, m := range before.lines {
		lines[i] = section{mline: m.rejected()}
	}
	return list, event, lines, before.Index
}

// locks are the a=crypto lines of our offer: those of our last description, for as long
// as there is one. The media of others has none.
func (l Local) locks() []crypto {
	switch {
	case l.Security == Off || !l.Elsewhere.IsZero():
		return nil
	case l.Previous == nil:
		var first []crypto
		for _, s := range suites {
			if s.brief || l.Security == Required {
				first = append(first, crypto{tag: strconv.Itoa(len(first) + 1), suite: s.name})
			}
		}
		return l.cryptos(first)
	}
	before, err := Parse(l.Previous)
	if err != nil {
		return nil
	}
	return l.cryptos(before.cryptos)
}

// cryptos are lines with our keys; none without a key.
func (l Local) cryptos(lines []crypto) []crypto {
	var list []crypto
	for _, c := range lines {
		if c.key = l.keyOf(c.suite); c.key.Known() {
			list = append(list, c)
		}
	}
	return list
}

// keyOf is our key for a suite.
func (l Local) keyOf(suite string) Key {
	if i := suiteIndex(suite); i >= 0 {
		return l.Keys[i]
	}
	return ""
}

// audio is our stream with one or more codecs.
func audio(proto string, port uint16, codecs []Codec, event Event, way Direction, locks []crypto) section {
	s := section{mline: mline{media: "audio", port: int(port), proto: proto}}
	add := func(key, value string) { s.attributes = append(s.attributes, sdp.NewAttribute(key, value)) }
	for _, c := range codecs {
		pt := strconv.Itoa(int(c.PT))
		s.formats = append(s.formats, pt)
		add("rtpmap", pt+" "+c.Name+"/"+strconv.Itoa(c.Clock))
	}
	if event.PT != 0 {
		pt := strconv.Itoa(int(event.PT))
		s.formats = append(s.formats, pt)
		add("rtpmap", pt+" "+eventName+"/"+strconv.Itoa(event.Clock))
		add("fmtp", pt+" 0-16") // RFC 4733 2.4.1: DTMF and flash
	}
	add("ptime", strconv.Itoa(defaultPtime))
	s.attributes = append(s.attributes, sdp.NewPropertyAttribute(way.String()))
	for _, c := range locks {
		add("crypto", c.line())
	}
	return s
}

func (l Local) check() error {
	for _, at := range []netip.AddrPort{l.Addr, l.receives()} {
		a := at.Addr()
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || at.Port() == 0 {
			return fmt.Errorf("%w: address %v", ErrLocal, at)
		}
	}
	return nil
}

// receives is where the description says that RTP is received.
func (l Local) receives() netip.AddrPort {
	if !l.Elsewhere.IsZero() {
		return l.Elsewhere.Addr
	}
	return l.Addr
}

// write renders the session: at the version of l.Previous if that is the very
// same description, else at the next one (RFC 3264 8).
func (l Local) write(lines []section, times []string) ([]byte, error) {
	id, version := l.SessionID, l.Version
	if l.Previous == nil {
		return l.render(id, version, lines, times)
	}
	old, err := Parse(l.Previous)
	if err != nil {
		return nil, fmt.Errorf("%w: previous description: %w", ErrLocal, err)
	}
	if id, err = strconv.ParseUint(old.Origin.ID, 10, 64); err != nil {
		return nil, fmt.Errorf("%w: previous o= id %q", ErrLocal, old.Origin.ID)
	}
	if version, err = strconv.ParseUint(old.Origin.Version, 10, 64); err != nil {
		return nil, fmt.Errorf("%w: previous o= version %q", ErrLocal, old.Origin.Version)
	}
	if old.Origin.User != "-" {
		l.User = old.Origin.User
	}
	l.origin = old.Origin.Address
	body, err := l.render(id, version, lines, times)
	if err != nil || string(body) == string(l.Previous) {
		return body, err
	}
	return l.render(id, version+1, lines, times)
}

func (l Local) render(id, version uint64, lines []section, times []string) ([]byte, error) {
	kind, addr := family(l.receives().Addr())
	origin := sdp.Origin{Username: user(l.User), SessionID: id, SessionVersion: version, NetworkType: "IN"}
	origin.AddressType, origin.UnicastAddress = family(l.Addr.Addr())
	// RFC 3264 8: all of the line stays but for the version.
	if f := strings.Fields(l.origin); len(f) == 3 {
		origin.AddressType, origin.UnicastAddress = f[1], f[2]
	}
	d := sdp.SessionDescription{
		Origin:      origin,
		SessionName: "-",
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: kind,
			Address: &sdp.Address{Address: addr}},
		TimeDescriptions: timing(times),
	}
	for _, s := range lines {
		d.MediaDescriptions = append(d.MediaDescriptions, &sdp.MediaDescription{
			MediaName: sdp.MediaName{Media: s.media, Port: sdp.RangedPort{Value: s.port},
				Protos: strings.Split(s.proto, "/"), Formats: s.formats},
			Attributes: s.attributes, Bandwidth: s.bandwidth(),
		})
	}
	body, err := d.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLocal, err)
	}
	return body, nil
}

// family is an address as c= and o= have it.
func family(a netip.Addr) (kind, addr string) {
	switch a = a.Unmap(); {
	case !a.IsValid():
		return "IP4", netip.IPv4Unspecified().String() // every stream is at port 0
	case a.Is6():
		return "IP6", a.String()
	}
	return "IP4", a.String()
}

// user makes a token of RFC 4566 5.2: no spaces, never empty.
func user(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s
}

// timing repeats the offer's t= lines: RFC 3264 6 wants them equal in the answer.
func timing(times []string) []sdp.TimeDescription {
	var out []sdp.TimeDescription
	for _, t := range times {
		var td sdp.TimeDescription
		if n, _ := fmt.Sscan(t, &td.Timing.StartTime, &td.Timing.StopTime); n == 2 {
			out = append(out, td)
		}
	}
	if out == nil {
		out = []sdp.TimeDescription{{}}
	}
	return out
}
