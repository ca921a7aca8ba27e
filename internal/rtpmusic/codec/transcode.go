package codec

// Transcoder turns the payload of one codec into that of another, packet by
// packet, and keeps the state of both and of the change of the sampling rate in
// between. It serves one direction of one stream and one goroutine.
type Transcoder struct {
	from     string
	table    *[256]byte // one octet to one octet, nil if that is not enough
	dec      Decoder
	enc      Encoder
	up       *upsampler
	down     *downsampler
	pcm, alt []int16 // of the longest packet so far
}

// NewTranscoder returns a transcoder in its initial state, or nil if this package
// lacks one of the codecs. From a codec to itself payload passes unchanged.
// Between mu-law and A-law each code becomes the nearest of the other.
func NewTranscoder(from, to string) *Transcoder {
	in, out := Rate(from), Rate(to)
	if in == 0 || out == 0 {
		return nil
	}
	t := &Transcoder{from: from}
	switch {
	case from == to:
		return t
	case from == PCMU && to == PCMA:
		t.table = &muToA
		return t
	case from == PCMA && to == PCMU:
		t.table = &aToMu
		return t
	}
	t.dec, t.enc = NewDecoder(from), NewEncoder(to)
	switch {
	case in < out:
		t.up = new(upsampler)
	case in > out:
		t.down = new(downsampler)
	}
	return t
}

// Memory reports whether what becomes of a packet depends on those before it, so that
// they must come in the order in which they were made.
func (t *Transcoder) Memory() bool { return t.dec != nil }

// Restart begins to decode another stream. What comes out goes on as one.
func (t *Transcoder) Restart() {
	if t.dec != nil {
		t.dec = NewDecoder(t.from)
	}
}

// Frame appends the other codec's payload for payload to dst and returns it. It
// is as long as payload, whose length is free; once the longest packet of a stream
// has been seen, nothing is allocated but what dst lacks.
func (t *Transcoder) Frame(dst, payload []byte) []byte {
	if t.table != nil {
		for _, b := range payload {
			dst = append(dst, t.table[b])
		}
		return dst
	}
	if t.dec == nil {
		return append(dst, payload...)
	}
	t.pcm = t.dec.Decode(t.pcm[:0], payload)
	pcm := t.pcm
	switch {
	case t.up != nil:
		t.alt = t.up.process(t.alt[:0], pcm)
		pcm = t.alt
	case t.down != nil:
		t.alt = t.down.process(t.alt[:0], pcm)
		pcm = t.alt
	}
	return t.enc.Encode(dst, pcm)
}
