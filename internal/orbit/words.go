package orbit

import "strings"

// Words that announcements are made of. They are names: what is heard for one is a
// recording, that ships with the program or is the admin's own.
const (
	WordParkedOn      = "parked-on"      // an orbit's extension follows
	WordCallFrom      = "call-from"      // who is calling follows
	WordReturningFrom = "returning-from" // an orbit's extension follows
	WordPress1        = "press-1"        // press one to take the call
	WordUnknownCaller = "unknown-caller" // for one without a number
)

// signs are the words of what is no letter or digit in an extension.
var signs = map[rune]string{'*': "star", '#': "hash", '+': "plus", '.': "dot", '-': "dash", '_': "underscore"}

const spelled = "0123456789abcdefghijklmnopqrstuvwxyz"

// Vocabulary lists every word that an announcement may be made of, in no order.
func Vocabulary() []string {
	words := []string{WordParkedOn, WordCallFrom, WordReturningFrom, WordPress1, WordUnknownCaller}
	for _, w := range signs {
		words = append(words, w)
	}
	return append(words, strings.Split(spelled, "")...)
}

// Spell returns the words of an extension or number, said digit by digit and letter
// by letter: "7", "0", "1". What has no word is left out.
func Spell(number string) []string {
	words := make([]string, 0, len(number))
	for _, r := range strings.ToLower(number) {
		if w, ok := signs[r]; ok {
			words = append(words, w)
		} else if strings.ContainsRune(spelled, r) {
			words = append(words, string(r))
		}
	}
	return words
}
