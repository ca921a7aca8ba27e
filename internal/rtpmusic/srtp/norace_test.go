//go:build !race

package srtp

const dropped = 0 // as in race_test.go
