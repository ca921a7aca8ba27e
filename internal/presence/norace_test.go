//go:build !race

package presence

const dropped = 0 // as in race_test.go
