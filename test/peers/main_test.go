//go:build unix

package peers

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// scenariosAtOnce is how many scenarios run side by side: they mostly wait for
// ringing, pacing and sound, so there may be more of them than cores.
const scenariosAtOnce = "8"

var (
	suiteDir  string // binaries of this run; removed at its end
	buildOnce sync.Once
	parkdPath string
	buildErr  error
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run exists so that the deferred removal happens before os.Exit.
func run(m *testing.M) int {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", scenariosAtOnce); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	dir, err := os.MkdirTemp("", "parkd-peers-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer os.RemoveAll(dir)
	suiteDir = dir
	code := m.Run()
	if err := report(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return code
}

// parkdBinary builds parkd once a run, as users get it: without the race
// detector. TEST_BINARY names a binary to test instead.
func parkdBinary() (string, error) {
	buildOnce.Do(func() {
		if parkdPath = os.Getenv("TEST_BINARY"); parkdPath != "" {
			return
		}
		parkdPath = filepath.Join(suiteDir, "parkd")
		var out bytes.Buffer
		cmd := exec.Command("go", "build", "-o", parkdPath, "parkd/cmd/parkd")
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			buildErr = fmt.Errorf("go build parkd/cmd/parkd: %w\n%s", err, out.String())
		}
	})
	return parkdPath, buildErr
}
