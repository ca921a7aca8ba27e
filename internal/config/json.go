package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// parseJSON reads one JSON object.
func parseJSON(data []byte) (*node, error) {
	r := jsonReader{data: data, dec: json.NewDecoder(bytes.NewReader(data)), line: 1}
	r.dec.UseNumber()
	n, err := r.value(0)
	if err != nil {
		return nil, r.fail(err)
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, r.fail(errorAt(r.at(), "something after the end of the object"))
	}
	return n, nil
}

// jsonReader walks over tokens and counts lines up to each.
type jsonReader struct {
	data   []byte
	dec    *json.Decoder
	offset int // up to which lines are counted
	line   int
}

// at is the line of the token that was read last.
func (r *jsonReader) at() int {
	end := min(int(r.dec.InputOffset()), len(r.data))
	r.line += bytes.Count(r.data[r.offset:end], []byte("\n"))
	r.offset = end
	return r.line
}

func (r *jsonReader) value(depth int) (*node, error) {
	tok, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{line: r.at()}
	if depth > maxDepth {
		return nil, errorAt(n.line, "nested too deep")
	}
	switch t := tok.(type) {
	case nil:
	case string:
		n.kind, n.text = text, t
	case json.Number:
		n.kind, n.text, n.plain = number, t.String(), true
	case bool:
		n.kind, n.text, n.plain = boolean, "false", true
		if t {
			n.text = "true"
		}
	case json.Delim:
		if t == '[' {
			n.kind = list
			err = r.items(n, depth)
		} else {
			n.kind = table
			err = r.keys(n, depth)
		}
	}
	return n, err
}

func (r *jsonReader) items(n *node, depth int) error {
	for r.dec.More() {
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.list = append(n.list, v)
	}
	_, err := r.dec.Token()
	return err
}

func (r *jsonReader) keys(n *node, depth int) error {
	for r.dec.More() {
		tok, err := r.dec.Token()
		if err != nil {
			return err
		}
		name, _ := tok.(string) // the decoder lets nothing else be a key
		line := r.at()
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.keys = append(n.keys, entry{name: name, line: line, value: v})
	}
	_, err := r.dec.Token()
	return err
}

// fail is err as a syntaxError; one of the decoder's own stands at the token after
// the last one that could be read.
func (r *jsonReader) fail(err error) error {
	var own *syntaxError
	if errors.As(err, &own) {
		return own
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errorAt(1+bytes.Count(r.data, []byte("\n")), "the file ends in the middle")
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		end := min(max(int(syntax.Offset), 0), len(r.data))
		return errorAt(1+bytes.Count(r.data[:end], []byte("\n")), "%v", err)
	}
	return errorAt(r.at(), "%v", err)
}
