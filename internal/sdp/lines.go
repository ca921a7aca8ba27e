package sdp

import (
	"bytes"
	"fmt"
	"strings"
)

// mline is an m= line as its writer wrote it.
type mline struct {
	media   string
	port    int
	proto   string
	formats []string
	rtcp    bandwidth
}

// rejected is the line as we answer it when we do not want it: port 0, at least
// one format (RFC 3264 6).
func (m mline) rejected() mline {
	m.port = 0
	return m
}

// profile says whether a transport carries RTP audio, and whether it is secure.
func profile(proto string) (rtp, secure bool) {
	switch strings.ToUpper(proto) {
	case "RTP/AVP", "RTP/AVPF":
		return true, false
	case "RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF":
		return true, true
	}
	return false, false
}

func (m mline) audio() bool {
	rtp, _ := profile(m.proto)
	return rtp && strings.EqualFold(m.media, "audio")
}

// canonical is a description in the order and with the line types that the
// strict parser takes; phones send types, orders, transports (m=image udptl) and
// bandwidth modifiers that it refuses. What parkd does not use is left out, and
// an m= line that is no RTP audio stands there as a plain place holder.
type canonical struct {
	text   strings.Builder
	origin Origin
	lines  []mline
	times  []string
	conn   [2]string // c= of the session, c= of the m= line being read
	attrs  []string  // session attributes until the first m= line
	rtcp   bandwidth // of the session
}

// canonicalise reads the lines of a description (RFC 4566 5).
func canonicalise(body []byte) (*canonical, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("%w: %d bytes", ErrSyntax, len(body))
	}
	c := &canonical{}
	version := false
	number := 0
	for raw := range bytes.FieldsFuncSeq(body, func(r rune) bool { return r == '\r' || r == '\n' }) {
		line := strings.TrimRight(string(raw), " \t\x00")
		if line == "" {
			continue
		}
		number++
		if len(line) < 2 || line[1] != '=' || strings.IndexByte(line, 0) >= 0 {
			return nil, fmt.Errorf("%w: line %d", ErrSyntax, number) // not its text: that may be of a key
		}
		if line[0] == 'v' {
			if version || strings.TrimSpace(line[2:]) != "0" {
				return nil, fmt.Errorf("%w: line %d", ErrSyntax, number)
			}
			version = true
			continue
		}
		if !version { // RFC 4566 5: v= comes first
			return nil, fmt.Errorf("%w: no v=", ErrSyntax)
		}
		if err := c.line(line[0], strings.TrimLeft(line[2:], " ")); err != nil {
			return nil, err
		}
	}
	c.flush()
	if c.origin == (Origin{}) {
		return nil, fmt.Errorf("%w: no o=", ErrSyntax)
	}
	return c, nil
}

func (c *canonical) line(kind byte, value string) error {
	switch kind {
	case 'o':
		f := strings.Fields(value)
		if len(f) < 3 || c.origin != (Origin{}) {
			return fmt.Errorf("%w: o=%.40q", ErrSyntax, value)
		}
		c.origin = Origin{User: f[0], ID: f[1], Version: f[2], Address: strings.Join(f[3:], " ")}
	case 'c':
		level := min(len(c.lines), 1)
		if c.conn[level] == "" { // layered multicast repeats it; the first one counts
			c.conn[level] = value
		}
	case 't':
		c.times = append(c.times, value)
	case 'a':
		c.attrs = append(c.attrs, value)
	case 'b':
		if n := len(c.lines); n > 0 {
			c.lines[n-1].rtcp.add(value)
		} else {
			c.rtcp.add(value)
		}
	case 'm':
		c.flush()
		return c.media(value)
	}
	return nil // RFC 4566 5: s= i= u= e= p= r= z= k= change nothing here
}

func (c *canonical) media(value string) error {
	f := strings.Fields(value)
	if len(f) < 4 || len(c.lines) == MaxMedia {
		return fmt.Errorf("%w: m=%.40q", ErrSyntax, value)
	}
	c.lines = append(c.lines, mline{media: f[0], proto: f[2], formats: f[3:]})
	if !c.lines[len(c.lines)-1].audio() {
		c.text.WriteString("m=application 0 UDP 0\r\n")
		return nil
	}
	fmt.Fprintf(&c.text, "m=audio %s %s %s\r\n", f[1], strings.ToUpper(f[2]), strings.Join(f[3:], " "))
	return nil
}

// flush writes what was gathered for the session or for the last m= line.
func (c *canonical) flush() {
	level := min(len(c.lines), 1)
	if level == 0 {
		c.text.WriteString("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\n")
	}
	used := level == 0 || c.lines[len(c.lines)-1].audio()
	if used && c.conn[level] != "" {
		c.text.WriteString("c=" + c.conn[level] + "\r\n")
	}
	if level == 0 {
		c.text.WriteString("t=0 0\r\n")
	}
	for _, a := range c.attrs {
		if used {
			c.text.WriteString("a=" + a + "\r\n")
		}
	}
	c.attrs = nil
	if level == 1 {
		c.conn[1] = ""
	}
}
