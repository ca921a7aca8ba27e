package sipua

import "strings"

// splitOutside cuts s at each sep that stands outside quoted strings and
// angle brackets.
func splitOutside(s string, sep byte) []string {
	var parts []string
	for {
		i := indexOutside(s, sep)
		if i < 0 {
			return append(parts, s)
		}
		parts = append(parts, s[:i])
		s = s[i+1:]
	}
}

// indexOutside finds the first sep in s outside quoted strings and angle
// brackets, or -1.
func indexOutside(s string, sep byte) int {
	quoted, bracket := false, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quoted:
			if c == '\\' {
				i++
			} else if c == '"' {
				quoted = false
			}
		case c == sep && !bracket:
			return i
		case c == '"' && !bracket:
			quoted = true
		case c == '<':
			bracket = true
		case c == '>':
			bracket = false
		}
	}
	return -1
}

// unquote takes the quotes off a quoted-string and undoes its escapes; text
// without quotes is returned as it is.
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	return UnescapeDisplay(s[1 : len(s)-1])
}

// Params are the parameters of a header field in their order. Names compare
// without regard to case (RFC 3261 7.3.1).
type Params []Param

// Param is one parameter; a flag such as lr has no value.
type Param struct{ Name, Value string }

// Get returns the value of the first parameter with that name, unquoted.
func (p Params) Get(name string) (string, bool) {
	for _, q := range p {
		if strings.EqualFold(q.Name, name) {
			return q.Value, true
		}
	}
	return "", false
}

// Has says whether there is a parameter with that name.
func (p Params) Has(name string) bool {
	_, ok := p.Get(name)
	return ok
}

// String writes the parameters as they stand behind a value, each led by a
// semicolon; values that are not tokens are quoted.
func (p Params) String() string {
	var b strings.Builder
	for _, q := range p {
		b.WriteByte(';')
		b.WriteString(Clean(q.Name))
		if q.Value == "" {
			continue
		}
		b.WriteByte('=')
		if isToken(q.Value) || isHost(q.Value) {
			b.WriteString(q.Value)
		} else {
			b.WriteString(QuoteDisplay(q.Value))
		}
	}
	return b.String()
}

func isHost(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("[]:.-", r))
	})
}

// parseParams reads ;name=value pairs; s starts behind the first semicolon.
func parseParams(s string) Params {
	var ps Params
	for _, part := range splitOutside(s, ';') {
		name, value, _ := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); name != "" {
			ps = append(ps, Param{Name: name, Value: unquote(strings.TrimSpace(value))})
		}
	}
	return ps
}
