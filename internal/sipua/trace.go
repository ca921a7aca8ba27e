package sipua

import (
	"fmt"
	"regexp"
	"runtime/debug"
)

// secrets finds what must not be read in a log: the response of a digest and
// its nonce count companions, Basic credentials, and SRTP keys (RFC 4568).
var (
	digestResponse = regexp.MustCompile(`(?im)^((?:proxy-)?authorization\s*:.*?\bresponse\s*=\s*)("[^"\r\n]*"?|[^\s,"]+)`)
	basicResponse  = regexp.MustCompile(`(?im)^((?:proxy-)?authorization\s*:\s*(?:basic|bearer)\s+)\S+`)
	cryptoKey      = regexp.MustCompile(`(?i)(inline:)[A-Za-z0-9+/=]+`) // wherever it stands: a line may have several
)

// Mask hides the secrets of a message for a log.
func Mask(wire []byte) []byte {
	wire = digestResponse.ReplaceAll(wire, []byte("${1}***"))
	wire = basicResponse.ReplaceAll(wire, []byte("${1}***"))
	return cryptoKey.ReplaceAll(wire, []byte("${1}***"))
}

// tracing says whether traceWire does anything.
func (e *Endpoint) tracing() bool { return e.log.Trace().Enabled() }

// traceWire logs a message as it is on the wire, at level trace.
func (e *Endpoint) traceWire(what, network string, local, remote fmt.Stringer, wire []byte) {
	if ev := e.log.Trace(); ev.Enabled() {
		ev.Str("network", network).Stringer("local", local).Stringer("remote", remote).
			Bytes("wire", Mask(append([]byte(nil), wire...))).Msg(what)
	}
}

// recovered, deferred, keeps a panic from ending the process.
func (e *Endpoint) recovered(where string) {
	if p := recover(); p != nil {
		e.log.Error().Interface("panic", p).Str("where", where).Bytes("stack", debug.Stack()).Msg("panic")
		e.refused(ReasonPanic)
	}
}
