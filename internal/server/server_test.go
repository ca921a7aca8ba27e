package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"parkd/internal/config"
)

// A data directory that cannot be written stops a start, with its name; the
// parent is a file, since permissions do not stop the superuser.
func TestUnwritableDataDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := config.Default()
	c.DataDir = filepath.Join(file, "data")
	_, err := New(Options{Config: c, Log: zerolog.Nop(), NoAdmin: true})
	if err == nil || !strings.Contains(err.Error(), c.DataDir) {
		t.Errorf("New: %v, want an error that names %s", err, c.DataDir)
	}
	c.Store.Kind = "memory"
	st, err := openStore(&c, "", zerolog.Nop())
	if err != nil {
		t.Fatalf("without a journal on disk it is not used: %v", err)
	}
	st.Close()
}
