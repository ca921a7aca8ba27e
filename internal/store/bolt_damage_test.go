package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sample is a file as it is in use: 400 records of up to 3 KB, some deleted
// again, and a last commit of one batch. The state before that is in it too.
type sample struct {
	image  []byte
	values map[string][]byte // in the last state
	last   []string          // keys of the last batch
	ever   map[string]string // what was written first under each key
}

// judge asserts that a value is in the last state or, under a key of the last
// batch, in the one before; with old also that of a key that was deleted.
func (s *sample) judge(t *testing.T, key string, value []byte, old bool) {
	t.Helper()
	want, there := s.values[key]
	switch {
	case there && bytes.Equal(value, want):
	case there && slices.Contains(s.last, key) && string(value) == s.ever[key]:
	case !there && old && string(value) == s.ever[key]:
	default:
		t.Errorf("%s is %.20q of %d bytes, was %.20q of %d", key, value, len(value), want, len(want))
	}
}

func newSample(t testing.TB) *sample {
	t.Helper()
	dir := t.TempDir()
	b := openAt(t, dir, BoltOptions{})
	r := rand.New(rand.NewPCG(1, 1))
	s := &sample{last: []string{key(7), key(77)}, ever: map[string]string{}}
	for i := range 400 {
		s.ever[key(i)] = strings.Repeat(fmt.Sprint(i, "."), r.IntN(600))
		batch := Batch{Put: map[string][]byte{key(i): []byte(s.ever[key(i)])}}
		if i%4 == 3 {
			batch.Del = append(batch.Del, key(r.IntN(i)))
		}
		must(t, write(b, batch))
	}
	must(t, write(b, Batch{Put: map[string][]byte{"x": nil}}))
	must(t, write(b, Batch{Put: map[string][]byte{s.last[0]: []byte("new"), s.last[1]: []byte("new")}}))
	var err error
	s.values, err = b.Load("")
	must(t, err)
	must(t, b.Close())
	s.image, err = os.ReadFile(file(dir))
	must(t, err)
	return s
}

func key(i int) string { return fmt.Sprintf("7%02d/call/%x", i%20, i*7919) }

