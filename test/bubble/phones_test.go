package bubble

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"parkd/internal/blf"
	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// snippetDir is where the snippets for phones are.
const snippetDir = "../../configs/phones"

// How a key is pressed while its lamp is lit.
const (
	pressReplaces = "replaces" // INVITE with Replaces, of the ids in the document
	pressCode     = "code"     // the pickup code of the snippet, before the orbit
	pressDial     = "dial"     // a plain call to the orbit
)

// keyPhone is a make of phone set up by a snippet, and what it then says.
type keyPhone struct {
	snippet  string
	agent    string
	expires  int
	params   string   // of the URI that is subscribed to
	headers  []string // further ones of its SUBSCRIBE; USER and ADDRESS are replaced
	presses  []string
	code     *regexp.Regexp // finds the pickup code in the snippet
	suffix   string         // of Replaces
	swapped  bool           // the tags in Replaces
	remote   bool           // the press goes to the remote target of the document
	bare     bool           // Refer-To without angle brackets
	silent   bool           // no Referred-By in its REFER
	presence bool           // it watches by presence
	list     *regexp.Regexp // finds the event list in the snippet; nil = it watches the orbit itself
}

const dialogInfo = "Accept: application/dialog-info+xml"

var listInfo = []string{"Supported: eventlist", "Accept: application/dialog-info+xml, application/rlmi+xml, multipart/related"}

var presenceInfo = []string{"Event: presence", "Accept: application/pidf+xml"}

// shows are what the documents of a dialect say of a free orbit, and of one with a
// call.
func (k *keyPhone) shows() (free, parked string) {
	if k.presence {
		return "open", "busy"
	}
	return "terminated", "early"
}

// keyPhones are the dialects, from documents, open source and field reports; no
// such phone was at hand.
var keyPhones = []keyPhone{
	{
		snippet: "yealink.cfg", agent: "Yealink SIP-T46U 108.86.0.20", expires: 1800,
		headers: []string{dialogInfo, "Allow-Events: talk,hold,conference,refer,check-sync"},
		presses: []string{pressReplaces},
	},
	{
		snippet: "yealink-code.cfg", agent: "Yealink SIP-T21P_E2 52.84.0.15", expires: 1800, headers: []string{dialogInfo},
		presses: []string{pressCode, pressDial}, code: regexp.MustCompile(`(?m)^account\.1\.direct_pickup_code = (\S+)$`),
	},
	{
		snippet: "yealink-list.cfg", agent: "Yealink SIP-T46U 108.86.0.20", expires: 1800, headers: listInfo,
		presses: []string{pressReplaces, pressDial}, list: regexp.MustCompile(`blf_list_uri = (\S+)@`),
	},
	{
		snippet: "poly.cfg", agent: "PolycomVVX-VVX_411-UA/6.4.3.5309", expires: 3600,
		headers: []string{dialogInfo, "Accept-Language: en", `Contact: <sip:USER@ADDRESS>;methods="INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, MESSAGE, SUBSCRIBE, NOTIFY, PRACK, UPDATE, REFER"`},
		presses: []string{pressReplaces, pressDial},
	},
	{
		snippet: "snom-orbit.xml", agent: "snomD785/10.1.159.12", expires: 3600,
		headers: []string{dialogInfo, "Supported: gruu", "Contact: <sip:USER@ADDRESS;line=k2h8xy4p>;reg-id=1"},
		presses: []string{pressReplaces, pressDial}, suffix: ";early-only", remote: true,
	},
	{
		snippet: "snom-blf.xml", agent: "snomD785/10.1.159.12", expires: 3600,
		headers: []string{dialogInfo, "Supported: gruu", "Contact: <sip:USER@ADDRESS;line=k2h8xy4p>;reg-id=1"},
		presses: []string{pressCode}, code: regexp.MustCompile(`\|([^<]+)</fkey>`),
	},
	{
		snippet: "grandstream-gxp.xml", agent: "Grandstream GXP2170 1.0.11.64", expires: 3600, params: ";user=phone",
		// It names the extension of event lists whatever it watches.
		headers: []string{"Accept: application/dialog-info+xml, multipart/related, application/rlmi+xml", "Supported: replaces, path, timer, eventlist",
			`Contact: <sip:USER@ADDRESS>;reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000B82A1B2C3>"`},
		presses: []string{pressCode}, code: regexp.MustCompile(`<P1347>(.+)</P1347>`),
	},
	{
		snippet: "grandstream-grp.xml", agent: "Grandstream GRP2614 1.0.5.15", expires: 3600,
		headers: []string{dialogInfo, "Supported: path, replaces, norefersub", "Contact: <sip:USER@ADDRESS>;reg-id=1"},
		presses: []string{pressCode}, code: regexp.MustCompile(`callPickup\.prefix">(.+)</item>`),
	},
	{
		snippet: "grandstream-list.xml", agent: "Grandstream GXP2170 1.0.11.64", expires: 3600, headers: listInfo,
		presses: []string{pressCode, pressDial}, code: regexp.MustCompile(`<P1347>(.+)</P1347>`), list: regexp.MustCompile(`<P134>(\w+)</P134>`),
	},
	{
		snippet: "cisco-spa.xml", agent: "Cisco/SPA504G-7.6.2SR7", expires: 1800,
		headers: []string{dialogInfo, `Contact: "USER" <sip:USER@ADDRESS>`},
		presses: []string{pressCode, pressReplaces}, code: regexp.MustCompile(`<Attendant_Console_Call_Pickup_Code ua="na">(.+)</`),
		swapped: true,
	},
	{
		snippet: "fanvil.cfg", agent: "Fanvil X6U 2.4.10", expires: 3600, headers: []string{dialogInfo},
		presses: []string{pressCode}, code: regexp.MustCompile(`(?m)^Fkey2 Value +:701@1/bb(.+)701\r$`),
	},
	{
		snippet: "mitel.cfg", agent: "Mitel 6869i/6.3.0.1020", expires: 3600,
		headers: []string{dialogInfo, "Supported: gruu, path, timer", `Contact: "USER" <sip:USER@ADDRESS;transport=udp>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-00085D123456>"`},
		presses: []string{pressReplaces, pressCode}, code: regexp.MustCompile(`(?m)^directed call pickup prefix: (\S+)$`), bare: true,
	},
	{
		snippet: "gigaset-maxwell.xml", agent: "Gigaset Maxwell 3/2.23.0", expires: 600, headers: []string{dialogInfo},
		presses: []string{pressCode}, code: regexp.MustCompile(`pickup code, (\*\d+),`),
	},
	{
		snippet: "linphone.rc", agent: "Linphonec/5.1.65 (belle-sip/5.1.64)", expires: 3600, headers: presenceInfo,
		presses: []string{pressDial}, presence: true,
	},
	{
		snippet: "baresip.contacts", agent: "baresip v1.0.0 (x86_64/linux)", expires: 600, headers: presenceInfo,
		presses: []string{pressDial}, presence: true, silent: true,
	},
}

