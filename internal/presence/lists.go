package presence

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

// eventlist is the option tag of lists (RFC 4662 4.1, 8.1).
const eventlist = "eventlist"

const statusExtensionRequired = 421 // RFC 3261 21.4.16

// Lists is what a Source is besides, when it has event lists (RFC 4662). All of it
// is called as Document is.
type Lists interface {
	// Members lists the members of a list, in the order in which phones show them;
	// ok is false if there is no such list.
	Members(list string) (members []Member, ok bool)
	// Within names the lists that a resource is a member of.
	Within(resource string) []string
	// AppendRLMI appends the root document of a list's NOTIFY (application/rlmi+xml).
	AppendRLMI(dst []byte, r Roll) []byte
}

// Member is a resource of a list.
type Member struct {
	Resource string
	Name     string // "" = none
	Lit      bool   // whoever watches it wants to know of it first
}

// Roll is what a NOTIFY of a list says of its members (RFC 4662 5).
type Roll struct {
	URI       string
	Version   uint32
	Full      bool // all members; else those that it tells of
	Resources []RollEntry
}

// RollEntry is a member; without CID its document is not in this NOTIFY.
type RollEntry struct{ URI, Name, Instance, CID string }

// noLists is a Source without any.
type noLists struct{}

func (noLists) Members(string) ([]Member, bool)      { return nil, false }
func (noLists) Within(string) []string               { return nil }
func (noLists) AppendRLMI(dst []byte, _ Roll) []byte { return dst }

func listsOf(s Source) Lists {
	if l, ok := s.(Lists); ok {
		return l
	}
	return noLists{}
}

// topic is what a subscription is found by: a pool's extension names its lamp and
// the list of its orbits, which are two things.
func (s *Subscription) topic() string {
	if s.List {
		return topicOf(s.Resource)
	}
	return s.Resource
}

// topicOf is that of a list; no resource has a space.
func topicOf(list string) string { return listTopic + list }

const listTopic = "list "

// within names the lists that a topic is a member of.
func (n *Notifier) within(topic string) []string {
	if strings.HasPrefix(topic, listTopic) { // RFC 4662 has lists within lists; here are none
		return nil
	}
	return n.lists.Within(topic)
}

// choose settles what a new SUBSCRIBE is to: a list if there is one and the phone
// can read it, else the one resource of that name.
func (n *Notifier) choose(r *sipua.Request, user string, t *terms) (resource string, list bool, no *refusal) {
	resource, single := n.o.Source.Resolve(user)
	_, list = n.lists.Members(user)
	able := sipua.HasToken(r.Request, "supported", eventlist) || sipua.HasToken(r.Request, "require", eventlist)
	switch {
	case list && able && (!single || takesLists(r)):
		if t.accept == "" { // RFC 4662 4.3 has it named beside the two of lists
			t.accept = t.types[0]
		}
		return user, true, nil
	case single && t.accept == "":
		return "", false, t.unacceptable()
	case single:
		return resource, false, nil
	case list: // RFC 4662 4.1, RFC 3261 21.4.16
		return "", false, refuse(statusExtensionRequired, "extension", sip.NewHeader("Require", eventlist))
	}
	return "", false, refuse(sip.StatusNotFound, "unknown")
}

// takesLists says whether the Accept of a phone goes with lists (RFC 4662 4.3).
// Some phones name the extension in every SUBSCRIBE, be it for a single lamp.
func takesLists(r *sipua.Request) bool {
	return sipua.Accepts(r.Request, "multipart/related", true)
}

// ListChanged says that a list has other members, or others in order, or is there
// no more. It does not block.
func (n *Notifier) ListChanged(list string) { n.Changed(topicOf(list)) }

// Relisted says that the lists of a resource name it now, or do not any more. It does
// not block.
func (n *Notifier) Relisted(resource string) {
	for _, l := range n.within(resource) {
		n.ListChanged(l)
	}
}

// around is what stands around the user in the URIs of a list's members: as in that
// of the list, but for its parameters.
func around(list string) (head, tail string) {
	scheme, rest, _ := strings.Cut(list, ":")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = rest[at+1:]
	}
	if end := strings.IndexAny(rest, ";?"); end >= 0 {
		rest = rest[:end]
	}
	return scheme + ":", "@" + rest
}

// uriOf is the URI of a member.
func (l *list) uriOf(member string) string { return l.head + sipua.EscapeUser(member) + l.tail }

// part is a document of a multipart body.
type part struct {
	cid, contentType string
	body             []byte
}

// short says whether a document is of short ASCII lines, which need no
// Content-Transfer-Encoding (RFC 2045 2.7, 6.1).
func short(body []byte) bool {
	if len(body) <= 998 { // eight at a time, as most are
		var any uint64
		for ; len(body) >= 8; body = body[8:] {
			any |= binary.LittleEndian.Uint64(body)
		}
		for _, c := range body {
			any |= uint64(c)
		}
		return any&0x8080808080808080 == 0
	}
	line := 0
	for _, c := range body {
		if line++; c == '\n' {
			line = 0
		}
		if c >= 0x80 || line > 998 {
			return false
		}
	}
	return true
}

// related appends documents, joined (RFC 2046 5.1, RFC 2387), and returns the type of
// the whole; the first one is the root.
func related(b []byte, parts []part) (contentType string, body []byte) {
	boundary := "parkd"
	for i := 0; i < len(parts); {
		if bytes.Contains(parts[i].body, []byte("--"+boundary)) {
			boundary, i = boundary+"-"+strconv.Itoa(len(boundary)), 0
			continue
		}
		i++
	}
	for i := range parts {
		p := &parts[i]
		b = append(append(append(b, "--"...), boundary...), "\r\nContent-ID: <"...)
		b = append(append(append(b, p.cid...), ">\r\nContent-Type: "...), p.contentType...)
		if !short(p.body) {
			b = append(b, "\r\nContent-Transfer-Encoding: binary"...)
		}
		b = append(append(append(b, "\r\n\r\n"...), p.body...), "\r\n"...)
	}
	b = append(append(append(b, "--"...), boundary...), "--\r\n"...)
	// RFC 4662 5, RFC 2387 3.
	return `multipart/related;type="` + parts[0].contentType + `";start="<` + parts[0].cid + `>";boundary="` + boundary + `"`, b
}
