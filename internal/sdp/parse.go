package sdp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// Parse reads a peer's offer or answer. It takes the first audio stream that can
// be used: an open port over plain RTP with a codec of ours, else what comes
// nearest. At most MaxBody bytes and MaxMedia m= lines.
// Errors: ErrSyntax, ErrNoAudio, ErrAddress.
func Parse(body []byte) (Remote, error) {
	c, err := canonicalise(body)
	if err != nil {
		return Remote{}, err
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(c.text.String()); err != nil {
		return Remote{}, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	if len(d.MediaDescriptions) != len(c.lines) {
		return Remote{}, fmt.Errorf("%w: m= lines", ErrSyntax)
	}
	best, rank := Remote{}, -1
	var usable [2]*Remote // the first that is not protected, and the first that is
	var fault error
	for i, m := range d.MediaDescriptions {
		if !c.lines[i].audio() {
			continue
		}
		r, err := stream(&d, m)
		if err != nil {
			fault = err
			continue
		}
		r.Index, r.RTCPOff = i, c.lines[i].rtcp.none(c.rtcp)
		n := r.rank()
		if n > rank {
			best, rank = r, n
		}
		if kind := r.kind(); n == rankUsable && usable[kind] == nil {
			usable[kind] = &r
		}
	}
	switch {
	case rank < 0 && fault != nil:
		return Remote{}, fault
	case rank < 0:
		return Remote{}, ErrNoAudio
	}
	best.of(c)
	if other := usable[1-best.kind()]; other != nil {
		other.of(c)
		best.other = other
	}
	return best, nil
}

// of takes over what the description says as a whole.
func (r *Remote) of(c *canonical) {
	r.Media, r.Origin = len(c.lines), c.origin
	r.lines, r.times = c.lines, c.times
}

// kind is 1 for a stream that can be protected, else 0.
func (r Remote) kind() int { return min(len(r.cryptos), 1) }

// under is the stream to be used with a security: the protected one if there are
// both, unless that is off.
func (r Remote) under(s Security) Remote {
	if r.other != nil && (s == Off) == (r.kind() == 1) {
		return *r.other
	}
	return r
}

// rank orders the audio streams of one description by how well they can be used.
func (r Remote) rank() int {
	switch {
	case r.Removed():
		return 0
	case r.Secure && len(r.cryptos) == 0:
		return 1
	case len(r.Codecs) == 0:
		return 2
	}
	return rankUsable
}

const rankUsable = 3

func stream(d *sdp.SessionDescription, m *sdp.MediaDescription) (Remote, error) {
	var r Remote
	_, r.Secure = profile(strings.Join(m.MediaName.Protos, "/"))
	if m.MediaName.Protos[0] == "RTP" { // else the keys are those of DTLS
		r.cryptos = cryptos(m.Attributes)
	}
	conn := m.ConnectionInformation // RFC 4566 5.7: the stream's own overrides the session's
	if conn == nil {
		conn = d.ConnectionInformation
	}
	port := uint16(m.MediaName.Port.Value)
	ip, err := address(conn)
	if err != nil {
		if port != 0 {
			return Remote{}, err
		}
		ip = netip.IPv4Unspecified()
	}
	r.Addr = netip.AddrPortFrom(ip, port)
	r.RTCP = rtcp(m, r.Addr)
	_, r.RTCPMux = m.Attribute("rtcp-mux")
	r.Direction = way(m.Attributes, way(d.Attributes, SendRecv))
	r.formatsOf(m)
	r.Ptime, r.MaxPtime = packetTimes(d, m)
	// RFC 3264 8.4 and, for 0.0.0.0, RFC 2543 B.5.
	r.Hold = port == 0 || ip.IsUnspecified() || !r.Direction.receives()
	return r, nil
}

// address is the unicast address of a c= line.
func address(c *sdp.ConnectionInformation) (netip.Addr, error) {
	if c == nil || c.Address == nil {
		return netip.Addr{}, fmt.Errorf("%w: no c=", ErrSyntax)
	}
	text, _, _ := strings.Cut(c.Address.Address, "/") // RFC 4566 5.7: TTL
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%w: %.64q", ErrAddress, c.Address.Address)
	}
	ip = ip.Unmap()
	if ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, fmt.Errorf("%w: %v", ErrAddress, ip)
	}
	return ip, nil
}