// read reads the snippet of a dialect.
func (k *keyPhone) read(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(snippetDir, k.snippet))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pickup is the code in the snippet, "" if it needs none.
func (k *keyPhone) pickup(t *testing.T) string {
	t.Helper()
	if k.code == nil {
		return ""
	}
	m := k.code.FindStringSubmatch(k.read(t))
	if m == nil {
		t.Fatalf("%s: no pickup code by %s", k.snippet, k.code)
	}
	return m[1]
}

// watch subscribes, and returns how to wait for what its key for 701 shows.
func (k *keyPhone) watch(s *kit.Site, p *phone.Phone) (*phone.Sub, func(state string) phone.Lamp) {
	s.T.Helper()
	if k.list == nil {
		w := p.Watch("701"+k.params, k.expires, k.asked(p)...)
		w.Expect(200)
		return w, func(state string) phone.Lamp { s.T.Helper(); return w.Await(lit, state) }
	}
	m := k.list.FindStringSubmatch(k.read(s.T))
	if m == nil {
		s.T.Fatalf("%s: no event list by %s", k.snippet, k.list)
	}
	w := p.Watch(m[1], k.expires, k.asked(p)...)
	w.Expect(200)
	return w, func(state string) phone.Lamp { s.T.Helper(); return w.AwaitKey(lit, "701", state) }
}

// asked are the headers of a request of the phone's.
func (k *keyPhone) asked(p *phone.Phone) []string {
	address := strings.TrimSuffix(strings.TrimPrefix(p.Contact(), "<sip:"+p.Name+"@"), ">")
	list := []string{"User-Agent: " + k.agent}
	for _, h := range k.headers {
		list = append(list, strings.NewReplacer("USER", p.Name, "ADDRESS", address).Replace(h))
	}
	return list
}

// contact is the Contact of a request of the phone's, none if it is the plain one.
func (k *keyPhone) contact(p *phone.Phone) (list []string) {
	for _, h := range k.asked(p) {
		if strings.HasPrefix(h, "Contact: ") || strings.HasPrefix(h, "User-Agent: ") {
			list = append(list, h)
		}
	}
	return list
}

