package library

import (
	"sync/atomic"
	"weak"
)

// Piece is rtpmusic's.
type Piece = interface {
	Audio(codec string) []byte
}

// Tune is a name and the music that it stands for at the moment: an endless loop,
// until Reload puts another in its place. It is rtpmusic's Tune.
type Tune struct {
	name   string
	loop   atomic.Pointer[piece]
	former []weak.Pointer[piece] // loops that it was; some may still be played. Owned by Reload
}

func newTune(name string, loop *piece) *Tune {
	t := &Tune{name: name}
	t.loop.Store(loop)
	return t
}

// Name returns the name that the tune was loaded by.
func (t *Tune) Name() string { return t.name }

// Next returns what is played after a piece that it returned before, and after nil
// what leads to the loop of now.
func (t *Tune) Next(after Piece) Piece {
	if p, ok := after.(*piece); ok {
		return p.following()
	}
	return t.loop.Load().start()
}

// swap is a new loop for a tune, ready to be put in place.
type swap struct {
	tune  *Tune
	loop  *piece
	turns map[*piece]*piece // what leads to it from each loop that may be playing
}

// prepare makes everything that a swap needs, which takes its time. loop is used by
// no other tune.
func (t *Tune) prepare(loop *piece) swap {
	s := swap{tune: t, loop: loop, turns: make(map[*piece]*piece)}
	for _, former := range append(t.former, weak.Make(t.loop.Load())) {
		if p := former.Value(); p != nil {
			s.turns[p] = turn(p, loop)
		}
	}
	return s
}

// apply puts the loop in place: streams of before turn to it at their loop's end.
func (s swap) apply() {
	t := s.tune
	t.former = t.former[:0]
	for p, to := range s.turns {
		t.former = append(t.former, weak.Make(p))
		p.next.Store(to)
	}
	t.loop.Store(s.loop)
}
