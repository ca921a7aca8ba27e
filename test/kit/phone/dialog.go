package phone

import (
	"fmt"

	"parkd/test/kit/wire"
)

// dialog is the phone's end of one (RFC 3261 12).
type dialog struct {
	callID        string
	local, remote string // From and To values of our requests, without tags
	localTag      string
	remoteTag     string
	target        string // Request-URI
	contact       string
	cseq          uint32
}

// build writes a request within the dialog, or one that starts it. The lock is
// held. The CSeq rises but for ACK and CANCEL (RFC 3261 12.2.1.1).
func (p *Phone) build(d *dialog, method, branch string, extra []string, body string) string {
	if method != "ACK" && method != "CANCEL" {
		d.cseq++
	}
	return p.buildAt(d, method, branch, d.cseq, extra, body)
}

func (p *Phone) buildAt(d *dialog, method, branch string, cseq uint32, extra []string, body string) string {
	to := d.remote
	if d.remoteTag != "" {
		to += ";tag=" + d.remoteTag
	}
	headers := []string{
		fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=%s;rport", p.conn.AddrPort(), branch),
		"From: " + d.local + ";tag=" + d.localTag,
		"To: " + to,
		"Call-ID: " + d.callID,
		fmt.Sprintf("CSeq: %d %s", cseq, method),
	}
	if _, ok := header(extra, "Max-Forwards"); !ok {
		headers = append(headers, "Max-Forwards: 70")
	}
	if _, ok := header(extra, "Contact"); !ok && method != "ACK" && method != "CANCEL" && method != "BYE" {
		headers = append(headers, "Contact: "+d.contact)
	}
	return message(method+" "+d.target+" SIP/2.0", append(headers, extra...), body)
}

// learn takes the peer's tag and target from a message of the peer's.
func (d *dialog) learn(m *wire.Message) {
	if c := m.Get("Contact"); c != "" {
		d.target = wire.Address(c)
	}
	if m.Response() {
		d.remoteTag = m.ToTag()
	} else {
		d.remoteTag = m.FromTag()
	}
}

// has reports whether a request belongs to the dialog.
func (d *dialog) has(m *wire.Message) bool {
	return m.CallID() == d.callID && m.ToTag() == d.localTag && (d.remoteTag == "" || d.remoteTag == m.FromTag())
}

// reply writes the response to a request. Lines of extra replace the headers
// that would be copied.
func reply(m *wire.Message, code int, tag string, extra []string, body string) string {
	var headers []string
	for _, h := range m.Headers {
		switch h.Name {
		case "Via", "From", "Call-ID", "CSeq", "Record-Route":
			headers = append(headers, h.Name+": "+h.Value)
		case "To":
			if m.ToTag() == "" && code > 100 {
				h.Value += ";tag=" + tag
			}
			headers = append(headers, "To: "+h.Value)
		}
	}
	return message(fmt.Sprintf("SIP/2.0 %d %s", code, phrases[code]), append(headers, extra...), body)
}

var phrases = map[int]string{
	100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 183: "Session Progress", 200: "OK", 302: "Moved Temporarily", 301: "Moved Permanently", 404: "Not Found",
	408: "Request Timeout", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 486: "Busy Here",
	482: "Loop Detected", 487: "Request Terminated", 488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error",
	503: "Service Unavailable", 603: "Decline",
}
