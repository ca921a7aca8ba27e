package store

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/klauspost/compress/s2"
)

// A dictionary knows what the values of one kind have in common, and packs them by
// it: the names of fields, the hosts, phones and lists of this site. It is made anew
// as it learns, and what was packed by an older one is read by that one for good.
//
// A packed value is
//
//	which of the dictionaries has packed it, 1 byte
//	where the name was in it that its key ends with, and is left out, and 1; 0: nowhere; a varint
//	what is left of it, as an S2 block
type dictionary struct {
	text  []byte     // the values that it has learnt
	known int        // how many
	words []*s2.Dict // made of more and more of text, the newest last
	next  int        // how long text is when the next of them is made
}

const (
	maxText   = 1 << 15 // bytes of text
	firstFew  = 8       // values of a kind that a dictionary learns in any case,
	poor      = 3       // … and others of which more than one in so many bytes is left,
	longWords = 4 << 10 // … if they are no longer than this
)

// learn takes a value into the dictionary, which is made anew when it has a quarter
// more than the last time: not 32 KB of tables for each value.
func (d *dictionary) learn(value []byte) {
	if len(d.text)+len(value) > maxText {
		return
	}
	d.text = append(d.text, value...)
	d.known++
	if n := len(d.text); n >= max(d.next, s2.MinDictSize) {
		if i := len(d.words) - 1; i >= 0 { // it only reads from now on, for which it needs none of its tables
			d.words[i] = s2.NewDict(d.words[i].Bytes())
		}
		d.words = append(d.words, s2.MakeDict(slices.Clone(d.text), value))
		d.next = n + n/4
	}
}

// teaches says whether a value, which came to so many bytes, is to be learnt.
func (d *dictionary) teaches(value []byte, packed int) bool {
	return len(value) <= longWords && (d.known < firstFew || packed > len(value)/poor)
}

// packer is what packing needs for a moment. It belongs to whoever packs.
type packer struct {
	in, block []byte
}

// pack appends the value under a key, packed.
func (d *dictionary) pack(to []byte, p *packer, key string, value []byte) []byte {
	name := []byte(name(key))
	to = append(to, byte(len(d.words)))
	if at := bytes.Index(value, name); at >= 0 && len(name) > 0 {
		to = binary.AppendUvarint(to, uint64(at)+1)
		p.in = append(append(p.in[:0], value[:at]...), value[at+len(name):]...)
		value = p.in
	} else {
		to = append(to, 0)
	}
	p.block = slices.Grow(p.block[:0], s2.MaxEncodedLen(len(value)))
	if len(d.words) == 0 {
		return append(to, s2.Encode(p.block, value)...)
	}
	return append(to, d.words[len(d.words)-1].Encode(p.block, value)...)
}

// unpack returns what was packed under a key; an error says that it was not.
func (d *dictionary) unpack(key string, packed []byte) (value []byte, err error) {
	by, packed := int(packed[0]), packed[1:]
	at, n := binary.Uvarint(packed)
	if by == 0 {
		value, err = s2.Decode(nil, packed[n:])
	} else {
		value, err = d.words[by-1].Decode(nil, packed[n:])
	}
	if err != nil {
		return nil, err
	}
	if at > 0 {
		value = slices.Insert(value, int(at)-1, []byte(name(key))...)
	}
	if value == nil {
		value = []byte{} // which is one, too
	}
	return value, nil
}

// name is what a key ends with: the tag or id that its value says, too. Nothing else
// in that is random, so a dictionary knows none of them.
func name(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