// press presses the key of a lit lamp.
func (k *keyPhone) press(s *kit.Site, p *phone.Phone, how string, lamp phone.Lamp) *phone.Call {
	s.T.Helper()
	o, to := phone.Opts{Headers: k.contact(p)}, "701"
	switch how {
	case pressCode:
		to = k.pickup(s.T) + "701"
	case pressReplaces:
		o.Replaces = lamp.Replaces(k.swapped) + k.suffix
		if k.remote {
			to = lamp.RemoteTarget
		}
	}
	return p.Call(to, o)
}

// transfer parks whoever the phone talks to, by its key or, where that cannot, by a
// transfer to the orbit's number: the same REFER.
func (k *keyPhone) transfer(p *phone.Phone, c *phone.Call) {
	to := ours("701")
	if k.bare {
		to = strings.Trim(to, "<>")
	}
	var by []string
	if !k.silent {
		by = append(by, "Referred-By: <"+p.URI()+">")
	}
	c.Refer(to, by...).Accepted().Ends(phone.Patience, 200)
	c.Hangup()
}

// Whoever sets a phone up by a snippet has a key that shows who is parked, fetches
// them, and parks them again; for each way in which such a phone may press it.
func TestEachSnippetMakesALampKey(t *testing.T) {
	for _, k := range keyPhones {
		for _, how := range k.presses {
			t.Run(k.snippet+"/"+how, func(t *testing.T) {
				run(t, func(s *kit.Site) { k.story(s, how) })
			})
		}
	}
}

func (k *keyPhone) story(s *kit.Site, how string) {
	s.T.Helper()
	free, parks := k.shows()
	alice, bob := s.Phone("alice"), s.Phone("bob")
	watch, shown := k.watch(s, bob)
	dark := shown(free)
	if want := "sip:701@" + kit.Server.String() + k.params; dark.Entity != want {
		s.T.Errorf("the first document is about %s, want %s", dark.Entity, want)
	}
	parked := park(alice, bob)
	lamp := shown(parks)
	if lamp.RemoteName != "alice" {
		s.T.Errorf("the lamp shows %+v", lamp)
	}
	if !k.presence && (lamp.Direction != "recipient" || lamp.Dialogs != 1 || lamp.CallID == "" || lamp.LocalTag == "" || lamp.RemoteTag == "") {
		s.T.Errorf("the lamp shows %+v", lamp)
	}
	s.Wait(time.Second)
	fetched := k.press(s, bob, how, lamp)
	talk(s, fetched, parked)
	shown(free)
	k.transfer(bob, fetched)
	again := shown(parks)
	if !k.presence && again.CallID == lamp.CallID {
		s.T.Error("an old press would fetch the newly parked call")
	}
	hearsMusic(s, parked)
	fetched = k.press(s, bob, how, again)
	talk(s, fetched, parked)
	shown(free)
	goodbye(s, fetched, parked)
	watch.Refresh(0).Expect(200)
}

// The snippets as such: none without a scenario, none without a page that says
// where it comes from, each well-formed as its format has it, and no code or orbit
// that a parkd without a configuration does not know.
func TestSnippets(t *testing.T) {
	files, err := os.ReadDir(snippetDir)
	if err != nil {
		t.Fatal(err)
	}
	scenarios := map[string]*keyPhone{}
	for i := range keyPhones {
		scenarios[keyPhones[i].snippet] = &keyPhones[i]
	}
	codes := config.Default().Park.RetrieveCodes
	dialled := regexp.MustCompile(`\*[*0-9]*`)
	for _, f := range files {
		k := scenarios[f.Name()]
		if k == nil {
			t.Errorf("%s has no scenario", f.Name())
			continue
		}
		delete(scenarios, f.Name())
		text := k.read(t)
		if fault := malformed(f.Name(), text); fault != "" {
			t.Errorf("%s: %s", f.Name(), fault)
		}
		if !slices.ContainsFunc(blf.Vendors, func(v blf.Vendor) bool { return v.Agent.MatchString(k.agent) }) {
			t.Errorf("%s: parkd knows no make that says %q", f.Name(), k.agent)
		}
		if k.list == nil && !strings.Contains(text, "701") {
			t.Errorf("%s: no key for 701", f.Name())
		}
		if slices.Contains(k.presses, pressCode) != (k.code != nil) {
			t.Errorf("%s: a code that nobody dials, or none for who does", f.Name())
		}
		for _, code := range dialled.FindAllString(text, -1) {
			if !slices.Contains(codes, strings.TrimSuffix(code, "701")) {
				t.Errorf("%s: %s is none of %v", f.Name(), code, codes)
			}
		}
	}
	for name := range scenarios {
		t.Errorf("a scenario for %s, which is not there", name)
	}
}
