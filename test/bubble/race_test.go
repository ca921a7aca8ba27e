//go:build race

package bubble

// With the race detector everything takes several times as long: it sees a part of
// what is tried without.
const (
	cutStride = 8   // one in so many points is cut
	stride    = 11  // what stopStride grows with
	turns     = 3   // mishaps that a script of the matrix is tried with, at most
	crowd     = 200 // phones or orbits of a crowd
)
