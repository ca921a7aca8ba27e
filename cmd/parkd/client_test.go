package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const orbitsAnswer = `[
 {"extension":"701","name":"Sales","enabled":true,"state":"parked","music":"sales","watchers":3,
  "calls":[{"id":"c1","state":"parked","caller":{"name":"Ann \u001b[2J","uri":"sip:ann@example.com"},
            "parked_by":"sip:bob@example.com","since":"2026-11-22T19:37:00Z","returns_at":"2026-11-22T19:39:00Z","codec":"PCMU"}]},
 {"extension":"702","name":"","enabled":false,"state":"free","music":"default","calls":[],"watchers":0}]`

const callsAnswer = `[
 {"id":"c1","state":"parked","caller":{"name":"Ann \u001b[2J","uri":"sip:ann@example.com"},
  "parked_by":"sip:bob@example.com","since":"2026-11-22T19:37:00Z","returns_at":"2026-11-22T19:39:00Z","codec":"PCMU"},
 {"id":"c2","state":"bridged","caller":{"uri":"sip:eve@example.com"},"since":"2026-11-22T19:30:00Z","codec":"G722"}]`

const poolsAnswer = `[{"extension":"700","free":1,"total":2,"watchers":4}]`

const statusAnswer = `{"version":"v1","journal":{"kind":"bolt","fault":"disk \u001b[2Jfull"},
 "reload":{"at":"2026-11-22T19:37:00Z","changed":["log.level"],"restart":["data_dir","sip.listen"],
           "faults":["parkd.yaml:1: a: \u001b[2J wrong","parkd.yaml:2: b: wrong"]}}`

