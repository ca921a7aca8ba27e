package sipua

import (
	"bytes"

	"github.com/emiago/sipgo/sip"
)

// Answer is what counts of a final response.
type Answer struct {
	Code       int
	Seq        uint32 // of its CSeq
	RetryAfter string // the header's value (RFC 3261 20.33); "" = none
}

// AnswerOf reads it from a response.
func AnswerOf(res *sip.Response) Answer {
	a := Answer{Code: res.StatusCode, Seq: CSeq(res)}
	a.RetryAfter, _ = Header(res, "retry-after")
	return a
}

// branch is that of an exchange: 128 random bits. Its letters keep it apart from
// those of NewBranch.
type branch struct{ a, b uint64 }

const (
	branchPrefix = sip.RFC3261BranchMagicCookie + "x"
	branchLen    = len(branchPrefix) + 32
)

func (b branch) append(text []byte) []byte {
	text = append(text, branchPrefix...)
	return appendHex(appendHex(text, b.a), b.b)
}

func appendHex(text []byte, n uint64) []byte {
	for shift := 60; shift >= 0; shift -= 4 {
		text = append(text, "0123456789abcdef"[n>>shift&15])
	}
	return text
}

func parseBranch(text []byte) (b branch, ok bool) {
	if len(text) != branchLen || string(text[:len(branchPrefix)]) != branchPrefix {
		return b, false
	}
	text = text[len(branchPrefix):]
	var ok1, ok2 bool
	b.a, ok1 = parseHex(text[:16])
	b.b, ok2 = parseHex(text[16:])
	return b, ok1 && ok2
}

// parseHex reads by a table: which of two kinds a random digit is no processor foresees.
func parseHex(text []byte) (n uint64, ok bool) {
	var all byte
	for _, c := range text {
		digit := hexDigit[c]
		all |= digit
		n = n<<4 | uint64(digit&15)
	}
	return n, all < 16
}

// hexDigit is what a lower-case hexadecimal digit stands for, and 16 for all else.
var hexDigit = func() (set [256]byte) {
	for c := range set {
		set[c] = 16
	}
	for n, c := range []byte("0123456789abcdef") {
		set[c] = byte(n)
	}
	return set
}()

// scanned is an ordinary response to an exchange.
type scanned struct {
	Answer
	branch branch
	method string
}

// scanAnswer reads what counts of a response whose branch may be that of an
// exchange. It is false for all else, and for whatever needs a closer look: the
// parser that takes everything apart comes after it and has the last word.
func scanAnswer(datagram []byte) (s scanned, ok bool) {
	const version, line = "SIP/2.0 ", len("SIP/2.0 200 ")
	if len(datagram) < line || string(datagram[:len(version)]) != version || datagram[line-1] != ' ' {
		return s, false
	}
	for _, c := range datagram[len(version) : line-1] {
		if c < '0' || c > '9' {
			return s, false
		}
		s.Code = 10*s.Code + int(c-'0')
	}
	if s.Code < 100 || s.Code > 699 {
		return s, false
	}
	_, rest, ok := cutLine(datagram)
	if !ok {
		return s, false
	}
	var seen field
	for {
		var text []byte
		if text, rest, ok = cutLine(rest); !ok {
			return s, false
		}
		if len(text) == 0 {
			return s, seen&needed == needed
		}
		f, value, ok := readField(text)
		if !ok || f != 0 && seen&f != 0 {
			return s, false
		}
		seen |= f
		switch f {
		case viaField:
			s.branch, ok = scanVia(value)
		case cseqField:
			s.Seq, s.method, ok = scanCSeq(value)
		case retryField:
			s.RetryAfter = string(value)
		}
		if !ok {
			return s, false
		}
	}
}

// cutLine takes a line off, which must end with CRLF.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 1 || b[i-1] != '\r' {
		return nil, nil, false
	}
	return b[:i-1], b[i+1:], true
}

// field is a header field that the scan knows.
type field uint8

const (
	viaField field = 1 << iota
	fromField
	toField
	callField
	cseqField
	retryField

	needed = viaField | fromField | toField | callField | cseqField
)

// readField takes a line apart; one that goes on with the next (RFC 3261 7.3.1)
// is none that is read here.
func readField(line []byte) (f field, value []byte, ok bool) {
	i := bytes.IndexByte(line, ':')
	if i < 1 || line[0] == ' ' || line[0] == '\t' {
		return 0, nil, false
	}
	value = trimBlank(line[i+1:])
	switch name := trimBlank(line[:i]); {
	case names(name, "via", 'v'):
		f = viaField
	case names(name, "from", 'f'):
		f = fromField
	case names(name, "to", 't'):
		f = toField
	case names(name, "call-id", 'i'):
		f = callField
	case names(name, "cseq", 0):
		f = cseqField
	case names(name, "retry-after", 0):
		f = retryField
	}
	return f, value, true
}

// trimBlank takes the blanks off both ends.
func trimBlank(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// names says whether that is a name, which is given in lower case, or its compact form.
func names(name []byte, long string, short byte) bool {
	if len(name) == 1 {
		return short != 0 && name[0]|0x20 == short
	}
	if len(name) != len(long) {
		return false
	}
	for i, c := range name {
		if l := long[i]; c != l && (l < 'a' || c|0x20 != l) {
			return false
		}
	}
	return true
}

// scanVia finds the branch in a Via that stands alone.
func scanVia(value []byte) (b branch, ok bool) {
	const protocol = "SIP/2.0/UDP "
	if !bytes.HasPrefix(value, []byte(protocol)) || bytes.IndexByte(value, ',') >= 0 || bytes.IndexByte(value, '"') >= 0 {
		return b, false
	}
	sentBy, rest, more := bytes.Cut(value[len(protocol):], []byte{';'})
	if !hostIs(trimBlank(sentBy)) {
		return b, false
	}
	found := false
	for more {
		var param []byte
		param, rest, more = bytes.Cut(rest, []byte{';'})
		name, text, _ := bytes.Cut(param, []byte{'='})
		if !names(trimBlank(name), "branch", 0) {
			continue
		}
		if found {
			return b, false
		}
		found = true
		if b, ok = parseBranch(trimBlank(text)); !ok {
			return b, false
		}
	}
	return b, found
}

// hostIs is isHost, of what may have a port.
func hostIs(text []byte) bool {
	for _, c := range text {
		if !hostByte[c] {
			return false
		}
	}
	return len(text) > 0 && text[len(text)-1] != ':' // a port has digits
}

// hostByte has the characters of hosts, with brackets and port.
var hostByte = func() (set [256]bool) {
	for c := range set {
		set[c] = c < 0x80 && isHost(string(rune(c)))
	}
	return set
}()

func scanCSeq(value []byte) (seq uint32, method string, ok bool) {
	i := 0
	var n uint64
	for ; i < len(value) && i < 10 && value[i] >= '0' && value[i] <= '9'; i++ {
		n = 10*n + uint64(value[i]-'0')
	}
	if i == 0 || i == len(value) || value[i] != ' ' || n > 1<<31-1 {
		return 0, "", false
	}
	return uint32(n), methodName(trimBlank(value[i:])), true
}

// methodName keeps the common one from being copied.
func methodName(text []byte) string {
	if string(text) == string(sip.NOTIFY) {
		return string(sip.NOTIFY)
	}
	return string(text)
}
