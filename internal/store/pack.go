package store

import (
	"encoding/binary"
	"math/bits"
)

// A dictionary knows what the values of one kind have in common, and packs them by
// it: the names of fields, the hosts, phones and lists of this site. It only grows,
// so what was packed when it was smaller is read by it for good.
//
// A packed value is a sequence of
//
//	0nnnnnnn text               n+1 bytes as they are
//	10nnnnnn place, 1 byte      n+4 bytes from a place: signed, from where the last copy
//	                            would have gone on if its text were as long as this one's
//	11nnnnnn place, 2 bytes     n+4 bytes from a place, as it is
//
// where a length with all bits set has a varint more behind its byte. Places below
// ownPlace are those of the dictionary; from there on they are those of the key of
// the value with what comes before of the value itself.
type dictionary struct {
	text  []byte   // changed at its end only
	heads []uint16 // by hash: the last place in it of four such bytes, and 1
	prior []uint16 // by place: the place before it of the same hash, and 1
	known int      // values in it
}

const (
	ownPlace  = 1 << 15 // bytes of a dictionary at most
	ownPlaces = 1 << 15
	minCopy   = 4
	enough    = 32 // no longer copy is looked for
	tries     = 4  // in a dictionary, for each place

	opCopy = 0x80
	opFar  = 0x40 // of copies
	maxRun = 0x7f
	maxLen = 0x3f

	hashBits  = 14
	firstFew  = 8       // values of a kind that a dictionary learns in any case,
	poor      = 3       // … and others of which more than one in so many bytes is left,
	longWords = 4 << 10 // … if they are no longer than this
)

// packer is what packing needs for a moment. It belongs to whoever packs.
type packer struct {
	in    []byte                // the key and the value
	out   []byte                // what comes of it
	own   [1 << hashBits]uint16 // by hash: the last place in it of such bytes that no dictionary knew, and 1
	marks []uint16              // those that are not 0
}

func hashOf(b []byte) uint32 {
	return binary.LittleEndian.Uint32(b) * 2654435761 >> (32 - hashBits)
}

// learn takes a value into the dictionary.
func (d *dictionary) learn(value []byte) {
	if len(d.text)+len(value) > ownPlace {
		return
	}
	d.known++
	if d.heads == nil {
		d.heads = make([]uint16, 1<<hashBits)
	}
	from := max(len(d.text)-minCopy+1, 0)
	d.text = append(d.text, value...)
	for i := from; i+minCopy <= len(d.text); i++ {
		h := &d.heads[hashOf(d.text[i:])]
		d.prior = append(d.prior, *h)
		*h = uint16(i + 1)
	}
}

// teaches says whether a value, which came to so many bytes, is to be learnt.
func (d *dictionary) teaches(value []byte, packed int) bool {
	return len(value) <= longWords && (d.known < firstFew || packed > len(value)/poor)
}

// pack packs the value under a key. What it returns is the packer's.
func (d *dictionary) pack(p *packer, key string, value []byte) []byte {
	p.in = append(append(p.in[:0], key...), value...)
	p.out = p.out[:0]
	for i := 0; i < len(key); i++ {
		p.mark(i)
	}
	text, guess := len(key), 0 // where what is not written yet begins; the place that it would come from
	for i := text; i+minCopy <= len(p.in); {
		place, n := d.find(p, i, guess+i-text)
		if n < minCopy {
			p.mark(i)
			i++
			continue
		}
		p.run(p.in[text:i])
		p.copy(place, n, place-(guess+i-text))
		i += n
		text, guess = i, place+n
	}
	p.run(p.in[text:])
	for _, h := range p.marks {
		p.own[h] = 0
	}
	p.marks = p.marks[:0]
	return p.out
}

// mark makes a place known to the rest of the value.
func (p *packer) mark(i int) {
	if i+minCopy > len(p.in) || i >= ownPlaces {
		return
	}
	h := hashOf(p.in[i:])
	if p.own[h] == 0 {
		p.marks = append(p.marks, uint16(h))
	}
	p.own[h] = uint16(i + 1)
}

// find returns from where most of what is at i can be copied, and how much. What is
// near the guess costs a byte less.
func (d *dictionary) find(p *packer, i, guess int) (place, n int) {
	rest := p.in[i:]
	first, h := binary.LittleEndian.Uint32(rest), hashOf(rest)
	if o := int(p.own[h]) - 1; o >= 0 && binary.LittleEndian.Uint32(p.in[o:]) == first {
		place, n = ownPlace+o, common(p.in[o:], rest) // it may run into itself
	}
	if d.heads == nil {
		return place, n
	}
	for next, left := d.heads[h], tries; next > 0 && left > 0 && n < enough; left-- {
		at := int(next) - 1
		next = d.prior[at]
		if binary.LittleEndian.Uint32(d.text[at:]) != first {
			continue
		}
		if length := common(d.text[at:], rest); length > n || length == n && near(at-guess) {
			place, n = at, length
		}
	}
	return place, n
}

// common is how many bytes two texts begin with alike.
func common(a, b []byte) (n int) {
	most := min(len(a), len(b))
	for ; n+8 <= most; n += 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
	}
	for n < most && a[n] == b[n] {
		n++
	}
	return n
}

func near(distance int) bool { return distance == int(int8(distance)) }

func (p *packer) run(text []byte) {
	if len(text) > 0 {
		p.op(0, maxRun, len(text)-1)
		p.out = append(p.out, text...)
	}
}

func (p *packer) copy(place, n, distance int) {
	if near(distance) {
		p.op(opCopy, maxLen, n-minCopy)
		p.out = append(p.out, byte(distance))
		return
	}
	p.op(opCopy|opFar, maxLen, n-minCopy)
	p.out = binary.BigEndian.AppendUint16(p.out, uint16(place))
}

func (p *packer) op(kind byte, most, n int) {
	if n < most {
		p.out = append(p.out, kind|byte(n))
		return
	}
	p.out = binary.AppendUvarint(append(p.out, kind|byte(most)), uint64(n-most))
}

// unpack appends what was packed under a key.
func (d *dictionary) unpack(to []byte, key, packed string) []byte {
	start, guess := len(to), 0
	for len(packed) > 0 {
		op := packed[0]
		packed = packed[1:]
		if op < opCopy {
			var n int
			n, packed = length(op, maxRun, packed)
			to, packed, guess = append(to, packed[:n+1]...), packed[n+1:], guess+n+1
			continue
		}
		var n, place int
		n, packed = length(op, maxLen, packed)
		n += minCopy
		if op&opFar == 0 {
			place, packed = guess+int(int8(packed[0])), packed[1:]
		} else {
			place, packed = int(packed[0])<<8|int(packed[1]), packed[2:]
		}
		guess = place + n
		if place < ownPlace {
			to = append(to, d.text[place:place+n]...)
			continue
		}
		for i := place - ownPlace; i < guess-ownPlace; i++ {
			if i < len(key) {
				to = append(to, key[i])
			} else {
				to = append(to, to[start+i-len(key)])
			}
		}
	}
	return to
}

// length is the one of an operation.
func length(op byte, most int, rest string) (int, string) {
	n := int(op) & most
	if n < most {
		return n, rest
	}
	for shift := 0; ; shift += 7 { // a varint
		b := rest[0]
		rest = rest[1:]
		n += int(b&0x7f) << shift
		if b < 0x80 {
			return n, rest
		}
	}
}
