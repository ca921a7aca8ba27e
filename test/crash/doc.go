// Package crash ends real servers by SIGKILL while real phones are in the
// middle of something, and starts others on what the journal holds: one point
// of each kind. Where every point is tried, in fake time, is package bubble;
// `make soak` runs that and TestSoak of this package, which kills at random.
//
// TestNothingGrows kills nobody: it has a server serve call after call, a few
// here and 20,000 in `make soak`, and looks whether anything has become more.
//
// It promises that each test looks at the outage from outside only: by SIP and
// RTP as phones see it, by HTTP, by the log and the exit code.
package crash
