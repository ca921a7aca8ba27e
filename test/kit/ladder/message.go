package ladder

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"parkd/test/kit/wire"
)

// title is what stands on the arrow: "INVITE 701", "200 OK".
func title(m *wire.Message) string {
	if m.Response() {
		return strings.TrimPrefix(m.Start, "SIP/2.0 ")
	}
	words := strings.Fields(m.Start)
	if len(words) < 2 {
		return m.Start
	}
	uri := strings.TrimPrefix(words[1], "sip:")
	user, host, ok := strings.Cut(uri, "@")
	if !ok {
		return words[0]
	}
	if _, params, ok := strings.Cut(host, ";operation"); ok {
		user += ";operation" + params
	}
	return words[0] + " " + user
}

// group tells apart messages that start a call each at one instant; within a
// call nothing is reordered.
func group(m, other *wire.Message) string {
	if m.CallID() == other.CallID() {
		return ""
	}
	return title(m) + m.Get("From")
}

// plain names what is random.
type plain struct {
	name  func(netip.Addr) string
	known map[string]string // random text to its plain name
	pairs []string          // the same for strings.NewReplacer
	count map[string]int
}

func newPlain(name func(netip.Addr) string) *plain {
	return &plain{name: name, known: map[string]string{}, count: map[string]int{}}
}

func (p *plain) call(text, kind string) {
	if text == "" || p.known[text] != "" {
		return
	}
	p.count[kind]++
	p.known[text] = fmt.Sprintf("%s-%d", kind, p.count[kind])
	p.pairs = append(p.pairs, text, p.known[text])
}

// inlineKey is a key of SRTP in a description (RFC 4568 6.1).
var inlineKey = regexp.MustCompile(`inline:([A-Za-z0-9+/=]+)`)

var alias = regexp.MustCompile(`call-id="([^"]*)" local-tag="([^"]*)" remote-tag="([^"]*)"`)

// learn names what is new in a message; tags after whoever made them.
func (p *plain) learn(e *event) {
	m := e.msg
	asks, answers := p.name(e.from), p.name(e.to)
	if m.Response() {
		asks, answers = answers, asks
	}
	p.call(m.CallID(), "call")
	p.call(m.FromTag(), asks)
	p.call(m.ToTag(), answers)
	p.call(m.Branch(), "branch")
	for _, k := range inlineKey.FindAllStringSubmatch(m.Body, -1) {
		p.call(k[1], "key")
	}
	if a := alias.FindStringSubmatch(m.Body); a != nil && p.known[a[1]] == "" {
		p.call(a[1], "alias")
		name := p.known[a[1]]
		p.known[a[2]], p.known[a[3]] = name+"-local", name+"-remote"
		p.pairs = append(p.pairs, a[2], name+"-local", a[3], name+"-remote")
	}
}

func (p *plain) tag(t string) string {
	if t != "" {
		return p.known[t]
	}
	return "-"
}

// shown are the headers that a reader wants to see.
var shown = []string{
	"Refer-To", "Refer-Sub", "Referred-By", "X-Parked-By", "Replaces", "Require", "Unsupported", "Warning", "Retry-After", "Min-SE",
	"Session-Expires", "Event", "Expires", "Min-Expires", "Subscription-State", "Allow-Events",
	"P-Asserted-Identity", "Alert-Info", "Reason",
}

// details is what stands beside the arrow.
func (p *plain) details(e *event) string {
	m := e.msg
	list := []string{fmt.Sprintf("%s %s>%s %s cseq %s", p.known[m.CallID()], p.tag(m.FromTag()), p.tag(m.ToTag()),
		p.known[m.Branch()], m.Get("CSeq"))}
	if e.fate != "" {
		list = append(list, e.fate)
	}
	replace := strings.NewReplacer(p.pairs...)
	for _, name := range shown {
		for _, v := range m.All(name) {
			list = append(list, name+": "+replace.Replace(v))
		}
	}
	if m.Response() && m.Code()/100 == 3 {
		list = append(list, "Contact: "+strings.Join(m.All("Contact"), ", "))
	}
	if b := body(m); b != "" {
		list = append(list, replace.Replace(b))
	}
	return strings.Join(list, " | ")
}

