package shrink

import (
	"maps"
	"runtime"
	"testing"
)

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Of a hundred thousand few are left: so is of their memory.
func TestMemoryIsGivenBack(t *testing.T) {
	const many, few = 100_000, 100
	before := heap()
	m, most := map[int]int{}, 0
	for i := range many {
		m[i] = -i
	}
	full := heap() - before
	for i := range many - few {
		m = Delete(m, &most, i)
	}
	want := map[int]int{}
	for i := many - few; i < many; i++ {
		want[i] = -i
	}
	if !maps.Equal(m, want) {
		t.Fatalf("%d are left", len(m))
	}
	if after := heap(); after > before+full/20 {
		t.Errorf("%d of %d bytes are kept", after-before, full)
	}
	runtime.KeepAlive(m)
}

// It is made anew seldom: what that copies is little beside what was deleted.
func TestItIsMadeAnewSeldom(t *testing.T) {
	m, most := map[int]int{}, 0
	for i := range 100_000 {
		m[i] = i
	}
	anew, copied := 0, 0
	for i := range 100_000 {
		before := most
		m = Delete(m, &most, i)
		if most < before {
			anew++
			copied += len(m)
		}
	}
	if len(m) != 0 || anew == 0 || anew > 6 || copied > 100_000/7 {
		t.Errorf("%d are left; made anew %d times, %d entries copied", len(m), anew, copied)
	}
}

// Small ones, and those that are never nearly empty, stay as they are.
func TestItIsLeftAlone(t *testing.T) {
	m, most := map[int]int{}, 0
	for i := range 1000 {
		m[i] = i
		m[-i] = i
		if m = Delete(m, &most, -i); most > i+2 {
			t.Fatalf("%d of %d", most, i)
		}
	}
	if len(m) != 999 {
		t.Errorf("%d are left", len(m))
	}
}
