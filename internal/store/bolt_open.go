package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"go.etcd.io/bbolt"
)

// A file is made anew when it is opened, is longer than compactSize bytes, and
// less than one page in compactShare is used.
const (
	compactSize  = 64 << 20
	compactShare = 5
)

// lostEpochs is how many owners may have opened a file and written no record,
// when it is damaged and only its records say which owners there were.
const lostEpochs = 16

// schema is a format and how older ones become it.
type schema struct {
	format int
	// migrations make of a file of format n one of format n+1.
	migrations map[int]func(*bbolt.Tx) error
}

var present = schema{format: Format}

// begin opens the file and reads it. Called by Open, before there is a writer.
func (b *Bolt) begin() error {
	if err := lock(b.locked); err != nil {
		return err
	}
	c, err := inspect(b.path, b.options.open)
	if err != nil {
		return err
	}
	w := &b.writer
	w.format, w.txid, w.named = b.options.schema.format, 0, true
	if c == nil {
		w.anew = true
		b.follow(0)
		return b.pay()
	}
	b.adopt(c)
	if epoch := max(c.epoch, epochOf(c.last)); c.epoch > 0 {
		b.follow(epoch)
	} else {
		b.follow(epoch + lostEpochs)
	}
	if err := b.pay(); err != nil {
		if errors.Is(err, ErrLocked) || w.format != b.options.schema.format {
			return err
		}
		b.fault = err // the values are there, so the owner can go on
		return nil
	}
	if w.format != b.options.schema.format {
		return b.migrate()
	}
	return nil
}

// follow makes this owner the next one after an epoch: one higher, so that the
// difference of two says how many owners there were in between.
func (b *Bolt) follow(epoch uint64) {
	b.epoch = epoch + 1
	b.writer.last = max(b.writer.last, firstOf(b.epoch))
}

// inspect reads the file at a path, without bbolt: nil when there is none.
func inspect(path string, open openFunc) (c *contents, err error) {
	broken := func(err error) *contents { return &contents{values: map[string]stored{}, fault: err, lost: 1} }
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return broken(err), nil
	case !info.Mode().IsRegular():
		return broken(errors.New("it is not a file")), nil
	}
	file, err := open(path, os.O_RDONLY, 0)
	if err != nil {
		return broken(err), nil
	}
	defer func() { _ = file.Close() }()
	if err := lock(file); err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil { // no file prevents a start
			c, err = broken(fmt.Errorf("reading it: %v", p)), nil
		}
	}()
	return readContents(file, info.Size()), nil
}

// adopt decides what becomes of a file, by what is in it.
func (b *Bolt) adopt(c *contents) {
	w := &b.writer
	w.txid = c.txid
	switch {
	case c.format > w.format:
		w.anew, w.why = true, fmt.Errorf("%w: format %d, this one knows %d", ErrFormat, c.format, w.format)
		return
	case c.fault != nil:
		w.anew, w.why, w.lost = true, fmt.Errorf("%w: %w", ErrDamaged, c.fault), c.lost
	case c.pages > compactSize/pageSize && c.used < c.pages/compactShare:
		w.anew = true
	}
	b.values.copies, w.last = copiesOf(c.values), c.last
	if c.format > 0 {
		w.format = c.format
	}
}

// ready opens the file, or makes it anew, unless it is open and in its place.
func (b *Bolt) ready() error {
	w := &b.writer
	if w.file != nil {
		if err := w.file.inPlace(b.path); err != nil {
			return err
		}
	}
	if w.file == nil && w.anew {
		if err := b.remake(); err != nil {
			if w.why != nil || w.txid == 0 {
				return err
			}
			w.anew = false // a large file is still a good one
		}
	}
	if w.file == nil {
		if err := settle(b.path, b.options.open, w.txid); err != nil {
			return err
		}
		f, err := openBolt(b.path, b.options.open)
		if err != nil {
			return err
		}
		f.txid = w.txid
		w.file = f
	}
	if !w.named {
		if err := syncDir(b.path); err != nil {
			return err
		}
		w.named = true
	}
	return nil
}

