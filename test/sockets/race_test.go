//go:build race

package sockets

// crowded is how many orbits are configured where many are: fewer with the race
// detector, whose cost is that of the streams.
const crowded = 100
