package rtpmusic

import (
	"unsafe"

	"parkd/internal/prefetch"
)

// Twenty milliseconds after its last frame a stream has left the cache, and to fetch it
// piece by piece, as the making of a frame comes to need it, is most of what that takes.
// So whoever makes frames has the next ones fetched meanwhile, all pieces at once.
const (
	fetchPort   = 12 // so many frames before it is made
	fetchSocket = 6  // that of the port is known by then
)

// frameSize is how much of a Port a frame takes, from its start on.
const frameSize = unsafe.Offsetof(Port{}.music) + unsafe.Offsetof(music{}.tune)

// ahead fetches what the frames after the i-th of ports take.
func ahead(ports []*Port, i int) {
	if j := i + fetchPort; j < len(ports) {
		prefetch.Memory(unsafe.Pointer(ports[j]), frameSize)
	}
	if j := i + fetchSocket; j >= 0 && j < len(ports) {
		ports[j].sock.fetch()
	}
}
