package kit

import (
	"sync"
	"time"

	"parkd/internal/store"
)

// slowStore says of each batch only after a while that it is durable, one
// after the other, as a disk does.
type slowStore struct {
	store.Store
	disk time.Duration
	wg   sync.WaitGroup // callbacks that are to come
}

// Append implements store.Store.
func (s *slowStore) Append(b store.Batch, done func(error)) {
	s.wg.Add(1)
	s.Store.Append(b, func(err error) {
		time.AfterFunc(s.disk, func() {
			defer s.wg.Done()
			done(err)
		})
	})
}

// Close implements store.Store.
func (s *slowStore) Close() error {
	s.wg.Wait()
	return s.Store.Close()
}
