package sdp

// Wish is what the describer of a first offer wants: its direction as it describes it,
// a hold by c=0.0.0.0 (RFC 2543 B.5) or port 0 (RFC 3264 8.2) included.
func (r Remote) Wish() Direction {
	return direction(!r.Removed() && r.Direction.sends(), !r.Hold)
}

// WishAfter is what the describer of a later description wants, to whom ours has said
// told. An answer says nothing about a direction that was not offered (RFC 3264
// 6.1), and an offer of somebody who is on hold may only repeat such an answer: of
// what they do not do and were not to do, they want what they did before.
func (r Remote) WishAfter(told, before Direction) Direction {
	w := r.Wish()
	send, recv := w.sends(), w.receives()
	if !told.receives() {
		send = send || before.sends()
	}
	if !told.sends() {
		recv = recv || before.receives()
	}
	return direction(send, recv)
}

// Fits reports whether the numbers of e mean nothing else in the session that our
// last description belongs to (RFC 3264 8.3.2).
func (e Elsewhere) Fits(last []byte) bool {
	before, err := Parse(last)
	if err != nil {
		return false
	}
	for _, c := range before.Codecs {
		if c.PT == e.Codec.PT && c.Name != e.Codec.Name || c.PT == e.Event.PT && e.Event.PT != 0 {
			return false
		}
	}
	return before.Event.PT == 0 || before.Event.PT != e.Codec.PT
}
