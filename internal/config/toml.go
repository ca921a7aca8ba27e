package config

import (
	"bytes"
	"errors"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// parseTOML reads a TOML document. Decoding it first finds every fault of syntax
// and each key that is there twice; the parser underneath then tells the lines.
func parseTOML(data []byte) (*node, error) {
	var probe map[string]any
	if err := toml.Unmarshal(data, &probe); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, _ := at.Position()
			return nil, errorAt(line, "%s", at.Error())
		}
		return nil, errorAt(0, "%v", err)
	}
	r := tomlReader{data: data}
	r.parser.Reset(data)
	root := &node{kind: table, line: 1}
	here := root
	for r.parser.NextExpression() {
		e := r.parser.Expression()
		switch e.Kind {
		case unstable.Table:
			here = r.open(root, e.Key())
		case unstable.ArrayTable:
			here = r.element(root, e.Key())
		case unstable.KeyValue:
			if err := r.set(here, e, 0); err != nil {
				return nil, err
			}
		}
	}
	if err := r.parser.Error(); err != nil {
		return nil, errorAt(0, "%v", err)
	}
	return root, nil
}

type tomlReader struct {
	parser unstable.Parser
	data   []byte
	line   int // of the key that was seen last; values have no position of their own
}

// open is the table a dotted key names, made where it is missing.
func (r *tomlReader) open(n *node, keys unstable.Iterator) *node {
	for keys.Next() {
		n = r.child(n, keys.Node())
	}
	return n
}

// child is one step along a dotted key; in a list of tables its newest.
func (r *tomlReader) child(n *node, key *unstable.Node) *node {
	r.line = 1 + bytes.Count(r.data[:key.Raw.Offset], []byte("\n"))
	name := string(key.Data)
	v := n.get(name)
	if v == nil {
		v = &node{kind: table, line: r.line}
		n.keys = append(n.keys, entry{name: name, line: r.line, value: v})
	}
	if v.kind == list && len(v.list) > 0 {
		return v.list[len(v.list)-1]
	}
	return v
}

// element adds a table to the list that [[key]] names.
func (r *tomlReader) element(n *node, keys unstable.Iterator) *node {
	for keys.Next() {
		key := keys.Node()
		if !keys.IsLast() {
			n = r.child(n, key)
			continue
		}
		name := string(key.Data)
		v := n.get(name)
		if v == nil {
			r.child(n, key)
			v = n.get(name)
			v.kind = list
		}
		r.line = 1 + bytes.Count(r.data[:key.Raw.Offset], []byte("\n"))
		item := &node{kind: table, line: r.line}
		v.list = append(v.list, item)
		return item
	}
	return n
}

// set puts the value of key = value below n.
func (r *tomlReader) set(n *node, e *unstable.Node, depth int) error {
	target := r.open(n, e.Key())
	v, err := r.value(e.Value(), depth)
	if err != nil {
		return err
	}
	*target = *v
	return nil
}

func (r *tomlReader) value(u *unstable.Node, depth int) (*node, error) {
	n := &node{line: r.line}
	if depth > maxDepth {
		return nil, errorAt(n.line, "nested too deep")
	}
	switch u.Kind {
	case unstable.Array:
		n.kind = list
		for it := u.Children(); it.Next(); {
			v, err := r.value(it.Node(), depth+1)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, v)
		}
	case unstable.InlineTable:
		n.kind = table
		for it := u.Children(); it.Next(); {
			if err := r.set(n, it.Node(), depth+1); err != nil {
				return nil, err
			}
		}
		if len(n.keys) > 0 {
			n.line = n.keys[0].line
		}
	case unstable.String:
		n.kind, n.text = text, string(u.Data)
	case unstable.Bool:
		n.kind, n.text, n.plain = boolean, string(u.Data), true
	case unstable.Integer, unstable.Float:
		n.kind, n.text, n.plain = number, string(u.Data), true
	default: // dates and times
		n.kind, n.text = text, string(u.Data)
	}
	return n, nil
}
