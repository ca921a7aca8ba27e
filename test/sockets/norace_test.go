//go:build !race

package sockets

// crowded is how many orbits are configured where many are.
const crowded = 500
