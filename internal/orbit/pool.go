package orbit

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
)

// Pick says which of its free orbits a pool takes.
type Pick uint8

// The values of pools[].pick.
const (
	PickFirst       Pick = iota // in the order of the configuration
	PickNext                    // the one behind the last that was taken, round and round
	PickRandom                  // any
	PickLongestFree             // the one that has been free for longest
)

// Pool is the configuration of an extension that parks calls in a free orbit of
// its own.
type Pool struct {
	Extension string
	Orbits    []string
	Pick      Pick
	Overflow  string // where calls go when no orbit is free: a pool, an orbit, else an extension of the PBX; "" = nowhere
	Announce  bool   // who dialled it, and so may be about to transfer somebody here, is told the orbit
	Message   bool   // the parker of a transferred call is sent the orbit as a text
}

// pool is a Pool and what of its orbits is free. What a step costs does not grow
// with how many are taken, and with the number of its orbits only as its logarithm.
type pool struct {
	Pool
	tree  seats
	queue idle
	last  int  // the seat that was taken last, -1 = none was
	full  bool // as lamps have been told
	stir  bool // they may have to be told otherwise
}

// seat is an orbit's place in a pool.
type seat struct {
	pool  *pool
	index int
}

// free reports whether the orbit is one that a pool may take.
func (p *place) free() bool { return p.Enabled && !p.removed && p.count == 0 }

// oldest is the place in the FIFO of the call that a retrieve takes, 0 = there is none.
func (p *place) oldest() uint64 {
	if p.head == nil {
		return 0
	}
	return p.head.Seq
}

// newPools makes the pools of settings. Each takes over from a former one of its
// extension what the order of its orbits is.
func newPools(set []Pool, places map[string]*place, former map[string]*pool) map[string]*pool {
	for _, p := range places {
		p.seats = nil
	}
	pools := make(map[string]*pool, len(set))
	for _, conf := range set {
		p := &pool{Pool: conf, tree: newSeats(len(conf.Orbits)), queue: newIdle(len(conf.Orbits)), last: -1}
		pools[conf.Extension] = p
		for i, ext := range conf.Orbits {
			if o := places[ext]; o != nil && !o.removed {
				o.seats = append(o.seats, seat{p, i})
				p.tree.set(i, o.free(), o.oldest())
			}
		}
		was := former[conf.Extension]
		for _, i := range p.succession(was) {
			if p.tree.free(i) {
				p.queue.push(i)
			}
		}
		p.full = p.tree.count() == 0
		if was != nil {
			p.full, p.stir = was.full, true
		}
	}
	return pools
}

// succession is the order in which a pool's orbits became free: as a former pool
// has it, and those that it did not have free last.
func (p *pool) succession(was *pool) []int {
	order := make([]int, len(p.Orbits))
	for i := range order {
		order[i] = i
	}
	if was == nil {
		return order
	}
	rank := map[string]int{}
	for i := was.queue.first(); i >= 0; i = was.queue.after(i) {
		rank[was.Orbits[i]] = len(rank) - len(was.Orbits)
	}
	slices.SortStableFunc(order, func(a, b int) int { return rank[p.Orbits[a]] - rank[p.Orbits[b]] })
	if was.last >= 0 {
		p.last = slices.Index(p.Orbits, was.Orbits[was.last])
	}
	return order
}

// sit tells the pools of a place what has become of it.
func (s *State) sit(p *place) {
	if p == nil {
		return
	}
	for _, at := range p.seats {
		q, free := at.pool, p.free()
		switch was := q.tree.free(at.index); {
		case free && !was:
			q.queue.push(at.index)
		case was && !free:
			q.queue.remove(at.index)
			q.last = at.index
		}
		q.tree.set(at.index, free, p.oldest())
		if q.full != (q.tree.count() == 0) && !q.stir {
			q.stir = true
			s.stirred = append(s.stirred, q)
		}
	}
}