var (
	lampVersion = regexp.MustCompile(`version="(\d+)"`)
	lampState   = regexp.MustCompile(`<state>(\w+)</state>`)
	lampID      = regexp.MustCompile(`call-id="([^"]*)"`)
	basicStatus = regexp.MustCompile(`<basic>(\w+)</basic>`)
	activity    = regexp.MustCompile(`<rpid:activities><rpid:([\w-]+)/>`)
	lampCaller  = regexp.MustCompile(`<remote><identity[^>]*>([^<]*)`)
)

// body says in a few words what a message carries.
func body(m *wire.Message) string {
	switch kind := m.Get("Content-Type"); {
	case m.Body == "":
		return ""
	case kind == "application/sdp":
		return describe(m.Body)
	case strings.HasPrefix(kind, "application/dialog-info"):
		return "lamp " + lamp(m.Body)
	case kind == "application/pidf+xml":
		words := []string{"presence", first(basicStatus, m.Body)}
		if a := first(activity, m.Body); a != "" {
			words = append(words, a)
		}
		return strings.Join(words, " ")
	case strings.HasPrefix(kind, "multipart/related"):
		return list(m.Body)
	default:
		return kind + " " + strings.Join(strings.Fields(m.Body), " ")
	}
}

// lamp says in a few words what a dialog-info document shows.
func lamp(document string) string {
	words := []string{"v" + first(lampVersion, document), first(lampState, document)}
	if id := first(lampID, document); id != "" {
		words = append(words, id, first(lampCaller, document))
	}
	return strings.Join(words, " ")
}

var (
	listHead   = regexp.MustCompile(`<list [^>]*version="(\d+)" fullState="(\w+)"`)
	listMember = regexp.MustCompile(`<resource uri="sip:([^@"]*)`)
	lampEntity = regexp.MustCompile(`entity="sip:([^@"]*)`)
)

// list says in a few words what the NOTIFY of an event list shows: its version,
// whom it names, and the lamps.
func list(body string) string {
	kind, version := "part", "?"
	if m := listHead.FindStringSubmatch(body); m != nil {
		if version = m[1]; m[2] == "true" {
			kind = "full"
		}
	}
	words := []string{"list v" + version, kind + ":"}
	for _, m := range listMember.FindAllStringSubmatch(body, -1) {
		words = append(words, m[1])
	}
	for _, document := range strings.Split(body, "<dialog-info ")[1:] {
		words = append(words, "| lamp", first(lampEntity, document), lamp(document))
	}
	return strings.Join(words, " ")
}

func first(re *regexp.Regexp, s string) string {
	if m := re.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

// describe shortens an SDP to address, formats and direction, and to the keys where
// there is no way without: of offers beside RTP/AVP most are passed over.
func describe(sdp string) string {
	address, formats, way, secure, keys := "", "", "sendrecv", false, ""
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "c=IN IP4 "):
			address = line[len("c=IN IP4 "):]
		case strings.HasPrefix(line, "m="):
			words := strings.Fields(line[2:])
			if len(words) > 2 {
				address += ":" + words[1]
				formats = strings.Join(words[3:], ",")
				secure = strings.HasPrefix(words[2], "RTP/SAVP")
			}
		case secure && strings.HasPrefix(line, "a=crypto:"):
			keys += " | crypto " + strings.ReplaceAll(line[len("a=crypto:"):], "inline:", "")
		case line == "a=sendonly", line == "a=recvonly", line == "a=inactive":
			way = line[2:]
		}
	}
	return fmt.Sprintf("sdp %s %s %s%s", address, formats, way, keys)
}
