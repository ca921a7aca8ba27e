package config

import (
	"fmt"
	"path/filepath"
	"strings"
)

// kind is what a node is.
type kind uint8

const (
	null kind = iota
	text
	number
	boolean
	list
	table
)

// String names the kind as a fault does.
func (k kind) String() string {
	return [...]string{"nothing", "text", "a number", "true or false", "a list", "a table"}[k]
}

// node is one value of a file with the line it stands at, the same for YAML, TOML
// and JSON.
type node struct {
	kind  kind
	line  int
	text  string // of a text, number or boolean: as written
	plain bool   // written without quotes
	list  []*node
	keys  []entry
}

// entry is one key of a table, in the order of the file.
type entry struct {
	name  string
	line  int
	value *node
}

// get is the value of a key; the first one if it is there twice.
func (n *node) get(name string) *node {
	for _, e := range n.keys {
		if e.name == name {
			return e.value
		}
	}
	return nil
}

// A file nested deeper or with more values than these has been made to harm.
const (
	maxDepth = 16
	maxNodes = 1_000_000
)

// syntaxError is a file that can't be read as what its name says it is.
type syntaxError struct {
	line int // 0 = unknown
	text string
}

func (e *syntaxError) Error() string { return e.text }

func errorAt(line int, format string, args ...any) error {
	return &syntaxError{line: line, text: fmt.Sprintf(format, args...)}
}

// parse reads a file by its suffix: .json, .toml, anything else is YAML. Its errors
// are syntaxErrors.
func parse(name string, data []byte) (*node, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".json":
		return parseJSON(data)
	case ".toml":
		return parseTOML(data)
	default:
		return parseYAML(data)
	}
}