// turned lists the pools whose lamp has to be told that it changed, and takes it
// that it will be.
func (s *State) turned() (exts []string) {
	for _, p := range s.stirred {
		p.stir = false
		if full := p.tree.count() == 0; full != p.full {
			p.full = full
			exts = append(exts, p.Extension)
		}
	}
	s.stirred = s.stirred[:0]
	return exts
}

// pick is the free orbit that a call on leg would get, -1 if there is none. A leg's
// id is random; the same one draws the same orbit, whoever decides it again.
func (p *pool) pick(leg string) int {
	n := p.tree.count()
	if n == 0 {
		return -1
	}
	switch p.Pick {
	case PickNext:
		return p.tree.choose(p.tree.before(p.last+1) % n)
	case PickRandom:
		h := fnv.New64a()
		h.Write([]byte(leg))
		return p.tree.choose(int(h.Sum64() % uint64(n)))
	case PickLongestFree:
		return p.queue.first()
	}
	return p.tree.choose(0)
}

// Elsewhere is the refusal of a full pool whose calls go to an extension of the PBX.
type Elsewhere struct{ Extension string }

// Error implements error.
func (e *Elsewhere) Error() string { return "pool full, calls go to " + e.Extension }

// lot resolves an extension to the orbit that a new call on leg would be parked in,
// and to the pool that was dialled, nil if it was an orbit. Everything that parks a
// call by an extension asks it: an INVITE here, and whatever moves a call by REFER.
// The orbit may yet refuse. ErrUnknown, ErrFull and *Elsewhere.
func (s *State) lot(ext, leg string) (*place, *pool, error) {
	dialled := s.pools[ext]
	if dialled == nil {
		if p := s.places[ext]; p != nil {
			return p, nil, nil
		}
		return nil, nil, fmt.Errorf("park on %q: %w", ext, ErrUnknown)
	}
	full := func(err error) (*place, *pool, error) { return nil, nil, &Refusal{ext, "park", err} }
	at := dialled
	for range len(s.pools) { // overflows in a ring are no valid configuration
		if i := at.pick(leg); i >= 0 {
			return s.places[at.Orbits[i]], dialled, nil
		}
		to := at.Overflow
		if next := s.pools[to]; next != nil {
			at = next
			continue
		}
		switch p := s.places[to]; {
		case to == "":
			return full(ErrFull)
		case p != nil:
			return p, dialled, nil
		}
		return full(&Elsewhere{to})
	}
	return full(ErrFull)
}

// head is the call that a retrieve from an extension takes: the oldest in an orbit,
// or in all orbits of a pool. nil if there is none.
func (s *State) head(ext string) *entry {
	if p := s.pools[ext]; p != nil {
		if i := p.tree.oldest(); i >= 0 {
			return s.places[p.Orbits[i]].head
		}
	}
	if p := s.places[ext]; p != nil {
		return p.head
	}
	return nil
}

// ours reports whether an extension is an orbit's or a pool's.
func (s *State) ours(ext string) bool { return s.places[ext] != nil || s.pools[ext] != nil }

// PoolExtensions lists the pools' extensions, sorted.
func (s *State) PoolExtensions() []string { return slices.Sorted(maps.Keys(s.pools)) }

// PoolView is a pool as operators see it.
type PoolView struct {
	Extension   string
	Free, Total int
}

// Pools lists the pools, by extension.
func (s *State) Pools() []PoolView {
	list := make([]PoolView, 0, len(s.pools))
	for ext, p := range s.pools {
		list = append(list, PoolView{ext, p.tree.count(), len(p.Orbits)})
	}
	slices.SortFunc(list, func(a, b PoolView) int { return strings.Compare(a.Extension, b.Extension) })
	return list
}

func (p *pool) view() View {
	v := View{Orbit: p.Extension, Enabled: true, State: "free"}
	if p.tree.count() == 0 {
		v.Full, v.State = true, "full"
	}
	return v
}
