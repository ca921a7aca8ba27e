//go:build !race

package bubble

const (
	stride = 1  // what stopStride grows with
	turns  = 64 // mishaps that a script of the matrix is tried with, at most
)
