//go:build unix

package peers

import (
	"regexp"
	"strings"
	"testing"
)

// A dialect is how one maker's phones subscribe to a lamp and press its key
// (what was tried and how it went: docs/interop.md).
type dialect struct {
	name, agent string
	expires     int
	contact     string   // of [local_ip]:[local_port]; USER is replaced
	userPhone   bool     // ;user=phone in the Request-URI
	accept      string   // "" = none, which means dialog-info
	extra       []string // further headers of its SUBSCRIBE
	via         string   // parameters
	tcp         bool
	code        string // presses by dialling code + orbit
	press       string // or "replaces", "replaces swapped", "plain"
	remote      bool   // goes to the remote target of the document, else to the orbit
	early       bool   // ;early-only
}

const dialogInfo = "application/dialog-info+xml"

var dialects = []dialect{
	{
		name: "Yealink", agent: "Yealink SIP-T46U 108.86.0.20", expires: 1800, accept: dialogInfo,
		contact: "<sip:USER@[local_ip]:[local_port]>", via: ";rport", press: "replaces",
		extra: []string{"Allow-Events: talk,hold,conference,refer,check-sync"},
	},
	{
		name: "Yealink by pickup code", agent: "Yealink SIP-T21P_E2 52.84.0.15", expires: 1800, accept: dialogInfo,
		contact: "<sip:USER@[local_ip]:[local_port]>", via: ";rport", code: "*4",
	},
	{
		name: "Yealink by plain dialling", agent: "Yealink SIP-T46U 108.86.0.20", expires: 1800, accept: dialogInfo,
		contact: "<sip:USER@[local_ip]:[local_port]>", via: ";rport", press: "plain",
	},
	{
		name: "Poly", agent: "PolycomVVX-VVX_411-UA/6.4.3.5309", expires: 3600, accept: dialogInfo, tcp: true,
		contact: "<sip:USER@[local_ip]:[local_port];transport=tcp>;methods=\"INVITE,ACK,BYE,CANCEL,OPTIONS,INFO,MESSAGE,SUBSCRIBE,NOTIFY,PRACK,UPDATE,REFER\"",
		press:   "replaces", extra: []string{"Accept-Language: en"},
	},
	{
		name: "Snom", agent: "snomD785/10.1.159.12", expires: 3600, accept: dialogInfo,
		contact: "<sip:USER@[local_ip]:[local_port];line=k2h8xy4p>;reg-id=1", via: ";rport",
		press: "replaces", remote: true, early: true,
		extra: []string{"Supported: gruu"},
	},
	{
		name: "Grandstream", agent: "Grandstream GXP2170 1.0.11.64", expires: 3600, userPhone: true,
		accept: "application/rlmi+xml, multipart/related, application/dialog-info+xml", tcp: true,
		contact: "<sip:USER@[local_ip]:[local_port];transport=tcp>;reg-id=1;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000B82A1B2C3>\"",
		code:    "**", extra: []string{"Supported: path, replaces, norefersub, eventlist"},
	},
	{
		name: "Cisco SPA", agent: "Cisco/SPA504G-7.6.2SR7", expires: 1800, accept: dialogInfo,
		contact: "\"USER\" <sip:USER@[local_ip]:[local_port]>", code: "**",
	},
	{
		name: "Cisco SPA by Replaces", agent: "Cisco/SPA504G-7.6.2SR7", expires: 1800, accept: dialogInfo,
		contact: "\"USER\" <sip:USER@[local_ip]:[local_port]>", press: "replaces swapped",
	},
	{
		name: "Fanvil", agent: "Fanvil X6U 2.4.10", expires: 3600, accept: dialogInfo,
		contact: "<sip:USER@[local_ip]:[local_port]>", code: "**",
	},
	{
		name: "Mitel", agent: "Mitel 6869i/6.3.0.1020", expires: 3600, accept: dialogInfo,
		contact: "\"USER\" <sip:USER@[local_ip]:[local_port];transport=udp>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-00085D123456>\"",
		press:   "replaces", extra: []string{"Supported: gruu, path, timer"},
	},
	{
		name: "Gigaset", agent: "N870 IP PRO/83.V2.39.0", expires: 600, accept: dialogInfo,
		contact: "<sip:USER@[local_ip]:[local_port]>", code: "*4",
	},
	{
		name: "Poly OBi", agent: "OBIHAI/OBi1062-5.1.11.5078", expires: 3600, accept: dialogInfo,
		contact: "<sip:USER@[local_ip]:[local_port]>", via: ";rport", press: "replaces",
	},
	{
		name: "Poly OBi by feature code", agent: "OBIHAI/OBi1062-5.1.11.5078", expires: 3600, accept: dialogInfo,
		contact: "<sip:USER@[local_ip]:[local_port]>", via: ";rport", code: "*4",
	},
	{
		name: "Bria", agent: "Bria 3 release 3.5.5 stamp 71243", expires: 3600, accept: dialogInfo,
		contact: "<sip:USER@[local_ip]:[local_port];rinstance=5f3b2a9c1d7e4f60>", via: ";rport", press: "plain",
	},
	{
		name: "generic", agent: "SIP Phone", expires: 3600,
		contact: "<sip:USER@[local_ip]:[local_port]>", press: "replaces",
	},
}

// traits are how it is transported and pressed, as docs/interop.md has it.
func (d *dialect) traits() (transport, how string) {
	transport = "UDP"
	if d.tcp {
		transport = "TCP"
	}
	if d.userPhone {
		transport += ", `user=phone`"
	}
	switch {
	case d.code != "":
		return transport, "`" + d.code + "` code"
	case d.press == "plain":
		return transport, "plain INVITE to the orbit"
	}
	how = "Replaces"
	if d.press == "replaces swapped" {
		how += ", tags swapped"
	}
	if d.early {
		how += ", `early-only`"
	}
	if d.remote {
		how += ", to the remote target"
	}
	return transport, how
}

