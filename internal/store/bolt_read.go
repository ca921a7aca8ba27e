package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// The buckets of the file, and the keys of the first. Those three keep their
// names and their encoding (a record with no key and a value of decimal digits,
// or text) in every format, so that each parkd can tell which one a file has.
const (
	metaBucket = "meta"
	dataBucket = "data" // its sequence number: no record has a higher one; it rises with each commit

	formatKey  = "format"
	epochKey   = "epoch"
	releaseKey = "written by"
)

// contents is what a file holds, as far as it can be read.
type contents struct {
	format int // 0: not known
	epoch  uint64
	values map[string]stored // with the right checksum; copies
	last   uint64            // no record has a higher number
	lost   int               // damaged records and unreadable pages
	txid   uint64            // of the commit that wrote it
	used   uint64            // pages in use
	pages  uint64            // pages of the file
	fault  error             // the first thing that was wrong; nil: nothing
}

// readContents reads all of a file and checks that it holds together: bbolt can
// work on a file without a fault. Otherwise it goes on, and finds what else
// there is in pages that nothing leads to any more and in the state before the
// last commit.
func readContents(r io.ReaderAt, size int64) *contents {
	w := &walk{r: r, contents: &contents{values: map[string]stored{}, pages: uint64(size) / pageSize}}
	w.seen = make([]bool, w.pages)
	states := w.states()
	if len(states) < 2 { // each commit writes one of them: the newest may be the one that's gone
		w.blame(fmt.Errorf("%d of 2 meta pages are readable", len(states)))
		if m, ok := w.newestRoot(); ok && (len(states) == 0 || m.root != states[0].root) {
			states = append([]boltMeta{m}, states...)
		}
	}
	if len(states) == 0 {
		w.limit = w.pages
		w.miss(nil, nil, w.fault)
		w.fill(nil)
		return w.contents
	}
	w.txid = states[0].txid
	w.state(states[0])
	if len(w.gaps) > 0 {
		w.fill(states[1:])
	}
	return w.contents
}

// walk goes through the pages of a file.
type walk struct {
	*contents
	r     io.ReaderAt
	limit uint64 // pages from here on are not used
	seen  []bool // by page: led to
	free  []bool // by page: free; nil: not known which are
	gaps  []gap  // where keys may be missing
}

// gap is a range of keys: from (nil: the first) to (nil: the last).
type gap struct{ from, to []byte }

func (g gap) holds(key []byte) bool {
	return string(key) >= string(g.from) && (g.to == nil || string(key) < string(g.to))
}

func (w *walk) blame(err error) {
	if w.fault == nil {
		w.fault = err
	}
}

// miss notes that some of the data is gone.
func (w *walk) miss(from, to []byte, err error) {
	w.blame(err)
	w.lost++
	w.gaps = append(w.gaps, gap{slices.Clone(from), slices.Clone(to)})
}

// states returns the valid meta pages, the newest first.
func (w *walk) states() []boltMeta {
	var found []boltMeta
	for n := range int64(2) {
		p := make([]byte, pageSize)
		if _, err := w.r.ReadAt(p, n*pageSize); err != nil {
			continue
		}
		if m, ok := readMeta(p); ok {
			found = append(found, m)
		}
	}
	slices.SortFunc(found, func(a, b boltMeta) int { return cmp.Compare(b.txid, a.txid) })
	return found
}

// state reads one state of the file.
func (w *walk) state(m boltMeta) {
	if w.limit = m.limit; m.limit > w.pages {
		w.limit = w.pages
		w.blame(fmt.Errorf("it ends after %d of %d pages", w.pages, m.limit))
	}
	found := false
	w.tree(m.root, nil, nil, w.blameRange, func(e entry) {
		switch {
		case !e.bucket:
			w.blame(fmt.Errorf("%q is no bucket", e.key))
		case string(e.key) == metaBucket:
			w.bucket(e, w.blameRange, w.header)
		case string(e.key) == dataBucket:
			found = true
			_, w.last, _, _ = e.inside()
			w.bucket(e, w.miss, w.record)
		}
	})
	if !found {
		w.miss(nil, nil, errors.New("its data is not found"))
	}
	if w.format == 0 {
		w.blame(errors.New("its format is not found"))
	}
	if err := w.freelist(m.freelist); err != nil {
		w.blame(err)
		w.free = nil
	}
}

