package sockets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/live"
)

// again reads the site's configuration anew, as parkd does at a SIGHUP.
func (s *site) again() func() (config.Config, error) {
	var mu sync.Mutex // leaf
	last := s.config  // guarded by mu
	return func() (config.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		c, err := config.Reload(&last, nil)
		if err == nil {
			last = c
		}
		return c, err
	}
}

// reload writes a configuration and has parkd read it. It returns what parkd
// answers.
func (s *site) reload(yaml string) (code int, body string) {
	s.Helper()
	s.write(yaml)
	code, answer := s.http("POST", "/api/v1/reload")
	return code, string(answer)
}

// reloaded is reload that must be taken, with these keys changed.
func (s *site) reloaded(yaml string, keys ...string) {
	s.Helper()
	code, body := s.reload(yaml + common)
	var done struct{ Changed, Restart []string }
	if err := json.Unmarshal([]byte(body), &done); err != nil || code != 200 {
		s.Fatalf("reload: %d %s", code, body)
	}
	if !slices.Equal(done.Changed, keys) || len(done.Restart) > 0 {
		s.Errorf("changed %q, want %q: %s", done.Changed, keys, body)
	}
}

// faults are what the server says is wrong with the configuration on disk.
func (s *site) faults() []string {
	s.Helper()
	code, body := s.http("GET", "/api/v1/status")
	var st struct{ Reload struct{ Faults []string } }
	if err := json.Unmarshal(body, &st); err != nil || code != 200 {
		s.Fatalf("GET status: %d, %v: %s", code, err, body)
	}
	return st.Reload.Faults
}

// undisturbed checks that a caller who hears music had one stream of it since the
// first-th packet, and that parkd sent nothing within the call.
func undisturbed(t *testing.T, c *live.Call, first int, since time.Time) {
	t.Helper()
	c.Media.Hear(10)
	all := c.Media.From(first)
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if b.SSRC != a.SSRC || b.Seq != a.Seq+1 || b.PT != a.PT || (b.TS-a.TS)%160 != 0 {
			t.Fatalf("music: %d of %x at %d after %d of %x at %d", b.Seq, b.SSRC, b.TS, a.Seq, a.SSRC, a.TS)
		}
	}
	if !c.Stands() {
		t.Error("the call has ended")
	}
	if got := c.Got(since); len(got) > 0 {
		t.Errorf("within the call came %s", got[0].Start)
	}
}

// built is the folder of what installed has built; "" = nothing.
var built string

// installed is parkd as users run it: that of TEST_BINARY, or one built for these tests.
var installed = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("TEST_BINARY"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "parkd")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "parkd")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "parkd/cmd/parkd").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// parkd runs a command of parkd's with the site's configuration.
func (s *site) parkd(args ...string) (stdout, stderr string, code int) {
	s.Helper()
	path, err := installed()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(path, append(args, "-c", filepath.Join(s.dir, "parkd.yaml"))...)
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	_ = cmd.Run() // its exit code says the same
	return out.String(), fault.String(), cmd.ProcessState.ExitCode()
}

const office = `
sip: {listen: [udp://HOST:5060], tls: {cert: cert.pem, key: key.pem}}
orbits: [{extension: 701-703, timeout: {after: 90s}}]
`

