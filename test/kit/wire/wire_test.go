package wire

import "testing"

const bye = "BYE sip:bob@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1;rport\r\n" +
	"From: \"a;tag=x\" <sip:a@10.0.0.1>;tag=one\r\nTo: <sip:b@10.0.0.2>;tag=two\r\nCall-ID: c\r\nCSeq: 7 BYE\r\n"

func TestAMessageIsCutIntoItsParts(t *testing.T) {
	m, err := Parse([]byte(bye + "Content-Length: 2\r\n\r\nhi"))
	if err != nil {
		t.Fatal(err)
	}
	n, method := m.CSeq()
	if n != 7 || method != "BYE" || m.URI() != "sip:bob@10.0.0.2" || m.FromTag() != "one" || m.ToTag() != "two" ||
		m.Branch() != "z9hG4bK1" || m.CallID() != "c" || m.Body != "hi" || m.Response() || m.Code() != 0 {
		t.Errorf("read as %+v", m)
	}
	if got := Param(m.Get("Via"), "rport"); got != "rport" {
		t.Errorf("parameter without a value read as %q", got)
	}
	if got := Address(m.Get("From")); got != "sip:a@10.0.0.1" {
		t.Errorf("address read as %q", got)
	}
}

func TestWhatIsMalformedIsAnError(t *testing.T) {
	for name, text := range map[string]string{
		"wrong length": bye + "Content-Length: 3\r\n\r\nhi",
		"no length":    bye + "\r\n",
		"two Call-IDs": bye + "Call-ID: d\r\nContent-Length: 0\r\n\r\n",
		"no end":       bye,
		"no SIP":       "hello\r\n\r\n",
	} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}
