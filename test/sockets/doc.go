// Package sockets runs whole servers over real sockets in this process: UDP,
// TCP and TLS, IPv4 and IPv6, RTP and HTTP, configured by YAML text as a user
// writes it. Its phones are those of package live.
//
// It promises that every server ends without an error, has logged none, and
// leaves no goroutine. Where only order and time matter, package bubble is the
// place: nothing here waits for more than a second or two.
package sockets
