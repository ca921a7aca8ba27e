package sockets

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"parkd/test/live"
)

// Networks of the test: parkd is in one, phones in the other, and a NAT between.
const (
	keeping   = "203.0.113.1" // parkd that keeps flows alive
	forgetful = "203.0.113.3" // parkd that does not
	natOut    = "203.0.113.2"
	natIn     = "192.168.77.1"
	phoneAt   = "192.168.77.2"
)

// forgets is after how many seconds of silence the NAT forgets whoever is behind it.
const forgets = 3

// inside says that this process is the one in namespaces of its own.
const inside = "PARKD_TEST_NAT"

// Lamps of phones behind a real NAT, which forgets them after three seconds, are true
// with parkd's keep-alives, over UDP, TCP and TLS, and dark without: that is what
// shows that there is a NAT. A phone that is heard again is told again.
func TestLampsBehindNAT(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Parallel()
		enter(t)
		return
	}
	_, behind := newNAT(t)
	a, b := newSite(t), newSite(t)
	confA, confB := a.at(keeping, "1s"), b.at(forgetful, "0s")
	type watcher struct {
		network string
		lamp    *live.Lamp
	}
	watch := func(s *site, at string, conf *tls.Config) (list []watcher) {
		for _, network := range []string{"udp", "tcp", "tls"} {
			port := "5060"
			if network == "tls" {
				port = "5061"
			}
			var p *live.Phone
			behind.do(func() { p = s.phoneTLS("bob-"+network, network, at+":"+port, conf) })
			w := watcher{network, p.Watch("701")}
			w.lamp.Served()
			first := w.lamp.Shows("terminated")
			if via := w.lamp.Asked.Final.Get("Via"); !strings.Contains(via, "received="+natOut) {
				t.Fatalf("seen from %s, not from the NAT", via)
			}
			if strings.Contains(first.Head.URI(), natOut) {
				t.Errorf("NOTIFY to %s, want the phone's own address", first.Head.URI())
			}
			list = append(list, w)
		}
		return list
	}
	kept, lost := watch(a, keeping, confA), watch(b, forgetful, confB)

	start := time.Now()
	nudges := func() (n int) {
		for _, g := range kept[0].lamp.Phone.Got(start) {
			if g.Method() == "OPTIONS" {
				n++
			}
		}
		return n
	}
	a.until("the NAT would have forgotten", func() bool { return nudges() > forgets+1 })
	a.phone("ann", "udp", keeping+":5060").Dial("701", live.Offer{})
	b.phone("ann", "udp", forgetful+":5060").Dial("701", live.Offer{})
	for _, w := range kept {
		w.lamp.Shows("early")
	}
	for _, w := range lost {
		if n := w.lamp.Next(1, 300*time.Millisecond); n != nil {
			t.Errorf("%s: told without a keep-alive: the NAT does not forget", w.network)
		}
	}
	lost[0].lamp.Refresh(3600)
	lost[0].lamp.Shows("early")
}

// at starts parkd at an address that phones behind NAT reach.
func (s *site) at(host, keepalive string) *tls.Config {
	s.Helper()
	ca := newAuthority(s.T)
	cert, key := ca.sign(s.T, host)
	s.file("cert.pem", cert)
	s.file("key.pem", key)
	s.start(strings.NewReplacer("AT", host, "EVERY", keepalive).Replace(`
sip:
  listen: [udp://AT:5060, tcp://AT:5060, tls://AT:5061]
  tls: {cert: cert.pem, key: key.pem}
  nat_keepalive: EVERY
access: {trusted: [203.0.113.0/24]}
`))
	return &tls.Config{RootCAs: ca.pool, ServerName: host, MinVersion: tls.VersionTLS12}
}

// enter runs the test again, in a process with namespaces of its own, which ends by
// its time limit if this one is killed. (Pdeathsig would end it with the thread.)
func enter(t *testing.T) {
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("left out: needs %s (Debian packages iproute2 and nftables)", tool)
		}
	}
	run := func(flags uintptr) ([]byte, error) {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | flags}
		if flags != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		return cmd.CombinedOutput()
	}
	out, err := run(syscall.CLONE_NEWUSER)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		out, err = run(0) // as root
	}
	switch {
	case errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL):
		t.Skipf("left out: the system allows no network namespaces (user namespaces, or root): %v", err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	}
}

// namespace is a network namespace: a thread that is in it.
type namespace struct {
	t    *testing.T
	work chan func()
	done chan struct{}
	path string
}

func newNamespace(t *testing.T) *namespace {
	n := &namespace{t: t, work: make(chan func()), done: make(chan struct{})}
	failed := make(chan error)
	go func() {
		defer close(n.done)
		runtime.LockOSThread() // and the thread ends with its namespace
		failed <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range n.work {
			f()
		}
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	n.do(func() { n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()) })
	t.Cleanup(func() { close(n.work); <-n.done })
	return n
}

// do runs something there: sockets that it opens, and programs, are there for good.
func (n *namespace) do(f func()) {
	n.t.Helper()
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

// sh runs commands there, one a line.
func (n *namespace) sh(script string) {
	n.t.Helper()
	var out []byte
	var err error
	n.do(func() { out, err = exec.Command("sh", "-ec", script).CombinedOutput() })
	if err != nil {
		n.t.Fatalf("%v\n%s", err, out)
	}
}

// newNAT puts a masquerading router with a short memory between this process's
// network and one for phones.
func newNAT(t *testing.T) (nat, phones *namespace) {
	nat = newNamespace(t)
	phones = newNamespace(t)
	out, err := exec.Command("sh", "-ec", strings.NewReplacer("NAT", nat.path, "OUT", keeping, "TWO", forgetful).Replace(`
ip link set lo up
ip link add parkd0 type veth peer name nat0 netns NAT
ip addr add OUT/24 dev parkd0
ip addr add TWO/24 dev parkd0
ip link set parkd0 up`)).CombinedOutput()
	if err != nil {
		t.Skipf("left out: the system has no virtual links: %v\n%s", err, out)
	}
	out = nil
	nat.do(func() {
		out, err = exec.Command("sh", "-ec", strings.NewReplacer("PHONES", phones.path, "OUT", natOut, "IN", natIn, "SECONDS", fmt.Sprint(forgets)).Replace(`
ip link set lo up
ip link add nat1 type veth peer name phone0 netns PHONES
ip addr add OUT/24 dev nat0
ip addr add IN/24 dev nat1
ip link set nat0 up
ip link set nat1 up
echo 1 > /proc/sys/net/ipv4/ip_forward
nft add table ip nat
nft add chain ip nat out '{ type nat hook postrouting priority 100; }'
nft add rule ip nat out oifname nat0 masquerade
for f in udp_timeout udp_timeout_stream tcp_timeout_established; do echo SECONDS > /proc/sys/net/netfilter/nf_conntrack_$f; done`)).CombinedOutput()
	})
	if err != nil {
		t.Skipf("left out: the system has no NAT: %v\n%s", err, out)
	}
	phones.sh(strings.NewReplacer("PHONE", phoneAt, "IN", natIn).Replace(`
ip link set lo up
ip addr add PHONE/24 dev phone0
ip link set phone0 up
ip route add default via IN`))
	return nat, phones
}
