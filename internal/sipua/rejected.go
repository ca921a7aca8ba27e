package sipua

import (
	"sync"

	"github.com/emiago/sipgo/sip"
)

// maxRejected bounds the refused INVITEs of one listener that are remembered.
const maxRejected = 8192

// repeated stands in the CSeq of a response that the transaction layer must
// leave to strayResponse; no method that is read has a space in it.
const repeated sip.RequestMethod = " INVITE"

// rejected acknowledges a final response that refuses an INVITE of ours each
// time that it comes again, at once (RFC 3261 17.1.1.2). sipgo sends the first
// ACK; for another it would wait T2, under the lock of its transaction. Only
// UDP repeats: on streams Timer D is zero.
type rejected struct {
	mu   sync.Mutex              // leaf
	open map[string]*sip.Request // ACKs without To tag, for INVITEs under way, by branch
	acks recent[*sip.Request]    // those of INVITEs that were refused
}

// begin notes an INVITE that is about to be sent.
func (j *rejected) begin(invite *sip.Request) {
	ack := companion(invite, sip.ACK)
	branch, _ := branchOf(invite)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open == nil {
		j.open = map[string]*sip.Request{}
	}
	j.open[branch] = ack
}

// end forgets an INVITE, unless it was refused.
func (j *rejected) end(invite *sip.Request) {
	branch, _ := branchOf(invite)
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.open, branch)
}

// again notes a response, in the order of arrival, and says whether it repeats
// a refusal.
func (j *rejected) again(res *sip.Response) bool {
	if !refuses(res, sip.INVITE) {
		return false
	}
	branch, _ := branchOf(res)
	j.mu.Lock()
	defer j.mu.Unlock()
	if ack := j.open[branch]; ack != nil {
		delete(j.open, branch)
		j.acks.put(branch, ack, maxRejected)
		return false
	}
	_, ok := j.acks.get(branch)
	return ok
}

// ack is the ACK for a response that the transaction layer did not want; nil
// if that refuses no INVITE that is remembered.
func (j *rejected) ack(res *sip.Response) *sip.Request {
	if !refuses(res, sip.INVITE) && !refuses(res, repeated) {
		return nil
	}
	branch, _ := branchOf(res)
	j.mu.Lock()
	kept, ok := j.acks.get(branch)
	j.mu.Unlock()
	if !ok {
		return nil
	}
	ack := kept.Clone()
	if to := res.To(); to != nil { // RFC 3261 17.1.1.3: of the response
		ack.ReplaceHeader(sip.HeaderClone(to))
	}
	sanitize(ack)
	return ack
}

func (j *rejected) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open, j.acks = nil, recent[*sip.Request]{}
}

// refuses says whether a response is a final one other than 2xx to a method.
func refuses(res *sip.Response, method sip.RequestMethod) bool {
	cseq := res.CSeq()
	return res.StatusCode >= 300 && cseq != nil && cseq.MethodName == method
}

// companion begins the ACK of a refusal or the CANCEL for an INVITE of ours: of
// the same branch, and sent to where that went (RFC 3261 17.1.1.3, 9.1).
func companion(invite *sip.Request, method sip.RequestMethod) *sip.Request {
	c := sip.NewRequest(method, *invite.Recipient.Clone())
	c.AppendHeader(invite.Via().Clone())
	sip.CopyHeaders("Route", invite, c)
	maxForwards := sip.MaxForwardsHeader(70)
	c.AppendHeader(&maxForwards)
	for _, h := range []sip.Header{invite.From(), invite.To(), invite.CallID()} {
		c.AppendHeader(sip.HeaderClone(h))
	}
	c.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: method})
	c.SetBody(nil)
	c.SetTransport(invite.Transport())
	c.SetDestination(invite.Destination())
	c.Laddr = invite.Laddr
	return c
}

// acknowledge sends an ACK from the listener's socket.
func (l *layer) acknowledge(ack *sip.Request) {
	if l.packet == nil || !l.e.enter(&l.e.sending) {
		return
	}
	defer l.e.sending.Done()
	c, err := l.tpl.GetConnection("udp", string(l.packet.self))
	if err == nil {
		defer c.TryClose()
		err = c.WriteMsg(ack)
	}
	if err != nil {
		l.e.log.Debug().Err(err).Str("call_id", CallID(ack)).Msg("ACK not sent")
	}
}
