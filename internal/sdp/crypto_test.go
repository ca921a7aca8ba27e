package sdp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func someKeys() Keys {
	var raw [KeyOctets]byte
	for i := range raw {
		raw[i] = byte(i + 1)
	}
	return NewKeys(raw)
}

// inline is a key of n octets as a peer writes it.
func inline(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(200 - i)
	}
	return "inline:" + base64.StdEncoding.EncodeToString(b)
}

const (
	cm80, cm32     = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"
	gcm128, gcm256 = "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"
)

var cryptoLines = []struct {
	name, value string
	tag, suite  string // "" = not usable
}{
	{"as phones send it", "1 " + cm80 + " " + inline(30), "1", cm80},
	{"short tag", "2 " + cm32 + " " + inline(30), "2", cm32},
	{"AES-GCM", "3 " + gcm128 + " " + inline(28), "3", gcm128},
	{"AES-GCM of 256 bits", "4 " + gcm256 + " " + inline(44), "4", gcm256},
	{"lifetime of a power", "1 " + cm80 + " " + inline(30) + "|2^31", "1", cm80},
	{"lifetime of a number", "1 " + cm80 + " " + inline(30) + "|1048576", "1", cm80},
	{"longest lifetime", "1 " + cm80 + " " + inline(30) + "|2^48", "1", cm80},
	{"longest lifetime as a number", "1 " + cm80 + " " + inline(30) + "|281474976710656", "1", cm80},
	{"lifetime beyond 2^48", "1 " + cm80 + " " + inline(30) + "|2^49", "", ""},
	{"lifetime of 2^48 and one", "1 " + cm80 + " " + inline(30) + "|281474976710657", "", ""},
	{"lifetime of none", "1 " + cm80 + " " + inline(30) + "|0", "", ""},
	{"lifetime with zeros before it", "1 " + cm80 + " " + inline(30) + "|020", "", ""},
	{"power with zeros before it", "1 " + cm80 + " " + inline(30) + "|2^020", "", ""},
	{"lifetime below zero", "1 " + cm80 + " " + inline(30) + "|-1", "", ""},
	{"lifetime of twenty digits", "1 " + cm80 + " " + inline(30) + "|18446744073709551617", "", ""},
	{"another base", "1 " + cm80 + " " + inline(30) + "|3^20", "", ""},
	{"nothing behind the bar", "1 " + cm80 + " " + inline(30) + "|", "", ""},
	{"MKI", "1 " + cm80 + " " + inline(30) + "|1:4", "1", cm80},
	{"lifetime and MKI", "1 " + cm80 + " " + inline(30) + "|2^20|1:4", "1", cm80},
	{"MKI of one octet", "1 " + cm80 + " " + inline(30) + "|2^31|1:1", "1", cm80},
	{"longest MKI", "1 " + cm80 + " " + inline(30) + "|9:128", "1", cm80},
	{"AES-GCM with an MKI", "1 " + gcm256 + " " + inline(44) + "|2^31|255:1", "1", gcm256},
	{"MKI that is too long", "1 " + cm80 + " " + inline(30) + "|9:129", "", ""},
	{"MKI that its length has no room for", "1 " + cm80 + " " + inline(30) + "|256:1", "", ""},
	{"MKI of no length", "1 " + cm80 + " " + inline(30) + "|1:", "", ""},
	{"MKI of length zero", "1 " + cm80 + " " + inline(30) + "|0:0", "", ""},
	{"MKI of no value", "1 " + cm80 + " " + inline(30) + "|:4", "", ""},
	{"MKI with zeros before it", "1 " + cm80 + " " + inline(30) + "|01:4", "", ""},
	{"MKI of 310 digits", "1 " + cm80 + " " + inline(30) + "|" + strings.Repeat("1", 310) + ":128", "", ""},
	{"MKI before the lifetime", "1 " + cm80 + " " + inline(30) + "|1:4|2^20", "", ""},
	{"no lifetime between two bars", "1 " + cm80 + " " + inline(30) + "||1:4", "", ""},
	{"something behind the MKI", "1 " + cm80 + " " + inline(30) + "|2^20|1:4|1", "", ""},
	{"two keys", "1 " + cm80 + " " + inline(30) + "|2^20|1:4;" + inline(30) + "|2^20|2:4", "1", cm80},
	{"four keys of AES-GCM", "1 " + gcm128 + " " + inline(28) + "|1:2;" + inline(28) + "|2:2;" + inline(28) + "|3:2;" + inline(28) + "|4:2", "1", gcm128},
	{"five keys", "1 " + cm80 + " " + inline(30) + "|1:1;" + inline(30) + "|2:1;" + inline(30) + "|3:1;" + inline(30) + "|4:1;" + inline(30) + "|5:1", "", ""},
	{"two keys without MKIs", "1 " + cm80 + " " + inline(30) + ";" + inline(30), "", ""},
	{"two keys, one MKI", "1 " + cm80 + " " + inline(30) + "|1:1;" + inline(30), "", ""},
	{"two keys with one MKI for both", "1 " + cm80 + " " + inline(30) + "|1:4;" + inline(30) + "|1:4", "", ""},
	{"MKIs of two lengths", "1 " + cm80 + " " + inline(30) + "|1:4;" + inline(30) + "|2:2", "", ""},
	{"second key by another method", "1 " + cm80 + " " + inline(30) + "|1:4;prompt:x|2:4", "", ""},
	{"second key too short", "1 " + cm80 + " " + inline(30) + "|1:4;" + inline(28) + "|2:4", "", ""},
	{"nothing behind the semicolon", "1 " + cm80 + " " + inline(30) + "|1:4;", "", ""},
	{"key too short", "1 " + cm80 + " " + inline(28), "", ""},
	{"key too long", "1 " + gcm128 + " " + inline(30), "", ""},
	{"no base64", "1 " + cm80 + " inline:" + strings.Repeat("*", 40), "", ""},
	{"without padding", "4 " + gcm128 + " " + strings.TrimRight(inline(28), "="), "4", gcm128},
	{"another method", "1 " + cm80 + " prompt:" + strings.TrimPrefix(inline(30), "inline:"), "", ""},
	{"no tag", cm80 + " " + inline(30), "", ""},
	{"tag of no number", "x " + cm80 + " " + inline(30), "", ""},
	{"tag of ten digits", "1234567890 " + cm80 + " " + inline(30), "", ""},
	{"suite that is not spoken", "1 F8_128_HMAC_SHA1_80 " + inline(30), "", ""},
	{"unencrypted", "1 " + cm80 + " " + inline(30) + " UNENCRYPTED_SRTP", "", ""},
	{"reports unencrypted", "1 " + cm80 + " " + inline(30) + " UNENCRYPTED_SRTCP", "", ""},
	{"unauthenticated", "1 " + cm80 + " " + inline(30) + " UNAUTHENTICATED_SRTP", "", ""},
	{"unencrypted in small letters", "1 " + cm80 + " " + inline(30) + " unencrypted_srtp", "", ""},
	{"derivation rate", "1 " + cm80 + " " + inline(30) + " KDR=1", "", ""},
	{"derivation rate of none", "1 " + cm80 + " " + inline(30) + " KDR=0", "1", cm80},
	{"error correction first", "1 " + cm80 + " " + inline(30) + " FEC_ORDER=FEC_SRTP", "", ""},
	{"error correction last", "1 " + cm80 + " " + inline(30) + " FEC_ORDER=SRTP_FEC", "", ""},
	{"key of error correction", "1 " + cm80 + " " + inline(30) + " FEC_KEY=" + inline(30), "", ""},
	{"window", "1 " + cm80 + " " + inline(30) + " WSH=60", "1", cm80},
	{"window behind an MKI", "1 " + cm80 + " " + inline(30) + "|2^31|1:1 WSH=64", "1", cm80},
	{"window and what must be understood", "1 " + cm80 + " " + inline(30) + " WSH=64 UNENCRYPTED_SRTCP", "", ""},
	{"unknown parameter", "1 " + cm80 + " " + inline(30) + " SPECIAL=1", "", ""},
	{"extension that may be passed over", "1 " + cm80 + " " + inline(30) + " -special", "1", cm80},
}

