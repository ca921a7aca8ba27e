// Package sipua is parkd's SIP endpoint: sockets, transactions, checks of what
// comes in, access, typed headers, and what goes out (RFC 3261 sections 8, 17
// and 18, RFC 3263, RFC 8760).
//
// It promises that a handler sees only requests that are syntactically sound,
// meant for a method that is served, and allowed; that a panic in a handler
// costs one message; that a CANCEL finds its INVITE in whatever order the two
// arrive; that text which goes out cannot break a header; and that nothing it
// started is running after Shutdown. It knows no dialogs and no usages: these
// are in packages dialog, leg and presence.
package sipua
