package rtpmusic

import "testing"

// What a frame takes of a port stays together: four cache lines, the first of which
// tells where the socket is.
func TestFrameSize(t *testing.T) {
	if frameSize > 4*64 {
		t.Errorf("a frame takes %d octets of a port", frameSize)
	}
}
