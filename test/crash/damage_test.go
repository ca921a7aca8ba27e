package crash

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"parkd/test/live"
)

// A journal that cannot be used is set aside, said so, and keeps nobody from
// starting.
func TestADamagedJournal(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		spoil func(t *testing.T, path string)
	}{
		"garbage": {func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("no journal\n"), 5000), 0o600))
		}},
		"empty": {func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) }},
		"truncated": {func(t *testing.T, path string) {
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.Truncate(path, info.Size()/4))
		}},
		"a directory": {func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.MkdirAll(filepath.Join(path, "inside"), 0o700))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "")
			s.start()
			s.phone("ann").Dial("701", live.Offer{Direction: "inactive"})
			s.now.kill()
			row.spoil(t, s.journal())
			s.faults = []string{"journal was damaged"}
			p := s.start()
			said := p.says("journal was damaged", 0)
			if said == nil {
				t.Fatal("the log says nothing of it")
			}
			aside, _ := said.fields["aside"].(string)
			if _, err := os.Stat(aside); err != nil {
				t.Errorf("set aside as %q: %v", aside, err)
			}
			// From now on it is a good one.
			c := s.phone("ben").Dial("702", live.Offer{})
			c.Media.First(5)
			o := s.crash()
			o.goesOn(c)
			c.Bye()
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
