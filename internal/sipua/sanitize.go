package sipua

import (
	"strings"

	"github.com/emiago/sipgo/sip"
)

// sanitize makes sure that no text of a message ends its header field, or the
// quoted string that it stands in, before its time. It changes only what needs
// it, since headers may be shared with the request that is answered.
func sanitize(m sip.Message) {
	list := fields(m)
	for i, h := range list {
		switch h := h.(type) {
		case *sip.FromHeader:
			cleanDisplay(&h.DisplayName)
		case *sip.ToHeader:
			cleanDisplay(&h.DisplayName)
		case *sip.ContactHeader:
			cleanDisplay(&h.DisplayName)
		}
		if breaks(h) {
			list[i] = sip.NewHeader(Clean(h.Name()), Clean(h.Value()))
		}
	}
	switch m := m.(type) {
	case *sip.Request:
		if uriBreaks(&m.Recipient) {
			text := strings.ReplaceAll(Clean(m.Recipient.String()), " ", "")
			m.Recipient = sip.Uri{}
			sip.ParseUri(text, &m.Recipient)
		}
	case *sip.Response:
		if !isClean(m.Reason) {
			m.Reason = Clean(m.Reason)
		}
	}
}

// breaks says whether a header would end its line early. It looks at the parts,
// since writing each header to look at it would cost as much as sending it.
func breaks(h sip.Header) bool {
	switch h := h.(type) {
	case *sip.FromHeader:
		return uriBreaks(&h.Address) || paramsBreak(h.Params)
	case *sip.ToHeader:
		return uriBreaks(&h.Address) || paramsBreak(h.Params)
	case *sip.ContactHeader:
		return uriBreaks(&h.Address) || paramsBreak(h.Params)
	case *sip.RouteHeader:
		return uriBreaks(&h.Address)
	case *sip.RecordRouteHeader:
		return uriBreaks(&h.Address)
	case *sip.ViaHeader:
		return lineBreaks(h.ProtocolName) || lineBreaks(h.ProtocolVersion) || lineBreaks(h.Transport) || lineBreaks(h.Host) || paramsBreak(h.Params)
	case *sip.CSeqHeader:
		return lineBreaks(string(h.MethodName))
	case *sip.MaxForwardsHeader, *sip.ContentLengthHeader, *sip.ExpiresHeader:
		return false
	}
	return lineBreaks(h.Name()) || lineBreaks(h.Value())
}

func uriBreaks(u *sip.Uri) bool {
	return lineBreaks(u.Scheme) || lineBreaks(u.User) || lineBreaks(u.Password) || lineBreaks(u.Host) || lineBreaks(u.Raw()) ||
		paramsBreak(u.UriParams) || paramsBreak(u.Headers)
}

func paramsBreak(ps sip.HeaderParams) bool {
	for _, kv := range ps {
		if lineBreaks(kv.K) || lineBreaks(kv.V) {
			return true
		}
	}
	return false
}

func lineBreaks(s string) bool { return strings.ContainsAny(s, "\r\n\x00") }

func cleanDisplay(display *string) {
	if s := safeDisplay(*display); s != *display {
		*display = s
	}
}
