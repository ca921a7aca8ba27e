package sockets

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if path, err := installed(); err == nil && path != os.Getenv("TEST_BINARY") {
			os.RemoveAll(filepath.Dir(path))
		}
		os.Exit(code)
	}))
}
