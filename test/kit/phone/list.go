package phone

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beevik/etree"

	"parkd/test/kit/wire"
)

// Roll is a NOTIFY of an event list as it came (RFC 4662).
type Roll struct {
	At      time.Time
	CSeq    uint32
	State   string // of the subscription: active, terminated
	Reason  string // of its end
	Size    int    // of the body
	URI     string
	Version int
	Full    bool
	Members []RollMember // in order
}

// RollMember is a resource of a list.
type RollMember struct {
	URI, Name, Instance string
	Lamp                *Lamp // nil = it is not told of
}

var listHeaders = []string{"Supported: eventlist",
	"Accept: application/dialog-info+xml, multipart/related, application/rlmi+xml"}

func readsLists(headers []string) bool {
	v, _ := header(headers, "Supported")
	return strings.Contains(v, "eventlist")
}

// WatchList subscribes to an event list and returns at once.
func (p *Phone) WatchList(to string, expires int, headers ...string) *Sub {
	return p.Watch(to, expires, append(slices.Clone(listHeaders), headers...)...)
}

// SubscribeList subscribes to an event list for an hour, which must be taken.
func (p *Phone) SubscribeList(to string, headers ...string) *Sub {
	p.t.Helper()
	s := p.WatchList(to, 3600, headers...)
	if r := s.Expect(200); r.Get("Require") != "eventlist" { // RFC 4662 4.1
		p.t.Errorf("%s: the list is not named in the 200 (Require: %q)", p.Name, r.Get("Require"))
	}
	return s
}

// Follow has the lamps of a subscription to a list be those of a member.
func (s *Sub) Follow(member string) *Sub {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.key, s.lamps = member, nil
	for _, r := range s.rolls {
		s.lamps = append(s.lamps, r.of(member)...)
	}
	return s
}

// of is the document of a member, if the NOTIFY has one.
func (r *Roll) of(member string) []Lamp {
	for _, m := range r.Members {
		if m.Lamp != nil && userOf(m.URI) == member {
			return []Lamp{*m.Lamp}
		}
	}
	return nil
}

// Rolls lists the NOTIFYs that came, retransmissions left out.
func (s *Sub) Rolls() []Roll {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return slices.Clone(s.rolls)
}

// Keys is what the phone shows of a list, by the user of the member's URI. It
// takes NOTIFYs as RFC 4662 4.6 has it: full state replaces all, partial state
// what it names, and an older version nothing.
func (s *Sub) Keys() map[string]Lamp {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.keys()
}

func (s *Sub) keys() map[string]Lamp {
	keys := map[string]Lamp{}
	version := -1
	for _, r := range s.rolls {
		if r.Version <= version {
			continue
		}
		version = r.Version
		if r.Full {
			old := keys
			keys = map[string]Lamp{}
			for _, m := range r.Members { // without an instance its state is unknown
				keys[userOf(m.URI)] = Lamp{Version: old[userOf(m.URI)].Version}
			}
		}
		for _, m := range r.Members {
			if m.Lamp != nil {
				keys[userOf(m.URI)] = *m.Lamp
			}
		}
	}
	return keys
}

// AwaitKey waits until the key of a member shows a dialog in that state.
func (s *Sub) AwaitKey(within time.Duration, member, state string) Lamp {
	s.p.t.Helper()
	var last Lamp
	if !s.p.await(within, func() bool {
		last = s.keys()[member]
		return last.Dialog == state
	}) {
		s.p.t.Fatalf("%s: key %s shows %q, want %q within %v", s.p.Name, member, last.Dialog, state, within)
	}
	return last
}

func userOf(uri string) string {
	_, user, _ := strings.Cut(uri, ":")
	user, _, _ = strings.Cut(user, "@")
	return user
}

