package dialog

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
)

// Dialogs with the same hash are told apart, whichever of them goes first.
func TestChain(t *testing.T) {
	ids := []ID{{"a", "1", "x"}, {"a", "1", "y"}, {"b", "1", "x"}}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}} {
		s := &shard{entries: map[uint64]*Entry{}}
		left := map[int]*Entry{}
		for i, id := range ids {
			left[i] = &Entry{id: id, next: s.entries[7]}
			s.entries[7] = left[i]
			s.chained++
		}
		for _, gone := range order {
			s.unchain(7, left[gone])
			delete(left, gone)
			for i, id := range ids {
				if got := s.find(7, &id); got != left[i] {
					t.Fatalf("%v: after %d: %v finds %p, want %p", order, gone, id, got, left[i])
				}
			}
			if s.chained != len(left) {
				t.Errorf("%d counted, %d are left", s.chained, len(left))
			}
		}
		if len(s.entries) != 0 {
			t.Errorf("left over: %v", s.entries)
		}
	}
}

// A dialog's place takes less than 170 bytes, and a table that was full gives them back.
func TestTableIsSmall(t *testing.T) {
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	const many, most = 10_000, 170
	w := NewWheel()
	defer w.Close()
	table := NewTable(w)
	var ids []ID
	for i := range many {
		ids = append(ids, ID{CallID: fmt.Sprintf("call%d", i), Local: fmt.Sprintf("l%d", i), Remote: fmt.Sprintf("r%d", i)})
	}
	q := NewQueue(QueueConfig{})
	before := heap()
	for _, id := range ids {
		if _, err := table.Add(id, 1, q, nil); err != nil {
			t.Fatal(err)
		}
	}
	full := heap() - before
	if each := full / many; each > most {
		t.Errorf("%d bytes each", each)
	}
	slices.Reverse(ids)
	for _, id := range ids {
		table.Remove(id)
	}
	if left := heap() - before; left > full/20 || table.Len() != 0 {
		t.Errorf("%d bytes of %d are kept, for %d dialogs", left, full, table.Len())
	}
	runtime.KeepAlive(ids)
}