func (w *walk) blameRange(_, _ []byte, err error) { w.blame(err) }

// bucket goes through what is in a bucket.
func (w *walk) bucket(e entry, miss func(from, to []byte, err error), visit func(entry)) {
	root, _, inline, err := e.inside()
	switch {
	case err != nil:
		miss(nil, nil, err)
	case inline != nil:
		w.leaf(inline, nil, nil, miss, visit)
	default:
		w.tree(root, nil, nil, miss, visit)
	}
}

// tree goes through the leaves below a page, whose keys lie between from and to.
func (w *walk) tree(n uint64, from, to []byte, miss func(from, to []byte, err error), visit func(entry)) {
	p, err := w.page(n)
	if err != nil {
		miss(from, to, err)
		return
	}
	if p.kind() == leafPage {
		w.leaf(p, from, to, miss, visit)
		return
	}
	list, err := p.entries()
	if err == nil && (len(list) == 0 || !within(list, from, to)) {
		err = fmt.Errorf("branch in page %d: %w", n, errTorn)
	}
	if err != nil {
		miss(from, to, err)
		return
	}
	for i, e := range list {
		below, above := e.key, to
		if i == 0 {
			below = from
		}
		if i+1 < len(list) {
			above = list[i+1].key
		}
		w.tree(e.child, below, above, miss, visit)
	}
}

func (w *walk) leaf(p page, from, to []byte, miss func(from, to []byte, err error), visit func(entry)) {
	list, err := p.entries()
	if err == nil && (p.kind() != leafPage || !within(list, from, to)) {
		err = fmt.Errorf("leaf in page %d: %w", p.number(), errTorn)
	}
	if err != nil {
		miss(from, to, err)
		return
	}
	for _, e := range list {
		visit(e)
	}
}

// within tells whether rising keys lie in a range.
func within(list []entry, from, to []byte) bool {
	if len(list) == 0 {
		return true
	}
	g := gap{from, to}
	return g.holds(list[0].key) && g.holds(list[len(list)-1].key)
}

// page reads a page that something leads to: once.
func (w *walk) page(n uint64) (page, error) {
	p, err := readPage(w.r, n, w.limit)
	if err != nil {
		return nil, err
	}
	for i := n; i <= n+p.more(); i++ {
		if w.seen[i] {
			return nil, fmt.Errorf("page %d is used twice: %w", i, errTorn)
		}
		w.seen[i] = true
		w.used++
	}
	return p, nil
}

// header takes a record of the meta bucket.
func (w *walk) header(e entry) {
	_, value, ok := unseal(e.key, e.value)
	if !ok {
		w.blame(fmt.Errorf("%q is damaged", e.key))
		return
	}
	var err error
	switch string(e.key) {
	case formatKey:
		w.format, err = strconv.Atoi(string(value))
	case epochKey:
		w.epoch, err = strconv.ParseUint(string(value), 10, 64)
	}
	if err != nil {
		w.blame(err)
	}
}

// record takes a record of the data bucket.
func (w *walk) record(e entry) {
	known := len(w.values)
	switch {
	case e.bucket || !w.take(e.key, e.value):
		w.miss(e.key, append(slices.Clone(e.key), 0), fmt.Errorf("record %x is damaged", e.key))
	case len(w.values) == known:
		w.blame(fmt.Errorf("record %x has the key of another", e.key))
	}
}

// take takes a record unless it is damaged. Of two with the same key the newer
// one counts.
func (w *walk) take(number, record []byte) bool {
	key, value, ok := unseal(number, record)
	if !ok || len(number) != 8 {
		return false
	}
	n := binary.BigEndian.Uint64(number)
	w.last = max(w.last, n)
	if known, twice := w.values[string(key)]; twice && known.number >= n {
		return true
	}
	w.values[string(key)] = stored{append([]byte{}, value...), n}
	return true
}

// freelist notes which pages are free. None of them may be in use.
func (w *walk) freelist(n uint64) error {
	p, err := w.page(n)
	if err != nil {
		return err
	}
	list, err := p.free(w.limit)
	if err != nil {
		return err
	}
	w.free = make([]bool, len(w.seen))
	for _, n := range list {
		if w.seen[n] {
			return fmt.Errorf("page %d is free and in use: %w", n, errTorn)
		}
		w.free[n] = true
	}
	return nil
}
