// Package shrink gives the memory of maps back. A map of Go keeps what it took when
// it was fullest for as long as it lives, so a table that was full for a minute, after
// a restart or a burst, would hold that for weeks.
package shrink

import "maps"

const (
	least = 64 // entries that a map had at the most, for the remedy to be worth it
	left  = 8  // it is made anew when one in so many is left
)

// Delete deletes a key from a map and returns the map, which is a new one when few
// of what was in it at most are left. most is how many those were; it belongs to
// the map, and nobody else writes it. What comes after a range over the old map has
// begun is not seen by that.
func Delete[K comparable, V any](m map[K]V, most *int, key K) map[K]V {
	*most = max(*most, len(m)) // a map is fullest just before something is deleted
	delete(m, key)
	if *most < least || len(m) > *most/left {
		return m
	}
	fresh := make(map[K]V, len(m))
	maps.Copy(fresh, m)
	*most = len(fresh)
	return fresh
}
