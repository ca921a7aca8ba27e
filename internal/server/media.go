package server

import (
	"net/netip"

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

// port is a port of rtpmusic as legs use it.
type port struct {
	*rtpmusic.Port
	tunes *library.Library
}

// Set implements leg.Port.
func (p *port) Set(a sdp.Agreed) {
	p.Port.Set(rtpmusic.Session{
		Remote: a.Remote, Codec: a.Codec.Name, PT: a.Codec.PT, RecvPT: a.RecvPT,
		EventPT: a.Event.PT, EventRecvPT: a.RecvEvent.PT, EventClock: a.Event.Clock,
		Ptime: a.Ptime, Send: a.Send, Recv: a.Recv,
	})
}

// Play implements leg.Port.
func (p *port) Play(tune string) { p.Port.Play(p.tunes.Tune(tune)) }

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
