package leg

import (
	"net/netip"
	"time"

	"parkd/internal/sdp"
)

// Media opens ports for legs.
type Media interface {
	// Open binds an even UDP port on an address; it fails when there is none left.
	Open(local netip.Addr) (Port, error)
	// Resume binds exactly that port, for the stream that stood at place when
	// runs processes had not run yet since (0 = the last one wrote it).
	Resume(at netip.AddrPort, place []byte, runs uint64) (Port, error)
}

// silent is the port of a leg that has none yet.
type silent struct{}

func (silent) LocalPort() uint16              { return 0 }
func (silent) RTCPPort() uint16               { return 0 }
func (silent) Set(sdp.Agreed)                 {}
func (silent) Play(string)                    {}
func (silent) Say([]string, string)           {}
func (silent) Join(Port)                      {}
func (silent) Part(Port)                      {}
func (silent) OnKey(func(byte))               {}
func (silent) Press(byte, time.Duration) bool { return false }
func (silent) Place() []byte                  { return nil }
func (silent) OnPlace(func())                 {}
func (silent) Heard() time.Time               { return time.Time{} }
func (silent) Close()                         {}
func (silent) Source() netip.AddrPort         { return netip.AddrPort{} }

// Port is the media of one leg. Its methods may be called from any goroutine,
// do not block, and do nothing after Close.
type Port interface {
	LocalPort() uint16
	RTCPPort() uint16 // where RTCP comes to from peers that do not multiplex it; 0 = nowhere
	Set(sdp.Agreed)   // what the leg's offer and answer agreed on; at each of them
	Play(tune string) // music from its start, to the peer
	// Say plays words one after the other, and then goes on as Play does with a tune;
	// "" is silence.
	Say(words []string, then string)
	Join(peer Port)         // relay to and from the peer's port; ends music on both
	Part(peer Port)         // the end of Join
	OnKey(func(digit byte)) // RFC 4733 presses
	// Press sends a key as RFC 4733 has it; false where the port is joined with none
	// or the peer takes no such keys.
	Press(digit byte, long time.Duration) bool
	Place() []byte          // where its stream may be resumed from, opaque here
	OnPlace(func())         // is told when Place should be written down again
	Heard() time.Time       // when the peer last sent anything; zero = never
	Source() netip.AddrPort // where it sends from; not valid before that is known
	Close()
}