func TestCryptoLines(t *testing.T) {
	for _, tt := range cryptoLines {
		t.Run(tt.name, func(t *testing.T) {
			r := mustParse(t, offer("m=audio 4000 RTP/SAVP 0\na=crypto:"+tt.value))
			l := here
			l.Security, l.Keys = Optional, someKeys()
			body, a, err := r.Answer(l, "")
			if tt.tag == "" {
				if !errors.Is(err, ErrSecure) {
					t.Fatalf("%v\n%s", err, body)
				}
				return
			}
			ours := l.keyOf(tt.suite)
			line := fmt.Sprintf("a=crypto:%s %s inline:%s\r\n", tt.tag, tt.suite, base64.StdEncoding.EncodeToString([]byte(ours)))
			if err != nil || strings.Count(string(body), "a=crypto:") != 1 || !strings.Contains(string(body), line) || !strings.Contains(string(body), " RTP/SAVP 0\r\n") {
				t.Fatalf("%v, wanted %s in\n%s", err, line, body)
			}
			if a.Secured.Suite != tt.suite || a.Secured.Ours != ours || a.Secured.Theirs[0] != 200 || a.Secured.Locked() {
				t.Errorf("agreed on %#v", a.Secured)
			}
		})
	}
}

// TestSecurity is which streams each security takes, and how they are answered.
func TestSecurity(t *testing.T) {
	one := "\na=crypto:7 " + cm32 + " " + inline(30)
	savp, avp := "m=audio 4000 RTP/SAVP 0", "m=audio 4000 RTP/AVP 0"
	const refusedSecure, refusedClear, clear, secure = "secure refused", "clear refused", "clear", "secure"
	for _, tt := range []struct {
		name, rest string
		want       [3]string // off, optional, required
		protos     [3]string
	}{
		{"SRTP only", savp + one, [3]string{refusedSecure, secure, secure}, [3]string{"", "m=audio 10000 RTP/SAVP", "m=audio 10000 RTP/SAVP"}},
		{"with feedback", strings.Replace(savp, "SAVP", "SAVPF", 1) + one, [3]string{refusedSecure, secure, secure}, [3]string{"", "RTP/SAVPF", "RTP/SAVPF"}},
		{"best effort", avp + one, [3]string{clear, secure, secure}, [3]string{"m=audio 10000 RTP/AVP", "m=audio 10000 RTP/AVP", "m=audio 10000 RTP/AVP"}},
		{"clear", avp, [3]string{clear, clear, refusedClear}, [3]string{"RTP/AVP", "RTP/AVP", ""}},
		{"no usable key", avp + one + " KDR=2", [3]string{clear, clear, refusedClear}, [3]string{"RTP/AVP", "RTP/AVP", ""}},
		{"DTLS with a key", "m=audio 4000 UDP/TLS/RTP/SAVP 0" + one, [3]string{refusedSecure, refusedSecure, refusedSecure}, [3]string{}},
		{"two lines, secure first", savp + one + "\nm=audio 4002 RTP/AVP 0", [3]string{clear, secure, secure},
			[3]string{"m=audio 0 RTP/SAVP 0\r\nm=audio 10000 RTP/AVP", "m=audio 10000 RTP/SAVP", "m=audio 10000 RTP/SAVP"}},
		{"two lines, clear first", avp + "\nm=audio 4002 RTP/SAVP 0" + one, [3]string{clear, secure, secure},
			[3]string{"m=audio 10000 RTP/AVP", "m=audio 0 RTP/AVP 0\r\nm=audio 10000 RTP/SAVP", "m=audio 0 RTP/AVP 0\r\nm=audio 10000 RTP/SAVP"}},
		{"removed", "m=audio 0 RTP/SAVP 0", [3]string{clear, clear, clear}, [3]string{"m=audio 0 RTP/SAVP", "m=audio 0 RTP/SAVP", "m=audio 0 RTP/SAVP"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := mustParse(t, offer(tt.rest))
			for s := Off; s <= Required; s++ {
				l := here
				l.Security, l.Keys = s, someKeys()
				body, a, err := r.Answer(l, "")
				got := clear
				switch {
				case errors.Is(err, ErrSecure):
					got = refusedSecure
				case errors.Is(err, ErrClear):
					got = refusedClear
				case err != nil:
					t.Fatal(err)
				case a.Secured != Secured{}:
					got = secure
				}
				if got != tt.want[s] || !strings.Contains(string(body), tt.protos[s]) || (got == secure) != strings.Contains(string(body), "a=crypto:7 "+cm32) {
					t.Errorf("with %d it is %s, wanted %s\n%s", s, got, tt.want[s], body)
				}
			}
		})
	}
}

