package dialog

import "math/bits"

// ring is one circle of slots of a Wheel, each a list of timers. Its numbers
// (ticks or turns) only rise; two of them a whole circle apart share a slot.
type ring struct {
	slot [slots]*Timer
	used [slots / 64]uint64 // which slots are not empty
}

func (r *ring) put(n int64, t *Timer) {
	i := n % slots
	t.in, t.next = r, r.slot[i]
	if t.next != nil {
		t.next.prev = t
	}
	r.slot[i] = t
	r.used[i/64] |= 1 << (i % 64)
}

func (r *ring) take(n int64, t *Timer) {
	i := n % slots
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		r.slot[i] = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	}
	if r.slot[i] == nil {
		r.used[i/64] &^= 1 << (i % 64)
	}
	t.in, t.next, t.prev = nil, nil, nil
}

// after is the first number after n whose slot is not empty.
func (r *ring) after(n int64) (int64, bool) {
	for m := n + 1; m <= n+slots; {
		i := m % slots
		word := r.used[i/64] >> (i % 64)
		if word != 0 {
			return m + int64(bits.TrailingZeros64(word)), true
		}
		m += 64 - i%64
	}
	return 0, false
}
