package store

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestARealFullDisk fills a small file system of its own, in namespaces of its
// own.
func TestARealFullDisk(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=full", "STORE_TEST_DIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case !errors.As(err, &exit):
		t.Skipf("no namespaces here: %v", err)
	case exit.ExitCode() == cannotPlay:
		t.Skip(strings.TrimSpace(string(out)))
	default:
		t.Errorf("%v\n%s", err, out)
	}
}

func init() { roles["full"] = playFull }

// playFull is the child.
func playFull() error {
	dir := os.Getenv("STORE_TEST_DIR")
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=2m"); err != nil {
		return errMissing{fmt.Errorf("nothing can be mounted here: %w", err)}
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	b, err := Open(dir, BoltOptions{pause: soon})
	if err != nil {
		return err
	}
	value := []byte(strings.Repeat("v", 20_000))
	durable := 0
	for ; err == nil; durable++ {
		err = write(b, Batch{Put: map[string][]byte{fmt.Sprint(durable): value}})
	}
	durable-- // the last one failed
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(b.Fault(), syscall.ENOSPC) || durable < 10 {
		return fmt.Errorf("after %d batches: %w, fault %w", durable, err, b.Fault())
	}
	if values, err := b.Load(""); err != nil || len(values) != durable {
		return fmt.Errorf("of %d durable values %d are there, %w", durable, len(values), err)
	}
	// A restart of a server whose disk is full has all its calls.
	if err := b.Close(); err == nil {
		return errors.New("nothing was owed in the end")
	}
	if b, err = Open(dir, BoltOptions{pause: soon}); err != nil {
		return err
	}
	if values, err := b.Load(""); err != nil || len(values) != durable {
		return fmt.Errorf("opened again: of %d durable values %d are there, %w", durable, len(values), err)
	}
	result := make(chan error, 1)
	b.Append(Batch{Put: map[string][]byte{"owed": value}}, func(err error) { result <- err })
	if err := <-result; !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("written again: %w", err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	for end := time.Now().Add(10 * time.Second); b.Fault() != nil; <-tick.C {
		if time.Now().After(end) {
			return fmt.Errorf("still: %w", b.Fault())
		}
	}
	if values, err := b.Load("owed"); err != nil || len(values) != 1 {
		return fmt.Errorf("what was owed is not there: %w", err)
	}
	if r := b.Report(); r != (Report{}) {
		return fmt.Errorf("reported: %+v", r)
	}
	return b.Close()
}
