package bubble
import ("testing";"time";"parkd/test/kit";"parkd/test/kit/phone")
func TestTmpDrain(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		alice.Auto("BYE", 0)
		s.Drain()
		s.Wait(10*time.Millisecond)
		c := bob.Invite("*4701", phone.Opts{})
		s.Wait(time.Second)
		_ = c
		parked.Late(200, "BYE")
		s.Stopped()
		s.T.Error("show")
		s.Start()
	})
}
func TestTmpReject(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		// offerless re-INVITE whose ACK brings no common codec
		parked.AskOffer().Expect(200)
		parked.AckWith("v=0\r\no=- 1 9 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n")
		s.Wait(time.Second)
		s.T.Logf("ended %v", parked.Ended())
		s.T.Error("show")
		if parked.Ended().IsZero() { parked.Hangup() }
	})
}