// TestOffersOfKeys: what is offered, what is taken as its answer, and what a later
// offer of the session repeats.
func TestOffersOfKeys(t *testing.T) {
	l := here
	l.Keys = someKeys()
	for _, tt := range []struct {
		name, answer string
		security     Security
		suite        string
		err          error
	}{
		{"clear", "m=audio 4000 RTP/AVP 0", Off, "", nil},
		{"a key that was not offered", "m=audio 4000 RTP/AVP 0\na=crypto:1 " + cm80 + " " + inline(30), Off, "", nil},
		{"passed over", "m=audio 4000 RTP/AVP 0", Optional, "", nil},
		{"taken", "m=audio 4000 RTP/AVP 0\na=crypto:1 " + cm80 + " " + inline(30), Optional, cm80, nil},
		{"the other taken", "m=audio 4000 RTP/AVP 0\na=crypto:2 " + gcm256 + " " + inline(44), Optional, gcm256, nil},
		{"taken as SAVP", "m=audio 4000 RTP/SAVP 0\na=crypto:1 " + cm80 + " " + inline(30), Optional, cm80, nil},
		{"SAVP without a key", "m=audio 4000 RTP/SAVP 0", Optional, "", ErrSecure},
		{"another tag", "m=audio 4000 RTP/AVP 0\na=crypto:2 " + cm80 + " " + inline(30), Optional, "", nil},
		{"third of four", "m=audio 4000 RTP/SAVP 0\na=crypto:3 " + gcm128 + " " + inline(28), Required, gcm128, nil},
		{"another suite", "m=audio 4000 RTP/SAVP 0\na=crypto:3 " + cm80 + " " + inline(30), Required, "", ErrSecure},
		{"clear where it may not be", "m=audio 4000 RTP/AVP 0", Required, "", ErrClear},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := l
			l.Security = tt.security
			first := Offer(l, nil)
			wants := map[Security]string{Off: "RTP/AVP 0 crypto 0", Optional: "RTP/AVP 0 crypto 2", Required: "RTP/SAVP 0 crypto 4"}[l.Security]
			if got := fmt.Sprintf("%s 0 crypto %d", strings.Fields(string(first[strings.Index(string(first), "m="):]))[2], strings.Count(string(first), "a=crypto:")); got != wants {
				t.Fatalf("offered %s, wanted %s\n%s", got, wants, first)
			}
			l.Previous = first
			a, err := mustParse(t, offer(tt.answer)).Accept(l)
			if !errors.Is(err, tt.err) || a.Secured.Suite != tt.suite || a.Secured.Ours != l.keyOf(tt.suite) || a.Secured.Locked() {
				t.Fatalf("agreed on %+v, %v", a.Secured, err)
			}
			if again := Offer(l, nil); string(again) != string(first) {
				t.Errorf("offered again it is\n%s, before\n%s", again, first)
			}
			l.Previous = Mask(first)
			var raw [KeyOctets]byte
			for i := range raw {
				raw[i] = 0xEE
			}
			l.Keys = NewKeys(raw)
			next := Offer(l, nil)
			if string(Mask(next)) != strings.Replace(string(Mask(first)), " 7 1 IN", fmt.Sprintf(" 7 %d IN", min(1+strings.Count(string(first), "a=crypto"), 2)), 1) {
				t.Errorf("with new keys it is\n%s, before\n%s", next, first)
			}
		})
	}
}

