//go:build race

package presence

// dropped is how many allocations may be added: with the race detector, a sync.Pool
// drops one in four of what it is given.
const dropped = 1
