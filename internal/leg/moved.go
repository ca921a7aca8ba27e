package leg

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// maxMoved bounds how many contacts of a 3xx are looked at.
const maxMoved = 10

// elsewhere lists whom a 3xx to our INVITE names and a return may call, the one that
// is preferred first (RFC 3261 8.1.3.4); called is where the INVITE went. It is a stranger's word like any header:
// a contact is validated as a parker is, with the host that was called for the one
// that is dialled. 305 names a proxy, and 380 another service (21.3.4, 21.3.5).
func (p *Policy) elsewhere(res *sip.Response, called sip.Uri) []string {
	if res.StatusCode < 300 || res.StatusCode > 302 {
		return nil
	}
	type contact struct {
		uri string
		q   float64
	}
	var list []contact
	for _, c := range contacts(res) {
		uri, ok := p.returnTarget(c.URI.String(), called.Host)
		if !ok || called.Scheme == "sips" && c.URI.Scheme != "sips" || len(list) == maxMoved {
			continue // from SIPS to nothing less
		}
		list = append(list, contact{uri, preference(c.Params)})
	}
	slices.SortStableFunc(list, func(a, b contact) int { return cmp.Compare(b.q, a.q) })
	uris := make([]string, len(list))
	for i, c := range list {
		uris[i] = c.uri
	}
	return uris
}

// contacts reads the Contacts of a message; what cannot be read is left out.
func contacts(msg sip.Message) []sipua.NameAddr {
	var list []sipua.NameAddr
	for _, value := range sipua.Headers(msg, "contact") {
		some, _ := sipua.ParseNameAddrs(value)
		list = append(list, some...)
	}
	return list
}

// preference is the q of a contact (RFC 3261 20.10), 1 where it says nothing.
func preference(p sipua.Params) float64 {
	value, ok := p.Get("q")
	if !ok {
		return 1
	}
	q, err := strconv.ParseFloat(value, 64)
	if err != nil || math.IsNaN(q) {
		return 0
	}
	return min(max(q, 0), 1)
}

// machine reports whether who answers says by their Contact that they are no
// person: a mailbox, an announcement (RFC 3840 10: sip.automata, sip.actor). RFC
// 5359 2.15 writes automaton.
func machine(res *sip.Response) bool {
	for _, c := range contacts(res) {
		for _, name := range []string{"automata", "automaton"} {
			if value, ok := c.Params.Get(name); ok && !strings.EqualFold(value, "FALSE") {
				return true
			}
		}
		actors, _ := c.Params.Get("actor")
		for actor := range strings.SplitSeq(actors, ",") {
			switch strings.ToLower(strings.TrimSpace(actor)) {
			case "msg-taker", "information":
				return true
			}
		}
	}
	return false
}