// remake makes the file anew, from what is durable, and puts it in the place of
// the one that is there.
func (b *Bolt) remake() error {
	w := &b.writer
	fresh, aside := b.path+".new", ""
	if w.why != nil {
		kind := "damaged"
		if errors.Is(w.why, ErrFormat) {
			kind = "newer"
		}
		aside = asideName(b.path, kind, time.Now())
	}
	if err := os.RemoveAll(fresh); err != nil { // of a process that was killed at it
		return err
	}
	f, err := openBolt(fresh, b.options.open)
	if err != nil {
		return err
	}
	if err = f.update(b.fill); err == nil {
		err = replace(b.path, fresh, aside)
	}
	if err != nil {
		_ = f.close()
		_ = os.Remove(fresh)
		return err
	}
	w.forget()
	b.remade(aside)
	w.file, w.txid, w.headed, w.named = f, f.txid, true, false
	w.anew, w.why, w.lost = false, nil, 0
	return nil
}

// remade reports that the file was made anew.
func (b *Bolt) remade(aside string) {
	w := &b.writer
	if w.why == nil && w.txid == 0 {
		return // there was none before
	}
	r := Report{Why: w.why, Lost: w.lost, Compacted: w.why == nil}
	if _, err := os.Lstat(aside); err == nil {
		r.SetAside = aside
	}
	if w.why != nil {
		r.Salvaged = b.values.len()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.report = r
	if w.running && b.options.Remade != nil && !b.left {
		b.reports.add(result{done: func(error) { b.options.Remade(r) }}) // outcome runs it
	}
}

// fill writes all that is durable into an empty file.
func (b *Bolt) fill(tx *bbolt.Tx) error {
	if err := b.header(tx); err != nil {
		return err
	}
	data, err := tx.CreateBucket([]byte(dataBucket))
	if err != nil {
		return err
	}
	data.FillPercent = 1
	w, all := &b.writer, b.values.copies
	w.keys, w.buffer = slices.AppendSeq(w.keys[:0], all.keys()), w.buffer[:0]
	number := func(k string) uint64 { n, _ := all.number(k); return n }
	slices.SortFunc(w.keys, func(k, l string) int { return cmp.Compare(number(k), number(l)) })
	for _, k := range w.keys {
		if err := w.put(data, number(k), k, all.get(k)); err != nil {
			return err
		}
	}
	return data.SetSequence(w.last)
}

// header writes the meta bucket.
func (b *Bolt) header(tx *bbolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
	if err != nil {
		return err
	}
	for k, v := range map[string]string{
		formatKey:  strconv.Itoa(b.writer.format),
		epochKey:   strconv.FormatUint(b.epoch, 10),
		releaseKey: b.options.Release,
	} {
		if err := meta.Put([]byte(k), seal(nil, []byte(k), "", []byte(v))); err != nil {
			return err
		}
	}
	return nil
}

// migrate brings the file to the format of this parkd, in one transaction. One
// that cannot be migrated is set aside.
func (b *Bolt) migrate() error {
	w, schema := &b.writer, b.options.schema
	from := w.format
	w.format = schema.format
	var failed error
	err := w.file.update(func(tx *bbolt.Tx) error {
		if failed = schema.migrate(tx, from); failed != nil {
			return failed
		}
		return b.header(tx)
	})
	if err == nil {
		b.report.Migrated = from
		w.txid = w.file.txid
		return b.reread()
	}
	_ = w.file.close()
	w.file = nil
	if failed == nil {
		return err // the medium fails
	}
	b.values.copies = newCopies() // nobody knows what they mean
	w.anew, w.why, w.lost = true, fmt.Errorf("%w: format %d: %w", ErrDamaged, from, failed), 0
	return b.pay()
}

func (s *schema) migrate(tx *bbolt.Tx, from int) error {
	for n := from; n < s.format; n++ {
		step := s.migrations[n]
		if step == nil {
			return fmt.Errorf("nothing migrates format %d", n)
		}
		if err := step(tx); err != nil {
			return err
		}
	}
	return nil
}

// reread takes the values from the file after a migration.
func (b *Bolt) reread() error {
	info, err := b.writer.file.file.Stat()
	if err != nil {
		return err
	}
	c := readContents(b.writer.file.file, info.Size())
	b.values.copies, b.writer.last = copiesOf(c.values), c.last
	return c.fault
}
