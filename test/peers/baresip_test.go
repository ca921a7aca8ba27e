//go:build unix

package peers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// A baresip is a running baresip 1.0: it plays a tone as its microphone,
// records what it receives, answers by itself, and obeys JSON over TCP.
type baresip struct {
	*proc
	s    *scene
	aor  string // sip:user@host, where it is reached directly
	home string
	conn net.Conn

	mu     sync.Mutex
	events []baresipEvent // everything it said, in order; guarded by mu
}

type baresipEvent struct {
	Type      string `json:"type"`
	Direction string `json:"direction"`
	Peer      string `json:"peeruri"`
	Param     string `json:"param"`
	Response  bool   `json:"response"`
	OK        bool   `json:"ok"`
	Data      string `json:"data"`
}

// g722 is the name of that codec, which samples at 16 kHz.
const g722 = "G722/16000/1"

// baresipOptions say how one differs from the plain UDP phone.
type baresipOptions struct {
	user      string
	host      int     // in the scene's network
	tone      float64 // its microphone, Hz
	registrar string  // host:port to register at; "" = none
	ca        string  // TLS: the certificate authority it is given
	codec     string  // the only one it knows, as baresip writes it: PCMU/8000/1 unless told
	srtp      string  // its mediaenc; "" = in the clear
	watches   string  // URI of the contact whose presence it shows; "" = none
}

func (s *scene) baresip(o baresipOptions) *baresip {
	s.Helper()
	ip, home := s.ip(o.host), s.folder(o.user)
	b := &baresip{s: s, aor: uri(o.user, s.sip(o.host)), home: home}
	s.folder(o.user, "rec")
	if o.codec == "" {
		o.codec = "PCMU/8000/1"
	}
	rate := 8000
	if o.codec == g722 {
		rate = 16000
	}
	s.write(string(chord(rate, 90, o.tone).wav()), o.user, "tone.wav")
	contacts := ""
	if o.watches != "" {
		contacts = "\"Park\" <" + o.watches + ">;presence=p2p\n" // as configs/phones/baresip.contacts
	}
	s.write(contacts, o.user, "contacts")
	account := fmt.Sprintf("<%s>;regint=0;answermode=auto;audio_codecs=%s\n", b.aor, o.codec)
	if o.registrar != "" {
		account = fmt.Sprintf("<sip:%s@%s>;regint=60;answermode=auto;auth_pass=none;audio_codecs=%s;outbound=\"sip:%s\"\n", o.user, o.registrar, o.codec, o.registrar)
	}
	if o.srtp != "" {
		account = strings.Replace(account, ";answermode", ";mediaenc="+o.srtp+";answermode", 1)
	}
	s.write(account, o.user, "accounts")
	s.write(baresipConfig(ip, home, o.ca, rate), o.user, "config")
	b.proc = s.start(o.user, home, false, "baresip", "-f", home)
	s.eventually(func() bool {
		c, err := net.Dial("tcp", net.JoinHostPort(ip, "4444"))
		if err == nil {
			b.conn = c
		}
		return err == nil
	}, "%s (baresip) opens its control port", o.user)
	s.Cleanup(func() { b.conn.Close() })
	go b.read()
	if o.registrar != "" {
		b.expect(s, "binding]", 1) // the event may have come before the control port was open
	}
	return b
}

func baresipConfig(ip, home, ca string, rate int) string {
	port := ports()
	var b strings.Builder
	fmt.Fprintf(&b, "sip_listen %s:%d\nnet_interface %s\nrtp_ports %d-%d\n", ip, sipPort, ip, port, port+18)
	fmt.Fprintf(&b, "ctrl_tcp_listen %s:4444\n", ip)
	fmt.Fprintf(&b, "audio_source aufile,%s/tone.wav\nsnd_path %s/rec\n", home, home)
	fmt.Fprintf(&b, "ausrc_srate %[1]d\nausrc_channels 1\nauplay_srate %[1]d\nauplay_channels 1\n", rate)
	// Without a player nothing is played; the recording filter hears it all the same.
	b.WriteString("module_path " + baresipModules() + "\nstatmode_default off\n")
	for _, m := range []string{"g711", "g722", "aufile", "sndfile", "srtp"} {
		b.WriteString("module " + m + ".so\n")
	}
	b.WriteString("module_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\nmodule_app contact.so\nmodule_app presence.so\n")
	if ca != "" {
		fmt.Fprintf(&b, "sip_cafile %s\n", ca)
	}
	return b.String()
}

// read collects netstrings ("12:{...},") until the connection ends.
func (b *baresip) read() {
	r := bufio.NewReader(b.conn)
	for {
		head, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.Trim(head, ":,\n"))
		if err != nil {
			return
		}
		body := make([]byte, n+1)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		var e baresipEvent
		if json.Unmarshal(body[:n], &e) == nil {
			b.mu.Lock()
			b.events = append(b.events, e)
			b.mu.Unlock()
		}
	}
}

// count is how many events of a type have come.
func (b *baresip) count(kind string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, e := range b.events {
		if e.Type == kind || kind == "response" && e.Response {
			n++
		}
	}
	return n
}

// expectEvent waits until an event has come n times since the start.
func (b *baresip) expectEvent(kind string, n int) {
	b.s.Helper()
	b.s.eventually(func() bool { return b.count(kind) >= n }, "%s (baresip) reports %s %d times", b.name, kind, n)
}

// do gives a command of baresip's menu and waits until it was taken.
func (b *baresip) do(command, params string) {
	b.s.Helper()
	b.ask(command, params)
}

// ask is do, and returns what it answered.
func (b *baresip) ask(command, params string) string {
	b.s.Helper()
	before := b.count("response")
	msg, err := json.Marshal(map[string]string{"command": command, "params": params, "token": "t"})
	if err != nil {
		b.s.Fatal(err)
	}
	if _, err := fmt.Fprintf(b.conn, "%d:%s,", len(msg), msg); err != nil {
		b.s.Fatalf("%s: %s: %v", b.name, command, err)
	}
	b.s.eventually(func() bool { return b.count("response") > before }, "%s (baresip) answers to %s", b.name, command)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.events) - 1; i >= 0; i-- {
		if e := b.events[i]; e.Response {
			if !e.OK {
				b.s.Fatalf("%s: %s %s: %s", b.name, command, params, e.Data)
			}
			return e.Data
		}
	}
	return ""
}

// heard is what it received in its newest call.
func (b *baresip) heard() sound { return newestWAV(b.home + "/rec/dump-*-dec.wav") }

// baresipModules is where Debian's package has them.
func baresipModules() string {
	for _, pattern := range []string{"/usr/lib/baresip/modules", "/usr/lib/*/baresip/modules"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}
