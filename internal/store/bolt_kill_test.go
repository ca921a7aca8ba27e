//go:build unix

package store

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKill kills an owner at some moment, a dozen times at once and each time
// twice in the same directory. What it was told is durable is there, batches
// are whole, and in order.
func TestKill(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 7))
		dir := t.TempDir()
		all.Go(func() {
			for range 2 {
				reported := kill(t, dir, time.Duration(r.IntN(150))*time.Millisecond)
				inspectKilled(t, dir, reported)
			}
		})
	}
	all.Wait()
}

// kill starts an owner, lets it write its first batch, kills it after a while,
// and returns the number of the last batch that it was told is durable.
func kill(t *testing.T, dir string, after time.Duration) int {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"=owner", "STORE_TEST_DIR="+dir)
	out := &output{began: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return 0
	}
	select {
	case <-out.began:
		<-time.After(after)
	case <-time.After(20 * time.Second):
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	lines := strings.Split(out.text.String(), "\n")
	if len(lines) < 2 { // the last one is not whole
		t.Error("nothing was written before it was killed")
		return 0
	}
	last, err := strconv.Atoi(lines[len(lines)-2])
	if err != nil {
		t.Errorf("%v\n%s", err, out.text.String())
	}
	return last
}

// output is what a child says; began is closed at its first words.
type output struct {
	text  bytes.Buffer
	once  sync.Once
	began chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.once.Do(func() { close(o.began) })
	return o.text.Write(p)
}

func inspectKilled(t *testing.T, dir string, reported int) {
	b, err := Open(dir, BoltOptions{})
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = b.Close() }()
	if r := b.Report(); r != (Report{}) {
		t.Errorf("reported: %+v", r)
	}
	values, err := b.Load("")
	if err != nil {
		t.Error(err)
	}
	last, _ := strconv.Atoi(string(values["last"]))
	if last < reported {
		t.Errorf("batch %d was reported, the last one is %d", reported, last)
	}
	want := map[string]string{"last": strconv.Itoa(last)}
	for i := max(1, last-killedWindow+1); i <= last; i++ {
		for part := range killedParts {
			want[fmt.Sprintf("%d/%d", part, i)] = strconv.Itoa(i)
		}
	}
	for k, v := range values { // the first word of each
		values[k], _, _ = bytes.Cut(v, []byte(" "))
	}
	if !maps.EqualFunc(want, values, func(a string, b []byte) bool { return a == string(b) }) {
		t.Errorf("after batch %d there is %q", last, slices.Sorted(maps.Keys(values)))
	}
}

// Each batch of an owner has three parts, and the last 20 are kept.
const (
	killedParts  = 3
	killedWindow = 20
)

func init() { roles["owner"] = playOwner }

// playOwner is the child: it goes on after the last batch in the store, and
// says the number of each when it is told that it is durable.
func playOwner() error {
	b, err := Open(os.Getenv("STORE_TEST_DIR"), BoltOptions{})
	if err != nil {
		return err
	}
	values, err := b.Load("last")
	if err != nil {
		return err
	}
	last, _ := strconv.Atoi(string(values["last"]))
	window := make(chan struct{}, 30) // so many wait for the disk
	for i := last + 1; ; i++ {
		batch := Batch{Put: map[string][]byte{"last": []byte(strconv.Itoa(i))}}
		for part := range killedParts {
			batch.Put[fmt.Sprintf("%d/%d", part, i)] = fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", i*part*97%3000))
			if i > killedWindow {
				batch.Del = append(batch.Del, fmt.Sprintf("%d/%d", part, i-killedWindow))
			}
		}
		window <- struct{}{}
		b.Append(batch, func(err error) {
			if err != nil {
				fmt.Println(err)
			} else {
				fmt.Println(i)
			}
			<-window
		})
	}
}
