package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const lampsAnswer = `[
 {"resource":"701","event":"dialog","watcher":"sip:bob@example.com","contact":"sip:bob@192.0.2.2:5060","source":"udp 192.0.2.2:5060",
  "agent":"Yealink \u001b[2J","since":"2026-11-22T19:00:00Z","expires":"2026-11-22T20:00:00Z","told":"2026-11-22T19:37:48Z","answer":200,"shown":"a1","version":4},
 {"resource":"701","event":"presence","watcher":"sip:carol@example.com","contact":"sip:carol@192.0.2.3:5060","source":"tls 192.0.2.3:40000",
  "since":"2026-11-22T19:37:00Z","expires":"2026-11-22T20:37:00Z","told":"2026-11-22T19:37:00Z","silent":true},
 {"resource":"702","event":"dialog","watcher":"sip:bob@example.com","contact":"sip:bob@192.0.2.2:5060","source":"udp 192.0.2.2:5060",
  "since":"2026-11-22T19:37:00Z","expires":"2026-11-22T20:37:00Z"},
 {"resource":"orbits","list":true,"event":"dialog","watcher":"sip:desk@example.com","contact":"sip:desk@192.0.2.4:5060","source":"udp 192.0.2.4:5060",
  "since":"2026-11-22T19:37:00Z","expires":"2026-11-22T20:37:00Z","told":"2026-11-22T19:37:59Z","answer":200,"lit":2}]`

func TestLampsTable(t *testing.T) {
	var list []lamp
	if err := json.Unmarshal([]byte(lampsAnswer), &list); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := writeLamps(&out, time.Date(2026, 11, 22, 19, 38, 0, 0, time.UTC), list); err != nil {
		t.Fatal(err)
	}
	const want = `
ORBIT          EVENT     WATCHER                ADDRESS              AGENT         FOR    EXPIRES IN  TOLD      ANSWER    SHOWS
701            dialog    sip:bob@example.com    udp 192.0.2.2:5060   Yealink ?[2J  38m0s  22m0s       12s ago   200       a call
701            presence  sip:carol@example.com  tls 192.0.2.3:40000  -             1m0s   59m0s       1m0s ago  silent    no call
702            dialog    sip:bob@example.com    udp 192.0.2.2:5060   -             1m0s   59m0s       -         none yet  no call
orbits (list)  dialog    sip:desk@example.com   udp 192.0.2.4:5060   -             1m0s   59m0s       1s ago    200       2 calls
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

// lit is a server's HTTP interface with lamps; traces is what each trace in turn
// sends, 404 behind the last.
func lit(t *testing.T, traces ...string) (listen string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/api/v1/lamps":
			var list, some []map[string]any
			_ = json.Unmarshal([]byte(lampsAnswer), &list)
			for _, l := range list {
				if of := r.URL.Query().Get("resource"); of == "" || l["resource"] == of {
					some = append(some, l)
				}
			}
			_ = json.NewEncoder(w).Encode(some)
		case r.URL.Path == "/api/v1/lamps/701/trace" && len(traces) > 0:
			_, _ = w.Write([]byte(traces[0]))
			traces = traces[1:]
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"title":"Not Found","status":404,"detail":"no such orbit"}`))
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestLamps(t *testing.T) {
	for _, row := range []struct {
		args []string
		rows int
	}{{nil, 4}, {[]string{"701"}, 2}, {[]string{"799"}, 0}} {
		code, stdout, stderr := parkd(t, nil, append(append([]string{"lamps"}, row.args...), "--admin-listen="+lit(t))...)
		if n := strings.Count(stdout, "\n") - 1; code != 0 || n != row.rows || stderr != "" {
			t.Errorf("%v: exit %d, %d rows\n%s%s", row.args, code, n, stdout, stderr)
		}
		code, stdout, stderr = parkd(t, nil, append(append([]string{"lamps", "--json"}, row.args...), "--admin-listen="+lit(t))...)
		var list []map[string]any
		if err := json.Unmarshal([]byte(stdout), &list); code != 0 || err != nil || len(list) != row.rows {
			t.Errorf("%v: exit %d, %v\n%s%s", row.args, code, err, stdout, stderr)
		}
	}
}