// TestElsewhereWithoutKeys: the media of others is described without ours.
func TestElsewhereWithoutKeys(t *testing.T) {
	l := here
	l.Security, l.Keys = Optional, someKeys()
	l.Elsewhere = Elsewhere{Addr: ap("192.0.2.77:9"), Codec: pcmu}
	if body := string(Offer(l, nil)); strings.Contains(body, "crypto") || !strings.Contains(body, "192.0.2.77") {
		t.Errorf("offered\n%s", body)
	}
	r := mustParse(t, offer("m=audio 4000 RTP/AVP 0\na=crypto:1 "+cm80+" "+inline(30)))
	body, a, err := r.Answer(l, "")
	if err != nil || a.Secured.Suite == "" || strings.Contains(string(body), "192.0.2.77") {
		t.Errorf("%v %+v\n%s", err, a, body)
	}
}

// TestKeysAreShownToNobody: no way of writing any of our values, nor an error, has a
// key in it, and one that was read back is not taken for a key.
func TestKeysAreShownToNobody(t *testing.T) {
	secret := strings.TrimPrefix(inline(30), "inline:")
	body := offer("m=audio 4000 RTP/SAVP 0\na=crypto:1 " + cm80 + " " + inline(30) + "|2^31|1:1;" + inline(30) + "|2^31|2:1")
	l := here
	l.Security, l.Keys = Required, someKeys()
	r := mustParse(t, body)
	answer, a, err := r.Answer(l, "")
	if err != nil {
		t.Fatal(err)
	}
	l.Previous = Mask(answer)
	ours := l.keyOf(cm80)
	var texts []string
	for _, v := range []any{a, &a, a.Secured, a.Secured.Ours, l, l.Keys, []Key{ours}, map[string]Key{"k": ours}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b), fmt.Sprintf("%v %+v %#v %s %x %q", v, v, v, v, v, v))
	}
	texts = append(texts, string(Mask([]byte(body))), string(Mask(answer)))
	for _, broken := range []string{
		body + "\n" + inline(30), body + "\n" + secret, strings.Replace(body, "|2^31", "\x00", 1), "a=crypto:1 " + cm80 + " " + inline(30),
		strings.Replace(body, "inline:", "inline:\n", 1), strings.Replace(body, "m=audio", "m=", 1), strings.Replace(body, "a=crypto", "c=crypto", 1),
	} {
		if _, err := Parse(crlf(broken)); err != nil {
			texts = append(texts, err.Error())
		}
	}
	if len(texts) < 22 {
		t.Fatal("too little is looked at")
	}
	for _, s := range texts {
		for _, k := range []string{secret[:8], string(ours)[:6], base64.StdEncoding.EncodeToString([]byte(ours))[:8], fmt.Sprintf("%x", string(ours)[:4])} {
			if strings.Contains(strings.ToLower(s), strings.ToLower(k)) {
				t.Errorf("a key in %q", s)
			}
		}
	}
	var back Agreed
	b, _ := json.Marshal(a)
	if err := json.Unmarshal(b, &back); err != nil || back.Secured.Suite != cm80 || !back.Secured.Locked() {
		t.Errorf("read back: %+v, %v", back.Secured, err)
	}
	masked := mustParse(t, string(Mask([]byte(body))))
	if _, a, err := masked.Answer(l, ""); err != nil || !a.Secured.Locked() || a.Secured.Suite != cm80 {
		t.Errorf("masked: %+v, %v", a.Secured, err)
	}
}

