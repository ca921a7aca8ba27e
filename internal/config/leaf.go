package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// leaf says how a type of value without keys of its own is written. Files,
// environment, flags and printing all go by it.
type leaf struct {
	kind  kind                        // list: one or more values; text: any single value as it is written
	parse func([]string) (any, error) // a valueError tells which one of a list
	texts func(any) []string
}

// valueError is the fault of one value of a list.
type valueError struct {
	index int
	err   error
}

func (e *valueError) Error() string { return e.err.Error() }
func (e *valueError) Unwrap() error { return e.err }

// leaves has every type of value that Config is made of.
var leaves = map[reflect.Type]leaf{
	reflect.TypeFor[string]():         one(text, func(s string) (string, error) { return s, nil }, func(s string) string { return s }),
	reflect.TypeFor[Secret]():         one(text, func(s string) (Secret, error) { return Secret(s), nil }, Secret.String),
	reflect.TypeFor[bool]():           one(boolean, parseBool, strconv.FormatBool),
	reflect.TypeFor[int]():            one(number, parseInt, strconv.Itoa),
	reflect.TypeFor[time.Duration]():  one(text, parseDuration, formatDuration),
	reflect.TypeFor[netip.Addr]():     one(text, parseAddr, formatAddr),
	reflect.TypeFor[PortRange]():      one(text, parsePorts, PortRange.String),
	reflect.TypeFor[*regexp.Regexp](): one(text, parseRegexp, (*regexp.Regexp).String),
	reflect.TypeFor[[]string]():       many(func(s string) (string, error) { return s, nil }, func(s string) string { return s }),
	reflect.TypeFor[[]netip.Prefix](): many(parsePrefix, netip.Prefix.String),
	reflect.TypeFor[[]Listen]():       many(parseListen, Listen.String),
	reflect.TypeFor[DurationRange](): {
		kind:  list,
		parse: parseDurationRange,
		texts: func(v any) []string {
			d := v.(DurationRange)
			return []string{formatDuration(d.Min), formatDuration(d.Max)}
		},
	},
	reflect.TypeFor[Extensions](): {
		kind:  list,
		parse: parseExtensions,
		texts: func(v any) []string { return v.(Extensions) },
	},
}

// one is the leaf of a single value.
func one[T any](k kind, parse func(string) (T, error), format func(T) string) leaf {
	return leaf{
		kind: k,
		parse: func(s []string) (any, error) {
			if len(s) != 1 {
				return nil, errors.New("one value is expected")
			}
			return parse(s[0])
		},
		texts: func(v any) []string { return []string{format(v.(T))} },
	}
}

// many is the leaf of a list, whose values are read one by one.
func many[T any](parse func(string) (T, error), format func(T) string) leaf {
	return leaf{
		kind: list,
		parse: func(s []string) (any, error) {
			var out []T // nil if empty, as in Default
			var errs []error
			for i := range s {
				v, err := parse(s[i])
				if err != nil {
					errs = append(errs, &valueError{i, err})
				}
				out = append(out, v)
			}
			return out, errors.Join(errs...)
		},
		texts: func(v any) []string {
			out := []string{}
			for _, item := range v.([]T) {
				out = append(out, format(item))
			}
			return out
		},
	}
}

// split is a text of an environment variable or flag as the values of a leaf.
func (l leaf) split(s string) []string {
	if l.kind != list {
		return []string{s}
	}
	parts := []string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", s)
}

func parseInt(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%q is not a whole number", s)
	}
	return n, nil
}

func parseDuration(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil && s != "0" {
		return 0, fmt.Errorf("%s lacks a unit, as in %ss or 2m", s, s)
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30s, 2m or 1h30m", s)
	}
	return d, nil
}

// formatDuration writes 2m where time.Duration writes 2m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func parseDurationRange(s []string) (any, error) {
	if len(s) != 2 {
		return DurationRange{}, errors.New("two durations are expected, the shortest and the longest")
	}
	var d [2]time.Duration
	var errs []error
	for i := range d {
		var err error
		if d[i], err = parseDuration(s[i]); err != nil {
			errs = append(errs, &valueError{i, err})
		}
	}
	return DurationRange{d[0], d[1]}, errors.Join(errs...)
}

func parseAddr(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, fmt.Errorf("%q is not an IP address", s)
	}
	return a, nil
}

func formatAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// parsePrefix takes 10.0.0.0/8, and 192.0.2.7 as that one address.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is not a network such as 10.0.0.0/8 or fc00::/7", s)
	}
	if p != p.Masked() {
		return p, fmt.Errorf("%s has bits to the right of its mask; the network is %s", s, p.Masked())
	}
	return p, nil
}

func parsePorts(s string) (PortRange, error) {
	low, high, found := strings.Cut(s, "-")
	l, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 16)
	h, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 16)
	if !found || err1 != nil || err2 != nil {
		return PortRange{}, fmt.Errorf("%q is not a range of ports such as 10000-32767", s)
	}
	return PortRange{uint16(l), uint16(h)}, nil
}

func parseRegexp(s string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return re, nil
}

// parseListen takes udp://:5060, tcp://192.0.2.7 and tls://[2001:db8::1]:5061; the
// port that is not there is 5060, for tls 5061 (RFC 3261 19.1.2).
func parseListen(s string) (Listen, error) {
	network, rest, found := strings.Cut(s, "://")
	if !found || network != "udp" && network != "tcp" && network != "tls" {
		return Listen{}, fmt.Errorf("%q does not begin with udp://, tcp:// or tls://", s)
	}
	l := Listen{Network: network, Port: 5060}
	if network == "tls" {
		l.Port = 5061
	}
	host := rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		port, err := strconv.ParseUint(rest[i+1:], 10, 16)
		if err != nil {
			return l, fmt.Errorf("%q: %q is not a port", s, rest[i+1:])
		}
		l.Port, host = uint16(port), rest[:i]
	}
	if host == "" {
		return l, nil
	}
	bare := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	a, err := netip.ParseAddr(bare)
	if err != nil || (bare != host) != a.Is6() {
		return l, fmt.Errorf("%q: %q is not an IP address (IPv6 in brackets, nothing for every address)", s, host)
	}
	l.Host = a
	return l, nil
}
