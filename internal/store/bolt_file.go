package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockWait is how long somebody else may hold the file before that is an error.
const lockWait = time.Second

var errUnsynced = errors.New("store: the database does not sync")

// openFunc opens files: os.OpenFile, or a test's.
type openFunc func(name string, flag int, mode os.FileMode) (*os.File, error)

// boltFile is the file, opened for writing. One goroutine at a time uses it.
type boltFile struct {
	db    *bbolt.DB
	file  *os.File    // db's own
	info  os.FileInfo // of the file as it was opened
	size  int64       // it was once so long; a file never gets shorter
	txid  uint64      // of the last commit; 0 = none yet
	stuck bool        // a panic left db locked: it can't be closed
}

// openBolt opens the file at a path, or makes it.
//
// The freelist is written with each commit: bbolt otherwise walks all pages to
// find it, in a goroutine of its own, where a panic could not be caught.
func openBolt(path string, open openFunc) (opened *boltFile, err error) {
	f := &boltFile{}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
		if err != nil {
			opened = nil
			_ = f.file.Close() // bbolt did, unless it panicked
		}
	}()
	f.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      lockWait,
		PageSize:     pageSize,
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			file, err := open(name, flag, mode)
			f.file = file
			return file, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return nil, err
	}
	if err := syncs(f.db); err != nil {
		return nil, errors.Join(err, f.db.Close())
	}
	if f.info, err = f.file.Stat(); err != nil {
		return nil, errors.Join(err, f.db.Close())
	}
	f.size = f.info.Size()
	return f, nil
}

// syncs refuses a database that would report commits before they are durable.
func syncs(db *bbolt.DB) error {
	if db.NoSync || db.NoGrowSync {
		return errUnsynced
	}
	return nil
}

// update runs one transaction. After an error nothing is known of what the
// file holds: it must be closed, and settled before it is used again.
func (f *boltFile) update(change func(*bbolt.Tx) error) (err error) {
	var tx *bbolt.Tx
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // a page that isn't there any more
	defer func() {
		if p := recover(); p != nil {
			f.stuck = !rollback(tx)
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	if tx, err = f.db.Begin(true); err != nil {
		return err
	}
	id := uint64(tx.ID())
	if f.txid != 0 && id != f.txid+1 {
		_ = tx.Rollback()
		return fmt.Errorf("%w: somebody else wrote to it", ErrDamaged)
	}
	if err := change(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	f.txid = id
	return nil
}

// rollback ends a transaction in which something panicked, so that the database
// can be closed. It returns false when that cannot be done.
func rollback(tx *bbolt.Tx) (ok bool) {
	if tx == nil {
		return false
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	_ = tx.Rollback()
	return true
}

// close lets the file go. A stuck database keeps its memory.
func (f *boltFile) close() error {
	if f.stuck {
		return f.file.Close()
	}
	return f.db.Close()
}

// inPlace notices that the file was removed, replaced or cut.
func (f *boltFile) inPlace(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w while in use: %w", ErrDamaged, err)
	case err != nil:
		return err
	case !os.SameFile(info, f.info):
		return fmt.Errorf("%w while in use: there is another one in its place", ErrDamaged)
	case info.Size() < f.size:
		return fmt.Errorf("%w while in use: it had %d bytes and has %d", ErrDamaged, f.size, info.Size())
	}
	f.size = info.Size()
	return nil
}

// settle makes the state of commit txid the only one that the medium can hold,
// before anything else is written to the file.
//
// When a sync failed, the kernel may have dropped what it should have written
// and says nothing of it at the next sync. So the file as it is read now may
// show a commit that the medium never got, and bbolt would build on it: write
// over pages that the state on the medium still needs. Here both meta pages are
// written again, and synced again, which speaks of these very pages: that of
// the commit as it is, and the same state as the one before it, over whatever
// was there. All other pages of the state were synced before its meta page was
// written, without an error. The same is done when the file is opened: an owner
// before us may have been killed with a sync that failed.
func settle(path string, open openFunc, txid uint64) error {
	file, err := open(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w while in use: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := lock(file); err != nil {
		return err
	}
	metas := make([]byte, 2*pageSize)
	if _, err := file.ReadAt(metas, 0); errors.Is(err, io.EOF) {
		return fmt.Errorf("%w while in use: it was cut", ErrDamaged)
	} else if err != nil {
		return err
	}
	even, odd := metas[:pageSize], metas[pageSize:]
	this, other := even, odd
	if txid%2 == 1 { // as bbolt places them
		this, other = odd, even
	}
	if m, ok := readMeta(this); !ok || m.txid != txid {
		return fmt.Errorf("%w while in use: commit %d is not in it", ErrDamaged, txid)
	}
	copy(other, this)
	olderMeta(other)
	if _, err := file.WriteAt(metas, 0); err != nil {
		return err
	}
	return file.Sync()
}