// TestNoKeyIsNeverDescribed: who has none offers none, and answers nothing that needs
// one.
func TestNoKeyIsNeverDescribed(t *testing.T) {
	l := here
	l.Security = Optional
	if body := string(Offer(l, nil)); strings.Contains(body, "crypto") {
		t.Error(body)
	}
	r := mustParse(t, offer("m=audio 4000 RTP/SAVP 0\na=crypto:1 "+cm80+" "+inline(30)))
	if _, _, err := r.Answer(l, ""); !errors.Is(err, ErrLocal) {
		t.Error(err)
	}
}

func TestKeysStayInUse(t *testing.T) {
	k := someKeys()
	a := Secured{Suite: gcm128, Ours: k[2], Theirs: "x"}
	var raw [KeyOctets]byte
	raw[1], raw[45], raw[70], raw[100] = 1, 1, 1, 1
	next := NewKeys(raw)
	next.Keep(a)
	if next[2] != k[2] || next[0] == k[0] || len(next[3]) != 44 {
		t.Error("the key in use is not kept, or others are")
	}
	next.Keep(Secured{})
	next.Keep(Secured{Suite: gcm256})
	if len(Suites()) != len(next) || Suites()[2] != gcm128 {
		t.Error(Suites())
	}
	for s, want := range map[string]Security{"off": Off, "optional": Optional, "required": Required, "x": Off} {
		if got := ParseSecurity(s); got != want {
			t.Errorf("%s is %d", s, got)
		}
	}
}

