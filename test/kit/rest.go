package kit

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing/synctest"
)

// light checks that the server holds nothing that comes and goes with calls,
// lamps and messages, and has no more goroutines than at its start.
func (s *Site) light() {
	s.T.Helper()
	sizes := s.running().server.Sizes()
	for _, kind := range slices.Sorted(maps.Keys(sizes)) {
		if n := sizes[kind]; n != 0 {
			s.T.Errorf("%s left: %d", kind, n)
		}
	}
	if s.began == nil { // not noted
		return
	}
	if now := goroutines(); len(now) > len(s.began) {
		s.T.Errorf("%d goroutines at the start and %d now:\n%s", len(s.began), len(now), strings.Join(now, "\n\n"))
	}
}

// note notes the goroutines that a server without calls has.
func (s *Site) note() {
	synctest.Wait()
	s.began = goroutines()
}

// goroutines lists the stacks of the server's goroutines in this bubble: those
// in which code of parkd or of its SIP stack runs.
func goroutines() (list []string) {
	var all []byte
	for size := 1 << 16; ; size *= 2 {
		all = make([]byte, size)
		if n := runtime.Stack(all, true); n < size {
			all = all[:n]
			break
		}
	}
	var bubble string
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		head, _, _ := strings.Cut(stack, "\n")
		_, of, _ := strings.Cut(strings.TrimRight(head, "]:"), "synctest ") // "goroutine 41 [select (durable), synctest bubble 1]:"
		if bubble == "" {
			bubble = of // of the goroutine that asks, which comes first
			continue
		}
		if of == bubble && (strings.Contains(stack, "parkd/internal/") || strings.Contains(stack, "emiago/sipgo")) {
			list = append(list, stack)
		}
	}
	return list
}
