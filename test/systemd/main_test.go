//go:build linux

package systemd

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the parkd under test.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run exists so that the deferred removal happens before os.Exit.
func run(m *testing.M) int {
	if binary = os.Getenv("TEST_BINARY"); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "parkd-systemd-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "parkd")
	if out, err := exec.Command("go", "build", "-o", binary, "parkd/cmd/parkd").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build parkd/cmd/parkd: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
