package presence

import (
	"bytes"
	"testing"
)

// Wherever a byte beyond ASCII or a line that is too long stands, it is seen.
func TestShort(t *testing.T) {
	for _, size := range []int{0, 1, 7, 8, 9, 850, 998, 999, 2500} {
		line := bytes.Repeat([]byte("x"), size)
		if got := short(line); got != (size <= 998) {
			t.Errorf("a line of %d: %v", size, got)
		}
		text := bytes.Repeat([]byte("lines, short\n"), size/13+1)[:size]
		if !short(text) {
			t.Errorf("%d bytes of short lines: false", size)
		}
		for i := range text {
			was := text[i]
			if text[i] = 0xc3; short(text) {
				t.Errorf("byte %d of %d beyond ASCII: true", i, size)
			}
			text[i] = was
		}
	}
}
