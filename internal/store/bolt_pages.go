package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// This file reads bbolt's file format (version 2) without bbolt: bbolt maps the
// file and trusts it, so that a bad page ends in a panic and a missing one in a
// signal. Here every page is read by an ordinary read and every length is
// checked before it is believed.
//
// A page is a header (number, kind, count of elements, count of further pages
// that belong to it), elements of fixed size, then keys and values, each found
// by its element. Pages 0 and 1 are meta pages: each commit writes the one
// whose turn it is. Integers are in the byte order of the machine.
const (
	pageSize   = 4096 // of every file made here, whatever the machine likes
	headerSize = 16   // of a page, of an element, and of a bucket

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketElement = 0x01 // the value is a bucket

	boltMagic   = 0xED0CDAED
	boltVersion = 2
)

var errTorn = errors.New("a page does not hold together")

// boltMeta is a meta page: one state of the file.
type boltMeta struct {
	root     uint64 // page of the root bucket
	freelist uint64 // page with the numbers of the free ones
	limit    uint64 // pages from here on have never been used
	txid     uint64 // the newest state has the highest
}

func readMeta(page []byte) (boltMeta, bool) {
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	body := page[headerSize:]
	if u32(body) != boltMagic || u32(body[4:]) != boltVersion || u32(body[8:]) != pageSize || u64(body[56:]) != metaSum(body) {
		return boltMeta{}, false
	}
	return boltMeta{root: u64(body[16:]), freelist: u64(body[32:]), limit: u64(body[40:]), txid: u64(body[48:])}, true
}

func metaSum(body []byte) uint64 {
	h := fnv.New64a()
	h.Write(body[:56])
	return h.Sum64()
}

// olderMeta makes of a meta page the one before it in number, with the same
// state.
func olderMeta(page []byte) {
	body := page[headerSize:]
	txid := binary.NativeEndian.Uint64(body[48:]) - 1
	binary.NativeEndian.PutUint64(page, txid%2)
	binary.NativeEndian.PutUint64(body[48:], txid)
	binary.NativeEndian.PutUint64(body[56:], metaSum(body))
}

// page is one page with those that belong to it.
type page []byte

func (p page) number() uint64 { return binary.NativeEndian.Uint64(p) }
func (p page) kind() uint16   { return binary.NativeEndian.Uint16(p[8:]) }
func (p page) count() int     { return int(binary.NativeEndian.Uint16(p[10:])) }
func (p page) more() uint64   { return uint64(binary.NativeEndian.Uint32(p[12:])) }

// readPage reads page n, of limit pages.
func readPage(r io.ReaderAt, n, limit uint64) (page, error) {
	if n < 2 || n >= limit {
		return nil, fmt.Errorf("page %d of %d: %w", n, limit, errTorn)
	}
	p := make(page, pageSize)
	if _, err := r.ReadAt(p, int64(n)*pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", n, err)
	}
	if p.number() != n || p.more() >= limit-n {
		return nil, fmt.Errorf("page %d: %w", n, errTorn)
	}
	if p.more() == 0 {
		return p, nil
	}
	whole := make(page, pageSize*(1+p.more()))
	copy(whole, p)
	if _, err := r.ReadAt(whole[pageSize:], int64(n+1)*pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", n, err)
	}
	return whole, nil
}

// entry is an element of a leaf or a branch, with what it points to.
type entry struct {
	key    []byte
	value  []byte // of a leaf
	bucket bool   // value is one
	child  uint64 // of a branch: the page below
}

// entries returns the elements of a leaf or a branch. Keys rise.
func (p page) entries() ([]entry, error) {
	if p.kind() != leafPage && p.kind() != branchPage {
		return nil, fmt.Errorf("page %d of kind %#x: %w", p.number(), p.kind(), errTorn)
	}
	list := make([]entry, 0, p.count())
	for i := range p.count() {
		e, ok := p.entry(i)
		if !ok || i > 0 && string(list[i-1].key) >= string(e.key) {
			return nil, fmt.Errorf("page %d, element %d: %w", p.number(), i, errTorn)
		}
		list = append(list, e)
	}
	return list, nil
}

func (p page) entry(i int) (entry, bool) {
	at := headerSize + i*headerSize
	if at+headerSize > len(p) {
		return entry{}, false
	}
	u32 := func(offset int) uint64 { return uint64(binary.NativeEndian.Uint32(p[at+offset:])) }
	e := entry{}
	position, keySize, valueSize := u32(0), u32(4), uint64(0)
	if p.kind() == leafPage {
		e.bucket = u32(0)&bucketElement != 0
		position, keySize, valueSize = u32(4), u32(8), u32(12)
	} else {
		e.child = binary.NativeEndian.Uint64(p[at+8:])
	}
	start := uint64(at) + position
	if keySize == 0 || start+keySize+valueSize > uint64(len(p)) {
		return entry{}, false
	}
	e.key = p[start : start+keySize]
	e.value = p[start+keySize : start+keySize+valueSize]
	return e, true
}

// free returns the page numbers in a freelist, which rise.
func (p page) free(limit uint64) ([]uint64, error) {
	torn := fmt.Errorf("freelist in page %d: %w", p.number(), errTorn)
	if p.kind() != freelistPage {
		return nil, torn
	}
	body, count := p[headerSize:], uint64(p.count())
	if count == 0xFFFF { // too many for the header: the first element counts them
		count = binary.NativeEndian.Uint64(body)
		body = body[8:]
	}
	if count > uint64(len(body)/8) {
		return nil, torn
	}
	list := make([]uint64, count)
	for i := range list {
		list[i] = binary.NativeEndian.Uint64(body[i*8:])
		if list[i] < 2 || list[i] >= limit || i > 0 && list[i] <= list[i-1] {
			return nil, torn
		}
	}
	return list, nil
}

// inside reads the value of a bucket element: its root page, or 0 and the leaf
// that is in the value itself, and the sequence number that it carries.
func (e entry) inside() (root, sequence uint64, inline page, err error) {
	if len(e.value) < headerSize {
		return 0, 0, nil, fmt.Errorf("bucket %q: %w", e.key, errTorn)
	}
	root, sequence = binary.NativeEndian.Uint64(e.value), binary.NativeEndian.Uint64(e.value[8:])
	if root != 0 {
		return root, sequence, nil, nil
	}
	if inline = page(e.value[headerSize:]); len(inline) < headerSize {
		return 0, 0, nil, fmt.Errorf("bucket %q: %w", e.key, errTorn)
	}
	return 0, sequence, inline, nil
}
