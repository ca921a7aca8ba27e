package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with the configuration.
type Fault struct {
	Source string // the file, or the environment variable or flag that it came by; empty = a built-in value
	Line   int    // in the file, from 1; 0 = none
	Key    string // sip.listen[1]; empty when the fault is the whole file's
	Text   string // what is wrong

	// Missing is the file whose absence is the fault, as an absolute path; empty
	// for any other. Once it is there the configuration is worth another try.
	Missing string

	syntax bool // the file can't be parsed
}

// String is FILE:LINE: key: what is wrong.
func (f Fault) String() string {
	var b strings.Builder
	if f.Source != "" {
		b.WriteString(f.Source)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
	}
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	return b.String() + f.Text
}

// Faults is everything wrong with a configuration, in the order of its lines. It
// is the error of Load and Validate.
type Faults []Fault

// Error is one line a fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// Missing lists the files that are not there and should be, as absolute paths.
func (f Faults) Missing() []string {
	var out []string
	for i := range f {
		if f[i].Missing != "" {
			out = append(out, f[i].Missing)
		}
	}
	return out
}

// orNil is the faults as an error, nil if there are none.
func (f Faults) orNil() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// position is where a key got its value.
type position struct {
	source string
	line   int
}

// report gathers faults and knows where keys were set.
type report struct {
	faults Faults
	at     map[string]position // by key
	file   string              // where a key belongs that was set nowhere
}

// add records a fault of key; others are keys that it contradicts: it is shown at
// the first of them that was set, else at the nearest table around the key.
func (r *report) add(key, text string, others ...string) {
	p := r.find(key, others)
	r.faults = append(r.faults, Fault{Source: p.source, Line: p.line, Key: key, Text: text})
}

func (r *report) addf(key, format string, args ...any) { r.add(key, fmt.Sprintf(format, args...)) }

func (r *report) find(key string, others []string) position {
	for _, k := range append([]string{key}, others...) {
		if p, ok := r.at[k]; ok {
			return p
		}
	}
	for k := parent(key); k != ""; k = parent(k) {
		if p, ok := r.at[k]; ok {
			return p
		}
	}
	return position{source: r.file}
}

// name is a key with its line, to point at it from another key's fault.
func (r *report) name(key string) string {
	if p := r.find(key, nil); p.line > 0 {
		return fmt.Sprintf("%s (line %d)", key, p.line)
	}
	return key
}

// maxAlike bounds the faults of one key: two ranges of ten thousand that overlap
// are one slip.
const maxAlike = 3

// result is the faults in the order of their lines, each once; those of the file first.
func (r *report) result() Faults {
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Compare(a.Line, b.Line)
	})
	var out Faults
	seen := map[Fault]bool{}
	count := map[string]int{} // by key
	for _, f := range r.faults {
		if seen[f] {
			continue
		}
		seen[f] = true
		if count[f.Key]++; count[f.Key] <= maxAlike {
			out = append(out, f)
		}
	}
	for i, f := range out {
		if n := count[f.Key]; n > maxAlike && (i+1 == len(out) || out[i+1].Key != f.Key) {
			out[i].Text += fmt.Sprintf(" (and %d more)", n-maxAlike)
		}
	}
	return out
}

// parent is the key around a key: a.b[1].c, a.b[1], a.b, a, "".
func parent(key string) string {
	return key[:max(0, strings.LastIndexAny(key, ".["))]
}