// rtcp is where the peer wants RTCP: a=rtcp (RFC 3605 2.1), else the next port
// (RFC 3550 11). A malformed attribute is ignored; port 0 is no port.
func rtcp(m *sdp.MediaDescription, rtp netip.AddrPort) netip.AddrPort {
	next := netip.AddrPort{}
	if p := rtp.Port(); p != 0 && p != 65535 {
		next = netip.AddrPortFrom(rtp.Addr(), p+1)
	}
	value, ok := m.Attribute("rtcp")
	if !ok {
		return next
	}
	f := strings.Fields(value)
	if len(f) != 1 && len(f) != 4 {
		return next
	}
	port, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return next
	}
	if port == 0 {
		return netip.AddrPort{} // nowhere
	}
	ip := rtp.Addr()
	if len(f) == 4 {
		if ip, err = netip.ParseAddr(f[3]); err != nil || ip.Zone() != "" || ip.IsMulticast() {
			return next
		}
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port))
}

func way(attrs []sdp.Attribute, otherwise Direction) Direction {
	for _, a := range attrs {
		for d, name := range directions {
			if strings.EqualFold(a.Key, name) {
				return Direction(d)
			}
		}
	}
	return otherwise
}

// formatsOf reads the payload numbers in the order of the m= line (RFC 3264
// 5.1), each by its rtpmap or, without one, by its static meaning (RFC 3551 6).
func (r *Remote) formatsOf(m *sdp.MediaDescription) {
	maps := rtpmaps(m.Attributes)
	for _, f := range m.MediaName.Formats {
		n, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			continue
		}
		pt := uint8(n)
		name, clock, mapped := strings.Cut(maps[pt], "/")
		if !mapped {
			if c, ok := codecByStatic(pt); ok {
				r.add(c)
			}
			continue
		}
		rate, channels, _ := strings.Cut(clock, "/")
		hz, err := strconv.Atoi(rate)
		if err != nil || hz <= 0 || hz > 192000 || channels != "" && channels != "1" {
			continue
		}
		if strings.EqualFold(name, eventName) {
			if pt != 0 && (r.Event.PT == 0 || r.Event.Clock != 8000 && hz == 8000) {
				r.Event = Event{PT: pt, Clock: hz}
			}
			continue
		}
		c, ok := codecByName(name)
		// RFC 3551 4.5.2: G722 is written 8000; some phones write its sampling rate.
		if ok && (hz == 8000 || c.Name == "G722" && hz == 16000) {
			c.PT = pt
			r.add(c)
		}
	}
}

func (r *Remote) add(c Codec) {
	if _, twice := find(r.Codecs, c.Name); !twice {
		r.Codecs = append(r.Codecs, c)
	}
}

// rtpmaps are the a=rtpmap lines by payload number; the first of a number counts.
func rtpmaps(attrs []sdp.Attribute) map[uint8]string {
	out := map[uint8]string{}
	for _, a := range attrs {
		if !strings.EqualFold(a.Key, "rtpmap") {
			continue
		}
		f := strings.Fields(a.Value)
		if len(f) < 2 {
			continue
		}
		n, err := strconv.ParseUint(f[0], 10, 7)
		if err != nil || out[uint8(n)] != "" {
			continue
		}
		out[uint8(n)] = f[1]
	}
	return out
}

// packetTimes are ptime and maxptime in ms, within 10-60 and in whole tens.
func packetTimes(d *sdp.SessionDescription, m *sdp.MediaDescription) (ptime, most int) {
	ptime = milliseconds("ptime", m.Attributes, d.Attributes)
	if ptime == 0 {
		ptime = defaultPtime
	}
	most = milliseconds("maxptime", m.Attributes, d.Attributes)
	if most != 0 {
		ptime = min(ptime, most)
	}
	return ptime, most
}

func milliseconds(key string, levels ...[]sdp.Attribute) int {
	for _, attrs := range levels {
		for _, a := range attrs {
			if !strings.EqualFold(a.Key, key) {
				continue
			}
			v, err := strconv.ParseFloat(strings.TrimSpace(a.Value), 64) // RFC 4566 6: may have a fraction
			if err != nil || v <= 0 || v != v {
				continue
			}
			return int(min(max(v, minPtime), maxPtime)) / 10 * 10
		}
	}
	return 0
}
