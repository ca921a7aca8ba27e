package register

import (
	"math/rand/v2"
	"time"
)

// RFC 5626 4.5: how long a client waits after failures that follow each other.
const (
	backoffBase = 30 * time.Second
	backoffMax  = 30 * time.Minute
)

// backoff is the wait after so many failures in a row, at least 1: between a
// half and all of an upper bound that doubles (RFC 5626 4.5). roll is random,
// from 0 up to 1. What a Retry-After asks for is kept, and spread by a tenth.
func backoff(failures int, after time.Duration, roll float64) time.Duration {
	bound := backoffMax
	if shift := min(failures, 10); backoffBase<<shift < backoffMax {
		bound = backoffBase << shift
	}
	wait := bound/2 + time.Duration(roll*float64(bound/2))
	if after > 0 {
		return min(after, maxRetryAfter) + time.Duration(roll*float64(after/10+time.Second))
	}
	return wait
}

// maxRetryAfter bounds what a Retry-After is believed: a slip of a registrar's
// should not keep orbits away for a year.
const maxRetryAfter = time.Hour

// refresh is when a registration granted for so long is renewed: at a random
// moment, so that those which began together do not stay so, and early enough
// for one REGISTER without an answer (RFC 3261 10.2.4, 17.1.2.2) where the time
// allows that.
func refresh(granted time.Duration, roll float64) time.Duration {
	low, high := granted*3/4, min(granted*9/10, granted-answerLimit)
	if granted < 4*answerLimit {
		low, high = granted/2, granted*3/5
	}
	return max(minRefresh, low+time.Duration(roll*float64(high-low)))
}

// minRefresh is the shortest pause between two REGISTERs of an account: a
// registrar that grants seconds is not flooded.
const minRefresh = 5 * time.Second

// answerLimit is how long a REGISTER waits for an answer: 64*T1 (RFC 3261
// 17.1.2.2).
const answerLimit = 32 * time.Second

// ping is when the next keep-alive goes out: 80 to 100 % of the interval (RFC
// 5626 4.4.1).
func ping(interval time.Duration, roll float64) time.Duration {
	return time.Duration((0.8 + 0.2*roll) * float64(interval))
}

func roll() float64 { return rand.Float64() }
