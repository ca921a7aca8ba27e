package leg

import (
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// forwarded reports whether a response to our INVITE comes from another number than
// was called: it says so by 181, Diversion (RFC 5806), History-Info (RFC 7044), or
// by who a trusted peer vouches for. A Contact says nothing of it: its user is often
// made up.
func forwarded(res *sip.Response, called sip.Uri, trusted bool) bool {
	if res.StatusCode == sip.StatusCallIsForwarded { // RFC 3261 21.1.3
		return true
	}
	if _, yes := diverted(res); yes {
		return true
	}
	if _, yes := retargeted(res); yes {
		return true
	}
	who, ok := asserted(res)
	return ok && trusted && !anonymous(who.URI) && !sameNumber(sipua.UserOf(&who.URI), sipua.UserOf(&called))
}

// shortest is the fewest digits of an extension that a full number may end with.
const shortest = 2

// sameNumber compares two users; of two numbers one may be the other with what goes
// before an extension.
func sameNumber(a, b string) bool {
	if strings.EqualFold(a, b) {
		return true
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(a) >= shortest && digits(a) && digits(b) && strings.HasSuffix(b, a)
}

func digits(s string) bool { return strings.Trim(s, "+0123456789") == "" }
