package server

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"parkd/internal/config"
	"parkd/internal/leg"
	"parkd/internal/rtpmusic"
	"parkd/internal/rtpmusic/library"
	"parkd/internal/sdp"
)

// media opens rtpmusic's ports for legs.
type media struct {
	engine *rtpmusic.Engine
	tunes  *library.Library
}

// Open implements leg.Media.
func (m media) Open(local netip.Addr) (leg.Port, error) {
	p, err := m.engine.Open(local)
	if err != nil {
		return nil, err
	}
	return &port{Port: p, tunes: m.tunes}, nil
}

// Resume implements leg.Media. A process that has run since place was written
// may have sent from the block of sequence numbers behind it.
func (m media) Resume(at netip.AddrPort, place []byte, runs uint64) (leg.Port, error) {
	var from rtpmusic.Place
	if err := json.Unmarshal(place, &from); err != nil {
		return nil, fmt.Errorf("place of a stream: %w", err)
	}
	p, err := m.engine.OpenAt(at)
	if err != nil {
		return nil, err
	}
	p.Resume(from.After(runs))
	return &port{Port: p, tunes: m.tunes}, nil
}

// latching is how peers are found.
func latching(c *config.Config) rtpmusic.Latch {
	switch c.Media.Latch {
	case "always":
		return rtpmusic.LatchAlways
	case "never":
		return rtpmusic.LatchNever
	}
	return rtpmusic.LatchAuto
}

// port is a port of rtpmusic as legs use it.
type port struct {
	*rtpmusic.Port
	tunes *library.Library
}

// Set implements leg.Port.
func (p *port) Set(a sdp.Agreed) {
	var also [2]rtpmusic.Format
	for i, c := range a.Also {
		also[i] = rtpmusic.Format{Codec: c.Name, PT: c.PT}
	}
	p.Port.Set(rtpmusic.Session{
		Remote: a.Remote, Codec: a.Codec.Name, PT: a.Codec.PT, RecvPT: a.RecvPT, Also: also,
		EventPT: a.Event.PT, EventRecvPT: a.RecvEvent.PT, EventClock: a.Event.Clock,
		Ptime: a.Ptime, Send: a.Send, Recv: a.Recv, Secured: a.Secured,
		RTCP: a.RTCP, Mux: a.RTCPMux,
	})
}

// Place implements leg.Port.
func (p *port) Place() []byte {
	b, err := json.Marshal(p.Port.Place())
	if err != nil {
		panic(err) // plain values: cannot happen
	}
	return b
}

// Play implements leg.Port.
func (p *port) Play(tune string) { p.Port.Play(p.tunes.Tune(tune)) }

// Say implements leg.Port.
func (p *port) Say(words []string, then string) { p.Port.Play(p.tunes.Say(words, then)) }

// Join implements leg.Port.
func (p *port) Join(peer leg.Port) {
	if peer, ok := peer.(*port); ok {
		rtpmusic.Bridge(p.Port, peer.Port)
	}
}

// Part implements leg.Port.
func (p *port) Part(peer leg.Port) {
	if peer, ok := peer.(*port); ok {
		rtpmusic.Unbridge(p.Port, peer.Port)
	}
}
