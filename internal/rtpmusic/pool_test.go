package rtpmusic

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// poolModel is a pool that is plain and slow.
type poolModel struct {
	free, resting, taken []uint16
	at                   map[uint16]time.Duration
	out                  map[uint16]int
}

func (m *poolModel) take(now time.Duration) (uint16, bool) {
	if len(m.resting) > 0 && now-m.at[m.resting[0]] >= portRest {
		m.free, m.resting = append(m.free, m.resting[0]), m.resting[1:]
	}
	if len(m.taken) > 0 && now-m.at[m.taken[0]] >= portRetry {
		m.free, m.taken = append(m.free, m.taken[0]), m.taken[1:]
	}
	if len(m.free) == 0 {
		return 0, false
	}
	num := m.free[0]
	m.free = m.free[1:]
	m.out[num]++
	return num, true
}

func (m *poolModel) claim(num uint16) {
	is := func(n uint16) bool { return n == num }
	m.free, m.resting, m.taken = slices.DeleteFunc(m.free, is), slices.DeleteFunc(m.resting, is), slices.DeleteFunc(m.taken, is)
	m.out[num]++
}

func (m *poolModel) back(num uint16, to *[]uint16, now time.Duration) {
	if m.out[num]--; m.out[num] > 0 {
		return
	}
	delete(m.out, num)
	*to, m.at[num] = append(*to, num), now
}

func TestPool(t *testing.T) {
	const first, last = 9999, 10021
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := newPool([2]uint16{first, last})
		m := poolModel{at: map[uint16]time.Duration{}, out: map[uint16]int{}}
		for n := uint16(first + 1); n <= last; n += 2 {
			m.free = append(m.free, n)
		}
		var out []uint16 // those of the range, once for each time
		var now time.Duration
		for step := range 2000 {
			now += time.Duration(r.IntN(int(portRetry / 5)))
			switch op := r.IntN(7); {
			case op < 2:
				got, ok := p.take(now)
				want, wantOK := m.take(now)
				if got != want || ok != wantOK {
					t.Fatalf("seed %d, step %d: took %d (%t), want %d (%t)", seed, step, got, ok, want, wantOK)
				}
				if ok {
					out = append(out, got)
				}
			case op == 2:
				num := uint16(first - 3 + r.IntN(last-first+7))
				p.claim(num)
				if num%2 == 0 && num >= first && num <= last {
					m.claim(num)
					out = append(out, num)
				} else {
					p.give(num) // as if it had never been
				}
			case len(out) > 0:
				i := r.IntN(len(out))
				num := out[i]
				out = slices.Delete(out, i, i+1)
				switch op {
				case 3:
					p.refuse(num, now)
					m.back(num, &m.taken, now)
				case 4:
					p.give(num)
					m.back(num, &m.free, now)
				default:
					p.rest(num, now)
					m.back(num, &m.resting, now)
				}
			}
			if want := [poolQueues]int{len(m.free), len(m.resting), len(m.taken)}; p.n != want {
				t.Fatalf("seed %d, step %d: %v numbers, want %v", seed, step, p.n, want)
			}
		}
	}
}

func TestPoolRange(t *testing.T) {
	for _, tt := range []struct {
		ports [2]uint16
		want  []uint16
	}{
		{[2]uint16{}, nil},
		{[2]uint16{0, 4}, []uint16{2, 4}},
		{[2]uint16{10, 10}, []uint16{10}},
		{[2]uint16{11, 11}, nil},
		{[2]uint16{11, 14}, []uint16{12, 14}},
		{[2]uint16{12, 10}, nil},
		{[2]uint16{65531, 65535}, []uint16{65532, 65534}},
		{[2]uint16{65535, 65535}, nil},
	} {
		p := newPool(tt.ports)
		var got []uint16
		for num, ok := p.take(0); ok; num, ok = p.take(0) {
			got = append(got, num)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("of %v: %v, want %v", tt.ports, got, tt.want)
		}
	}
	if p := newPool([2]uint16{1, 65535}); p.n[freeQueue] != 32767 {
		t.Errorf("%d of all", p.n[freeQueue])
	}
}
