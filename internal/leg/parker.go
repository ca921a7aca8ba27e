package leg

import (
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// parker reads who transferred a caller to us from the headers that are configured
// for it, in their order: the first whom a return may call. referred says whether
// any of them says that somebody did.
func (p *Policy) parker(req *sipua.Request) (parker string, referred bool) {
	for _, name := range p.ParkerHeaders {
		uri, ok := named(req.Request, strings.ToLower(name))
		if !ok {
			continue
		}
		referred = true
		if target, ok := p.returnTarget(uri, req.Recipient.Host); ok {
			return target, true
		}
	}
	return "", referred
}

// named is the URI of whom one header names as the transferring party, "" if that
// is hidden or cannot be read; false if it says of no transfer.
func named(msg sip.Message, name string) (uri string, ok bool) {
	switch name {
	case "diversion":
		return diverted(msg)
	case "history-info":
		return retargeted(msg)
	}
	if _, ok := sipua.Header(msg, name); !ok {
		return "", false
	}
	if a, ok := sipua.Addr(msg, name); ok {
		return a.URI.String(), true
	}
	return "", true
}

// diverted reads Diversion: the topmost entry is the latest (RFC 5806 5.2). Those
// below it were forwarded before and have not parked anybody.
func diverted(msg sip.Message) (uri string, ok bool) {
	if _, ok := sipua.Header(msg, "diversion"); !ok {
		return "", false
	}
	a, ok := sipua.Addr(msg, "diversion")
	privacy, _ := a.Params.Get("privacy")
	switch strings.ToLower(privacy) {
	case "full", "uri":
		return "", true
	}
	if !ok || anonymous(a.URI) {
		return "", true
	}
	return a.URI.String(), true
}

// retargeted reads History-Info: the entry that the latest change of the target to
// another user points back to (RFC 7044 10.3, 10.4: mp), or where nothing points,
// as before that RFC, the latest that says why it was given up (its Reason header).
// Most entries are only about routing and say of no transfer.
func retargeted(msg sip.Message) (uri string, ok bool) {
	entries := sipua.Addrs(msg, "history-info")
	from := ""
	for _, e := range entries {
		if index, mapped := e.Params.Get("mp"); mapped {
			from = index
		}
	}
	var entry *sipua.NameAddr
	for i := range entries {
		e := &entries[i]
		index, _ := e.Params.Get("index")
		if _, why := sipua.URIParam(e.URI.Headers, "reason"); from != "" && index == from || from == "" && why {
			entry = e
		}
	}
	if entry == nil {
		return "", from != ""
	}
	// RFC 7044 10.1.2: Privacy of one entry, escaped in its URI, or of all of them.
	one, _ := sipua.URIParam(entry.URI.Headers, "privacy")
	if strings.EqualFold(one, "history") || hidesHistory(msg) || anonymous(entry.URI) {
		return "", true
	}
	return entry.URI.String(), true
}

// hidesHistory reports whether the whole of History-Info is private (RFC 3323 4.2:
// priv-values are separated by semicolons).
func hidesHistory(msg sip.Message) bool {
	value, _ := sipua.Header(msg, "privacy")
	for v := range strings.SplitSeq(value, ";") {
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "history", "header", "session":
			return true
		}
	}
	return false
}
