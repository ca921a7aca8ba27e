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
