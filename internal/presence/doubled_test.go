package presence

import (
	"testing"
	"testing/synctest"
	"time"
)

const digestOffer = `WWW-Authenticate: Digest realm="phones", nonce="abc", algorithm=MD5, qop="auth"`

// A challenge that the network doubles is answered once, and the state arrives.
func TestDoubledChallenge(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.watch("192.0.2.9:5060")
		p.answers(func(n notice, copies int) (int, string) {
			if value(n.req, "Authorization") == "" {
				for range 3 {
					p.respond(n.req, 401, digestOffer, p.serverAddr())
				}
				return 0, ""
			}
			return 200, ""
		})
		for range 20 {
			b.park("701", "ann")
			synctest.Wait()
			pass(4 * time.Second)
			if n := p.last(); n.shown != "ann" || value(n.req, "Authorization") == "" {
				t.Fatalf("the last NOTIFY shows %q with %q", n.shown, value(n.req, "Authorization"))
			}
			b.park("701", "")
			pass(4 * time.Second)
		}
	})
}
