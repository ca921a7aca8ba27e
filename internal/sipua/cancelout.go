package sipua

import (
	"context"

	"github.com/emiago/sipgo/sip"
)

// cancel sends a CANCEL for an INVITE that is under way (RFC 3261 9.1), to
// where that went; its own answer means nothing.
func (l *layer) cancel(invite *sip.Request, hdrs []sip.Header) {
	c := companion(invite, sip.CANCEL)
	for _, h := range hdrs {
		c.AppendHeader(h)
	}
	sanitize(c)
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
