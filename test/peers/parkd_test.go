//go:build unix

package peers

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A parkd is the running server under test.
type parkd struct {
	*proc
	s    *scene
	sip  string // host:port, which is also the domain of its orbits
	api  string // URL
	home string
	file string // its configuration
	runs int    // how often it was started
}

// config is what differs from a plain server: YAML, one key of the file each.
// The folder music is media.music_dir.
type config struct {
	listen   string // more listeners: `, "tls://..."`
	sip      string // more keys of sip: `, tls: {...}`
	access   string
	park     string
	defaults string
	orbits   string
	pools    string
	media    string // more keys of media: `, announcements: ...`
	store    string // memory unless told
}

const parkdConfig = `log: {level: trace, format: json}
data_dir: %[1]s/data
sip: {listen: ["udp://%[2]s", "tcp://%[2]s"%[4]s]%[5]s}
media: {ports: 10000-14999, music_dir: %[1]s/music%[7]s}
admin: {listen: "%[3]s:8080"}
store: {kind: %[6]s}
`

// parkd starts the server and waits until it says and shows that it is ready.
func (s *scene) parkd(c config) *parkd {
	s.Helper()
	binary, err := parkdBinary()
	if err != nil {
		s.Fatal(err)
	}
	ip, home := s.ip(hostParkd), s.folder("parkd")
	var b strings.Builder
	if c.store == "" {
		c.store = "memory"
	}
	fmt.Fprintf(&b, parkdConfig, home, s.sip(hostParkd), ip, c.listen, c.sip, c.store, c.media)
	for key, value := range map[string]string{"access": c.access, "park": c.park, "defaults": c.defaults, "orbits": c.orbits, "pools": c.pools} {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", key, value)
		}
	}
	file := s.write(b.String(), "parkd", "parkd.yaml")
	p := &parkd{s: s, sip: s.sip(hostParkd), api: "http://" + ip + ":8080", home: home, file: file}
	p.run(binary)
	s.answersOptions("udp", p.sip, "parkd")
	return p
}

// run starts the process, each with a log of its own.
func (p *parkd) run(binary string) {
	p.s.Helper()
	name := "parkd"
	if p.runs++; p.runs > 1 {
		name += strconv.Itoa(p.runs)
	}
	p.proc = p.s.start(name, p.home, true, binary, "serve", "-c", p.file)
	p.expect(p.s, `"message":"ready"`, 1)
}

// crash ends the process by kill -9 and starts another.
func (p *parkd) crash() {
	p.s.Helper()
	binary, err := parkdBinary()
	if err != nil {
		p.s.Fatal(err)
	}
	p.end(false)
	p.run(binary)
}

// orbitState is GET /api/v1/orbits/701.
type orbitState struct {
	Extension string      `json:"extension"`
	State     string      `json:"state"`
	Calls     []callState `json:"calls"`
	Watchers  int         `json:"watchers"`
}

type callState struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	Caller struct {
		Name string `json:"name"`
		URI  string `json:"uri"`
	} `json:"caller"`
	ParkedBy string `json:"parked_by"`
	Since    string `json:"since"`
	Codec    string `json:"codec"`
}

// get reads a resource of the API.
func (p *parkd) get(path string) string {
	p.s.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(p.api + path)
	if err != nil {
		p.s.Fatalf("GET %s: %v", path, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || res.StatusCode != http.StatusOK {
		p.s.Fatalf("GET %s: %s %v\n%s", path, res.Status, err, body)
	}
	return string(body)
}

// giveBack has a call go back at once, as an operator may.
func (p *parkd) giveBack(id string) {
	p.s.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Post(p.api+"/api/v1/calls/"+id+"/return", "", nil)
	if err != nil {
		p.s.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		p.s.Fatalf("return of %s: %s", id, res.Status)
	}
}

// remove ends a call as an operator does, and returns the status.
func (p *parkd) remove(id string) int {
	p.s.Helper()
	req, err := http.NewRequest(http.MethodDelete, p.api+"/api/v1/calls/"+id, nil)
	if err != nil {
		p.s.Fatal(err)
	}
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		p.s.Fatalf("DELETE %s: %v", id, err)
	}
	res.Body.Close()
	return res.StatusCode
}

func (p *parkd) orbit(extension string) orbitState {
	p.s.Helper()
	var o orbitState
	if err := json.Unmarshal([]byte(p.get("/api/v1/orbits/"+extension)), &o); err != nil {
		p.s.Fatalf("GET orbit %s: %v", extension, err)
	}
	return o
}

// holds waits until an orbit holds n calls and returns it.
func (p *parkd) holds(extension string, n int) orbitState {
	p.s.Helper()
	var o orbitState
	p.s.eventually(func() bool {
		o = p.orbit(extension)
		return len(o.Calls) == n
	}, "orbit %s holds %d calls", extension, n)
	return o
}

// watched waits until n phones watch an orbit.
func (p *parkd) watched(extension string, n int) {
	p.s.Helper()
	p.s.eventually(func() bool { return p.orbit(extension).Watchers == n }, "orbit %s is watched by %d", extension, n)
}

// empty waits until parkd has no call at all left, parked or bridged.
func (p *parkd) empty() {
	p.s.Helper()
	p.s.eventually(func() bool { return !strings.Contains(p.get("/api/v1/calls"), `"id"`) }, "parkd has no calls left")
}

// metric is a figure of the server's, by all that stands before its value.
func (p *parkd) metric(name string) int {
	p.s.Helper()
	for line := range strings.Lines(p.get("/metrics")) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			n, err := strconv.ParseFloat(text, 64)
			if err != nil {
				p.s.Fatalf("%q: %v", line, err)
			}
			return int(n)
		}
	}
	p.s.Fatalf("no metric %s", name)
	return 0
}

// packets is how many RTP packets it has sent.
func (p *parkd) packets() int {
	p.s.Helper()
	return p.metric(`parkd_rtp_packets_total{direction="out"}`)
}

// uri is a user at this server, or at the proxy in front of it.
func uri(user, host string) string { return "sip:" + user + "@" + host }
