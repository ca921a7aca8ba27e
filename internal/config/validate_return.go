package config

import (
	"slices"
	"strings"
)

// placeholders are what return.display may name in braces.
var placeholders = []string{"orbit", "name", "caller", "number"}

func (t Return) validate(r *report) {
	r.label("return.display", t.Display)
	rest := t.Display
	for {
		before, after, open := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			r.add("return.display", "has a } without a { before it")
			return
		}
		if !open {
			break
		}
		name, behind, closed := strings.Cut(after, "}")
		if !closed {
			r.add("return.display", "has a { without a } behind it")
			return
		}
		if !slices.Contains(placeholders, name) {
			r.addf("return.display", "{%s} is none of {%s}", name, strings.Join(placeholders, "}, {"))
		}
		rest = behind
	}
	if a := t.AlertInfo; len(a) > 256 || a != strings.TrimSpace(a) || strings.ContainsFunc(a, func(c rune) bool { return c < ' ' || c > '~' }) {
		r.add("return.alert_info", "is not the value of a header: at most 256 visible ASCII characters")
	}
}
