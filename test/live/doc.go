// Package live is a scripted SIP phone over real sockets, for tests of whole
// servers in real time: it calls, is called, watches lamps, and sends and hears
// sound. It behaves as a proper user agent by itself where a test says nothing:
// on UDP it sends again what nobody answers, it answers alike what comes again,
// acknowledges, and takes requests within its dialogs.
//
// It shares no code with the server but sipgo's parser and, to hear what was
// sent, the codecs, which have tests of their own against references. What the
// server sends must be well-formed, or the test fails. Methods that wait fail
// the test when it takes too long; they are for the test's own goroutine. Fake
// time has phones of its own, in test/kit.
package live
