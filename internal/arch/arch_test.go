// Package arch holds the import table of docs/architecture.md: which package of
// ours may import which, and what the deciding packages must not touch.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// all lets a package import every other one of ours.
const all = "*"

// table is, by package, what it may import of ours. A folder inside a package's
// folder belongs to that package and has its row.
var table = map[string][]string{
	"cmd/parkd":           {"internal/server", "internal/config", "internal/benchmedia"},
	"internal/server":     {all},
	"internal/config":     {},
	"internal/orbit":      {"internal/shrink"},
	"internal/sipua":      {"internal/shrink"},
	"internal/dialog":     {"internal/sipua", "internal/shrink"},
	"internal/leg":        {"internal/sipua", "internal/dialog", "internal/orbit", "internal/sdp", "internal/shrink"},
	"internal/sdp":        {},
	"internal/presence":   {"internal/sipua", "internal/dialog", "internal/shrink", "internal/prefetch"},
	"internal/register":   {"internal/sipua"},
	"internal/blf":        {"internal/orbit"},
	"internal/rtpmusic":   {"internal/sdp", "internal/prefetch"},
	"internal/benchmedia": {"internal/rtpmusic"},
	"internal/store":      {"internal/shrink"},
	"internal/shrink":     {},
	"internal/prefetch":   {},
	"internal/admin":      {"internal/orbit", "internal/config"},
	"internal/systemd":    {},
	"internal/arch":       {},
	"test":                {all},
}

// pure packages decide or convert: what they need to know, they are told.
var pure = []string{"internal/orbit", "internal/sdp", "internal/blf"}

// outside are the packages that reach beyond the process, with all below them.
var outside = []string{"net", "os", "syscall", "io/ioutil", "log", "database/sql", "golang.org/x/sys", "golang.org/x/net"}

// values are those of them that hold values only.
var values = []string{"net/netip", "net/url", "net/textproto", "log/slog"}

type pkg struct {
	ImportPath string
	Imports    []string // without those of tests
}

// packages lists the packages of this module.
func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", "./...")
	cmd.Dir = "../.."
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var list []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// within tells whether a package is one of dirs or below it, and which.
func within(path string, dirs []string) (string, bool) {
	i := slices.IndexFunc(dirs, func(d string) bool { return path == d || strings.HasPrefix(path, d+"/") })
	if i < 0 {
		return "", false
	}
	return dirs[i], true
}

func rows() []string {
	var r []string
	for row := range table {
		r = append(r, row)
	}
	return r
}

func TestImportTable(t *testing.T) {
	used := map[string]bool{}
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, "parkd/")
		row, ok := within(path, rows())
		if !ok {
			t.Errorf("%s has no row in the table", path)
			continue
		}
		used[row] = true
		for _, i := range p.Imports {
			imported, ours := strings.CutPrefix(i, "parkd/")
			if !ours {
				continue
			}
			if _, own := within(imported, []string{row}); own || slices.Contains(table[row], all) {
				continue
			}
			if _, allowed := within(imported, table[row]); !allowed {
				t.Errorf("%s imports %s; it may import %v", path, imported, table[row])
			}
		}
	}
	for _, row := range rows() {
		if !used[row] {
			t.Errorf("%s has a row but no package", row)
		}
	}
}

func TestPurePackages(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, "parkd/")
		if _, ok := within(path, pure); !ok {
			continue
		}
		for _, i := range p.Imports {
			if _, reaches := within(i, outside); reaches && !slices.Contains(values, i) {
				t.Errorf("%s imports %s", path, i)
			}
		}
	}
}
