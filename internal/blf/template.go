package blf

import (
	"bytes"
	"strconv"
	"strings"

	"parkd/internal/orbit"

	"github.com/beevik/etree"
)

// Template is a document that lacks only what differs from watcher to watcher. It
// is rendered once a change and never altered; filling one is no more than
// appending bytes.
type Template struct {
	parts []part
	code  string // of targets that fetch
}

// part is literal text, and what follows it.
type part struct {
	text []byte
	hole hole
}

// hole is what a watcher fills in.
type hole byte

const (
	holeNone    hole = 0   // at the end
	holeVersion hole = 'v' // in an attribute, as it is
	holeEntity  hole = 'e' // in an attribute
	holeTarget  hole = 't' // in an attribute
	holeFetch   hole = 'f' // in an attribute: the target, with a retrieve code before its user part
	holeContact hole = 'c' // the target, in text
	holeParty   hole = 'p' // the target without parameters, in text
)

// New renders v, but for what a Fill says.
func New(v orbit.View, s Style) *Template { return compile(v, s, partiesOf(v, s.Identity)) }

// holes are the values that a document is rendered with in the place of a
// watcher's.
type holes struct{ version, entity, target, fetch, contact, party string }

// compile renders a document with marks in the place of what differs, and takes it
// apart at the marks.
func compile(v orbit.View, s Style, p parties) *Template {
	mark := unused(v, p)
	m := func(h hole) string { return string(mark) + string(rune(h)) }
	text := render(v, s, p, holes{
		version: m(holeVersion), entity: m(holeEntity), target: m(holeTarget),
		fetch: m(holeFetch), contact: m(holeContact), party: m(holeParty),
	})
	t := &Template{code: s.Profile.Code}
	for {
		before, rest, found := bytes.Cut(text, []byte(string(mark)))
		if !found {
			t.parts = append(t.parts, part{before, holeNone})
			return t
		}
		t.parts = append(t.parts, part{before, hole(rest[0])})
		text = rest[1:]
	}
}

// unused is a rune of no text in a document: a private one that nobody here uses.
func unused(v orbit.View, p parties) rune {
	all := v.Orbit + p.name + p.display + p.caller + p.note
	if v.Head != nil {
		all += v.Head.Alias.CallID + v.Head.Alias.LocalTag + v.Head.Alias.RemoteTag
	}
	mark := '\uE000'
	for strings.ContainsRune(all, mark) {
		mark++
	}
	return mark
}

// Append appends the document of one watcher.
func (t *Template) Append(dst []byte, f Fill) []byte {
	for i := range t.parts {
		p := &t.parts[i]
		dst = append(dst, p.text...)
		switch p.hole {
		case holeVersion:
			dst = strconv.AppendUint(dst, uint64(f.Version), 10)
		case holeEntity:
			dst = appendEscaped(dst, f.Entity, true)
		case holeTarget:
			dst = appendEscaped(dst, f.Target, true)
		case holeFetch:
			user := strings.IndexByte(f.Target, ':') + 1
			dst = appendEscaped(dst, f.Target[:user], true)
			dst = appendEscaped(dst, t.code, true)
			dst = appendEscaped(dst, f.Target[user:], true)
		case holeContact:
			dst = appendEscaped(dst, f.Target, false)
		case holeParty:
			dst = appendEscaped(dst, bare(f.Target), false)
		}
	}
	return dst
}

// render writes a document.
func render(v orbit.View, s Style, p parties, h holes) []byte {
	doc := etree.NewDocument()
	// Canonical escapes keep tabs and line ends of attributes through any parser.
	doc.WriteSettings = etree.WriteSettings{CanonicalText: true, CanonicalAttrVal: true}
	doc.CreateProcInst("xml", `version="1.0" encoding="UTF-8"`)
	switch s.Type {
	case PIDF:
		presence(&doc.Element, v, s.Profile, p, h)
	case XPIDF:
		presentity(&doc.Element, v, s.Profile, h)
	default:
		dialogInfo(&doc.Element, v, s, p, h)
	}
	body, err := doc.WriteToBytes()
	if err != nil {
		return nil // a bytes.Buffer does not fail
	}
	return body
}
