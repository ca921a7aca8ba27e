package presence

import (
	"net/netip"
	"strings"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/sipua"
)

// Subscription is everything that must last of one: a value that can be encoded
// as JSON and taken up again.
type Subscription struct {
	Dialog   dialog.Dialog `json:"dialog"`
	Resource string        `json:"resource"`
	User     string        `json:"user"` // the user part that named the resource; that of our Contact
	Event    string        `json:"event"`
	EventID  string        `json:"event_id,omitempty"`
	List     bool          `json:"list,omitempty"`     // an event list, whose name is the resource
	Accept   string        `json:"accept"`             // media type of its documents
	Entity   string        `json:"entity"`             // the subscribed URI, to the byte
	Version  uint32        `json:"version"`            // of the next document
	Interval uint32        `json:"interval,omitempty"` // seconds that a restarted server keeps it beyond Expires; 0 in records of before
	Since    time.Time     `json:"since"`
	Expires  time.Time     `json:"expires"`
	From     string        `json:"from"`
	By       string        `json:"by,omitempty"` // the name that they have authenticated with; "" = nobody asked
	Contact  string        `json:"contact"`
	Instance string        `json:"instance,omitempty"` // RFC 5626 4.1
	Agent    string        `json:"agent,omitempty"`    // User-Agent
	Shown    string        `json:"shown,omitempty"`    // by the last NOTIFY that was answered
}

// Lamp is a subscription as operators see it.
type Lamp struct {
	Resource string    `json:"resource"`
	List     bool      `json:"list,omitempty"` // an event list
	Event    string    `json:"event"`
	Watcher  string    `json:"watcher"`
	Contact  string    `json:"contact"`
	Source   string    `json:"source"` // network and address
	Agent    string    `json:"agent,omitempty"`
	Since    time.Time `json:"since"`
	Expires  time.Time `json:"expires"`
	Told     time.Time `json:"told,omitzero"`     // the last NOTIFY
	Answer   int       `json:"answer,omitempty"`  // its status; 0 = none yet
	Shown    string    `json:"shown,omitempty"`   // as of the last answered one; not of a list
	Lit      int       `json:"lit,omitempty"`     // of a list: members that show a call, as of what was answered
	Silent   bool      `json:"silent,omitempty"`  // does not answer
	Version  uint32    `json:"version,omitempty"` // of the last document
}

// share has equal texts of a record in memory once, and nothing there that only
// holds a longer one: a tag keeps no header, nor a user its URI.
func (s *Subscription) share() {
	d := &s.Dialog
	for _, t := range []*string{&d.CallID, &d.Local, &d.Remote, &d.Target, &s.User, &s.EventID, &s.Instance, &s.Agent} {
		*t = strings.Clone(*t)
	}
	for _, pair := range [][2]*string{{&d.Target, &s.Contact}, {&d.RemoteURI, &s.From}, {&d.LocalURI, &s.Entity}, {&s.User, &s.Resource}} {
		if *pair[0] == *pair[1] {
			*pair[1] = *pair[0]
		}
	}
	if p, ok := packOf(s.Event); ok {
		s.Event = p.name
		for _, m := range p.types {
			if m == s.Accept {
				s.Accept = m
			}
		}
	}
}

// shareWith has the texts that are equal in another record of the same resource in
// memory once. It looks at what never changes only, since that is another's record.
func (s *Subscription) shareWith(other *Subscription) {
	if s.Resource == other.Resource {
		s.Resource = other.Resource
	}
	if s.User == other.User {
		s.User = other.User
	}
	if s.Agent == other.Agent {
		s.Agent = other.Agent
	}
	if s.Entity == other.Entity {
		s.Entity = other.Entity
		if s.Dialog.LocalURI == s.Entity {
			s.Dialog.LocalURI = s.Entity
		}
	}
}

// key is what makes a new subscription the successor of an old one: the same
// phone watches the same thing. Ports of the source change with each connection.
type key struct {
	watcher
	event, id, instance string
	source              netip.Addr
}

func (s *Subscription) key() key {
	return key{watcher: watcherOf(s.topic(), s.From, s.Contact), event: s.Event, id: s.EventID,
		instance: s.Instance, source: s.Dialog.Flow.Remote.Addr()}
}

// watcher is who watches what, as an INVITE of the same phone shows it too.
type watcher struct {
	resource string
	from     string // user@host
	contact  string // user@host:port
}

func watcherOf(resource, from, contact string) watcher {
	w := watcher{resource: resource}
	if u, host, _, ok := parts(from); ok {
		w.from = u + "@" + host
	}
	if u, host, port, ok := parts(contact); ok {
		w.contact = u + "@" + host + ":" + port
	}
	return w
}

// parts takes a URI apart into what addresses compare by (RFC 3261 19.1.4).
func parts(uri string) (user, host, port string, ok bool) {
	if !strings.Contains(uri, "<") {
		uri = "<" + uri + ">"
	}
	n, err := sipua.ParseNameAddr(uri)
	if err != nil || n.URI.Host == "" {
		return "", "", "", false
	}
	port = "5060"
	transport, _ := sipua.URIParam(n.URI.UriParams, "transport")
	if n.URI.Scheme == "sips" || strings.EqualFold(transport, "tls") {
		port = "5061"
	}
	if n.URI.Port != 0 {
		port = itoa(n.URI.Port)
	}
	return sipua.UserOf(&n.URI), strings.ToLower(strings.Trim(n.URI.Host, "[]")), port, true
}
