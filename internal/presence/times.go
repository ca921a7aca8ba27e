package presence

import "time"

// There are ten thousand subscriptions, and a time.Time takes 24 bytes: they keep
// times as counts of eight.

// instant is a time of the monotonic clock, for waiting, in nanoseconds from some
// moment; 0 = none.
type instant int64

var origin = time.Now()

func instantOf(t time.Time) instant {
	if t.IsZero() {
		return 0
	}
	return instant(t.Sub(origin))
}

func (i instant) time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return origin.Add(time.Duration(i))
}

// stamp is a time of the wall clock, for the record and for people, in nanoseconds
// since 1970; 0 = none.
type stamp int64

func stampOf(t time.Time) stamp {
	if t.IsZero() {
		return 0
	}
	return stamp(t.UnixNano())
}

func (s stamp) time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(s))
}
