package leg

import (
	"net/netip"
	"time"
)

// rebind binds the media socket that the leg had, for the stream that it sent.
func (v *revival) rebind() {
	if !v.r.Bound.IsValid() || v.r.State == recordCalling {
		return
	}
	port, err := v.m.o.Media.Resume(v.r.Bound, v.r.Place, v.runs)
	if err != nil {
		v.log.Warn().Err(err).Stringer("address", v.r.Bound).Msg("media port lost")
		return
	}
	v.bound = v.r.Bound.Addr()
	v.use(port)
}

// reopen binds another socket for a leg that has lost its own. Where none is to be
// had, as before the network is up, the leg goes on without and looks for one.
func (v *revival) reopen() {
	if v.bound.IsValid() {
		return
	}
	if port, _, bound, err := v.m.open(v.dialog.Flow); err == nil {
		v.bound = bound
		v.use(port)
		return
	}
	v.homeless = v.r
	v.use(&latePort{})
	v.after(seekEvery, v.seek)
}

// seekEvery is how often a leg without a media port looks for one.
const seekEvery = time.Second

// seek finds a port for a leg that was restored without: its own, or another.
func (v *revival) seek() {
	if v.state == ending || v.state == ended {
		return
	}
	v.dialog.Flow = v.m.o.Endpoint.Present(v.dialog.Flow)
	port, err := v.m.o.Media.Resume(v.r.Bound, v.r.Place, v.runs)
	bound := v.r.Bound.Addr()
	if err != nil {
		if port, _, bound, err = v.m.open(v.dialog.Flow); err != nil {
			v.after(seekEvery, v.seek)
			return
		}
	}
	v.log.Info().Stringer("address", bound).Msg("media port found")
	v.bound, v.homeless = bound, nil
	v.port.(*latePort).found(port)
	v.whereabouts()
	if v.state == confirmed {
		v.keep()
		v.move()
	}
}

// whereabouts notes what the peer has to be told of where we are now, if anything.
func (v *revival) whereabouts() {
	if !v.bound.IsValid() {
		return
	}
	addr := netip.AddrPortFrom(v.m.policy.Load().described(v.bound), v.port.LocalPort())
	contact := v.m.o.Endpoint.Contact(v.user, v.dialog.Flow)
	if v.r.Moving || addr != v.local.Addr || v.astray() || v.r.Contact != "" && contact.Address.String() != v.r.Contact {
		v.away = addr
	}
}

// astray says whether the peer sends RTCP to where we do not receive it any more: the
// port that all legs share was another program's when we came back.
func (v *revival) astray() bool {
	at, a := v.port.RTCPPort(), v.agreed
	return at != 0 && v.local.RTCP != 0 && at != v.local.RTCP && a != nil && a.RTCP.IsValid() && !a.RTCPMux
}

// move tells the peer by re-INVITE where we are now.
func (l *Leg) move() {
	if l.state != confirmed || !l.away.IsValid() {
		return
	}
	l.log.Info().Stringer("address", l.away).Msg("leg has moved")
	l.local.Addr, l.away = l.away, netip.AddrPort{}
	l.behind = true
	l.reoffer()
}