// story is a trace with everything in it, as a server sends it.
const story = "retry: 10\n\n" +
	`event: lamp
id: 0
data: {"type":"lamp","time":"2026-11-22T19:37:00.100Z","orbit":"701","state":"free"}

event: watcher
data: {"type":"watcher","time":"2026-11-22T19:37:00.100Z","orbit":"701","event":"dialog","watcher":"sip:bob@example.com","source":"udp 192.0.2.2:5060","agent":"Yealink \u001b[2J","version":4,"expires":1800}

:

data: {"type":"lamp","time":"2026-11-22T19:37:01.100Z","orbit":"701","call":"c1","state":"parked"}

data: {"type":"lamp","time":"2026-11-22T19:37:01.100Z","orbit":"701","call":"c1","state":"parked"}

data: {"type":"notify","time":"2026-11-22T19:37:01.101Z","orbit":"701","event":"dialog","watcher":"sip:bob@example.com","source":"udp 192.0.2.2:5060","cseq":6,"version":5,"shown":"a1"}

data: {"type":"notify","time":"2026-11-22T19:37:01.101Z","orbit":"701","list":"orbits","event":"dialog","watcher":"sip:carol@example.com","source":"udp 192.0.2.3:5060","cseq":9,"version":8}

data: {"type":"notify","time":"2026-11-22T19:37:01.101Z","orbit":"orbits","list":"orbits","event":"dialog","watcher":"sip:carol@example.com","source":"udp 192.0.2.3:5060","cseq":9,"version":8}

data: {"type":"answer","time":"2026-11-22T19:37:01.113Z","orbit":"701","event":"dialog","watcher":"sip:bob@example.com","source":"udp 192.0.2.2:5060","cseq":6,"code":200,"seconds":0.0121}

data: {"type":"answer","time":"2026-11-22T19:37:02.113Z","orbit":"701","event":"dialog","watcher":"sip:bob@example.com","source":"udp 192.0.2.2:5060","cseq":5,"code":200}

data: {"type":"lamp","time":"2026-11-22T19:37:03.100Z","orbit":"701","state":"parked"}

data: {"type":"unanswered","time":"2026-11-22T19:37:33.100Z","orbit":"701","watcher":"sip:bob@example.com","source":"udp 192.0.2.2:5060","cseq":6}

data: {"type":"silent","time":"2026-11-22T19:37:33.100Z","orbit":"701","watcher":"sip:bob@example.com","source":"udp 192.0.2.2:5060"}

data: {"type":"ended","time":"2026-11-22T19:37:34.100Z","orbit":"701","watcher":"sip:bob@example.com","source":"udp 192.0.2.2:5060","code":481,"detail":"by its watcher's answer"}

`

func TestTraceText(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
	const want = `
19:37:00.100  701 is free
19:37:00.100  watcher     sip:bob@example.com at udp 192.0.2.2:5060, dialog, for 30m0s, Yealink ?[2J
19:37:01.100  701 is parked: call c1
19:37:01.101  NOTIFY 6    to sip:bob@example.com at udp 192.0.2.2:5060, version 5, shows a call
19:37:01.101  NOTIFY 9    to sip:carol@example.com at udp 192.0.2.3:5060 by list orbits, version 8, shows no call
19:37:01.101  NOTIFY 9    to sip:carol@example.com at udp 192.0.2.3:5060 by list orbits, version 8
19:37:01.113  200         to NOTIFY 6 from sip:bob@example.com at udp 192.0.2.2:5060 after 12.1ms
19:37:02.113  200         to NOTIFY 5 from sip:bob@example.com at udp 192.0.2.2:5060 late
19:37:03.100  701 is parked: the call is being fetched
19:37:33.100  no answer   to NOTIFY 6 from sip:bob@example.com at udp 192.0.2.2:5060
19:37:33.100  silent      sip:bob@example.com at udp 192.0.2.2:5060
19:37:34.100  ended       sip:bob@example.com at udp 192.0.2.2:5060, by its watcher's answer 481
`
	var out bytes.Buffer
	f := &following{out: &out}
	for _, line := range strings.Split(story, "\n") {
		if data, ok := strings.CutPrefix(line, "data: "); ok && !f.line([]byte(data)) {
			t.Fatal(f.failed)
		}
	}
	if got := "\n" + out.String(); got != want {
		t.Errorf("got%s\nwant%s", got, want)
	}
}

// A trace that breaks off is taken up again, until there is no such lamp any more.
func TestTraceGoesOn(t *testing.T) {
	code, stdout, stderr := parkd(t, nil, "lamps", "trace", "701", "--json", "--admin-listen="+lit(t, story, story))
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != 1 || len(lines) != 2*strings.Count(story, "data:") {
		t.Errorf("exit %d, %d lines", code, len(lines))
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("no JSON: %s", l)
		}
	}
	if want := strings.Repeat("parkd: the trace broke off, trying again\n", 2) + "parkd: no such orbit\n"; stderr != want {
		t.Errorf("stderr %q", stderr)
	}
}

func TestTraceOfNothing(t *testing.T) {
	code, _, stderr := parkd(t, nil, "lamps", "trace", "799", "--admin-listen="+lit(t))
	if code != 1 || stderr != "parkd: no such orbit\n" {
		t.Errorf("exit %d: %s", code, stderr)
	}
	code, _, stderr = parkd(t, nil, "lamps", "trace", "701", "--admin-listen=127.0.0.1:1")
	if code != 1 || !strings.HasPrefix(stderr, "parkd: is parkd running?") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
