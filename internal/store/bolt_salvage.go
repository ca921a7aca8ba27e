package store

import "slices"

// This file finds what the tree of a damaged file no longer leads to. It takes
// only records that a gap explains, so that as few as possible come back that
// were deleted.

// fill looks for what belongs into the gaps: in the pages that are neither free
// nor led to, in the state before the last commit, and, when it isn't known
// which pages are free, in all others. Those hold records that were replaced
// (the newest one counts) and some that were deleted: a call that ended may
// come back, which is soon found out, and better than to lose one.
func (w *walk) fill(older []boltMeta) {
	if w.free != nil {
		w.scan()
	}
	if len(older) > 0 {
		w.before(older[0])
	}
	if w.free == nil {
		w.scan()
	}
}

// missing takes a record when a gap explains why it is not in its place.
func (w *walk) missing(e entry, explains func(gap) bool) {
	if e.bucket || !slices.ContainsFunc(w.gaps, explains) {
		return
	}
	w.take(e.key, e.value)
}

// scan reads the leaves that are neither led to nor free, as far as that is
// known.
func (w *walk) scan() {
	for n := uint64(2); n < w.limit; n++ {
		if w.seen[n] || w.free != nil && w.free[n] {
			continue
		}
		p, err := readPage(w.r, n, w.limit)
		if err != nil || p.kind() != leafPage {
			continue
		}
		w.leaf(p, nil, nil, ignore, func(e entry) {
			w.missing(e, func(g gap) bool { return g.holds(e.key) })
		})
	}
}

// before reads an older state, whose pages are still there if it is the one
// before the last commit: what that rewrote and is damaged now may be whole in
// it. Where the newest records are damaged, those that they replaced count.
func (w *walk) before(m boltMeta) {
	old := &walk{contents: &contents{}, r: w.r, limit: min(m.limit, w.pages), seen: make([]bool, len(w.seen))}
	old.tree(m.root, nil, nil, ignore, func(e entry) {
		if !e.bucket || string(e.key) != dataBucket {
			return
		}
		_, last, _, err := e.inside()
		if err != nil {
			return
		}
		old.bucket(e, ignore, func(e entry) {
			w.missing(e, func(g gap) bool {
				return g.holds(e.key) || g.to == nil || string(g.to) > string(numbered(last+1))
			})
		})
	})
}

// newestRoot looks through the whole file for the newest root bucket. There are
// older ones about: each commit writes it anew, with a higher number in it.
func (w *walk) newestRoot() (m boltMeta, found bool) {
	newest := uint64(0)
	for n := uint64(2); n < w.pages; n++ {
		p, err := readPage(w.r, n, w.pages)
		if err != nil || p.kind() != leafPage {
			continue
		}
		w.leaf(p, nil, nil, ignore, func(e entry) {
			if !e.bucket || string(e.key) != dataBucket {
				return
			}
			if _, sequence, _, err := e.inside(); err == nil && sequence > newest {
				newest, found = sequence, true
				m = boltMeta{root: n, limit: w.pages}
			}
		})
	}
	return m, found
}

func ignore(_, _ []byte, _ error) {}
