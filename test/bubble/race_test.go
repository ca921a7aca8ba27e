//go:build race

package bubble

// With the race detector everything takes several times as long.
const (
	stride = 7  // what stopStride grows with
	turns  = 10 // mishaps that a script of the matrix is tried with, at most
)
