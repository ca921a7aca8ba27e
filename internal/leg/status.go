package leg

import (
	"errors"
	"strconv"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/orbit"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// Errors of a leg's own making.
var (
	errNoPort      = errors.New("no media port left")
	errRequest     = errors.New("unusable request")
	errBody        = errors.New("unsupported body")
	errEncoding    = errors.New("unsupported encoding of the body")
	errReplaces    = errors.New("unusable Replaces")
	errCancelled   = errors.New("cancelled")
	errReferTo     = errors.New("unusable Refer-To")
	errReferMethod = errors.New("a REFER for another method than INVITE")
	errScheme      = errors.New("unsupported URI scheme")
	errLoop        = errors.New("invite of our own")
	errHops        = errors.New("no hop left")
)

// status is how a refusal is answered.
type status struct {
	code   int
	reason string // a bounded label: metrics count by it
	retry  bool   // with Retry-After
	header string // one more header's name
	value  string
}

// retryAfter is when a refused park is worth another try, in seconds.
const retryAfter = "10"

func (s status) headers() []sip.Header {
	var list []sip.Header
	if s.retry {
		list = append(list, sip.NewHeader("Retry-After", retryAfter))
	}
	if s.header != "" {
		list = append(list, sip.NewHeader(s.header, s.value))
	}
	return list
}

// redirect is the status of a call that is to go elsewhere, and the way there: an
// extension of the PBX, at the host of those (RFC 3261 21.3.3).
func (m *Manager) redirect(req *sipua.Request, to *orbit.Elsewhere) status {
	uri := sip.Uri{Scheme: "sip", User: sipua.EscapeUser(to.Extension)}
	uri.Host, uri.Port = m.policy.Load().home(dialog.Dialog{Flow: req.Flow})
	return status{code: sip.StatusMovedTemporarily, reason: "overflow", header: "Contact", value: "<" + uri.String() + ">"}
}

// statusOf maps an error to the SIP answer. The one place where this is done.
func statusOf(err error) status {
	var away *orbit.Elsewhere
	if errors.As(err, &away) { // Manager.redirect says where
		return status{code: sip.StatusMovedTemporarily, reason: "overflow"}
	}
	for _, m := range statuses {
		if errors.Is(err, m.err) {
			return m.status
		}
	}
	return status{code: 500, reason: "internal"}
}

var statuses = []struct {
	err error
	status
}{
	{orbit.ErrUnknown, status{code: 404, reason: "unknown"}},
	{orbit.ErrNothing, status{code: 404, reason: "nothing"}},
	{orbit.ErrFull, status{code: 486, reason: "full"}},
	{orbit.ErrReplaces, status{code: 481, reason: "replaces"}},
	{orbit.ErrGuarded, status{code: 486, reason: "guarded"}},
	{orbit.ErrEarly, status{code: 486, reason: "early_only"}}, // RFC 3891 3
	{orbit.ErrLimit, status{code: 480, reason: "limit", retry: true}},
	{orbit.ErrDraining, status{code: 480, reason: "draining", retry: true}},
	{orbit.ErrStore, status{code: 480, reason: "store", retry: true}},
	{orbit.ErrClosed, status{code: 480, reason: "draining", retry: true}},
	{orbit.ErrPending, status{code: 491, reason: "pending"}}, // RFC 3261 21.4.27
	{orbit.ErrTarget, status{code: 403, reason: "transfer_target"}},
	{orbit.ErrRefer, status{code: 403, reason: "transfer"}},
	{orbit.ErrBarred, status{code: 403, reason: "retrieve_user"}},
	{orbit.ErrGone, status{code: 481, reason: "gone"}},
	{errReferTo, status{code: 400, reason: "refer_to"}}, // RFC 3515 2.4.2
	{errReferMethod, status{code: 603, reason: "refer_method"}},
	{errScheme, status{code: 416, reason: "scheme"}}, // RFC 3261 8.2.2.1
	{errNoPort, status{code: 480, reason: "ports", retry: true}},
	{errRequest, status{code: 400, reason: "request"}},
	{errReplaces, status{code: 400, reason: "replaces"}}, // RFC 3891 3
	{errBody, status{code: 415, reason: "body", header: "Accept", value: "application/sdp"}},
	{errEncoding, status{code: 415, reason: "body", header: "Accept-Encoding", value: "identity"}},          // RFC 3261 8.2.3
	{errTooBrief, status{code: 422, reason: "session_timer", header: "Min-SE", value: strconv.Itoa(minSE)}}, // RFC 4028 6
	{errLoop, status{code: 482, reason: "loop"}},                                                            // RFC 3261 8.2.2.2, 16.3
	{errCancelled, status{code: 487, reason: "cancelled"}},
	{sdp.ErrSyntax, status{code: 400, reason: "sdp"}},
	{sdp.ErrNoCodec, status{code: 488, reason: "codec", header: "Warning", value: `305 parkd "Incompatible media format"`}},
	{sdp.ErrNoAudio, status{code: 488, reason: "codec", header: "Warning", value: `304 parkd "Media type not available"`}},
	{sdp.ErrSecure, status{code: 488, reason: "codec", header: "Warning", value: `302 parkd "Incompatible transport protocol"`}},
	{sdp.ErrClear, status{code: 488, reason: "codec", header: "Warning", value: `302 parkd "Incompatible transport protocol"`}},
	{sdp.ErrAddress, status{code: 488, reason: "codec", header: "Warning", value: `301 parkd "Incompatible network address formats"`}},
}
