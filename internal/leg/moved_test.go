package leg

import (
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// answer is a response with those Contacts.
func answer(code int, contacts ...string) *sip.Response {
	res := sip.NewResponse(code, "")
	for _, c := range contacts {
		res.AppendHeader(sip.NewHeader("Contact", c))
	}
	return res
}

// Where a 3xx may send a return: whoever answers it would have us call at our cost.
func TestElsewhere(t *testing.T) {
	for _, c := range []struct {
		name     string
		code     int
		contacts []string
		called   string
		want     string
	}{
		{"a colleague", 302, []string{"<sip:ann@pbx>"}, "sip:bob@pbx", "sip:ann@pbx"},
		{"for ever", 301, []string{"sip:ann@pbx;transport=tcp"}, "sip:bob@pbx", "sip:ann@pbx"},
		{"a choice", 300, []string{"<sip:ann@pbx>;q=0.1, \"E, ve\" <sip:eve@pbx>;q=0.9", "<sip:fay@pbx>;q=0.5"}, "sip:bob@pbx", "sip:eve@pbx sip:fay@pbx sip:ann@pbx"},
		{"the first where all are alike", 302, []string{"<sip:ann@pbx>", "<sip:eve@pbx>;q=1.0", "<sip:fay@pbx>;q=7"}, "sip:bob@pbx", "sip:ann@pbx sip:eve@pbx sip:fay@pbx"},
		{"a q that is none comes last", 302, []string{"<sip:ann@pbx>;q=NaN", "<sip:eve@pbx>;q=0.01"}, "sip:bob@pbx", "sip:eve@pbx sip:ann@pbx"},
		{"a proxy", 305, []string{"<sip:ann@pbx>"}, "sip:bob@pbx", ""},
		{"another service", 380, []string{"<sip:ann@pbx>"}, "sip:bob@pbx", ""},
		{"a busy phone", 486, []string{"<sip:ann@pbx>"}, "sip:bob@pbx", ""},
		{"toll fraud: a long number", 302, []string{"<sip:00900123456789@pbx>"}, "sip:bob@pbx", ""},
		{"toll fraud: with escapes", 302, []string{"<sip:%30%30900123456789@pbx>"}, "sip:bob@pbx", ""},
		{"toll fraud: with a context", 302, []string{"<sip:200;phone-context=+1900@pbx>"}, "sip:bob@pbx", "sip:200@pbx"},
		{"toll fraud: another domain", 302, []string{"<sip:ann@trunk.example.com>"}, "sip:bob@pbx", ""},
		{"toll fraud: through another host", 302, []string{"<sip:ann@pbx;maddr=trunk.example.com>"}, "sip:bob@pbx", "sip:ann@pbx"},
		{"toll fraud: with a route", 302, []string{"<sip:ann@pbx?Route=%3Csip:evil%3E>"}, "sip:bob@pbx", "sip:ann@pbx"},
		{"toll fraud: another method", 302, []string{"<sip:ann@pbx;method=BYE>"}, "sip:bob@pbx", "sip:ann@pbx"},
		{"a stranger's address", 302, []string{"<sip:ann@203.0.113.9>"}, "sip:bob@10.0.0.5", ""},
		{"an address of ours", 302, []string{"<sip:ann@10.0.0.7:5070>"}, "sip:bob@pbx", "sip:ann@10.0.0.7:5070"},
		{"the strangers are left out", 302, []string{"<sip:ann@evil>, <sip:eve@pbx>, <tel:+1900>"}, "sip:bob@pbx", "sip:eve@pbx"},
		{"no SIP", 302, []string{"<mailto:bob@pbx>", "<tel:+1900>", "*", "<http://pbx/>"}, "sip:bob@pbx", ""},
		{"no contact", 302, nil, "sip:bob@pbx", ""},
		{"from safe to unsafe", 302, []string{"<sip:ann@pbx>", "<sips:eve@pbx>"}, "sips:bob@pbx", "sips:eve@pbx"},
		{"no end of them", 302, []string{strings.Repeat("<sip:ann@pbx>,", 40)}, "sip:bob@pbx", strings.TrimSpace(strings.Repeat("sip:ann@pbx ", maxMoved))},
	} {
		t.Run(c.name, func(t *testing.T) {
			called, err := parseTarget(c.called)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(testPolicy().elsewhere(answer(c.code, c.contacts...), called), " "); got != c.want {
				t.Errorf("may call %q, want %q", got, c.want)
			}
		})
	}
}

// Who says of themselves that they are no person.
func TestMachine(t *testing.T) {
	for contact, want := range map[string]bool{
		"<sip:bob@10.0.0.7>":                                      false,
		`<sip:bob@10.0.0.7>;actor="principal"`:                    false,
		`<sip:bob@10.0.0.7>;actor="msg-taker"`:                    true,
		`<sip:bob@10.0.0.7>;ACTOR=Msg-Taker`:                      true,
		`<sip:bob@10.0.0.7>;audio;actor="attendant,msg-taker"`:    true,
		`<sip:bob@10.0.0.7>;actor="!msg-taker"`:                   false,
		`<sip:bob@10.0.0.7>;actor="information"`:                  true,
		"<sip:bob@10.0.0.7>;automata":                             true,
		`<sip:bob@10.0.0.7>;automata="FALSE"`:                     false,
		"<sip:bob@10.0.0.7>;automaton;+sip.rendering=\"no\"":      true,
		`<sip:bob@10.0.0.7;actor="msg-taker">`:                    false,
		`"x;automata" <sip:bob@10.0.0.7>;+sip.instance="<urn:x>"`: false,
	} {
		if got := machine(answer(200, contact)); got != want {
			t.Errorf("%s: %t", contact, got)
		}
	}
	if machine(answer(200)) {
		t.Error("no Contact says that it is a machine")
	}
}
