//go:build !race

package bubble

const (
	cutStride = 1    // one in so many points is cut
	stride    = 1    // what stopStride grows with
	turns     = 64   // mishaps that a script of the matrix is tried with, at most
	crowd     = 1000 // phones or orbits of a crowd
)
