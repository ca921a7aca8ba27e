package kit

import (
	"crypto/md5"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"parkd/test/kit/fakenet"
	"parkd/test/kit/wire"
)

// Registrar is a scripted registrar of a hosted PBX (RFC 3261 10.3) on UDP. What
// it does may be changed by Set at any time.
type Registrar struct {
	site *Site
	conn *fakenet.Conn
	done chan struct{}

	mu     sync.Mutex // leaf; guards all below
	rules  Rules
	got    []Registration
	pings  int
	bound  map[string]time.Time // address of record to the end of its registration
	nonce  int
	nonces map[string]bool
}

// Rules are how a registrar answers.
type Rules struct {
	Silent   bool          // not at all
	Password string        // asks for it; "" = does not
	Grant    time.Duration // at most so long; 0 = as asked for
	Min      time.Duration // shorter is refused with 423
	Code     int           // refuses with that
	Headers  []string      // of each answer
	Seen     string        // address and port as which it sees the server; "" = the true one
	Bare     bool          // its 2xx lists no Contact
}

// Registration is a REGISTER that came.
type Registration struct {
	At time.Time
	*wire.Message
	Code int // how it was answered; 0 = not at all
}

// Expires is what the REGISTER asks for, in seconds.
func (r Registration) Expires() string { return r.Get("Expires") }

// Registrar adds a registrar to the site.
func (s *Site) Registrar(addr netip.AddrPort) *Registrar {
	s.T.Helper()
	conn, err := s.Net.Listen(addr)
	if err != nil {
		s.T.Fatal(err)
	}
	s.Ladder.Column(addr.Addr(), "pbx")
	r := &Registrar{site: s, conn: conn, done: make(chan struct{}), bound: map[string]time.Time{}, nonces: map[string]bool{}}
	go r.read()
	return r
}

// Close takes the registrar off the network.
func (r *Registrar) Close() {
	r.conn.Close()
	<-r.done
}

// Set changes how it answers.
func (r *Registrar) Set(rules Rules) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rules = rules
}

// Forget loses all registrations and nonces, as a restart does.
func (r *Registrar) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.bound)
	clear(r.nonces)
}

// Got lists the REGISTERs that came, challenged ones included, but no
// retransmissions.
func (r *Registrar) Got() []Registration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Registration(nil), r.got...)
}

// Pings is how many OPTIONS came.
func (r *Registrar) Pings() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pings
}

// Bound is how many registrations hold.
func (r *Registrar) Bound() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, until := range r.bound {
		if time.Now().Before(until) {
			n++
		}
	}
	return n
}

func (r *Registrar) read() {
	defer close(r.done)
	answers := map[string]string{}
	b := make([]byte, 65536)
	for {
		n, from, err := r.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		m, err := wire.Parse(b[:n])
		if err != nil {
			r.site.T.Errorf("the registrar got a malformed message: %v", err)
			continue
		}
		if m.Response() {
			continue
		}
		key := m.Branch() + m.Method()
		text, again := answers[key]
		if !again {
			text = r.answer(m, from)
			answers[key] = text
		}
		if text != "" {
			_, _ = r.conn.WriteToUDPAddrPort([]byte(text), from)
		}
	}
}

func (r *Registrar) answer(m *wire.Message, from netip.AddrPort) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Method() != "REGISTER" {
		r.pings++
		if r.rules.Silent {
			return ""
		}
		return r.reply(m, from, 200)
	}
	code, headers := r.judge(m)
	r.got = append(r.got, Registration{time.Now(), m, code})
	if code == 0 {
		return ""
	}
	return r.reply(m, from, code, headers...)
}

// judge decides about a REGISTER. The lock is held.
func (r *Registrar) judge(m *wire.Message) (int, []string) {
	asked, _ := strconv.Atoi(m.Get("Expires"))
	aor := wire.Address(m.Get("To"))
	switch {
	case r.rules.Silent:
		return 0, nil
	case r.rules.Code != 0:
		return r.rules.Code, nil
	case r.rules.Password != "" && !r.authorized(m):
		r.nonce++
		nonce := fmt.Sprintf("nonce-%d", r.nonce)
		r.nonces[nonce] = true
		return 401, []string{`WWW-Authenticate: Digest realm="pbx", nonce="` + nonce + `", algorithm=MD5, qop="auth"`}
	case asked != 0 && time.Duration(asked)*time.Second < r.rules.Min:
		return 423, []string{fmt.Sprintf("Min-Expires: %d", int(r.rules.Min/time.Second))}
	case asked == 0:
		delete(r.bound, aor)
		return 200, nil
	}
	grant := time.Duration(asked) * time.Second
	if r.rules.Grant > 0 {
		grant = min(grant, r.rules.Grant)
	}
	r.bound[aor] = time.Now().Add(grant)
	if r.rules.Bare {
		return 200, nil
	}
	return 200, []string{
		"Contact: <sip:other@203.0.113.9>;expires=7",
		fmt.Sprintf("Contact: %s;expires=%d", m.Get("Contact"), int(grant/time.Second)),
	}
}

// authorized verifies a digest (RFC 7616 3.4, MD5). The lock is held.
func (r *Registrar) authorized(m *wire.Message) bool {
	field := map[string]string{}
	_, list, _ := strings.Cut(m.Get("Authorization"), " ")
	for _, p := range strings.Split(list, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		field[k] = strings.Trim(v, `"`)
	}
	sum := func(parts ...string) string { return fmt.Sprintf("%x", md5.Sum([]byte(strings.Join(parts, ":")))) }
	want := sum(sum(field["username"], "pbx", r.rules.Password), field["nonce"], field["nc"], field["cnonce"], "auth", sum("REGISTER", m.URI()))
	return r.nonces[field["nonce"]] && field["response"] == want
}

func (r *Registrar) reply(m *wire.Message, from netip.AddrPort, code int, headers ...string) string {
	seen := from
	if r.rules.Seen != "" {
		seen = netip.MustParseAddrPort(r.rules.Seen)
	}
	via := strings.Replace(m.Get("Via"), ";rport", fmt.Sprintf(";rport=%d;received=%s", seen.Port(), seen.Addr()), 1)
	lines := []string{
		fmt.Sprintf("SIP/2.0 %d Answer", code), "Via: " + via, "From: " + m.Get("From"), "To: " + m.Get("To") + ";tag=pbx",
		"Call-ID: " + m.CallID(), "CSeq: " + m.Get("CSeq"),
	}
	lines = append(append(lines, headers...), r.rules.Headers...)
	return strings.Join(lines, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}
