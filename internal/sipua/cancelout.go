package sipua

import (
	"context"

	"github.com/emiago/sipgo/sip"
)

// cancel sends a CANCEL for an INVITE that is under way (RFC 3261 9.1), to
// where that went; its own answer means nothing.
func (l *layer) cancel(invite *sip.Request, hdrs []sip.Header) {
	c := sip.NewRequest(sip.CANCEL, *invite.Recipient.Clone())
	c.AppendHeader(invite.Via().Clone())
	sip.CopyHeaders("Route", invite, c)
	maxForwards := sip.MaxForwardsHeader(70)
	c.AppendHeader(&maxForwards)
	for _, h := range []sip.Header{invite.From(), invite.To(), invite.CallID()} {
		c.AppendHeader(sip.HeaderClone(h))
	}
	c.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sip.CANCEL})
	for _, h := range hdrs {
		c.AppendHeader(h)
	}
	c.SetBody(nil)
	sanitize(c)
	c.SetTransport(invite.Transport())
	c.SetDestination(invite.Destination())
	c.Laddr = invite.Laddr
	l.e.spawn(func() {
		tx, err := l.txl.Request(context.Background(), c)
		if err != nil {
			l.e.log.Debug().Err(err).Msg("CANCEL not sent")
			return
		}
		defer tx.Terminate()
		for {
			select {
			case res := <-tx.Responses():
				if !res.IsProvisional() {
					_ = tx.Err()
					return
				}
			case <-tx.Done():
				return
			case <-l.e.done:
				return
			}
		}
	})
}
