// Package peers proves parkd against telephony programs that nobody here
// wrote: sipp, baresip, Twinkle, linphonec and Kamailio.
//
// Every scenario starts the real parkd binary and its peers on a loopback
// network of its own (127.x.y.0/24) with a home folder of its own, so that
// scenarios run side by side. A program is ready when it answers, never when
// some time has passed. What was heard is proven by sound: tones and music are
// looked for in recordings.
//
// The tests are left out by -short. On Debian and Ubuntu a missing program
// fails the test that needs it; elsewhere the test is skipped and names it.
package peers
