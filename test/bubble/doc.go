// Package bubble tests the whole server in fake time: parkd with phones on a
// network in memory, inside testing/synctest. Here is what depends on order and
// time: lost, late and crossing packets, half a minute of retransmission, hours
// of parking. Each scenario is named by what its people see, and at its end the
// server holds nothing any more.
//
// The kill matrix (killmatrix_*) plays scenes again and again and kills the
// server at each batch for the journal and each SIP packet in turn; another one
// starts from the durable bytes. PARKD_SOAK=1 tries every side of each point,
// every down time and both disks, and three kills in a row.
//
// The matrix (matrix_test.go) plays scripts with one packet late, doubled or lost.
//
// Golden files in testdata are ladders of the most important exchanges; -update
// writes them. Programs that nobody here wrote are in package peers.
package bubble