// running is a server's HTTP interface; the requests that it was sent are in seen.
func running(t *testing.T, seen *[]string) (listen string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*seen = append(*seen, r.Method+" "+r.URL.EscapedPath())
		user, password, _ := r.BasicAuth()
		switch {
		case user != "admin" || password != "geheim":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/v1/orbits":
			_, _ = w.Write([]byte(orbitsAnswer))
		case r.URL.Path == "/api/v1/calls":
			_, _ = w.Write([]byte(callsAnswer))
		case r.URL.Path == "/api/v1/pools":
			_, _ = w.Write([]byte(poolsAnswer))
		case r.URL.Path == "/api/v1/status":
			_, _ = w.Write([]byte(statusAnswer))
		case r.URL.Path == "/api/v1/registrations":
			_, _ = w.Write([]byte(`[{"aor":"sip:701@pbx.example.com","registrar":"sip:pbx.example.com","state":"failed","since":"2026-11-22T19:37:00Z","error":"403 \u001b[2JNo"}]`))
		case strings.HasPrefix(r.URL.Path, "/api/v1/calls/none"):
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"title":"Not Found","status":404,"detail":"no call none"}`))
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestClient(t *testing.T) {
	rows := []struct {
		name, password string
		args           []string
		code           int
		stdout, stderr string
		seen           string
	}{
		{"return", "geheim", []string{"call", "return", "c1"}, 0, "call c1 goes back to its parker\n", "", "POST /api/v1/calls/c1/return"},
		{"drop", "geheim", []string{"call", "drop", "a/b"}, 0, "call a/b is ended\n", "", "DELETE /api/v1/calls/a%2Fb"},
		{"no such call", "geheim", []string{"call", "drop", "none"}, 1, "", "parkd: no call none\n", "DELETE /api/v1/calls/none"},
		{"wrong password", "x", []string{"call", "drop", "c1"}, 1, "", "parkd: the running server has another admin.password\n", "DELETE /api/v1/calls/c1"},
		{"status", "geheim", []string{"status"}, 0, "ORBIT  NAME", "", "GET /api/v1/orbits,GET /api/v1/calls,GET /api/v1/pools,GET /api/v1/status,GET /api/v1/registrations"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var seen []string
			t.Setenv("PARKD_ADMIN_PASSWORD", row.password)
			code, stdout, stderr := parkd(t, nil, append(row.args, "--admin-listen="+running(t, &seen))...)
			if code != row.code || !strings.HasPrefix(stdout, row.stdout) || stderr != row.stderr {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", code, row.code, stdout, stderr)
			}
			if got := strings.Join(seen, ","); got != row.seen {
				t.Errorf("asked for %s, want %s", got, row.seen)
			}
		})
	}
}

func TestStatusJSON(t *testing.T) {
	var seen []string
	t.Setenv("PARKD_ADMIN_PASSWORD", "geheim")
	code, stdout, _ := parkd(t, nil, "status", "--json", "--admin-listen="+running(t, &seen))
	var all struct {
		Orbits, Calls []map[string]any
		Pools         []map[string]any
		Status        map[string]any
	}
	if err := json.Unmarshal([]byte(stdout), &all); code != 0 || err != nil || len(all.Orbits) != 2 || len(all.Calls) != 2 || len(all.Pools) != 1 || all.Status["version"] != "v1" {
		t.Errorf("exit %d, %v:\n%s", code, err, stdout)
	}
}

func TestStatusTables(t *testing.T) {
	var out strings.Builder
	now := time.Date(2026, 11, 22, 19, 38, 0, 0, time.UTC)
	a := answers{Orbits: json.RawMessage(orbitsAnswer), Calls: json.RawMessage(callsAnswer), Pools: json.RawMessage(poolsAnswer)}
	if err := writeTables(&out, now, a); err != nil {
		t.Fatal(err)
	}
	const want = `
ORBIT  NAME   STATE     CALLS  WATCHERS  MUSIC
701    Sales  parked    1      3         sales
702    -      disabled  0      0         default

POOL  FREE  OF  WATCHERS
700   1     2   4

CALL  ORBIT  STATE    CALLER                            PARKED BY            FOR   RETURNS IN  CODEC
c1    701    parked   Ann ?[2J <sip:ann@example.com>    sip:bob@example.com  1m0s  1m0s        PCMU
c2    -      bridged  sip:eve@example.com               -                    8m0s  -           G722
`
	if got := strings.TrimSpace(out.String()); squeeze(got) != squeeze(want) {
		t.Errorf("got\n%s", got)
	}
	if strings.ContainsRune(out.String(), '\x1b') {
		t.Error("a caller's name commands the terminal")
	}
	if err := writeTables(&out, now, answers{Orbits: json.RawMessage(`{"x":1}`), Calls: json.RawMessage(`[]`)}); err == nil {
		t.Error("an answer that is no list is taken for one")
	}
}

func TestStatusBelowTables(t *testing.T) {
	now := time.Date(2026, 11, 22, 19, 38, 0, 0, time.UTC)
	rows := []struct{ name, status, want string }{
		{"everything", statusAnswer, `
The journal can't be written, calls are in memory only:
  disk ?[2Jfull

The configuration on disk has faults, found 1m0s ago; the one before is in force:
  parkd.yaml:1: a: ?[2J wrong
  parkd.yaml:2: b: wrong

These changes wait for the next start:
  data_dir
  sip.listen
`},
		{"all is well", `{"version":"v1","journal":{"kind":"bolt"},"reload":{"at":"2026-11-22T19:37:00Z","changed":["a"],"restart":[],"faults":[]}}`, ""},
		{"an older version", "", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			a := answers{Orbits: json.RawMessage(`[]`), Calls: json.RawMessage(`[]`), Status: json.RawMessage(row.status)}
			if row.status == "" {
				a.Status = nil
			}
			var out strings.Builder
			if err := writeStatus(&out, now, a); err != nil {
				t.Fatal(err)
			}
			if _, below, _ := strings.Cut(out.String(), "MUSIC\n"); below != row.want {
				t.Errorf("got\n%s\nwant\n%s", below, row.want)
			}
		})
	}
}

func TestStatusShowsRegistrations(t *testing.T) {
	now := time.Date(2026, 11, 22, 19, 40, 0, 0, time.UTC)
	list := json.RawMessage(`[{"aor":"sip:701@pbx","registrar":"sip:pbx","state":"registered","since":"2026-11-22T19:37:00Z","expires_at":"2026-11-22T20:37:00Z"},
		{"aor":"sip:702@pbx","registrar":"sip:pbx","state":"failed","since":"2026-11-22T19:39:00Z","error":"403 \u001b[2JNo"}]`)
	var out strings.Builder
	if err := writeRegistrations(&out, now, list); err != nil {
		t.Fatal(err)
	}
	want := "ACCOUNT REGISTRAR STATE FOR EXPIRES IN ERROR\nsip:701@pbx sip:pbx registered 3m0s 57m0s -\nsip:702@pbx sip:pbx failed 1m0s - 403 ?[2JNo"
	if got := squeeze(out.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	out.Reset()
	if err := writeRegistrations(&out, now, json.RawMessage(`[]`)); err != nil || out.Len() != 0 {
		t.Errorf("without any: %q, %v", out.String(), err)
	}
}

// A server of an older version has orbits and calls, and nothing to add.
func TestStatusOfAnOlderVersion(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/status" || r.URL.Path == "/api/v1/registrations" || r.URL.Path == "/api/v1/pools" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(`[]`))
	}))
	t.Cleanup(s.Close)
	listen := "--admin-listen=" + strings.TrimPrefix(s.URL, "http://")
	if code, stdout, stderr := parkd(t, nil, "status", listen); code != 0 || squeeze(stdout) != "ORBIT NAME STATE CALLS WATCHERS MUSIC" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ := parkd(t, nil, "status", "--json", listen); code != 0 || squeeze(stdout) != "{\n\"calls\": [],\n\"orbits\": []\n}" {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

// squeeze makes widths of columns equal.
func squeeze(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	return strings.Join(lines, "\n")
}
