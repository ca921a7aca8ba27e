package config

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads one YAML document; an empty one is an empty table.
func parseYAML(data []byte) (*node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return &node{kind: table, line: 1}, nil
	case err != nil:
		return nil, yamlError(err)
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, errorAt(second.Line, "a second YAML document; one file is one configuration")
	case !errors.Is(err, io.EOF):
		return nil, yamlError(err)
	}
	if len(doc.Content) != 1 {
		return &node{kind: table, line: 1}, nil
	}
	r := yamlReader{}
	n, err := r.node(doc.Content[0], 0)
	if err == nil && n.kind == null { // a file of comments, or ---
		n = &node{kind: table, line: 1}
	}
	return n, err
}

// yamlReader turns yaml.v3's nodes into ours. Aliases are followed, so it counts.
type yamlReader struct{ nodes int }

func (r *yamlReader) node(y *yaml.Node, depth int) (*node, error) {
	if r.nodes++; r.nodes > maxNodes || depth > maxDepth {
		return nil, errorAt(y.Line, "nested too deep, or too large")
	}
	n := &node{line: y.Line}
	switch y.Kind {
	case yaml.AliasNode:
		return r.node(y.Alias, depth+1)
	case yaml.ScalarNode:
		n.text = y.Value
		n.plain = y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
		n.kind = yamlKind(y.ShortTag())
	case yaml.SequenceNode:
		n.kind = list
		for _, item := range y.Content {
			v, err := r.node(item, depth+1)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, v)
		}
	case yaml.MappingNode:
		return r.table(y, depth)
	}
	return n, nil
}

func yamlKind(tag string) kind {
	switch tag {
	case "!!null":
		return null
	case "!!bool":
		return boolean
	case "!!int", "!!float":
		return number
	default: // dates too: as written
		return text
	}
}

// table reads a mapping; what <<: brings in holds for the keys that are not there
// themselves.
func (r *yamlReader) table(y *yaml.Node, depth int) (*node, error) {
	n := &node{kind: table, line: y.Line}
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k := y.Content[i]
		v, err := r.node(y.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		switch {
		case k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge":
			if v.kind == list {
				merged = append(merged, v.list...)
			} else {
				merged = append(merged, v)
			}
		case k.Kind == yaml.ScalarNode:
			n.keys = append(n.keys, entry{name: k.Value, line: k.Line, value: v})
		default:
			return nil, errorAt(k.Line, "a key is a word, not a list or table")
		}
	}
	for _, m := range merged {
		if m.kind != table {
			return nil, errorAt(m.line, "<<: takes a table")
		}
		for _, e := range m.keys {
			if n.get(e.name) == nil {
				n.keys = append(n.keys, e)
			}
		}
	}
	return n, nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line ([0-9]+): `)

// yamlFromZero are the messages of yaml.v3's parser, which counts lines from 0; its
// scanner counts from 1.
var yamlFromZero = regexp.MustCompile(`^did not find expected (<document start>|node content|'-' indicator|key|',' or)`)

// yamlError takes the line out of yaml.v3's message.
func yamlError(err error) error {
	msg := err.Error()
	line := 0
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits; one too long for an int is line 0
		msg = msg[len(m[0]):]
		if yamlFromZero.MatchString(msg) {
			line++
		}
	}
	return errorAt(line, "%s", strings.TrimPrefix(msg, "yaml: "))
}