// pages returns the pages of a kind that are in use in the last state, but for
// the root bucket's.
func (s *sample) pages(t testing.TB, kind uint16) []uint64 {
	t.Helper()
	w := &walk{r: bytes.NewReader(s.image), contents: &contents{values: map[string]stored{}, pages: uint64(len(s.image)) / pageSize}}
	w.seen = make([]bool, w.pages)
	m := w.states()[0]
	w.state(m)
	if w.fault != nil {
		t.Fatal(w.fault)
	}
	var found []uint64
	for n := uint64(2); n < m.limit; n++ {
		p := page(s.image[n*pageSize:][:pageSize])
		if w.seen[n] && n != m.root && p.number() == n && p.kind() == kind {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no page of kind %#x", kind)
	}
	return found
}

// newest is the number of the meta page of the last state.
func (s *sample) newest() int {
	a, _ := readMeta(s.image[:pageSize])
	b, _ := readMeta(s.image[pageSize : 2*pageSize])
	if a.txid > b.txid {
		return 0
	}
	return 1
}

func garble(image []byte, pages ...uint64) []byte {
	for _, n := range pages {
		for i := range image[n*pageSize:][:pageSize] {
			image[int(n)*pageSize+i] = byte(i * 31)
		}
	}
	return image
}

// inPage returns where something is within the leaf that is in use.
func (s *sample) find(t testing.TB, what string) int {
	t.Helper()
	for _, n := range s.pages(t, leafPage) {
		size := (1 + page(s.image[n*pageSize:]).more()) * pageSize
		if i := bytes.Index(s.image[n*pageSize:][:size], []byte(what)); i >= 0 {
			return int(n)*pageSize + i
		}
	}
	t.Fatalf("%q is nowhere", what)
	return 0
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	all := len(s.values)
	for name, c := range map[string]struct {
		damage func(image []byte) []byte
		least  int // so many records are salvaged at least
		lost   bool
		old    bool // deleted ones may come back
	}{
		"nothing in it":        {func([]byte) []byte { return nil }, 0, true, false},
		"one byte":             {func(b []byte) []byte { return b[:1] }, 0, true, false},
		"the meta pages only":  {func(b []byte) []byte { return b[:2*pageSize] }, 0, true, false},
		"cut in half":          {func(b []byte) []byte { return b[:len(b)/2+100] }, all / 8, true, true},
		"cut by a byte":        {func(b []byte) []byte { return b[:s.end(t)-1] }, all / 2, true, true},
		"a text":               {func([]byte) []byte { return []byte(strings.Repeat("not a database\n", 1000)) }, 0, true, false},
		"zeros":                {func(b []byte) []byte { return make([]byte, len(b)) }, 0, true, false},
		"the newest meta page": {func(b []byte) []byte { return garble(b, uint64(s.newest())) }, all, false, false},
		"the older meta page":  {func(b []byte) []byte { return garble(b, uint64(1-s.newest())) }, all, false, false},
		"both meta pages":      {func(b []byte) []byte { return garble(b, 0, 1) }, all, false, false},
		"all branches":         {func(b []byte) []byte { return garble(b, s.pages(t, branchPage)...) }, all, true, false},
		"the freelist":         {func(b []byte) []byte { return garble(b, s.pages(t, freelistPage)...) }, all, false, false},
		"a leaf":               {func(b []byte) []byte { return garble(b, s.pages(t, leafPage)[5]) }, all - 5, true, false},
		"a leaf in another's place": {func(b []byte) []byte {
			leaves := s.pages(t, leafPage)
			copy(b[leaves[3]*pageSize:][:pageSize], b[leaves[9]*pageSize:][:pageSize])
			return b
		}, all - 5, true, false},
		"the root bucket": {func(b []byte) []byte {
			m, _ := readMeta(b[s.newest()*pageSize:][:pageSize])
			return garble(b, m.root)
		}, all, true, true},
		"the newest leaf": {func(b []byte) []byte { return garble(b, uint64(s.find(t, s.last[0]+"new")/pageSize)) }, all, true, false},
		"a value":         {func(b []byte) []byte { b[s.find(t, "123.123.123")] ^= 4; return b }, all - 1, true, false},
		"a key":           {func(b []byte) []byte { b[s.find(t, key(200))+8] ^= 1; return b }, all - 5, true, false},
		"the format": {func(b []byte) []byte {
			m, _ := readMeta(b[s.newest()*pageSize:][:pageSize])
			i := bytes.Index(b[m.root*pageSize:][:pageSize], []byte(formatKey))
			b[int(m.root)*pageSize+i+len(formatKey)] ^= 1
			return b
		}, all, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, image := t.TempDir(), c.damage(slices.Clone(s.image))
			must(t, os.WriteFile(file(dir), image, 0o600))
			b := openAt(t, dir, BoltOptions{})
			r := b.Report()
			if !errors.Is(r.Why, ErrDamaged) || r.Salvaged < c.least || (r.Lost > 0) != c.lost {
				t.Errorf("reported: %+v; of %d records at least %d can be had", r, all, c.least)
			}
			if kept, err := os.ReadFile(r.SetAside); err != nil || !bytes.Equal(kept, image) {
				t.Errorf("set aside %q: not as it was, %v", r.SetAside, err)
			}
			values, err := b.Load("")
			must(t, err)
			if len(values) != r.Salvaged {
				t.Errorf("%d values, %d salvaged", len(values), r.Salvaged)
			}
			for k, v := range values {
				s.judge(t, k, v, c.old)
			}
			must(t, write(b, Batch{Put: map[string][]byte{"more": []byte("1")}}))
			must(t, b.Close())
			again(t, dir, len(values)+1)
		})
	}
}

// end is where the last page that is in use ends.
func (s *sample) end(t testing.TB) int {
	t.Helper()
	leaves := s.pages(t, leafPage)
	n := leaves[len(leaves)-1]
	return int(n+1+page(s.image[n*pageSize:]).more()) * pageSize
}

