package config

import (
	"bytes"
	"net"
	"net/netip"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// YAML is the effective configuration as a file that Load reads, but for secrets,
// which are masked.
func (c Config) YAML() ([]byte, error) {
	var buf bytes.Buffer
	enc := yaml.NewEncoder(&buf)
	enc.SetIndent(2)
	if err := enc.Encode(yamlTable(reflect.ValueOf(c))); err != nil {
		return nil, err
	}
	err := enc.Close()
	return buf.Bytes(), err
}

// yamlTable writes a struct in the order of its keys.
func yamlTable(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch name := f.Tag.Get("mapstructure"); name {
		case "-":
		case ",squash":
			n.Content = append(n.Content, yamlTable(v.Field(i)).Content...)
		default:
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, yamlValue(v.Field(i)))
		}
	}
	return n
}

func yamlValue(v reflect.Value) *yaml.Node {
	l, isLeaf := leaves[v.Type()]
	switch {
	case !isLeaf && v.Kind() == reflect.Struct:
		return yamlTable(v)
	case !isLeaf:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			n.Content = append(n.Content, yamlTable(v.Index(i)))
		}
		if v.Len() == 0 {
			n.Style = yaml.FlowStyle
		}
		return n
	case l.kind == list:
		n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, s := range l.texts(v.Interface()) {
			n.Content = append(n.Content, yamlScalar(l, s))
		}
		return n
	}
	return yamlScalar(l, l.texts(v.Interface())[0])
}

// yamlScalar quotes what would otherwise be read as something else than text.
func yamlScalar(l leaf, s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: s}
	if l.kind == text || l.kind == list {
		n.SetString(s)
		if s == "" || leadingZero.MatchString(s) {
			n.Style = yaml.DoubleQuotedStyle
		}
	}
	return n
}

// URL is where the HTTP interface is reached from this machine; empty if it is off.
func (a Admin) URL() string {
	host, port, err := net.SplitHostPort(a.Listen)
	if err != nil {
		return ""
	}
	return "http://" + net.JoinHostPort(loopback(host), port)
}

// loopback is how a host to listen on is reached from this machine.
func loopback(host string) string {
	switch a, err := netip.ParseAddr(host); {
	case host == "" || err == nil && a.IsUnspecified() && a.Is4():
		return "127.0.0.1"
	case err == nil && a.IsUnspecified():
		return "::1"
	}
	return host
}
