package main

import "math"

// The piece: 24 bars of four beats at 96 beats a minute, in D major, as A B A' of
// eight bars. Chords swell under an arpeggio in quavers; a bell plays a melody in B
// and A'.
const (
	bars      = 24
	beat      = rate * 5 / 8
	barLength = 4 * beat
)

// chord is a bass note and four notes above it, as MIDI numbers.
type chord struct {
	bass  int
	notes [4]int
}

var (
	dMaj7  = chord{50, [4]int{57, 61, 66, 69}}
	bMin7  = chord{47, [4]int{57, 62, 66, 69}}
	gMaj7  = chord{55, [4]int{59, 62, 66, 71}}
	gAdd9  = chord{55, [4]int{57, 62, 67, 71}}
	aMajor = chord{57, [4]int{57, 61, 64, 69}}
	aSus4  = chord{57, [4]int{57, 62, 64, 69}}
	fsMin7 = chord{54, [4]int{57, 61, 64, 69}}
	eMin7  = chord{52, [4]int{59, 62, 67, 71}}
	dAdd9  = chord{50, [4]int{57, 62, 64, 66}}
)

var harmony = [bars]chord{
	dMaj7, bMin7, gMaj7, aSus4, dMaj7, fsMin7, gAdd9, aMajor,
	bMin7, fsMin7, gMaj7, dAdd9, eMin7, bMin7, gAdd9, aSus4,
	dMaj7, bMin7, gMaj7, aMajor, fsMin7, bMin7, eMin7, aSus4,
}

// arpeggio is the order of chord notes in a bar of quavers; 4 is the lowest an
// octave higher.
var arpeggio = [2][8]int{
	{0, 2, 1, 3, 4, 3, 2, 1},
	{1, 3, 2, 4, 3, 2, 3, 1},
}

// melody is a note, when it begins and how long it rings, in beats from the first
// of bar 8.
var melody = []struct {
	note       int
	at, length float64
}{
	{78, 0, 2}, {76, 2, 1}, {74, 3, 1}, {73, 4, 3}, {69, 7, 1},
	{71, 8, 2}, {74, 10, 1}, {78, 11, 1}, {76, 12, 3},
	{79, 16, 2}, {78, 18, 1}, {76, 19, 1}, {74, 20, 2}, {78, 22, 2},
	{76, 24, 1.5}, {74, 25.5, 1.5}, {71, 27, 1}, {74, 28, 2}, {73, 30, 2},
	{69, 32, 2}, {73, 34, 2}, {74, 36, 3},
	{71, 40, 1.5}, {74, 41.5, 1.5}, {76, 43, 1}, {73, 44, 3},
	{76, 48, 2}, {73, 50, 2}, {74, 52, 2}, {78, 54, 2}, {79, 56, 2}, {76, 58, 2}, {74, 60, 3},
}

// render plays the score and returns it at a peak of -9 dBFS.
func render() []int16 {
	r := make(ring, length)
	for bar, c := range harmony {
		at := bar * barLength
		for i, note := range c.notes {
			r.pad(at, barLength, barLength/3, note, 0.15-float64(0.01*float64(i)))
		}
		r.pad(at, barLength, barLength/4, c.bass, 0.16)
		for i, n := range arpeggio[bar%2] {
			note := c.notes[n%4] + 12 + 12*(n/4)
			accent := 0.20
			if i%4 == 0 {
				accent = 0.25
			}
			r.pluck(at+i*beat/2, note, accent, 0.35)
		}
	}
	for _, m := range melody {
		r.bell(8*barLength+int(m.at*beat), m.note, 0.26, m.length/4)
	}
	r.room(0.10)
	return r.pcm()
}

// pcm scales the ring to the peak.
func (r ring) pcm() []int16 {
	const peak = 11627 // -9 dBFS
	r.limit(0.9)
	highest := 0.0
	for _, v := range r {
		highest = max(highest, math.Abs(v))
	}
	pcm := make([]int16, len(r))
	for i, v := range r {
		pcm[i] = int16(math.Round(v / highest * peak))
	}
	return pcm
}
