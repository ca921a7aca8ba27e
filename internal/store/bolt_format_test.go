package store

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

var update = flag.Bool("update", false, "make the file of the present format anew")

// fixture is a file of the present format. When the format changes, this one
// stays and another is added: each parkd reads the files of all before it.
const fixture = "testdata/format1.db"

// written is what is in the files of testdata.
var written = map[string]string{
	"701/call/5b0c":           `{"id":"5b0c"}`,
	"701/leg/9d1e":            strings.Repeat("sdp ", 500),
	"lobby%2Fwest/call/77":    "",
	"phones@office/sub/1f-22": "\x00\xff",
}

func TestFormats(t *testing.T) {
	if *update {
		makeFixture(t)
	}
	for _, name := range []string{fixture} {
		t.Run(name, func(t *testing.T) {
			image, err := os.ReadFile(name)
			must(t, err)
			dir := t.TempDir()
			must(t, os.WriteFile(file(dir), image, 0o600))
			b := openAt(t, dir, BoltOptions{})
			if r := b.Report(); r.Why != nil {
				t.Fatalf("reported: %+v", r)
			}
			values, err := b.Load("")
			must(t, err)
			if len(values) != len(written) {
				t.Errorf("%d values", len(values))
			}
			for k, v := range written {
				if string(values[k]) != v {
					t.Errorf("%s is %q", k, values[k])
				}
			}
		})
	}
}

func makeFixture(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	b := openAt(t, dir, BoltOptions{Release: "the parkd that had format 1"})
	for k, v := range written {
		must(t, write(b, Batch{Put: map[string][]byte{k: []byte(v), "gone": nil}}))
	}
	must(t, write(b, Batch{Del: []string{"gone"}}))
	must(t, b.Close())
	image, err := os.ReadFile(file(dir))
	must(t, err)
	must(t, os.MkdirAll("testdata", 0o755))
	must(t, os.WriteFile(fixture, image, 0o644))
}

// old makes a file of format 1, and returns its directory.
func old(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	b := openAt(t, dir, BoltOptions{Release: "old", schema: &schema{format: 1}})
	must(t, write(b, Batch{Put: map[string][]byte{"a": []byte("1"), "b": []byte("2")}}))
	must(t, b.Close())
	return dir
}

// shout puts a mark before each value: format n becomes n+1.
func shout(mark string) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		data := tx.Bucket([]byte(dataBucket))
		loud := map[string][]byte{}
		err := data.ForEach(func(number, record []byte) error {
			k, v, _ := unseal(number, record)
			loud[string(number)] = seal(nil, number, string(k), append([]byte(mark), v...))
			return nil
		})
		for number, record := range loud {
			err = errors.Join(err, data.Put([]byte(number), record))
		}
		return err
	}
}

func TestMigration(t *testing.T) {
	dir := old(t)
	third := &schema{format: 3, migrations: map[int]func(*bbolt.Tx) error{1: shout("two "), 2: shout("three ")}}
	for _, want := range []Report{{Migrated: 1}, {}} { // once
		b := openAt(t, dir, BoltOptions{schema: third})
		if r := b.Report(); r != want {
			t.Errorf("reported: %+v", r)
		}
		values, err := b.Load("")
		must(t, err)
		if string(values["a"]) != "three two 1" || string(values["b"]) != "three two 2" {
			t.Errorf("values: %q", values)
		}
		must(t, b.Close())
	}
}

// A damaged file of an older format is salvaged, then migrated.
func TestMigrationOfADamagedFile(t *testing.T) {
	dir := old(t)
	image, err := os.ReadFile(file(dir))
	must(t, err)
	must(t, os.WriteFile(file(dir), garble(image, 0), 0o600))
	b := openAt(t, dir, BoltOptions{schema: &schema{format: 2, migrations: map[int]func(*bbolt.Tx) error{1: shout("two ")}}})
	if r := b.Report(); r.SetAside == "" || r.Salvaged != 2 || r.Migrated != 1 {
		t.Errorf("reported: %+v", r)
	}
	values, err := b.Load("")
	must(t, err)
	if string(values["a"]) != "two 1" {
		t.Errorf("values: %q", values)
	}
}

func TestMigrationThatFails(t *testing.T) {
	failed := errors.New("cannot")
	for name, migrations := range map[string]map[int]func(*bbolt.Tx) error{
		"with an error": {1: shout("two "), 2: func(*bbolt.Tx) error { return failed }},
		"there is none": {1: shout("two ")},
	} {
		t.Run(name, func(t *testing.T) {
			dir := old(t)
			before, err := os.ReadFile(file(dir))
			must(t, err)
			b := openAt(t, dir, BoltOptions{schema: &schema{format: 3, migrations: migrations}})
			r := b.Report()
			if r.SetAside == "" || r.Salvaged != 0 || !errors.Is(r.Why, ErrDamaged) {
				t.Errorf("reported: %+v", r)
			}
			must(t, write(b, Batch{Put: map[string][]byte{"c": nil}}))
			must(t, b.Close())
			// The old parkd can have its file back.
			must(t, os.Rename(r.SetAside, file(dir)))
			b = openAt(t, dir, BoltOptions{schema: &schema{format: 1}})
			if v, err := b.Load(""); err != nil || string(v["a"]) != "1" || len(v) != 2 {
				t.Errorf("%d bytes were set aside, they hold %q, %v", len(before), v, err)
			}
		})
	}
}

// A file of a newer parkd is neither read nor changed, and does not prevent the
// start of an older one.
func TestANewerFormat(t *testing.T) {
	dir := old(t)
	newer := &schema{format: 2, migrations: map[int]func(*bbolt.Tx) error{1: shout("two ")}}
	b := openAt(t, dir, BoltOptions{schema: newer})
	epoch := b.Epoch()
	must(t, b.Close())
	image, err := os.ReadFile(file(dir))
	must(t, err)

	b = openAt(t, dir, BoltOptions{schema: &schema{format: 1}})
	r := b.Report()
	if !errors.Is(r.Why, ErrFormat) || r.Salvaged != 0 || !strings.Contains(r.SetAside, ".newer-") {
		t.Errorf("reported: %+v", r)
	}
	if kept, err := os.ReadFile(r.SetAside); err != nil || string(kept) != string(image) {
		t.Errorf("set aside: not as it was, %v", err)
	}
	if b.Epoch() <= epoch {
		t.Errorf("epoch %d after %d", b.Epoch(), epoch)
	}
	must(t, b.Close())
	again(t, dir, 0)
}
