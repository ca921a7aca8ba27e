package sipua

import "time"

// kept is how long what has been answered is remembered: 64*T1, in which a
// peer may repeat itself (RFC 3261 17.1.1.2, Timer D; 17.2.1, Timer H; RFC
// 6026 7.1, Timer L).
const kept = 32 * time.Second

// recent remembers values for the time kept; when there are too many, the
// oldest are forgotten. It starts no timer, and belongs to whoever holds its
// owner's lock.
type recent[V any] struct {
	values map[string]recentValue[V]
	order  []recentKey // oldest first
}

type recentValue[V any] struct {
	v  V
	at time.Time
}

type recentKey struct {
	key string
	at  time.Time
}

// put remembers a value from now on, as one of at most limit.
func (r *recent[V]) put(key string, v V, limit int) {
	now := time.Now()
	r.forget(now, limit-1)
	if r.values == nil {
		r.values = map[string]recentValue[V]{}
	}
	r.values[key] = recentValue[V]{v, now}
	r.order = append(r.order, recentKey{key, now})
}

// get finds a value that is remembered still.
func (r *recent[V]) get(key string) (V, bool) {
	r.forget(time.Now(), len(r.order))
	e, ok := r.values[key]
	return e.v, ok
}

// count counts what is remembered still.
func (r *recent[V]) count(now time.Time) int {
	r.forget(now, len(r.order))
	return len(r.values)
}

// forget drops what is too old, and the oldest beyond limit.
func (r *recent[V]) forget(now time.Time, limit int) {
	n := 0
	for ; n < len(r.order) && (len(r.order)-n > limit || now.Sub(r.order[n].at) >= kept); n++ {
		if k := r.order[n]; r.values[k.key].at.Equal(k.at) { // else it was put again
			delete(r.values, k.key)
		}
		r.order[n] = recentKey{} // the array stays for a while
	}
	if r.order = r.order[n:]; len(r.order) == 0 {
		r.order = nil
	}
}
