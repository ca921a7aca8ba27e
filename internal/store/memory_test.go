package store_test

import (
	"testing"

	"parkd/internal/store"
	"parkd/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Contract(t, storetest.Kind{
		Fresh: func(*testing.T) func() store.Store {
			var m *store.Memory
			return func() store.Store {
				if m == nil {
					m = store.NewMemory()
				} else {
					m = m.Reopen()
				}
				return m
			}
		},
		Break:  func(s store.Store, err error) { s.(*store.Memory).Break(err) },
		Shared: true,
	})
}

// A batch is durable, and reported, when Append returns.
func TestMemoryIsPrompt(t *testing.T) {
	m := store.NewMemory()
	reported := false
	m.Append(store.Batch{Put: map[string][]byte{"a": {1}}}, func(err error) { reported = err == nil })
	if !reported {
		t.Error("not reported when Append returned")
	}
}
