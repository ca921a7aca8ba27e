package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"parkd/internal/config"
)

func TestReloadCommand(t *testing.T) {
	rows := []struct {
		name           string
		status         int
		answer         string
		code           int
		stdout, stderr string
	}{
		{"nothing", 200, `{"changed":[],"restart":[]}`, 0, "reloaded, no key has changed\n", ""},
		{"something", 200, `{"changed":["data_dir","log.level","orbits.701.music"],"restart":["data_dir"]}`, 0,
			"changed: log.level\nchanged: orbits.701.music\nchanged at the next start: data_dir\n", ""},
		{"faults", 422, `{"title":"Unprocessable Entity","status":422,"detail":"faults","faults":["parkd.yaml:1: a: wrong","parkd.yaml:2: \u001b[2J"]}`, 2,
			"", "parkd.yaml:1: a: wrong\nparkd.yaml:2: ?[2J\n"},
		{"a stop", 503, `{"title":"Service Unavailable","status":503,"detail":"shutting down"}`, 1, "", "parkd: shutting down\n"},
		{"an older version", 404, `{"title":"Not Found","status":404}`, 1, "", "parkd: Not Found\n"},
		{"no JSON", 200, "fine", 1, "", "parkd: the running server's answer: invalid character 'i' in literal false (expecting 'a')\n"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.URL.Path != "/api/v1/reload" {
					t.Errorf("asked for %s %s", r.Method, r.URL.Path)
				}
				w.WriteHeader(row.status)
				_, _ = w.Write([]byte(row.answer))
			}))
			t.Cleanup(s.Close)
			// A faulty file: that is when it matters that the server is found.
			files := map[string]string{"parkd.yaml": fmt.Sprintf("log: {level: loud}\nadmin: {listen: %q}\n", strings.TrimPrefix(s.URL, "http://"))}
			code, stdout, stderr := parkd(t, files, "reload")
			if code != row.code || stdout != row.stdout || stderr != row.stderr {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, row.code, stdout, stderr)
			}
		})
	}
}

// asked is a server that counts how often it is to reload.
type asked struct{ times chan int }

func (a asked) Reload(context.Context) (config.Changes, error) {
	n := <-a.times
	a.times <- n + 1
	return config.Changes{}, nil
}

// What is asked for before the server serves is done then; once it has stopped, no more.
func TestReloadWaitsForReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := asked{make(chan int, 1)}
		a.times <- 0
		count := func() int {
			synctest.Wait()
			n := <-a.times
			a.times <- n
			return n
		}
		r := newReloading(config.Default(), nil, zerolog.Nop())
		ctx, cancel := context.WithCancel(t.Context())
		go r.reload(ctx)
		if n := count(); n != 0 {
			t.Errorf("%d reloads before the server serves", n)
		}
		r.server = a
		r.ready()
		if n := count(); n != 1 {
			t.Errorf("%d reloads once it serves", n)
		}
		late := newReloading(config.Default(), nil, zerolog.Nop())
		go late.reload(ctx)
		cancel()
		synctest.Wait() // it has ended, or the bubble does not
	})
}

// The files that are watched follow the configuration, also a faulty one.
func TestWatchedFiles(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	put := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("parkd.yaml", "")
	cfg, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := newReloading(cfg, nil, zerolog.Nop())
	steps := []struct {
		name   string
		change func()
		fails  bool
		want   string
	}{
		{"at the start", func() {}, false, "parkd.yaml"},
		{"a fault", func() { put("parkd.yaml", "sips: {}") }, true, "parkd.yaml"},
		{"music that is not there yet", func() { put("parkd.yaml", "defaults: {music: sales}") }, true, "music/sales.wav parkd.yaml"},
		{"that came", func() { put("music/sales.wav", "") }, false, "music/sales.wav parkd.yaml"},
		{"and went", func() { os.Remove("music/sales.wav") }, false, "music/sales.wav parkd.yaml"},
		{"another", func() { put("parkd.yaml", "sip: {tls: {cert: c.pem, key: k.pem}}") }, false, "c.pem k.pem parkd.yaml"},
	}
	for _, step := range steps {
		step.change()
		if _, err := r.load(); (err != nil) != step.fails {
			t.Fatalf("%s: %v", step.name, err)
		}
		select {
		case <-r.again:
		default:
			t.Errorf("%s: the watcher is not told", step.name)
		}
		var got []string
		for _, f := range slices.Sorted(maps.Keys(r.watched())) {
			rel, err := filepath.Rel(dir, f)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, rel)
		}
		if strings.Join(got, " ") != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
}

// testReload: each way to a reload, and what users see of it.
func testReload(t *testing.T, bin string) {
	music, err := os.ReadFile("../../internal/rtpmusic/library/default.wav")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := free.Addr().String()
	free.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "parkd.yaml")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	base := fmt.Sprintf("admin: {listen: %q}\nsip: {listen: [\"udp://127.0.0.1:0\"]}\n", admin)
	put(base)
	p := start(t, bin, "-c", path)
	p.waitFor(`"ready"`)
	see := func(code int, stdout, stderr string, args ...string) {
		t.Helper()
		gotCode, gotOut, gotErr := parkd(t, nil, append(args, "-c", path)...)
		if gotCode != code || !strings.Contains(gotOut, stdout) || gotErr != stderr {
			t.Errorf("parkd %s: exit %d, want %d\nstdout: %s\nwant: %s\nstderr: %s\nwant: %s", args[0], gotCode, code, gotOut, stdout, gotErr, stderr)
		}
	}

	put(base + "log: {level: debug}\norbits: [{extension: 701}, {extension: 702}]\n") // a changed file
	p.waitFor(`"changed":["log.level","orbits.703",`)
	see(0, "702    -     free   0      0         default\n", "", "status")

	fault := fmt.Sprintf("%s:3: sips: unknown key, perhaps sip is meant\n", path)
	put(base + "sips: {}\n")
	p.waitFor("not reloaded")
	see(2, "", fault, "reload")
	see(0, " ago; the one before is in force:\n  "+fault, "", "status")

	put(base + "orbits: [{extension: 701, music: sales}, {extension: 702}]\n") // without its music, which then comes
	p.waitFor("there is no file")
	if err := os.Mkdir(filepath.Join(dir, "music"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "music", "sales.wav"), music, 0o600); err != nil {
		t.Fatal(err)
	}
	p.waitFor(`"changed":["log.level","orbits.701.music"]`)

	put(base + "data_dir: elsewhere\norbits: [{extension: 701}, {extension: 702}]\n")
	see(0, "changed at the next start: data_dir\n", "", "reload") // before or after the change is noticed
	p.waitFor(`"changed":["data_dir","orbits.701.music"]`)
	see(0, "\nThese changes wait for the next start:\n  data_dir\n", "", "status")
	p.signal(syscall.SIGTERM)
	p.waitFor(`"stopped"`)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("%v, want exit status 0", err)
	}
}