// TestPeerKeys: which octets packets have as their MKI, and how many a key protects.
func TestPeerKeys(t *testing.T) {
	second := func(n int) string { return strings.Replace(inline(n), "inline:yM", "inline:yL", 1) }
	type key struct {
		first, last byte
		mki         string
		life        uint64
	}
	for _, tt := range []struct {
		suite, params string
		want          []key
	}{
		{cm80, inline(30), []key{{200, 171, "", 1 << 48}}},
		{cm80, inline(30) + "|2^31", []key{{200, 171, "", 1 << 31}}},
		{cm80, inline(30) + "|1066:4", []key{{200, 171, "\x00\x00\x04\x2a", 1 << 48}}},
		{cm80, inline(30) + "|1000|0:1", []key{{200, 171, "\x00", 1000}}},
		{cm80, inline(30) + "|2^0|340282366920938463463374607431768211455:16", []key{{200, 171, strings.Repeat("\xff", 16), 1}}},
		{gcm128, inline(28) + "|2^31|1:1;" + second(28) + "|2:1", []key{{200, 173, "\x01", 1 << 31}, {200, 173, "\x02", 1 << 48}}},
	} {
		r := mustParse(t, offer("m=audio 4000 RTP/SAVP 0\na=crypto:1 "+tt.suite+" "+tt.params))
		l := here
		l.Security, l.Keys = Optional, someKeys()
		_, a, err := r.Answer(l, "")
		if err != nil {
			t.Fatalf("%s: %v", tt.params, err)
		}
		var got []key
		for _, k := range a.Secured.PeerKeys() {
			got = append(got, key{k.Key[0], k.Key[len(k.Key)-1], k.MKI, k.Lifetime})
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.params, got, tt.want)
		}
		if k := a.Secured.PeerKeys(); len(k) > 1 && k[0].Key == k[1].Key {
			t.Errorf("%s: two keys are the same", tt.params)
		}
	}
	// One of two that is masked is no key at all.
	r := mustParse(t, offer("m=audio 4000 RTP/SAVP 0\na=crypto:1 "+cm80+" "+inline(30)+"|1:1;"+string(Mask([]byte(inline(30))))+"|2:1"))
	l := here
	l.Security, l.Keys = Optional, someKeys()
	if _, a, err := r.Answer(l, ""); err != nil || !a.Secured.Locked() || a.Secured.PeerKeys() != nil {
		t.Errorf("half masked: %+v, %v", a.Secured, err)
	}
}
