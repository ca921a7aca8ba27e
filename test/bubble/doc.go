// Package bubble tests the whole server in fake time: parkd with phones on a
// network in memory, inside testing/synctest. Here is what depends on order and
// time: lost, late and crossing packets, half a minute of retransmission, hours
// of parking. Each scenario is named by what its people see, and at its end the
// server holds nothing any more.
//
// Golden files in testdata are ladders of the most important exchanges; -update
// writes them. Programs that nobody here wrote are in package peers.
package bubble
