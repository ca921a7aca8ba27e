// Package systemd runs the real parkd binary under a service manager, which is the
// test: it holds the SIP and HTTP sockets, listens to the notifications and wants
// signs of life, as systemd does with the units in configs/systemd. It proves what
// parkd says and when, and that what phones send while no process runs is answered
// by the next one.
//
// Linux only. TEST_BINARY names a binary to test instead of one built here.
package systemd
