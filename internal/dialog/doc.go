// Package dialog keeps SIP dialogs (RFC 3261 section 12) as values that can be
// written to a journal and read back, finds the dialog of a request, and runs
// what belongs to one dialog in order: requests by CSeq, functions one after
// the other, timers on the same queue.
//
// It promises that a usage is never called concurrently for one queue, that an
// idle dialog has no goroutine and no timer of its own, and that every queue
// is bounded. It knows no usage: INVITE is in package leg, SUBSCRIBE in
// package presence.
package dialog
