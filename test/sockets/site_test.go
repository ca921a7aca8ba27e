package sockets

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"parkd/internal/config"
	"parkd/internal/server"
	"parkd/test/kit"
	"parkd/test/live"
)

// patience is how long anything that must happen may take on a busy machine.
const patience = live.Patience

// A site is a parkd and its phones. Each parkd has an address of its own in
// 127.0.0.0/8, so that tests run side by side with the usual ports.
type site struct {
	*testing.T
	host   string // parkd's address
	port6  int    // of SIP on [::1], where there is only one address; 0 = no IPv6
	media6 int    // first media port, for the same reason
	dir    string // of the configuration file
	log    kit.Log
	config config.Config
	phones []*live.Phone
	ready  chan struct{}      // closed when it serves
	stop   context.CancelFunc // nil = does not run
	ended  chan error
}

// sites numbers the sites of this process.
var sites atomic.Int32

func newSite(t *testing.T) *site {
	t.Helper()
	n := int(sites.Add(1))
	s := &site{T: t, dir: t.TempDir(), host: fmt.Sprintf("127.%d.%d.1", 192+os.Getpid()%60, n%250)}
	c, err := net.ListenPacket("udp", s.host+":0")
	if err != nil {
		t.Skipf("left out: needs all of 127.0.0.0/8 as addresses, as on Linux: %v", err)
	}
	c.Close()
	s.reserve(n)
	t.Cleanup(s.close)
	return s
}

// reserve takes a hundred ports of [::1] for this test alone: whoever holds
// the last of them has them all. The system
// gives none of this range out by itself.
func (s *site) reserve(n int) {
	s.Helper()
	for i := range 200 {
		first := 12000 + (os.Getpid()*7+n+i)%200*100
		c, err := net.ListenPacket("udp", fmt.Sprintf("[::1]:%d", first+99))
		if err == nil {
			s.port6, s.media6 = first, first+10
			s.Cleanup(func() { c.Close() })
			return
		}
	}
}

// file writes a file beside the configuration.
func (s *site) file(name string, data []byte) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// common is what every configuration ends with.
const common = `
data_dir: DIR/data
store: {kind: memory}
admin: {listen: "HOST:8080"}
`

// load reads a configuration, which ends as all do.
func (s *site) load(yaml string) config.Config {
	s.Helper()
	return s.loadAs(yaml + common)
}

// loadAs reads a configuration as it is.
func (s *site) loadAs(yaml string) config.Config {
	s.Helper()
	if s.port6 == 0 && strings.Contains(yaml, "PORT6") {
		s.Skip("left out: needs IPv6 on the loopback")
	}
	path := s.write(yaml)
	c, err := config.Load(path, nil)
	if err != nil {
		s.Fatalf("configuration: %v\n%s", err, yaml)
	}
	return c
}

// write writes a configuration in which HOST, PORT6 and DIR stand for the site's.
func (s *site) write(yaml string) (path string) {
	s.Helper()
	return s.file("parkd.yaml", []byte(strings.NewReplacer("HOST", s.host, "PORT6", fmt.Sprint(s.port6), "DIR", s.dir,
		"MEDIA6", fmt.Sprintf("%d-%d", s.media6, s.media6+80)).Replace(yaml)))
}

// phone adds a phone that reaches parkd at host:port by a network.
func (s *site) phone(name, network, server string) *live.Phone {
	s.Helper()
	return s.phoneTLS(name, network, server, nil)
}

func (s *site) phoneTLS(name, network, server string, conf *tls.Config) *live.Phone {
	s.Helper()
	p := live.New(s, live.Options{Name: name, Network: network, Server: server, TLS: conf})
	s.phones = append(s.phones, p)
	return p
}

// start starts parkd and waits until it serves.
func (s *site) start(yaml string) {
	s.Helper()
	s.run(s.build(yaml))
}

// startAs is start with a configuration as it is.
func (s *site) startAs(yaml string) {
	s.Helper()
	s.run(s.buildOf(s.loadAs(yaml)))
}

// build builds a parkd, which has opened its sockets and serves nothing yet.
func (s *site) build(yaml string) *server.Server {
	s.Helper()
	return s.buildOf(s.load(yaml))
}

func (s *site) buildOf(c config.Config) *server.Server {
	s.Helper()
	s.config = c
	ready := make(chan struct{})
	s.ready = ready
	srv, err := server.New(server.Options{
		Config: s.config, Version: "test", Ready: func() { close(ready) }, Load: s.again(),
		Log: zerolog.New(&s.log).Level(zerolog.DebugLevel).With().Timestamp().Logger(),
	})
	if err != nil {
		s.Fatal(err)
	}
	return srv
}

// run runs what was built and waits until it serves.
func (s *site) run(srv *server.Server) {
	s.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.ended = stop, make(chan error, 1)
	go func() { s.ended <- srv.Run(ctx) }()
	select {
	case <-s.ready:
	case err := <-s.ended:
		stop()
		s.stop = nil
		s.Fatalf("ended at its start: %v", err)
	case <-time.After(patience):
		s.Fatal("does not get ready")
	}
}

// finish stops parkd as SIGTERM does, and returns how long that took.
func (s *site) finish() time.Duration {
	s.Helper()
	if s.stop == nil {
		return 0
	}
	began := time.Now()
	s.stop()
	s.stop = nil
	select {
	case err := <-s.ended:
		if err != nil {
			s.Errorf("Run: %v", err)
		}
	case <-time.After(patience):
		s.Fatal("does not stop")
	}
	return time.Since(began)
}

// close ends everything; phones answer until parkd is gone.
func (s *site) close() {
	if s.Failed() && s.stop != nil {
		_, body := s.http("GET", "/metrics")
		s.Logf("the metrics:\n%s", body)
	}
	s.finish()
	for _, p := range s.phones {
		p.Close()
	}
	for _, fault := range s.log.Faults() {
		s.Errorf("logged: %s", fault)
	}
	if s.Failed() {
		s.Logf("the log:\n%s", s.log.String())
	}
}

// until asks again and again until the answer is yes.
func (s *site) until(what string, yes func() bool) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !yes() {
		select {
		case <-tick.C:
		case <-end:
			s.Fatalf("never: %s", what)
		}
	}
}

// http asks parkd's HTTP interface.
func (s *site) http(method, path string) (int, []byte) {
	s.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	req, err := http.NewRequest(method, "http://"+s.host+":8080"+path, nil)
	if err != nil {
		s.Fatal(err)
	}
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

// orbit is an orbit as the API shows it.
type orbit struct {
	Extension, Name, State, Music string
	Enabled                       bool
	Calls                         []struct {
		ID, State string
		Caller    struct{ Name, URI string }
		ParkedBy  string `json:"parked_by"`
		Since     time.Time
		ReturnsAt time.Time `json:"returns_at"`
		Codec     string
	}
	Watchers int
}

func (s *site) orbit(ext string) (o orbit) {
	s.Helper()
	code, body := s.http("GET", "/api/v1/orbits/"+ext)
	if code != 200 {
		s.Fatalf("GET orbit %s: %d %s", ext, code, body)
	}
	if err := json.Unmarshal(body, &o); err != nil {
		s.Fatalf("%v: %s", err, body)
	}
	return o
}

// metric is a line of /metrics, by all that stands before its value.
func (s *site) metric(name string) (value float64) {
	s.Helper()
	_, body := s.http("GET", "/metrics")
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &value); err != nil {
				s.Fatalf("%q: %v", line, err)
			}
			return value
		}
	}
	s.Fatalf("no metric %s in\n%s", name, body)
	return 0
}
