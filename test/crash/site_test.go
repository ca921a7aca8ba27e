package crash

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parkd/test/live"
)

// A site is a parkd in a process of its own, and its phones. It has addresses
// of its own in 127.0.0.0/8, so that tests run side by side.
type site struct {
	*testing.T
	host   string // parkd's address
	dir    string // of the configuration and of the journal
	now    *process
	lives  []*process
	phones []*live.Phone
	faults []string // messages of errors that are to be logged
	around func(args ...string) *exec.Cmd
}

// sites numbers the sites of this process.
var sites atomic.Int32

// common is what every configuration ends with.
const common = `
log: {level: debug, format: json}
data_dir: DIR/data
sip: {listen: ["udp://HOST:5060", "tcp://HOST:5060"]}
admin: {listen: "HOST:8080"}
`

// newSite makes a site whose parkd has that configuration, in which HOST and DIR
// stand for the site's, and does not run yet.
func newSite(t *testing.T, yaml string) *site {
	t.Helper()
	n := int(sites.Add(1))
	return newSiteAt(t, fmt.Sprintf("127.%d.%d.1", 100+os.Getpid()%90, n%250), yaml)
}

func newSiteAt(t *testing.T, host, yaml string) *site {
	t.Helper()
	s := &site{T: t, host: host, dir: t.TempDir()}
	s.around = func(args ...string) *exec.Cmd { return exec.Command(binary, args...) }
	c, err := net.ListenPacket("udp", host+":0")
	if err != nil {
		t.Skipf("left out: needs all of 127.0.0.0/8 as addresses, as on Linux: %v", err)
	}
	c.Close()
	t.Cleanup(s.close)
	s.configure(yaml)
	return s
}

// configure writes the configuration.
func (s *site) configure(yaml string) {
	s.Helper()
	text := strings.NewReplacer("HOST", s.host, "DIR", s.dir).Replace(yaml + common)
	if err := os.WriteFile(s.file(), []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *site) file() string { return filepath.Join(s.dir, "parkd.yaml") }

// journal is where the journal is.
func (s *site) journal() string { return filepath.Join(s.dir, "data", "parkd.db") }

// start starts parkd and waits until it is ready.
func (s *site) start() *process {
	s.Helper()
	s.now = launch(s, s.around("serve", "-c", s.file()))
	s.lives = append(s.lives, s.now)
	s.now.serves()
	return s.now
}

// close ends everything, and looks at the logs.
func (s *site) close() {
	for _, p := range s.lives {
		p.kill()
	}
	for _, p := range s.phones {
		p.Close()
	}
	for _, p := range s.lives {
		s.judge(p)
	}
	if s.Failed() {
		for i, p := range s.lives {
			s.Logf("log %d:\n%s", i, p.log)
		}
	}
}

// judge finds errors and panics in a log.
func (s *site) judge(p *process) {
	list, _, _ := p.log.from(0)
	for _, l := range list {
		if level := l.level(); (level == "error" || level == "") && !s.forgiven(&l) {
			s.Errorf("logged: %s", l.text)
		}
	}
}

func (s *site) forgiven(l *line) bool {
	for _, f := range s.faults {
		if l.fields["message"] == f {
			return true
		}
	}
	return false
}

// phone adds a phone that reaches parkd by UDP.
func (s *site) phone(name string) *live.Phone {
	s.Helper()
	return s.phoneOf(live.Options{Name: name, Network: "udp"})
}

// trunk adds a phone each of whose calls comes from somebody else.
func (s *site) trunk(name string) *live.Phone {
	s.Helper()
	return s.phoneOf(live.Options{Name: name, Network: "udp", Trunk: true})
}

func (s *site) phoneOf(o live.Options) *live.Phone {
	s.Helper()
	o.Server = s.host + ":5060"
	p := live.New(s, o)
	s.phones = append(s.phones, p)
	return p
}

// neighbour is another address of the site's.
func (s *site) neighbour(n byte) netip.Addr {
	b := netip.MustParseAddr(s.host).As4()
	b[3] = n
	return netip.AddrFrom4(b)
}

// http asks the server, and returns the status and the body.
func (s *site) http(method, path string) (int, []byte) {
	s.Helper()
	req, err := http.NewRequest(method, "http://"+s.host+":8080"+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	client := http.Client{Timeout: live.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	return res.StatusCode, body
}

// A held call is one as the API shows it.
type held struct {
	ID, Orbit, State string
	Caller, With     struct{ Name, URI string }
	ParkedBy         string `json:"parked_by"`
	Since            time.Time
	ReturnsAt        time.Time `json:"returns_at"`
	Codec            string
}

// calls lists all calls that parkd has, the oldest first.
func (s *site) calls() (list []held) {
	s.Helper()
	code, body := s.http("GET", "/api/v1/calls")
	if err := json.Unmarshal(body, &list); err != nil || code != 200 {
		s.Fatalf("GET calls: %d, %v: %s", code, err, body)
	}
	return list
}

// status is what parkd says of itself.
type status struct {
	ParkedCalls   int `json:"parked_calls"`
	Subscriptions int
	Journal       struct{ Kind, Fault string }
}

func (s *site) status() (st status) {
	s.Helper()
	code, body := s.http("GET", "/api/v1/status")
	if err := json.Unmarshal(body, &st); err != nil || code != 200 {
		s.Fatalf("GET status: %d, %v: %s", code, err, body)
	}
	return st
}

// until asks again and again until the answer is yes.
func (s *site) until(what string, limit time.Duration, yes func() bool) {
	s.Helper()
	if !eventually(limit, yes) {
		s.Fatalf("never: %s", what)
	}
}

// eventually asks again and again for so long, and says whether the answer
// became yes.
func eventually(limit time.Duration, yes func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(limit)
	defer end.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-end.C:
			return false
		}
	}
	return true
}

// states waits until parkd's calls are in those states, the oldest first.
func (s *site) states(want ...string) []held {
	s.Helper()
	var list []held
	s.until(fmt.Sprintf("calls are %q", want), live.Patience, func() bool {
		list = s.calls()
		if len(list) != len(want) {
			return false
		}
		for i, h := range list {
			if h.State != want[i] {
				return false
			}
		}
		return true
	})
	return list
}
