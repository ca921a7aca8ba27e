package orbit

// seats are the orbits of a pool: which are free, and where the oldest call is. It
// is a tree over them, of which each step takes one path from the root.
type seats struct {
	leaves int // a power of two
	nodes  []sum
}

// sum is what a seat, or all seats below a node, come to.
type sum struct {
	free   int
	oldest uint64 // lowest place in the FIFO of a call that may be fetched, 0 = none
}

func newSeats(n int) seats {
	leaves := 1
	for leaves < n {
		leaves *= 2
	}
	return seats{leaves, make([]sum, 2*leaves)}
}

// set says what seat i is.
func (t seats) set(i int, free bool, oldest uint64) {
	now := sum{oldest: oldest}
	if free {
		now.free = 1
	}
	i += t.leaves
	for t.nodes[i] != now {
		t.nodes[i] = now
		if i == 1 {
			return
		}
		a, b := t.nodes[i], t.nodes[i^1]
		now = sum{a.free + b.free, min(a.oldest-1, b.oldest-1) + 1} // 0 is the last of all
		i /= 2
	}
}

// free reports whether seat i is.
func (t seats) free(i int) bool { return t.nodes[t.leaves+i].free > 0 }

// count is how many are free.
func (t seats) count() int { return t.nodes[1].free }

// choose returns the free seat with k free ones before it.
func (t seats) choose(k int) int {
	i := 1
	for i < t.leaves {
		i *= 2
		if left := t.nodes[i].free; k >= left {
			k -= left
			i++
		}
	}
	return i - t.leaves
}

// before is how many free seats are before seat i; all of them before one too many.
func (t seats) before(i int) (n int) {
	if i == t.leaves {
		return t.count()
	}
	for i += t.leaves; i > 1; i /= 2 {
		if i%2 == 1 {
			n += t.nodes[i-1].free
		}
	}
	return n
}

// oldest returns the seat with the oldest call, -1 if there is no call.
func (t seats) oldest() int {
	at := t.nodes[1].oldest
	if at == 0 {
		return -1
	}
	i := 1
	for i < t.leaves {
		i *= 2
		if t.nodes[i].oldest != at {
			i++
		}
	}
	return i - t.leaves
}

// idle is a list of free seats, the one that has been free for longest first.
type idle struct{ links []link } // the last is the ring's start

type link struct{ prev, next int }

func newIdle(n int) idle {
	l := idle{make([]link, n+1)}
	l.links[n] = link{n, n}
	return l
}

func (l idle) end() int { return len(l.links) - 1 }

// push adds a seat at the end.
func (l idle) push(i int) {
	end := l.end()
	last := l.links[end].prev
	l.links[i] = link{last, end}
	l.links[last].next, l.links[end].prev = i, i
}

// remove takes a seat out that is there.
func (l idle) remove(i int) {
	at := l.links[i]
	l.links[at.prev].next, l.links[at.next].prev = at.next, at.prev
}

// first is the first seat, -1 if there is none.
func (l idle) first() int { return l.after(l.end()) }

// after is the seat behind one, -1 if it is the last.
func (l idle) after(i int) int {
	if next := l.links[i].next; next != l.end() {
		return next
	}
	return -1
}
