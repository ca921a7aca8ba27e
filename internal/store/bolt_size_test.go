package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// A file is used again where calls have ended: fifty thousand of them, at
// most 500 at a time.
func TestTheFileDoesNotGrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openAt(t, dir, BoltOptions{})
	r := rand.New(rand.NewPCG(1, 1))
	var live []string
	done := make(chan error, 50_000)
	value := []byte(strings.Repeat("v", 2000))
	for i := range 50_000 {
		batch := Batch{}
		if n := r.IntN(len(live) + 1); len(live) == 500 && n < 500 {
			batch.Del = []string{live[n]}
			live[n] = live[499]
			live = live[:499]
		}
		if len(live) < 500 {
			id := fmt.Sprintf("70%d/call/%016x", i%9, r.Uint64())
			batch.Put = map[string][]byte{id: value}
			live = append(live, id)
		}
		b.Append(batch, func(err error) { done <- err })
		if i >= 100 { // so many wait for the disk
			must(t, <-done)
		}
	}
	must(t, b.Close())
	info, err := os.Stat(file(dir))
	must(t, err)
	if info.Size() > 12<<20 {
		t.Errorf("%d MB for 1 MB of values", info.Size()>>20)
	}
	again(t, dir, 500)
}

func TestCompaction(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openAt(t, dir, BoltOptions{})
	big := make([]byte, 1<<20)
	for i := range 80 {
		must(t, write(b, Batch{Put: map[string][]byte{fmt.Sprint(i): big}}))
	}
	for i := range 79 {
		must(t, write(b, Batch{Del: []string{fmt.Sprint(i)}}))
	}
	must(t, b.Close())
	before, err := os.Stat(file(dir))
	must(t, err)
	b = openAt(t, dir, BoltOptions{})
	if r := b.Report(); r != (Report{Compacted: true}) {
		t.Errorf("reported: %+v", r)
	}
	must(t, b.Close())
	after, err := os.Stat(file(dir))
	must(t, err)
	if before.Size() < compactSize || after.Size() > 4<<20 {
		t.Errorf("%d bytes became %d", before.Size(), after.Size())
	}
	again(t, dir, 1)
}
