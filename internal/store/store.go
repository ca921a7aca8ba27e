// Package store keeps bytes under keys, for one owner, in ordered batches. It
// promises that a batch is written whole or not at all, that batches are
// written in the order they were appended, that a batch is reported durable
// only when it is, and that what could not be written is written first when
// writing works again. It does not know what the bytes mean: each durable type
// is encoded by the package that owns it.
//
// Two kinds are here, Memory and Bolt (a file); others keep to the same
// contract, which package storetest checks.
//
// # Keys
//
// A key is a path of segments that contain no slash themselves (url.PathEscape):
//
//	<orbit>/call/<id>     a parked or bridged call, by its home orbit
//	<orbit>/leg/<id>      the dialog and media of one of its legs
//	<resource>/sub/<id>   a subscription to an orbit or to a list of them
//
// The first segment says whose key it is. To one file that means nothing. In a
// cluster each orbit has one owner at a time, by lease and epoch: a store over
// etcd compares, in the transaction that writes a batch, the epoch of every
// first segment that the batch names with its own, so that an owner who was
// overtaken writes nothing (ErrFenced), and who takes an orbit over loads it by
// the prefix "<orbit>/". A batch may name several orbits, as when a call moves
// from one to another: they are written together or not at all.
package store

import "errors"

// MaxKey is the length of the longest key, in bytes.
const MaxKey = 4096

// Errors of a Store.
var (
	ErrClosed = errors.New("store: closed")
	ErrFenced = errors.New("store: a later owner has taken over")
	ErrKey    = errors.New("store: empty key, or longer than 4096 bytes")
	ErrSlow   = errors.New("store: the disk does not answer")
)

// Batch is what changes in one step: Del first, then Put. It belongs to the
// store once it is appended: its maps and bytes are changed by nobody any more.
// Keys have 1 to MaxKey bytes. Values may be empty, and are kept then (nil is
// the same as empty).
type Batch struct {
	Put map[string][]byte
	Del []string
}

// Store is one owner's handle on its keys.
type Store interface {
	// Append writes a batch behind those before it. It never blocks on the
	// medium. done is called once, from any goroutine but never two at a time
	// and in the order of the batches: with nil when the batch is durable, else
	// with why it is not. done must not block; it may append.
	//
	// A batch whose writing failed is not dropped: the owner goes on as if it
	// were written, and it is written, in order, as soon as the medium works:
	// together with the next batch, and without one. ErrClosed, ErrFenced and
	// ErrKey are final. ErrSlow: it was not written in the time that the store
	// has patience for, and may be at any moment.
	Append(b Batch, done func(error))

	// Load returns copies of the durable values whose keys begin with prefix.
	Load(prefix string) (map[string][]byte, error)

	// Epoch numbers the owners of these keys: each handle that is opened has a
	// higher one than all before it, and takes the keys from them: their
	// batches fail with ErrFenced and change nothing.
	Epoch() uint64

	// Fault says why not all that was reported is durable: nil when it is. It
	// is never older than the report of a batch.
	Fault() error

	// Close waits for the batches appended before and their done, but not for
	// ever: ErrSlow says that they may still be written. Later ones get
	// ErrClosed. What was durable stays. A second Close does nothing.
	Close() error
}

// debt is what could not be written: the last word on each key, nil for a
// deleted one. Its size is bounded by the number of keys.
type debt map[string][]byte

// add lays a batch over what is owed already.
func (d debt) add(b Batch) {
	for _, k := range b.Del {
		d[k] = nil
	}
	for k, v := range b.Put {
		if v == nil {
			v = []byte{}
		}
		d[k] = v
	}
}

// check finds keys that no store takes.
func (b *Batch) check() error {
	for k := range b.Put {
		if !keyed(k) {
			return ErrKey
		}
	}
	for _, k := range b.Del {
		if !keyed(k) {
			return ErrKey
		}
	}
	return nil
}

func keyed(k string) bool { return len(k) > 0 && len(k) <= MaxKey }
