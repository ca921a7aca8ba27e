package phone

import (
	"fmt"
	"strings"

	"parkd/test/kit/wire"
)

// PassOn sends the INVITE that a call began with to somebody else, as a proxy
// does: the same dialog identifiers, one Via more (RFC 3261 16.6). What comes of
// it is the test's to say to the call.
func (c *Call) PassOn(to string) *Tx {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	m := c.invite.request
	branch := "z9hG4bK" + p.token("branch")
	headers := []string{fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=%s;rport", p.conn.AddrPort(), branch)}
	for _, h := range m.Headers {
		switch h.Name {
		case "Content-Length":
			continue
		case "Max-Forwards":
			h.Value = "69"
		}
		headers = append(headers, h.Name+": "+h.Value)
	}
	n, _ := m.CSeq()
	d := &dialog{
		callID: m.CallID(), local: "<" + wire.Address(m.Get("From")) + ">", localTag: m.FromTag(),
		remote: strings.TrimSpace(m.Get("To")), target: p.uri(to), contact: p.Contact(), cseq: n,
	}
	raw := message("INVITE "+d.target+" SIP/2.0", headers, m.Body)
	return p.launch(&Tx{method: "INVITE", branch: branch, raw: raw, dialog: d, cseq: n})
}

// Features adds parameters to the Contact of the call: what the phone says of
// itself (RFC 3840).
func (c *Call) Features(params string) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.dialog.contact += params
}
