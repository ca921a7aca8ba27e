package store

import (
	"testing"
	"time"
)

// OnDisk opens a store on a disk that Break can make fail. It is for tests of
// the contract, which are outside this package.
func OnDisk(t testing.TB, dir string, pause time.Duration) Store {
	d := &disk{t: t}
	b, err := Open(dir, BoltOptions{open: d.open, pause: pause})
	if err != nil {
		t.Fatal(err)
	}
	return onDisk{b, d}
}

type onDisk struct {
	*Bolt
	disk *disk
}

// Break makes the disk of a store fail, and work again with nil.
func Break(s Store, err error) { s.(onDisk).disk.fail(err) }
