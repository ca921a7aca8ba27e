//go:build unix

package peers

import (
	"fmt"
	"time"
)

// A twinkle is a running twinkle-console: it answers by itself and follows
// transfers, copying Referred-By as RFC 3892 says.
type twinkle struct {
	*proc
	*soundcard
	aor string
}

const twinkleSystem = `dev_ringtone=alsa:card
dev_speaker=alsa:card
dev_mic=alsa:card
validate_audio_dev=no
sip_port=%[1]d
sip_udp_port=%[1]d
rtp_port=%[2]d
play_ringtone=no
play_ringback=no
log_show_sip=yes
`

const twinkleUser = `user_name=%[1]s
user_domain=%[2]s
user_display=Twinkle
register_at_startup=no
pres_publish_startup=no
codecs=g711u,g711a
sip_transport=udp
outbound_proxy=%[3]s
allow_refer=yes
ask_user_to_refer=no
ext_replaces=yes
dtmf_transport=%[5]s
speex_dsp_vad=no
speex_dsp_agc=no
speex_dsp_nrd=no
speex_dsp_aec=no
auth_realm=parkd
auth_name=%[1]s
auth_pass=%[4]s
`

// twinkle starts one. It binds a port of its own on every address and is
// reached at 127.0.0.1, the address that its answers show. proxy is its
// outbound proxy, "" for none; password answers challenges.
func (s *scene) twinkle(user string, tone float64, proxy, password string) *twinkle {
	s.Helper()
	return s.twinkleWithKeys(user, tone, proxy, password, "rfc2833")
}

// twinkleWithKeys says how it sends key presses: rfc2833 or info (SIP INFO).
func (s *scene) twinkleWithKeys(user string, tone float64, proxy, password, keys string) *twinkle {
	s.Helper()
	home, port := s.folder(user), ports()
	s.write(fmt.Sprintf(twinkleSystem, port, port+2), user, ".twinkle", "twinkle.sys")
	s.write(fmt.Sprintf(twinkleUser, user, s.ip(hostParkd), proxy, password, keys), user, ".twinkle", user+".cfg")
	tw := &twinkle{
		soundcard: s.soundcard(home, tone),
		aor:       fmt.Sprintf("sip:%s@127.0.0.1:%d", user, port),
	}
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("%s, its SIP log:\n%s", user, tail(home+"/.twinkle/twinkle.log", 150))
		}
	})
	// Its random numbers, and so its Call-IDs and tags, depend on the second only.
	s.eventually(func() bool { return time.Now().Unix() > s.seeded }, "another second")
	tw.proc = s.start(user, home, false, "twinkle-console", user+".cfg")
	tw.say(s, "auto_answer -a on")
	tw.expect(s, "Auto answer enabled", 1)
	s.answersOptions("udp", fmt.Sprintf("127.0.0.1:%d", port), user)
	s.seeded = time.Now().Unix()
	return tw
}