// again asserts that a store opens without a report, with n values.
func again(t *testing.T, dir string, n int) {
	t.Helper()
	b := openAt(t, dir, BoltOptions{})
	if r := b.Report(); r != (Report{}) {
		t.Errorf("opened again: %+v", r)
	}
	values, err := b.Load("")
	must(t, err)
	if len(values) != n {
		t.Errorf("opened again: %d values, want %d", len(values), n)
	}
	must(t, b.Close())
}

// Whatever is written over a file, opening it works, what is loaded was in it
// in one of its last two states, and bbolt finds nothing that the check did not.
func TestRandomDamage(t *testing.T) {
	t.Parallel()
	s := newSample(t)
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 5))
		image := slices.Clone(s.image)
		end := s.end(t)
		for range 1 + r.IntN(4) {
			switch at := r.IntN(end); r.IntN(3) {
			case 0:
				image[at] ^= 1 << r.IntN(8)
			case 1: // where lengths and numbers are
				binary.NativeEndian.PutUint32(image[at/pageSize*pageSize+r.IntN(16)*4:], r.Uint32()>>r.IntN(32))
			case 2:
				clear(image[at : at+min(r.IntN(pageSize), end-at)])
			}
		}
		dir := t.TempDir()
		must(t, os.WriteFile(file(dir), image, 0o600))
		b := openAt(t, dir, BoltOptions{})
		values, err := b.Load("")
		must(t, err)
		for k, v := range values {
			s.judge(t, k, v, true)
		}
		if len(values) < len(s.values) && b.Report().Lost == 0 {
			t.Errorf("seed %d: %d of %d values, nothing lost: %+v", seed, len(values), len(s.values), b.Report())
		}
		before := b.Report()
		for i := range 8 {
			must(t, write(b, Batch{Put: map[string][]byte{key(i * 20): []byte("again")}, Del: []string{key(i * 19)}}))
		}
		if after := b.Report(); after != before {
			t.Errorf("seed %d: found only when it was used: %v, after %v", seed, after.Why, before.Why)
		}
		must(t, b.Close())
	}
}

func TestADirectoryInItsPlace(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(file(dir), "below"), 0o700))
	b := openAt(t, dir, BoltOptions{})
	if _, err := os.Stat(filepath.Join(b.Report().SetAside, "below")); err != nil {
		t.Errorf("reported %+v: %v", b.Report(), err)
	}
	must(t, write(b, Batch{Put: map[string][]byte{"a": nil}}))
	must(t, b.Close())
	again(t, dir, 1)
}

// What a killed process left of a file that it was making is in nobody's way.
func TestAnUnfinishedFile(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(file(dir)+".new", []byte("half"), 0o600))
	b := openAt(t, dir, BoltOptions{})
	must(t, write(b, Batch{Put: map[string][]byte{"a": nil}}))
	must(t, b.Close())
	if _, err := os.Stat(file(dir) + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	again(t, dir, 1)
}

func TestNamesBesideTheFile(t *testing.T) {
	dir := t.TempDir()
	names := map[string]bool{}
	for range 3 {
		must(t, os.WriteFile(file(dir), []byte("damaged"), 0o600))
		b := openAt(t, dir, BoltOptions{})
		names[b.Report().SetAside] = true
		must(t, b.Close())
	}
	if len(names) != 3 {
		t.Errorf("three files were set aside as %v", names)
	}
}

// Two patches of a file: what can be read of it has been in it.
func FuzzReadContents(f *testing.F) {
	image, err := os.ReadFile(fixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint16(0), []byte{}, uint16(0), []byte{})
	f.Add(uint16(4*pageSize+10), []byte{0xff, 0xff}, uint16(8), []byte{1})
	f.Fuzz(func(t *testing.T, at uint16, patch []byte, then uint16, more []byte) {
		damaged := slices.Clone(image)
		copy(damaged[int(at)%len(image):], patch)
		copy(damaged[int(then)%len(image):], more)
		c := readContents(bytes.NewReader(damaged), int64(len(damaged)))
		for k, v := range c.values {
			if want, ok := written[k]; (!ok || want != string(v.value)) && k != "gone" {
				t.Errorf("%q is %q", k, v.value)
			}
		}
		if c.fault == nil && (len(c.values) != len(written) || c.format != Format) {
			t.Errorf("%d values of format %d, and no fault", len(c.values), c.format)
		}
	})
}