// Whatever is wrong with a file: it changes nothing, every fault of it is shown, and
// a good one works again.
func TestAFaultyFileChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.certify()
	s.start(office)
	s.log.Expect("configuration not reloaded")
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	w := bob.Watch("701")
	w.Served()
	w.Shows("terminated") // else the first NOTIFY may be of the parked call, and so the second
	parked := ann.Park("701", bob, live.Offer{})
	w.Shows("early")
	first, since := parked.Media.Heard(), time.Now()
	_, orbits := s.http("GET", "/api/v1/orbits")
	notes := len(w.Notes())

	// Each has a good change, too, which must not be in force.
	const other = "orbits: [{extension: 701-705, name: Other, timeout: {after: 60s}}]\npark: {retrieve_codes: [\"*9\"]}\n"
	const tlsFiles = "sip: {listen: [udp://HOST:5060], tls: {cert: cert.pem, key: key.pem}}\n"
	for _, row := range []struct {
		name, yaml string
		spoil      func()
		want       []string
	}{
		{"syntax", "orbits: [\n" + common, nil, []string{"parkd.yaml:4: did not find expected"}},
		{"an unknown key", other + tlsFiles + "sips: {}\n" + common, nil, []string{"parkd.yaml:4: sips: unknown key, perhaps sip is meant"}},
		{"a wrong type", other + tlsFiles + "log: {level: [1]}\n" + common, nil, []string{"parkd.yaml:4: log.level: "}},
		{"out of range", other + tlsFiles + "media: {codecs: [MP3]}\n" + common, nil, []string{"parkd.yaml:4: media.codecs[0]: \"MP3\" is none of PCMU, PCMA, G722"}},
		{"two at once", other + tlsFiles + "access: {realm: \"\"}\nshutdown: later\n" + common, nil,
			[]string{"parkd.yaml:4: access.realm: ", "parkd.yaml:5: shutdown: \"later\" is none of keep, drain, return"}},
		{"music that is missing", strings.Replace(other, "Other", "Other, music: sales", 1) + tlsFiles + common, nil,
			[]string{"parkd.yaml:1: orbits[0].music: there is no file "}},
		{"music that is none", strings.Replace(other, "Other", "Other, music: noise", 1) + tlsFiles + common,
			func() { s.file("music/noise.wav", []byte("RIFF and no more")) }, []string{"music: music \"noise\": "}},
		{"a key without its certificate", other + strings.Replace(tlsFiles, "cert: cert.pem, ", "", 1) + common, nil, []string{"parkd.yaml:3: sip.tls.cert: "}},
		{"a certificate that is none", other + tlsFiles + common, func() { s.file("cert.pem", []byte("no certificate")) }, []string{"/cert.pem with "}},
		{"a file that is gone", "", func() { os.Remove(filepath.Join(s.dir, "parkd.yaml")) }, []string{"parkd.yaml: no such file or directory"}},
	} {
		good, err := os.ReadFile(filepath.Join(s.dir, "cert.pem"))
		if err != nil {
			t.Fatal(err)
		}
		s.write(row.yaml)
		if row.spoil != nil {
			row.spoil()
		}
		code, body := s.http("POST", "/api/v1/reload")
		var problem struct{ Faults []string }
		if err := json.Unmarshal(body, &problem); err != nil || code != 422 {
			t.Fatalf("%s: %d %s", row.name, code, body)
		}
		shown := s.faults()
		said := s.status(row.yaml)
		for i, want := range row.want {
			if len(problem.Faults) != len(row.want) || !strings.Contains(problem.Faults[i], want) || !slices.Equal(shown, problem.Faults) {
				t.Errorf("%s: answered %q, shown %q, want %q", row.name, problem.Faults, shown, row.want)
			} else if row.name != "a file that is gone" && !strings.Contains(said, problem.Faults[i]) {
				t.Errorf("%s: parkd status says\n%s", row.name, said)
			}
		}
		if _, now := s.http("GET", "/api/v1/orbits"); !bytes.Equal(now, orbits) {
			t.Errorf("%s: the orbits are now\n%s", row.name, now)
		}
		bob.Invite("704", live.Offer{}).Expect(404)
		s.file("cert.pem", good)
	}
	logged := s.log.Find("configuration not reloaded, the old one stays in force")
	if len(logged) != 10 || !strings.Contains(fmt.Sprint(logged[1]["error"]), "sips: unknown key") {
		t.Errorf("logged %v", logged)
	}
	undisturbed(t, parked, first, since)
	if n := len(w.Notes()); n != notes {
		t.Errorf("the lamp was told %d times", n-notes)
	}

	s.reloaded(office+"park: {retrieve_codes: [\"*9\"]}\n", "park.retrieve_codes")
	if f := s.faults(); len(f) > 0 {
		t.Errorf("faults are still shown: %q", f)
	}
	fetched := bob.Dial("*9701", live.Offer{})
	bothHear(t, parked, fetched)
	fetched.Bye()
	parked.Over()
}

// status is what parkd status says. It finds the server by the file, whatever else
// is wrong with that.
func (s *site) status(yaml string) string {
	s.Helper()
	args := []string{"status"}
	if strings.Contains(yaml, "[\n") || yaml == "" { // a file that says nothing of admin.listen
		s.write("admin: {listen: \"HOST:8080\", password: x}\n")
	}
	out, fault, code := s.parkd(args...)
	if code != 0 {
		s.Errorf("parkd status: exit %d: %s", code, fault)
	}
	return out
}

// The password of the HTTP interface is the newest.
func TestAnotherPasswordIsAskedFor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain)
	const own = plain + "data_dir: DIR/data\nstore: {kind: memory}\nadmin: {listen: \"HOST:8080\", password: %q}\n"
	ask := func(method, path, password string) int {
		req, err := http.NewRequest(method, "http://"+s.host+":8080"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth("admin", password)
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, step := range []struct{ before, after string }{{"", "one"}, {"one", "two"}, {"two", ""}} {
		s.write(fmt.Sprintf(own, step.after))
		if code := ask("POST", "/api/v1/reload", step.before); code != 200 {
			t.Fatalf("reload with the password %q: %d", step.before, code)
		}
		for _, password := range []string{"", "one", "two"} {
			want := 401
			if password == step.after || step.after == "" {
				want = 200
			}
			if code := ask("GET", "/api/v1/calls", password); code != want {
				t.Errorf("after %q became %q, with %q: %d, want %d", step.before, step.after, password, code, want)
			}
		}
	}
}
