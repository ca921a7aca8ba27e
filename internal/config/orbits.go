package config

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// maxRange bounds one range of extensions, so that a slip of the finger does not
// make a million orbits.
const maxRange = 10_000

var (
	rangePattern     = regexp.MustCompile(`^([0-9]+)-([0-9]+)$`)
	extensionPattern = regexp.MustCompile(`^[A-Za-z0-9*#+._-]{1,64}$`)
	leadingZero      = regexp.MustCompile(`^0[0-9]+(-[0-9]+)?$`)
)

// expand is the extensions that one text means: itself, or those of a range such
// as 702-710. With leading zeros both ends have as many digits.
func expand(s string) (Extensions, error) {
	m := rangePattern.FindStringSubmatch(s)
	if m == nil {
		if !extensionPattern.MatchString(s) {
			return nil, fmt.Errorf("%q is not an extension (letters, digits and * # + . _ -) nor a range such as 702-710", s)
		}
		return Extensions{s}, nil
	}
	low, err1 := strconv.ParseUint(m[1], 10, 63)
	high, err2 := strconv.ParseUint(m[2], 10, 63)
	switch {
	case err1 != nil || err2 != nil:
		return nil, fmt.Errorf("%s: too many digits for a range", s)
	case (m[1][0] == '0' || m[2][0] == '0') && len(m[1]) != len(m[2]):
		return nil, fmt.Errorf("%s: with leading zeros both ends need as many digits", s)
	case high < low:
		return nil, fmt.Errorf("%s ends before it begins", s)
	case high-low >= maxRange:
		return nil, fmt.Errorf("%s has more than %d extensions", s, maxRange)
	}
	out := make(Extensions, 0, high-low+1)
	for n := low; n <= high; n++ {
		out = append(out, fmt.Sprintf("%0*d", len(m[1]), n))
	}
	return out, nil
}

// parseExtensions expands each text of a list.
func parseExtensions(s []string) (any, error) {
	var out Extensions
	var errs []error
	for i := range s {
		more, err := expand(s[i])
		if err != nil {
			errs = append(errs, &valueError{i, err})
		}
		if out = append(out, more...); len(out) > 10*maxRange {
			return out, fmt.Errorf("more than %d extensions", 10*maxRange)
		}
	}
	return out, errors.Join(errs...)
}
