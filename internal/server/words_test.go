package server

import (
	"slices"
	"testing"

	"parkd/internal/orbit"
	"parkd/internal/rtpmusic/library"
)

// What can be said is what ships inside the program, no less and no more.
func TestEveryWordShips(t *testing.T) {
	can := orbit.Vocabulary()
	slices.Sort(can)
	if ships := library.Words(); !slices.Equal(can, ships) {
		t.Errorf("can be said: %q\nships: %q", can, ships)
	}
}
