//go:build race

package bubble

// stride: with the race detector, one in so many of the matrix is run.
const stride = 7
