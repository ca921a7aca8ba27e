package crash

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"parkd/test/live"
)

// A disk is a small file system that only one site sees. It lasts as long as
// the process that holds it.
type disk struct {
	s    *site
	pid  int
	path string // as the test sees it
}

// smallDisk puts the site's data directory on a file system of its own.
func (s *site) smallDisk(size string) *disk {
	s.Helper()
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		s.Fatal(err)
	}
	holder := exec.Command("sh", "-c", `mount -t tmpfs -o size="$1",mode=700 tmpfs "$2" && echo there && exec cat`, "sh", size, data)
	holder.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	in, err := holder.StdinPipe()
	if err != nil {
		s.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		s.Skipf("left out: no user namespace may be made here: %v", err)
	}
	s.Cleanup(func() {
		in.Close()
		_ = holder.Wait() // it was told to end
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "there\n" {
		s.Skipf("left out: nothing can be mounted in a user namespace here: %v", err)
	}
	pid := holder.Process.Pid
	s.around = func(args ...string) *exec.Cmd {
		return exec.Command("nsenter", append([]string{"-t", fmt.Sprint(pid), "-U", "-m", "--preserve-credentials", binary}, args...)...)
	}
	return &disk{s, pid, filepath.Join(fmt.Sprintf("/proc/%d/root", pid), data)}
}

func (d *disk) filler() string { return filepath.Join(d.path, "filler") }

// fill leaves no room.
func (d *disk) fill() {
	d.s.Helper()
	f, err := os.Create(d.filler())
	if err != nil {
		d.s.Fatal(err)
	}
	defer f.Close()
	_, err = io.Copy(f, endless{})
	if !errors.Is(err, syscall.ENOSPC) {
		d.s.Fatalf("filling the disk: %v", err)
	}
}

// endless is read for ever.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// clear makes room again.
func (d *disk) clear() {
	d.s.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.s.Fatal(err)
	}
}

// No room on the disk: nobody new is parked, those who are go on and can be
// fetched, and health says so. Room again: what was decided meanwhile is written
// by itself, and outlasts a crash.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, "orbits: [{extension: 701-703}, {extension: \"704\", allow_multiple: true}]\n")
	d := s.smallDisk("1m")
	p := s.start()
	s.faults = []string{"journal cannot be written"}
	ann, ben, bob := s.phone("ann"), s.phone("ben"), s.phone("bob")
	lamp := bob.Watch("701")
	lamp.Served()
	fetched, stays := ann.Park("701", bob, live.Offer{}), ben.Park("702", bob, live.Offer{})
	lamp.Shows("early")
	fetched.Media.First(5)
	stays.Media.First(5)

	d.fill()
	crowd := s.phone("crowd")
	var parked []*live.Call
	refused := s.parkUntilRefused(crowd, &parked)
	if refused.Asked.Final.Code() != 480 || refused.Asked.Final.Get("Retry-After") == "" {
		t.Errorf("refused with %+v", refused.Asked.Final)
	}
	t.Logf("%d more parked before the disk was full", len(parked))
	// A refused park leaves a small record, which may find room: then the journal has no
	// fault until the next one. So there is one until health has said why.
	s.until("the disk is said to be full", live.Patience, func() bool {
		if s.health("no space left on device") {
			return true
		}
		s.parkUntilRefused(crowd, &parked)
		return s.health("no space left on device")
	})
	if p.says("journal cannot be written", 0) == nil {
		t.Error("the log says nothing of a full disk")
	}
	if n := len(s.calls()); n != len(parked)+2 {
		t.Errorf("%d calls, want %d", n, len(parked)+2)
	}
	retriever := bob.Dial("*4701", live.Offer{})
	bothHear(fetched, retriever)
	lamp.Shows("terminated")
	stays.Media.Hear(10)

	d.clear()
	s.until("the journal has no fault", live.Patience, func() bool { return s.health("") })
	if p.says("journal is written again", live.Patience) == nil {
		t.Error("the log says nothing of room on the disk")
	}
	late := s.phone("late").Dial("703", live.Offer{})
	late.Media.First(5)
	o := s.crash()
	o.goesOn(stays, late)
	hearStill(fetched, retriever)
	o.silent(append(parked, stays, late, fetched, retriever)...)
	for _, c := range append(parked, stays, late, fetched) {
		c.Bye()
	}
	retriever.Over()
	s.states()
}

// health checks health, and says whether the journal is said to have a fault with
// those words, or none.
func (s *site) health(fault string) bool {
	s.Helper()
	code, body := s.http("GET", "/healthz")
	var health struct{ Status, Journal string }
	if err := json.Unmarshal(body, &health); err != nil || code != 200 || health.Status != "ok" {
		s.Errorf("health: %d, %v: %s", code, err, body)
	}
	st := s.status()
	if st.Journal.Kind != "bolt" {
		s.Errorf("kind of the journal: %q", st.Journal.Kind)
	}
	for _, said := range []string{health.Journal, st.Journal.Fault} {
		if fault == "" && said != "" || !strings.Contains(said, fault) {
			return false
		}
	}
	return true
}

// parkUntilRefused parks callers at 704, who are added to parked, and returns
// the first who is refused. The phone is the same each time: two of one name would
// call with the same Call-ID, which is refused whatever the disk has room for
// (RFC 3261 8.2.2.2).
func (s *site) parkUntilRefused(p *live.Phone, parked *[]*live.Call) *live.Call {
	s.Helper()
	for range 500 {
		c := p.Call("704", live.Offer{Direction: "inactive"})
		if p.Final(c.Asked).Code() != 200 {
			return c
		}
		*parked = append(*parked, c)
	}
	s.Fatal("500 calls are written to a full disk")
	return nil
}
