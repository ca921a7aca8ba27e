package bubble

import (
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// allEncrypted has everybody speak SRTP: callers as RTP/SAVP, others beside RTP/AVP.
func allEncrypted(name string) phone.SRTP {
	suite := cm80
	if name == "bob" {
		suite = "AEAD_AES_256_GCM"
	}
	return phone.SRTP{Suites: []string{suite}, Only: name == "alice"}
}

// aliceEncrypted is the same for one of them.
func aliceEncrypted(name string) phone.SRTP {
	if name == "alice" {
		return allEncrypted(name)
	}
	return phone.SRTP{}
}

// secret checks what all phones got by SRTP: nothing was sent under a key and an index
// that had been used before, by whichever process (RFC 3711 9.1), nothing that its
// phone could not read, and nothing by the new process under a key that was told by
// the former one.
func (st *stage) secret(o kit.Outage) {
	st.T.Helper()
	for _, p := range st.Phones() {
		for _, c := range p.Calls() {
			if list := c.Media.Breaches(); len(list) > 0 {
				st.T.Errorf("%s: used twice: %v", c.CallID(), list)
			}
			if n := c.Media.Unread(); n > 0 && st.srtp != nil && len(st.srtp(p.Name).Suites) > 0 {
				st.T.Errorf("%s got %d packets that it cannot read", c.CallID(), n)
			}
			if o.Ready.IsZero() || st.again(o) {
				continue
			}
			for _, r := range c.Media.Got(o.Ready.Add(2 * fakenet.Latency)) {
				if !r.Keyed.IsZero() && r.Keyed.Before(o.At) {
					st.T.Errorf("%s: %+v is under a key of the process that ended at %v", c.CallID(), r, o.At)
					break
				}
			}
		}
	}
}