// phone is the data of testdata/phone.xml.
type phone struct {
	User, Domain, Agent, Resource, Entity, From, To, Contact, Via, EventParams string
	Caller                                                                     string // as P-Asserted-Identity shows them
	CallerXML                                                                  string // as the document shows them
	Expires                                                                    int
	Extra                                                                      []string
	Proxied                                                                    bool
	Press                                                                      press
}

type press struct {
	URI, User string
	Headers   []string
	Refused   string // the code that is expected instead of 200
}

// phone makes the scenario's data for a dialect in a domain.
func (d dialect) phone(domain string) phone {
	const user = "201"
	orbit := uri("701", domain)
	p := phone{
		User: user, Domain: domain, Agent: d.agent, Expires: d.expires, Via: d.via, Extra: d.extra,
		Resource: orbit, Entity: orbit, To: orbit,
		From:    `"Reception" <` + uri(user, domain) + ">",
		Contact: strings.ReplaceAll(d.contact, "USER", user),
		Caller:  uri("ann", domain), CallerXML: "Ann &amp; Co",
		Press: press{URI: orbit, User: "701"},
	}
	if d.userPhone {
		p.Resource += ";user=phone"
		p.Entity = p.Resource
	}
	if d.accept != "" {
		p.Extra = append([]string{"Accept: " + d.accept}, p.Extra...)
	}
	if d.code != "" {
		p.Press = press{URI: uri(d.code+"701", domain), User: d.code + "701"}
	}
	early := ""
	if d.early {
		early = ";early-only"
	}
	switch d.press {
	case "replaces":
		p.Press.Headers = []string{"Replaces: [$callid];to-tag=[$localtag];from-tag=[$remotetag]" + early, "Require: replaces"}
	case "replaces swapped":
		p.Press.Headers = []string{"Replaces: [$callid];from-tag=[$localtag];to-tag=[$remotetag]" + early}
	}
	if d.remote {
		p.Press.URI = "[$remotetarget]"
	}
	return p
}

// caller is the data of testdata/parked.xml.
type caller struct {
	URI, User, Display, Domain, ReferredBy, Formats string
	Media                                           int
}

// ann comes to an orbit, transferred there by bob if by is his URI.
func ann(orbit, domain, by string) caller {
	c := caller{URI: uri(orbit, domain), User: "ann", Display: "Ann & Co", Domain: domain, Formats: "0 8 101", Media: 20000}
	if by != "" {
		c.ReferredBy = "<" + by + ">"
	}
	return c
}

// lampAndPress plays one dialect from lamp to hang-up. domain is the host
// that phones are configured with: parkd's or the proxy's.
func lampAndPress(s *scene, p *parkd, d dialect, domain string) string {
	s.Helper()
	data := d.phone(domain)
	data.Proxied = domain != p.sip
	key := s.sipp(sippOptions{name: "phone", scenario: "phone", host: hostPhone, to: domain, tcp: d.tcp, args: []string{"-aa"}, data: data})
	key.step("watching")
	p.watched("701", 1)
	if a, n := strings.Fields(key.value("answered-with"))[1], strings.Fields(key.value("notified-with"))[1]; a != n {
		s.Errorf("the 200 to SUBSCRIBE has the To tag %s, the NOTIFY the From tag %s", a, n)
	}
	parked := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone + 1, to: domain, data: ann("701", domain, "")})
	key.step("talking")
	key.passes()
	parked.passes()
	p.empty()
	p.watched("701", 0)
	history := lampHistory(key.trace)
	if !litOnce.MatchString(history) {
		s.Errorf("the documents that the phone has got: %s", history)
	}
	return history
}

// litOnce is a lamp that was dark, lit, and dark from then on.
var litOnce = regexp.MustCompile(`^0 terminated, 1 early(, [2-9] terminated)+$`)

// lampHistory is the version and state of each document in a trace: dark, lit,
// dark by the press, and dark in answer to the end of the subscription.
// Retransmissions count once.
func lampHistory(trace string) string {
	var all []string
	for _, m := range documentVersion.FindAllStringSubmatch(contents(trace), -1) {
		if d := m[1] + " " + m[2]; len(all) == 0 || all[len(all)-1] != d {
			all = append(all, d)
		}
	}
	return strings.Join(all, ", ")
}

var documentVersion = regexp.MustCompile(` version="(\d+)" state="full"[^\n]*<state[^>]*>(\w+)</state>`)

func TestLampKey(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			s := newScene(t, "sipp")
			s.showsLamp(&d)
			p := s.parkd(config{})
			lampAndPress(s, p, d, p.sip)
		})
	}
}

// A phone is told of each change once: dark, lit, dark by the press, and dark in
// answer to the end of its subscription.
func TestLampTellsEachChangeOnce(t *testing.T) {
	s := newScene(t, "sipp")
	p := s.parkd(config{})
	const want = "0 terminated, 1 early, 2 terminated, 3 terminated"
	if got := lampAndPress(s, p, dialects[0], p.sip); got != want {
		t.Errorf("documents: %s\nwant %s", got, want)
	}
}

func TestLampKeyBehindKamailio(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			s := newScene(t, "sipp", "kamailio")
			s.showsLamp(&d)
			p := s.parkd(config{})
			lampAndPress(s, p, d, s.kamailio())
		})
	}
}
