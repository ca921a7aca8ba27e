package orbit

import (
	"slices"
	"strings"
	"testing"
)

func TestSpell(t *testing.T) {
	for number, want := range map[string]string{
		"701": "7 0 1", "*4": "star 4", "+49-30": "plus 4 9 dash 3 0", "Bob_1.x": "b o b underscore 1 dot x",
		"": "", "7 0ü1": "7 0 1",
	} {
		words := Spell(number)
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%q: %q, want %q", number, got, want)
		}
		for _, w := range words {
			if !slices.Contains(Vocabulary(), w) {
				t.Errorf("%q is no word", w)
			}
		}
	}
}
