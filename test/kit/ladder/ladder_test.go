package ladder

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/test/kit/fakenet"
)

const invite = "INVITE sip:701@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKabc\r\n" +
	"From: <sip:alice@10.0.0.2>;tag=ftag\r\nTo: <sip:701@10.0.0.1>\r\nCall-ID: random@host\r\nCSeq: 1 INVITE\r\n" +
	"Replaces: random@host;to-tag=x;from-tag=ftag\r\nContent-Type: application/sdp\r\n\r\n" +
	"v=0\r\nc=IN IP4 10.0.0.2\r\nm=audio 4000 RTP/AVP 0 101\r\na=sendonly\r\n"

const answer = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKabc\r\n" +
	"From: <sip:alice@10.0.0.2>;tag=ftag\r\nTo: <sip:701@10.0.0.1>;tag=x\r\nCall-ID: random@host\r\nCSeq: 1 INVITE\r\n\r\n"

func TestALadderShowsWhoSaidWhat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, parkd := netip.MustParseAddrPort("10.0.0.2:5060"), netip.MustParseAddrPort("10.0.0.1:5060")
		r := New()
		r.Column(alice.Addr(), "alice")
		r.Column(parkd.Addr(), "parkd")
		packet := func(from, to netip.AddrPort, text string) fakenet.Packet {
			return fakenet.Packet{At: time.Now(), From: from, To: to, Data: []byte(text)}
		}
		r.Watch(packet(alice, parkd, invite), fakenet.Verdict{Drop: true})
		time.Sleep(500 * time.Millisecond)
		r.Watch(packet(alice, parkd, invite), fakenet.Verdict{Extra: 1})
		r.Watch(packet(alice, parkd, "\x80\x00rtp"), fakenet.Verdict{})
		time.Sleep(time.Millisecond)
		r.Watch(packet(parkd, alice, answer), fakenet.Verdict{Delay: time.Second})
		time.Sleep(time.Millisecond)
		r.Note("alice hears music")
		secret := strings.Replace(answer, "\r\n\r\n", "\r\nContent-Type: application/sdp\r\n\r\nv=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4002 RTP/SAVP 0\r\n"+
			"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^20|1:4;inline:aGlkZGVu|2:4\r\n", 1)
		for _, key := range []string{"c2VjcmV0", "ZnJlc2g="} {
			time.Sleep(time.Millisecond)
			r.Watch(packet(parkd, alice, strings.Replace(secret, "c2VjcmV0", key, 1)), fakenet.Verdict{})
		}
		Golden(t, "ladder", r.String())
	})
}
