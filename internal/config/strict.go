package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// field is one key of a table: the name in the file and the type of its value.
type field struct {
	name string
	typ  reflect.Type
}

// fields lists the keys of a struct in order, those of squashed structs inline.
func fields(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		switch name := f.Tag.Get("mapstructure"); name {
		case "-":
		case ",squash":
			out = append(out, fields(f.Type)...)
		default:
			out = append(out, field{name, f.Type})
		}
	}
	return out
}

// checker compares a file with the types of Config. What is right it hands on as
// the maps, lists and texts that viper takes; what is not becomes a fault.
type checker struct {
	report
}

func newChecker(file string) *checker {
	return &checker{report{file: file, at: map[string]position{}}}
}

func (c *checker) seen(key string, line int) { c.at[key] = position{c.file, line} }

// table checks a table against the keys of t.
func (c *checker) table(n *node, t reflect.Type, key string) map[string]any {
	out := map[string]any{}
	if n.kind != table {
		c.wrong(key, n, "a table of keys")
		return out
	}
	known := fields(t)
	for _, e := range n.keys {
		full := join(key, e.name)
		i := indexOf(known, e.name)
		switch p, twice := c.at[full]; {
		case i < 0:
			c.faults = append(c.faults, Fault{Source: c.file, Line: e.line, Key: full, Text: "unknown key" + suggest(known, e.name)})
			continue
		case twice:
			c.faults = append(c.faults, Fault{Source: c.file, Line: e.line, Key: full, Text: fmt.Sprintf("is already set in line %d", p.line)})
			continue
		}
		c.seen(full, e.line)
		if v, ok := c.value(e.value, known[i].typ, full); ok {
			out[e.name] = v
		}
	}
	return out
}

// value checks what a key is set to; ok is false if there is nothing to hand on.
func (c *checker) value(n *node, t reflect.Type, key string) (v any, ok bool) {
	if l, isLeaf := leaves[t]; isLeaf {
		return c.leaf(n, l, t, key)
	}
	if t.Kind() == reflect.Struct {
		return c.table(n, t, key), true
	}
	if n.kind != list {
		c.wrong(key, n, "a list of tables")
		return nil, false
	}
	items := []any{}
	for i, item := range n.list {
		k := fmt.Sprintf("%s[%d]", key, i)
		c.seen(k, item.line)
		items = append(items, c.table(item, t.Elem(), k))
	}
	return items, len(items) > 0 // none is nil, as in Default
}

// leaf checks a value without keys of its own and hands on its texts.
func (c *checker) leaf(n *node, l leaf, t reflect.Type, key string) (any, bool) {
	single := n.kind != list
	if !single && l.kind != list {
		c.wrong(key, n, l.kind.String())
		return nil, false
	}
	if single && l.kind == list && t != reflect.TypeFor[Extensions]() {
		c.wrong(key, n, "a list")
		return nil, false
	}
	items := n.list
	if single {
		items = []*node{n}
	}
	texts := []string{}
	for i, item := range items {
		k := key
		if !single {
			k = fmt.Sprintf("%s[%d]", key, i)
			c.seen(k, item.line)
		}
		if c.scalar(item, l.kind, t, k) {
			texts = append(texts, item.text)
		}
	}
	if len(texts) != len(items) {
		return nil, false
	}
	if _, err := l.parse(texts); err != nil {
		c.invalid(key, err, single)
		return nil, false
	}
	return texts, true
}

// scalar checks that a value is of the kind a leaf is written as.
func (c *checker) scalar(n *node, want kind, t reflect.Type, key string) bool {
	if n.kind == null {
		c.add(key, `has no value; "" is the empty text`)
		return false
	}
	var ok bool
	switch want {
	case boolean, number:
		ok = n.kind == want
	default: // as it is written
		ok = n.kind < list
		want = text
	}
	if !ok {
		c.wrong(key, n, want.String())
		return false
	}
	if want == text && n.plain && t != reflect.TypeFor[Secret]() && leadingZero.MatchString(n.text) {
		c.addf(key, "%s has a leading zero: it must be quoted, %q", n.text, n.text)
		return false
	}
	return true
}

// wrong is the fault of a value of the wrong kind. It shows no value: it may be a
// secret at the wrong place.
func (c *checker) wrong(key string, n *node, want string) {
	p := position{c.file, n.line}
	if set, ok := c.at[key]; ok {
		p = set
	}
	have := n.kind.String()
	if n.kind == text {
		have = "the text in quotes"
		if n.plain {
			have = "text"
		}
	}
	c.faults = append(c.faults, Fault{Source: p.source, Line: p.line, Key: key, Text: fmt.Sprintf("%s is expected, not %s", want, have)})
}

// invalid is the fault of a value that its leaf can't read, or of several.
func (r *report) invalid(key string, err error, single bool) {
	if errs, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range errs.Unwrap() {
			r.invalid(key, err, single)
		}
		return
	}
	var one *valueError
	if errors.As(err, &one) && !single {
		key = fmt.Sprintf("%s[%d]", key, one.index)
	}
	r.add(key, err.Error())
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

func indexOf(known []field, name string) int {
	for i := range known {
		if known[i].name == name {
			return i
		}
	}
	return -1
}

// suggest names the key that was probably meant: the same but for case and dashes,
// or one letter off.
func suggest(known []field, name string) string {
	plain := strings.ReplaceAll(strings.ToLower(name), "-", "_")
	for _, f := range known {
		if f.name == plain || near(f.name, plain) {
			return ", perhaps " + f.name + " is meant"
		}
	}
	return ""
}

// near tells whether two words differ by one letter changed, missing or too many.
func near(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 3 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	return a[i:] == b[i+1:] || len(a) == len(b) && a[i+1:] == b[i+1:]
}