// ReadRoll reads the NOTIFY of a list, to the letter of RFC 4662 5 and RFC 2387.
func ReadRoll(m *wire.Message) (Roll, error) {
	head := about(m)
	r := Roll{At: head.At, CSeq: head.CSeq, State: head.State, Reason: head.Reason, Size: len(m.Body)}
	if m.Get("Require") != "eventlist" {
		return r, fmt.Errorf("extension required: %q", m.Get("Require"))
	}
	kind, params, err := mime.ParseMediaType(m.Get("Content-Type"))
	if err != nil || kind != "multipart/related" || params["type"] != "application/rlmi+xml" {
		return r, fmt.Errorf("type %q", m.Get("Content-Type"))
	}
	parts, first, err := readParts(m.Body, params["boundary"])
	if err != nil {
		return r, err
	}
	if params["start"] != "<"+first+">" {
		return r, fmt.Errorf("start is %q, the first part %q", params["start"], first)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromString(parts[first].body); err != nil || parts[first].kind != "application/rlmi+xml" {
		return r, fmt.Errorf("root of type %q: %v", parts[first].kind, err)
	}
	list := doc.SelectElement("list")
	if list == nil || list.NamespaceURI() != "urn:ietf:params:xml:ns:rlmi" {
		return r, fmt.Errorf("no list")
	}
	r.URI, r.Full = list.SelectAttrValue("uri", ""), list.SelectAttrValue("fullState", "") == "true"
	r.Version, _ = strconv.Atoi(list.SelectAttrValue("version", "-1"))
	delete(parts, first)
	for _, e := range list.SelectElements("resource") {
		member, err := readMember(e, head, parts)
		if err != nil {
			return r, err
		}
		r.Members = append(r.Members, member)
	}
	if len(parts) > 0 {
		return r, fmt.Errorf("%d documents that no instance names", len(parts))
	}
	return r, nil
}

// readMember reads a resource, and takes its document from the parts.
func readMember(e *etree.Element, head Lamp, parts map[string]bodyPart) (RollMember, error) {
	member := RollMember{URI: e.SelectAttrValue("uri", "")}
	if name := e.SelectElement("name"); name != nil {
		member.Name = name.Text()
	}
	switch instances := e.SelectElements("instance"); {
	case len(instances) == 0: // RFC 4662 5.3: nothing is known yet
		return member, nil
	case len(instances) > 1 || instances[0].SelectAttrValue("state", "") != "active":
		return member, fmt.Errorf("%s has not one active instance", member.URI)
	default:
		member.Instance = instances[0].SelectAttrValue("id", "")
		cid := instances[0].SelectAttrValue("cid", "")
		part, ok := parts[cid]
		if !ok || member.Instance == "" || part.kind != "application/dialog-info+xml" && part.kind != "application/pidf+xml" {
			return member, fmt.Errorf("%s has no document %q", member.URI, cid)
		}
		delete(parts, cid)
		lamp, err := read(head, part.body)
		if err == nil && lamp.Entity != member.URI {
			err = fmt.Errorf("document of %s with %s", lamp.Entity, member.URI)
		}
		member.Lamp = &lamp
		return member, err
	}
}

// bodyPart is a part of a multipart body.
type bodyPart struct{ kind, body string }

// readParts reads the parts by their Content-IDs, and says which is the first.
func readParts(body, boundary string) (parts map[string]bodyPart, first string, err error) {
	reader := multipart.NewReader(strings.NewReader(body), boundary)
	parts = map[string]bodyPart{}
	for {
		p, err := reader.NextRawPart()
		if err != nil {
			if errors.Is(err, io.EOF) && first != "" {
				return parts, first, nil
			}
			return nil, "", err
		}
		var text strings.Builder
		if _, err := io.Copy(&text, p); err != nil {
			return nil, "", err
		}
		id := strings.Trim(p.Header.Get("Content-ID"), "<>")
		if _, twice := parts[id]; twice || id == "" || p.Header.Get("Content-ID") != "<"+id+">" {
			return nil, "", fmt.Errorf("Content-ID %q", p.Header.Get("Content-ID"))
		}
		parts[id] = bodyPart{p.Header.Get("Content-Type"), text.String()}
		if first == "" {
			first = id
		}
	}
}
