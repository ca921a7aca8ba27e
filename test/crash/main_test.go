package crash

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// binary is the parkd under test: the one that TEST_BINARY names, or one that
// is built for this run as users get it, without the race detector.
var binary = os.Getenv("TEST_BINARY")

// sideBySide is how many tests run at once: they mostly wait for phones and
// deadlines, so there may be more of them than cores.
const sideBySide = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", sideBySide) // a number it takes
	}
	dir, err := os.MkdirTemp("", "parkd-crash-")
	if err == nil && binary == "" {
		binary, err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(dir string) (string, error) {
	path := filepath.Join(dir, "parkd")
	cmd := exec.Command("go", "build", "-o", path, "parkd/cmd/parkd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build parkd/cmd/parkd: %w\n%s", err, out)
	}
	return path, nil
}
