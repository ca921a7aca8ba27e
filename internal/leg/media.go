package leg

import (
	"net/netip"
	"time"

	"parkd/internal/sdp"
)

// Media opens ports for legs. Open binds an even UDP port on an address; it
// fails when there is none left.
type Media interface {
	Open(local netip.Addr) (Port, error)
}

// silent is the port of a leg that has none yet.
type silent struct{}

func (silent) LocalPort() uint16 { return 0 }
func (silent) Set(sdp.Agreed)    {}
func (silent) Play(string)       {}
func (silent) Join(Port)         {}
func (silent) Part(Port)         {}
func (silent) OnKey(func(byte))  {}
func (silent) Heard() time.Time  { return time.Time{} }
func (silent) Close()            {}

// Port is the media of one leg. Its methods may be called from any goroutine,
// do not block, and do nothing after Close.
type Port interface {
	LocalPort() uint16
	Set(sdp.Agreed)         // what the leg's offer and answer agreed on; at each of them
	Play(tune string)       // music from its start, to the peer
	Join(peer Port)         // relay to and from the peer's port; ends music on both
	Part(peer Port)         // the end of Join
	OnKey(func(digit byte)) // RFC 4733 presses
	Heard() time.Time       // when the peer last sent anything; zero = never
	Close()
}
