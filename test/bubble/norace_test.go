//go:build !race

package bubble

// stride: all of the matrix is run.
const stride = 1
