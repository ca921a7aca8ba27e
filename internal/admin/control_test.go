package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/orbit"
)

// controlled is a server whose state and reload are the test's.
func controlled(t *testing.T, status func() Status, reload func(context.Context) (Reloaded, error)) *Server {
	t.Helper()
	s := server(t, office(t), "")
	s.o.Status, s.o.Reload = status, reload
	return s
}

func TestStatus(t *testing.T) {
	rows := []struct {
		name   string
		status Status
		want   string
	}{
		{"a fresh start", Status{Version: "v1", Started: start, Orbits: 10, Shutdown: "keep", Journal: Journal{Kind: "bolt"}},
			`{"version":"v1","started":"2026-11-22T18:37:00.0000005Z","orbits":10,"parked_calls":0,"subscriptions":0,"shutdown":"keep",` +
				`"journal":{"kind":"bolt"},"reload":{"changed":[],"restart":[],"faults":[]}}`},
		{"everything", Status{Version: "v1", Started: start, Orbits: 1, ParkedCalls: 2, Subscriptions: 3, Shutdown: "drain",
			Journal: Journal{Kind: "memory", Fault: "disk full"},
			Reload:  Reload{At: start, Changed: []string{"log.level", "data_dir"}, Restart: []string{"data_dir"}, Faults: []string{"parkd.yaml:1: x: y"}}},
			`{"version":"v1","started":"2026-11-22T18:37:00.0000005Z","orbits":1,"parked_calls":2,"subscriptions":3,"shutdown":"drain",` +
				`"journal":{"kind":"memory","fault":"disk full"},"reload":{"at":"2026-11-22T18:37:00.0000005Z",` +
				`"changed":["log.level","data_dir"],"restart":["data_dir"],"faults":["parkd.yaml:1: x: y"]}}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			res := ask(controlled(t, func() Status { return row.status }, nil), "GET", "/api/v1/status")
			if got := body(t, res); res.StatusCode != 200 || got != row.want {
				t.Errorf("%d\n%s\nwant\n%s", res.StatusCode, got, row.want)
			}
		})
	}
}

func TestReload(t *testing.T) {
	faults := []string{`parkd.yaml:2: log.level: "loud" is none of trace, debug`, "parkd.yaml:7: sips: unknown key"}
	rows := []struct {
		name   string
		done   Reloaded
		err    error
		status int
		answer string   // without a problem
		detail string   // of a problem
		faults []string // of a problem
	}{
		{"something", Reloaded{[]string{"data_dir", "log.level"}, []string{"data_dir"}}, nil, 200,
			`{"changed":["data_dir","log.level"],"restart":["data_dir"]}`, "", nil},
		{"nothing", Reloaded{}, nil, 200, `{"changed":[],"restart":[]}`, "", nil},
		{"faults", Reloaded{}, errors.New(strings.Join(faults, "\n")), 422, "",
			"the configuration has faults, the one before is still in force", faults},
		{"a stop", Reloaded{}, fmt.Errorf("reload: %w", orbit.ErrClosed), 503, "", "shutting down", nil},
		{"no end", Reloaded{}, context.DeadlineExceeded, 503, "", "no answer in time", nil},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := controlled(t, nil, func(context.Context) (Reloaded, error) { return row.done, row.err })
			res := ask(s, "POST", "/api/v1/reload")
			got := body(t, res)
			if res.StatusCode != row.status || row.answer != "" && got != row.answer {
				t.Fatalf("%d %s, want %d %s", res.StatusCode, got, row.status, row.answer)
			}
			if row.status == 200 {
				return
			}
			isProblem(t, res, got, problem{"about:blank", http.StatusText(row.status), row.status, row.detail, "/api/v1/reload"})
			var p faulty
			if err := json.Unmarshal([]byte(got), &p); err != nil || !slices.Equal(p.Faults, row.faults) {
				t.Errorf("%v, faults %q, want %q", err, p.Faults, row.faults)
			}
		})
	}
}

// A reload goes on when the operator who asked for it has left, but not for ever.
func TestReloadOutlivesItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var ended time.Duration
		s := controlled(t, nil, func(ctx context.Context) (Reloaded, error) {
			cancel()
			<-ctx.Done()
			ended = time.Since(began)
			return Reloaded{}, ctx.Err()
		})
		res := ask(s, "POST", "/api/v1/reload", func(r *http.Request) { *r = *r.WithContext(left) })
		if res.StatusCode != 503 || ended != reloadTimeout {
			t.Errorf("%d after %s", res.StatusCode, ended)
		}
	})
}

func TestNotImplemented(t *testing.T) {
	s := server(t, office(t), "")
	for path, method := range map[string]string{"/api/v1/status": "GET", "/api/v1/reload": "POST"} {
		res := ask(s, method, path)
		isProblem(t, res, body(t, res), problem{"about:blank", "Not Implemented", 501, "", path})
	}
	if res := ask(s, "GET", "/api/v1/reload"); res.StatusCode != 405 || res.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}

// A new password holds for the next request.
func TestSetPassword(t *testing.T) {
	s := server(t, office(t), "old")
	with := func(password string) int {
		return ask(s, "GET", "/api/v1/orbits", func(r *http.Request) {
			if password != "" {
				r.SetBasicAuth("admin", password)
			}
		}).StatusCode
	}
	if with("old") != 200 || with("new") != 401 {
		t.Error("before")
	}
	s.SetPassword("new")
	if with("old") != 401 || with("new") != 200 || with("") != 401 {
		t.Error("after")
	}
	s.SetPassword("")
	if with("") != 200 {
		t.Error("without")
	}
}
