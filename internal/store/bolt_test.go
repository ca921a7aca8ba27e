package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

func TestOneProcessAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := openAt(t, dir, BoltOptions{})
	start := time.Now()
	if other, err := Open(dir, BoltOptions{}); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second owner: %v, %v", other, err)
	}
	if took := time.Since(start); took > 2*lockWait {
		t.Errorf("it took %v to say so", took)
	}
	must(t, write(b, Batch{Put: map[string][]byte{"a": nil}}))
	must(t, b.Close())
	must(t, openAt(t, dir, BoltOptions{}).Close())
}

// A tool that has the file open, and knows nothing of the lock on the directory.
func TestAToolHasTheFileOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, openAt(t, dir, BoltOptions{}).Close())
	db, err := bbolt.Open(file(dir), 0o600, nil)
	must(t, err)
	if b, err := Open(dir, BoltOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("opened beside it: %v, %v", b, err)
	}
	must(t, db.Close())
	b := openAt(t, dir, BoltOptions{})
	if r := b.Report(); r != (Report{}) {
		t.Errorf("reported: %+v", r)
	}
}

func TestTheFileIsPrivate(t *testing.T) {
	dir := t.TempDir()
	openAt(t, dir, BoltOptions{})
	info, err := os.Stat(file(dir))
	must(t, err)
	if info.Mode() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("beside it: %v", entries)
	}
}

func TestNoDirectory(t *testing.T) {
	if b, err := Open(filepath.Join(t.TempDir(), "none"), BoltOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opened %v, %v", b, err)
	}
}

func TestSyncingIsOn(t *testing.T) {
	b := openAt(t, t.TempDir(), BoltOptions{})
	if db := b.writer.file.db; db.NoSync || db.NoGrowSync || db.NoFreelistSync {
		t.Errorf("opened with NoSync %v, NoGrowSync %v, NoFreelistSync %v", db.NoSync, db.NoGrowSync, db.NoFreelistSync)
	}
	for name, o := range map[string]bbolt.Options{"NoSync": {NoSync: true}, "NoGrowSync": {NoGrowSync: true}} {
		db, err := bbolt.Open(filepath.Join(t.TempDir(), "x"), 0o600, &o)
		must(t, err)
		if err := syncs(db); !errors.Is(err, errUnsynced) {
			t.Errorf("%s is accepted: %v", name, err)
		}
		must(t, db.Close())
	}
}

// Whoever counts in blocks by epoch needs them to rise by one.
func TestEpochsRise(t *testing.T) {
	dir := t.TempDir()
	for want := range uint64(5) {
		b := openAt(t, dir, BoltOptions{})
		if b.Epoch() != want+1 {
			t.Errorf("epoch %d, want %d", b.Epoch(), want+1)
		}
		must(t, b.Close())
	}
}

// Also when the file is damaged, as long as something can be read of it.
func TestEpochsRiseInADamagedFile(t *testing.T) {
	for name, damage := range map[string]func(image []byte) []byte{
		"both meta pages":     func(image []byte) []byte { return garble(image, 0, 1) },
		"all but the records": onlyRecords,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t)
			b := openAt(t, dir, BoltOptions{})
			must(t, write(b, Batch{Put: map[string][]byte{"more": nil}}))
			must(t, b.Close())
			must(t, openAt(t, dir, BoltOptions{}).Close()) // who writes no record
			image, err := os.ReadFile(file(dir))
			must(t, err)
			must(t, os.WriteFile(file(dir), damage(image), 0o600))
			b = openAt(t, dir, BoltOptions{})
			if b.Epoch() <= 3 || b.Epoch() > 3+lostEpochs {
				t.Errorf("epoch %d after 3", b.Epoch())
			}
			if r := b.Report(); r.Salvaged != 101 {
				t.Errorf("reported: %+v", r)
			}
		})
	}
}

// onlyRecords garbles all pages that lead to others.
func onlyRecords(image []byte) []byte {
	for n := uint64(0); n < uint64(len(image))/pageSize; n++ {
		p := page(image[n*pageSize:][:pageSize])
		if n < 2 || p.number() != n || p.kind() != leafPage || bytes.Contains(p[:256], []byte(metaBucket)) {
			garble(image, n)
			continue
		}
		n += p.more()
	}
	return image
}

// A batch that changes nothing does not wait for the disk.
func TestNothingToWrite(t *testing.T) {
	b := openAt(t, t.TempDir(), BoltOptions{})
	before := b.txid(t)
	for _, batch := range []Batch{{}, {Del: []string{"never/there"}}, {Put: map[string][]byte{}}} {
		must(t, write(b, batch))
	}
	if after := b.txid(t); after != before {
		t.Errorf("commit %d after %d", after, before)
	}
}

// txid is the number of the newest commit in the file.
func (b *Bolt) txid(t testing.TB) uint64 {
	t.Helper()
	f, err := os.Open(b.path)
	must(t, err)
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	must(t, err)
	c := readContents(f, info.Size())
	if c.fault != nil {
		t.Fatal(c.fault)
	}
	return c.txid
}

// What is appended while a commit is under way is written in one more.
func TestGroups(t *testing.T) {
	b := openAt(t, t.TempDir(), BoltOptions{})
	must(t, write(b, Batch{Put: map[string][]byte{"a": nil}}))
	before := b.txid(t)
	const n = 2000
	done := make(chan error, n)
	for i := range n {
		b.Append(Batch{Put: map[string][]byte{string(rune('a' + i%20)): []byte(strings.Repeat("x", i%100))}}, func(err error) { done <- err })
	}
	for range n {
		must(t, <-done)
	}
	if commits := b.txid(t) - before; commits > n/4 {
		t.Errorf("%d commits for %d batches", commits, n)
	}
}
