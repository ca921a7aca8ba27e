//go:build race

package bubble

// With the race detector everything takes several times as long: it sees a part of
// what is tried without.
const (
	cutStride = 5 // one in so many points is cut
	stride    = 7 // what stopStride grows with
	turns     = 5 // mishaps that a script of the matrix is tried with, at most
)
