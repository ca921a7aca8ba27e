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
			clean(&h.DisplayName)
		case *sip.ToHeader:
			clean(&h.DisplayName)
		case *sip.ContactHeader:
			clean(&h.DisplayName)
		}
		if v := h.Value(); strings.ContainsAny(v, "\r\n\x00") {
			list[i] = sip.NewHeader(h.Name(), Clean(v))
		}
	}
	switch m := m.(type) {
	case *sip.Request:
		for _, s := range []*string{&m.Recipient.User, &m.Recipient.Host} {
			if !isClean(*s) {
				*s = strings.ReplaceAll(Clean(*s), " ", "")
			}
		}
	case *sip.Response:
		if !isClean(m.Reason) {
			m.Reason = Clean(m.Reason)
		}
	}
}

func clean(display *string) {
	if s := safeDisplay(*display); s != *display {
		*display = s
	}
}
