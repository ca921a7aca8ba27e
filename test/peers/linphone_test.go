//go:build unix

package peers

import (
	"fmt"
	"strings"
)

// A linphone is a running linphonec: it plays a WAV as its microphone, records
// what it receives, and does attended transfers.
type linphone struct {
	*proc
	aor       string
	recording string
}

const linphoneConfig = `[sip]
sip_port=%[4]d
sip_tcp_port=0
sip_tls_port=0
bind_address=%[1]s
contact="%[2]s" <sip:%[2]s@%[1]s:%[4]d>
use_ipv6=0
guess_hostname=0
register_only_when_network_is_up=0
[net]
firewall_policy=0
mtu=1300
[rtp]
audio_rtp_port=%[3]d
bind_address=%[1]s
[sound]
echocancellation=0
playback_dev_id=
capture_dev_id=
[misc]
store_friends=0
ipv6_migration_done=1
`

// linphoneFriend is as configs/phones/linphone.rc has it.
const linphoneFriend = `[friend_0]
url="Park" <%s>
pol=accept
subscribe=1
`

// linphoneSRTP has it speak SRTP with keys in SDP, and nothing else.
const linphoneSRTP = `[sip]
media_encryption=srtp
media_encryption_mandatory=1
`

const linphoneAccount = `[proxy_0]
reg_proxy=<sip:%[2]s;transport=udp>
reg_route=<sip:%[2]s;lr;transport=udp>
reg_identity="%[1]s" <sip:%[1]s@%[2]s>
reg_expires=120
reg_sendregister=%[3]d
publish=0
`

// linphone starts one; auto makes it answer by itself. It registers if there is
// a registrar. All its calls go by way of route, which is the registrar if there
// is one: linphone leaves the port out of the URI that it transfers somebody to,
// and so out of the one that it is transferred to.
func (s *scene) linphone(user string, host int, tone float64, auto bool, registrar, route string) *linphone {
	s.Helper()
	return s.linphoneWith(user, host, tone, auto, registrar, route, "")
}

// linphoneWith has one more text in its configuration.
func (s *scene) linphoneWith(user string, host int, tone float64, auto bool, registrar, route, more string) *linphone {
	s.Helper()
	home := s.folder(user)
	s.folder(user, ".local", "share", "linphone")
	l := &linphone{aor: uri(user, s.sip(host)), recording: s.path(user, "recording.wav")}
	text := fmt.Sprintf(linphoneConfig, s.ip(host), user, ports(), sipPort) + more
	switch {
	case registrar != "":
		text += fmt.Sprintf(linphoneAccount, user, registrar, 1)
	case route != "":
		text += fmt.Sprintf(linphoneAccount, user, route, 0)
	}
	rc := s.write(text, user, "linphonerc")
	wav := s.write(string(chord(8000, 90, tone).wav()), user, "tone.wav")
	log := s.path(user, "linphone.log")
	args := []string{"-c", rc, "-d", "6", "-l", log}
	if auto {
		args = append(args, "-a")
	}
	s.Cleanup(func() {
		if s.Failed() {
			s.Logf("%s, its log:\n%s", user, sipOnly(log))
		}
	})
	l.proc = s.start(user, home, false, "linphonec", args...)
	l.expect(s, "linphonec>", 1)
	for _, c := range []string{"soundcard use files", "play " + wav, "record " + l.recording} {
		l.say(s, c)
	}
	l.expect(s, "Using wav files instead of soundcard", 1)
	s.answersOptions("udp", s.sip(host), user)
	if registrar != "" {
		s.eventually(func() bool { return strings.Contains(contents(log), "RegistrationOk") }, "%s registers", user)
	}
	return l
}

// second holds the call that there is, and makes a second one.
func (l *linphone) second(s *scene, to string) {
	s.Helper()
	l.say(s, "pause")
	l.expect(s, "paused", 1)
	before := l.printed("Media streams established")
	l.say(s, "call "+to)
	l.expect(s, "Media streams established", before+1)
}

// heard is what it received. It is written to the file when the call ends.
func (l *linphone) heard() sound { return newestWAV(l.recording) }

// sipOnly is the end of linphone's log without what its media tells each second.
func sipOnly(log string) string {
	var kept []string
	for line := range strings.Lines(contents(log)) {
		switch {
		case strings.Contains(line, "belle-sip-"), strings.Contains(line, "CallSession"), !strings.HasPrefix(line, "20"):
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-150):], "")
}
