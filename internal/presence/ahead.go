package presence

import (
	"unsafe"

	"parkd/internal/prefetch"
)

// Between two changes of a state seconds go by, and what is known of those who are to be
// told has left the cache: so the fan has that of the next ones fetched meanwhile.
const (
	aheadSub  = 12 // so many before its turn
	aheadText = 6  // where its texts are is known by then
)

// ahead fetches what it takes to tell those after the i-th.
func ahead(list []*sub, i int) {
	if j := i + aheadSub; j < len(list) {
		list[j].fetchAhead()
	}
	if j := i + aheadText; j >= 0 && j < len(list) {
		list[j].fetchTexts()
	}
}

func (s *sub) fetchAhead() { prefetch.Memory(unsafe.Pointer(s), unsafe.Sizeof(*s)) }

// fetchTexts fetches what a NOTIFY takes beside the subscription itself: of its record,
// what never changes, since another one's queue owns the rest.
func (s *sub) fetchTexts() {
	prefetch.Memory(unsafe.Pointer(s.queue), unsafe.Sizeof(*s.queue))
	prefetch.Text(s.id.CallID)
	prefetch.Text(s.id.Local)
	prefetch.Text(s.id.Remote)
}
