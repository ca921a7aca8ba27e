package store_test

import (
	"testing"
	"time"

	"parkd/internal/store"
	"parkd/internal/store/storetest"
)

func TestBolt(t *testing.T) {
	storetest.Contract(t, storetest.Kind{
		Fresh: func(t *testing.T) func() store.Store {
			dir := t.TempDir()
			return func() store.Store { return store.OnDisk(t, dir, 10*time.Millisecond) }
		},
		Break: store.Break,
	})
}
