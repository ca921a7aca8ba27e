package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"parkd/internal/orbit"
)

// fixed are orbits and lamps that stand still: a State that the test changes.
type fixed struct {
	state *orbit.State
	now   time.Time
	lamps []Lamp
	err   error // of every question
}

func (f *fixed) Look(_ context.Context, look func(*orbit.State)) error {
	if f.err == nil {
		look(f.state)
	}
	return f.err
}

func (f *fixed) Ask(_ context.Context, c orbit.Command) error {
	if f.err != nil {
		return f.err
	}
	ch, err := f.state.Decide(f.now, c)
	if err == nil {
		f.state.Apply(ch)
	}
	return err
}

func (f *fixed) Watchers(resource string) int {
	n := 0
	for _, l := range f.lamps {
		if l.Resource == resource {
			n++
		}
	}
	return n
}

func (f *fixed) Lamps(resource string) (list []Lamp) {
	for _, l := range f.lamps {
		if resource == "" || l.Resource == resource {
			list = append(list, l)
		}
	}
	return list
}

func (f *fixed) Resolve(user string) (string, bool) {
	_, ok := f.state.Lamp(user)
	return user, ok
}

var start = time.Date(2026, 11, 22, 19, 37, 0, 500, time.FixedZone("CET", 3600))

// office has a call that is parked, one on its way back, and one bridged.
func office(t *testing.T) *fixed {
	t.Helper()
	timeout := orbit.Timeout{Enabled: true, After: 2 * time.Minute, Ring: 15 * time.Second}
	f := &fixed{now: start, state: orbit.NewState(orbit.Settings{RetrieveCodes: []string{"*4"}, Orbits: []orbit.Orbit{
		{Extension: "701", Name: "Sales", Enabled: true, Music: "sales", Multiple: true, Timeout: timeout},
		{Extension: "702", Enabled: true, Music: "default", Timeout: timeout},
		{Extension: "703", Music: "default"},
	}, Pools: []orbit.Pool{{Extension: "700", Orbits: []string{"701", "702", "703"}}, {Extension: "600", Orbits: []string{"704", "703"}}}})}
	bob := "sip:bob@example.com"
	for _, c := range []orbit.Command{
		orbit.Invite{Leg: "gone", To: "701"}, orbit.Invite{Leg: "x", To: "*4701", Name: "Xin", URI: "sip:xin@example.com"}, orbit.Acked{Leg: "x"},
		orbit.Invite{Leg: "ann", To: "701", Referred: true, Parker: bob, Name: "Ann", URI: "sip:ann@example.com", Codec: "PCMU"},
		orbit.Invite{Leg: "eve", To: "701", Name: "Eve <script>\n", URI: "sip:eve@example.com", Codec: "G722"},
		orbit.Invite{Leg: "ron", To: "702", Referred: true, Parker: bob, URI: "sip:ron@example.com", Codec: "PCMA"},
		orbit.Return{Call: "ron"},
	} {
		if err := f.Ask(t.Context(), c); err != nil {
			t.Fatalf("%#v: %v", c, err)
		}
	}
	f.lamps = []Lamp{{Resource: "701", Event: "dialog", Watcher: "sip:bob@example.com", Source: "udp 192.0.2.1:5060",
		Since: start.UTC(), Expires: start.UTC(), Answer: 200, Shown: "early"}, {Resource: "701"}, {Resource: "702"}}
	return f
}

func server(t *testing.T, f *fixed, password string) *Server {
	t.Helper()
	return New(Options{Orbits: f, Lamps: f, Metrics: NewMetrics(prometheus.NewRegistry()), Password: password, Log: zerolog.Nop()})
}

// ask serves one request without a network.
func ask(s *Server, method, path string, change ...func(*http.Request)) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1:8080"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w.Result()
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func TestReads(t *testing.T) {
	const ann = `{"id":"ann","state":"parked","caller":{"name":"Ann","uri":"sip:ann@example.com"},"parked_by":"sip:bob@example.com","since":"2026-11-22T18:37:00Z","returns_at":"2026-11-22T18:39:00Z","codec":"PCMU"}`
	const eve = `{"id":"eve","state":"parked","caller":{"name":"Eve \u003cscript\u003e\n","uri":"sip:eve@example.com"},"parked_by":"","since":"2026-11-22T18:37:00Z","codec":"G722"}`
	const ron = `{"id":"ron","state":"returning","caller":{"name":"","uri":"sip:ron@example.com"},"with":{"name":"","uri":"sip:bob@example.com"},"parked_by":"sip:bob@example.com","since":"2026-11-22T18:37:00Z","codec":"PCMA"}`
	const sales = `{"extension":"701","name":"Sales","enabled":true,"state":"parked","music":"sales","calls":[` + ann + `,` + eve + `],"watchers":2}`
	const other = `{"extension":"702","name":"","enabled":true,"state":"returning","music":"default","calls":[` + ron + `],"watchers":1}`
	const off = `{"extension":"703","name":"","enabled":false,"state":"free","music":"default","calls":[],"watchers":0}`
	in := func(call, ext string) string {
		return strings.Replace(call, `","state"`, `","orbit":"`+ext+`","state"`, 1)
	}
	tests := []struct{ name, path, want string }{
		{"an orbit", "/api/v1/orbits/701", sales},
		{"an empty orbit", "/api/v1/orbits/703", off},
		{"orbits", "/api/v1/orbits", "[" + sales + "," + other + "," + off + "]"},
		{"calls", "/api/v1/calls", `[{"id":"gone","orbit":"701","state":"bridged","caller":{"name":"","uri":""},"with":{"name":"Xin","uri":"sip:xin@example.com"},"parked_by":"","since":"2026-11-22T18:37:00Z","codec":""},` +
			in(ann, "701") + "," + in(eve, "701") + "," + in(ron, "702") + "]"},
		{"pools", "/api/v1/pools", `[{"extension":"600","free":0,"total":2,"watchers":0},{"extension":"700","free":0,"total":3,"watchers":0}]`},
		{"health", "/healthz", `{"status":"ok"}`},
	}
	s := server(t, office(t), "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := ask(s, "GET", tt.path)
			if got := body(t, res); res.StatusCode != 200 || got != tt.want {
				t.Errorf("%d\n%s\nwant\n%s", res.StatusCode, got, tt.want)
			}
			if got := res.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
		})
	}
	t.Run("a pool is no orbit", func(t *testing.T) {
		if res := ask(s, "GET", "/api/v1/orbits/700"); res.StatusCode != 404 {
			t.Errorf("%d", res.StatusCode)
		}
	})
	t.Run("lamps", func(t *testing.T) {
		var lamps []Lamp
		if err := json.Unmarshal([]byte(body(t, ask(s, "GET", "/api/v1/lamps"))), &lamps); err != nil || len(lamps) != 3 || lamps[0].Answer != 200 {
			t.Errorf("%v, %+v", err, lamps)
		}
	})
	t.Run("no lamps", func(t *testing.T) {
		if got := body(t, ask(server(t, &fixed{state: orbit.NewState(orbit.Settings{})}, ""), "GET", "/api/v1/lamps")); got != "[]" {
			t.Errorf("%s", got)
		}
	})
}

func TestManyOrbits(t *testing.T) {
	set := orbit.Settings{}
	for i := range 5*chunk + 1 {
		set.Orbits = append(set.Orbits, orbit.Orbit{Extension: string(rune('一' + i)), Enabled: true})
	}
	var list []orbitJSON
	res := ask(server(t, &fixed{state: orbit.NewState(set)}, ""), "GET", "/api/v1/orbits")
	if err := json.Unmarshal([]byte(body(t, res)), &list); err != nil || len(list) != len(set.Orbits) {
		t.Errorf("%d orbits, %v", len(list), err)
	}
}

func TestRequests(t *testing.T) {
	f := office(t)
	s := server(t, f, "")
	steps := []struct {
		name, method, path string
		status             int
		detail             string
	}{
		{"return", "POST", "/api/v1/calls/ann/return", 202, ""},
		{"a second time", "POST", "/api/v1/calls/ann/return", 409, "the call is returning"},
		{"nobody to call", "POST", "/api/v1/calls/eve/return", 409, "nobody to call back"},
		{"a bridged call", "POST", "/api/v1/calls/gone/return", 409, "the call is bridged"},
		{"no such call", "POST", "/api/v1/calls/zoe/return", 404, "no such call"},
		{"drop", "DELETE", "/api/v1/calls/eve", 204, ""},
		{"a second time", "DELETE", "/api/v1/calls/eve", 404, "no such call"},
		{"drop a bridged call", "DELETE", "/api/v1/calls/gone", 204, ""},
		{"no such orbit", "GET", "/api/v1/orbits/799", 404, "no such orbit"},
		{"no such path", "GET", "/api/v2/orbits", 404, ""},
		{"no orbit", "GET", "/api/v1/orbits/", 404, ""},
		{"wrong method", "POST", "/api/v1/orbits", 405, ""},
		{"wrong method on a call", "GET", "/api/v1/calls/ann", 405, ""},
	}
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			res := ask(s, tt.method, tt.path)
			got := body(t, res)
			if res.StatusCode != tt.status {
				t.Fatalf("%d %s, want %d", res.StatusCode, got, tt.status)
			}
			if tt.status < 300 {
				if got != "" {
					t.Errorf("body %q", got)
				}
				return
			}
			isProblem(t, res, got, problem{"about:blank", http.StatusText(tt.status), tt.status, tt.detail, tt.path})
		})
	}
	if got := ask(s, "PUT", "/api/v1/calls/ann").Header.Get("Allow"); got != "DELETE" {
		t.Errorf("Allow: %q", got)
	}
	if got := ask(s, "PUT", "/metrics").Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow: %q", got)
	}
	if res := ask(s, "HEAD", "/api/v1/orbits"); res.StatusCode != 200 {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
	if f.state.Held() != 2 {
		t.Errorf("%d calls are left", f.state.Held())
	}
}

func isProblem(t *testing.T, res *http.Response, text string, want problem) {
	t.Helper()
	if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	var p problem
	if err := json.Unmarshal([]byte(text), &p); err != nil || p != want {
		t.Errorf("%v, %+v, want %+v", err, p, want)
	}
}

func TestUnavailable(t *testing.T) {
	for name, err := range map[string]error{"closed": orbit.ErrClosed, "late": context.DeadlineExceeded, "strange": errors.New("strange")} {
		t.Run(name, func(t *testing.T) {
			s := server(t, &fixed{err: err}, "")
			for _, path := range []string{"GET /api/v1/orbits", "GET /api/v1/orbits/701", "GET /api/v1/calls", "DELETE /api/v1/calls/a", "GET /healthz"} {
				method, path, _ := strings.Cut(path, " ")
				want := 503
				if name == "strange" && path != "/healthz" {
					want = 500
				}
				if res := ask(s, method, path); res.StatusCode != want {
					t.Errorf("%s %s: %d", method, path, res.StatusCode)
				}
			}
		})
	}
}

func TestHealth(t *testing.T) {
	var sick error
	f := office(t)
	s := New(Options{Orbits: f, Lamps: f, Metrics: NewMetrics(prometheus.NewRegistry()), Log: zerolog.Nop(),
		Health: func() error { return sick }})
	if res := ask(s, "GET", "/readyz"); res.StatusCode != 503 {
		t.Errorf("ready too early: %d", res.StatusCode)
	}
	s.SetReady(true)
	if res := ask(s, "GET", "/readyz"); res.StatusCode != 200 {
		t.Errorf("ready: %d", res.StatusCode)
	}
	if res := ask(s, "GET", "/healthz"); res.StatusCode != 200 {
		t.Errorf("healthy: %d", res.StatusCode)
	}
	// Nobody is to start the process anew, or to send calls elsewhere, because its disk is full.
	sick = errors.New("disk full")
	res := ask(s, "GET", "/healthz")
	if got, want := body(t, res), `{"status":"ok","journal":"disk full"}`; res.StatusCode != 200 || got != want {
		t.Errorf("sick: %d %s, want %s", res.StatusCode, got, want)
	}
	if res := ask(s, "GET", "/readyz"); res.StatusCode != 200 {
		t.Errorf("ready, but sick: %d", res.StatusCode)
	}
	s.SetReady(false)
	if res := ask(s, "GET", "/readyz"); res.StatusCode != 503 {
		t.Errorf("stopping: %d", res.StatusCode)
	}
}

func TestGuard(t *testing.T) {
	basic := func(name, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, password) }
	}
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	tests := []struct {
		name, password, method, path string
		change                       []func(*http.Request)
		status                       int
	}{
		{"no password is set", "", "GET", "/api/v1/orbits", nil, 200},
		{"none given", "secret", "GET", "/api/v1/orbits", nil, 401},
		{"none given for metrics", "secret", "GET", "/metrics", nil, 401},
		{"nor for what is not there", "secret", "GET", "/nothing", nil, 401},
		{"health needs none", "secret", "GET", "/healthz", nil, 200},
		{"nor does ready", "secret", "GET", "/readyz", nil, 503},
		{"the right one", "secret", "GET", "/api/v1/orbits", []func(*http.Request){basic("admin", "secret")}, 200},
		{"a wrong one", "secret", "GET", "/api/v1/orbits", []func(*http.Request){basic("admin", "secre")}, 401},
		{"the wrong user", "secret", "GET", "/api/v1/orbits", []func(*http.Request){basic("root", "secret")}, 401},
		{"moved about", "secret", "GET", "/api/v1/orbits", []func(*http.Request){basic("admin\x00secret", "")}, 401},
		{"not basic", "secret", "GET", "/api/v1/orbits", []func(*http.Request){header("Authorization", "Bearer secret")}, 401},

		{"localhost", "", "GET", "/api/v1/orbits", []func(*http.Request){host("LocalHost:8080")}, 200},
		{"an IPv6 address", "", "GET", "/api/v1/orbits", []func(*http.Request){host("[::1]:8080")}, 200},
		{"an IPv6 address without a port", "", "GET", "/api/v1/orbits", []func(*http.Request){host("[::1]")}, 200},
		{"a name that was bound to us", "", "GET", "/api/v1/orbits", []func(*http.Request){host("evil.example:8080")}, 421},
		{"a name like an address", "", "GET", "/api/v1/orbits", []func(*http.Request){host("127.0.0.1.evil.example")}, 421},
		{"with a password any name", "secret", "GET", "/api/v1/orbits", []func(*http.Request){host("pbx.example.com"), basic("admin", "secret")}, 200},

		{"another site's form", "", "DELETE", "/api/v1/calls/ann", []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}, 403},
		{"another site's script", "", "POST", "/api/v1/calls/ann/return", []func(*http.Request){header("Origin", "https://evil.example")}, 403},
		{"another site's script with our password", "secret", "POST", "/api/v1/calls/ann/return", []func(*http.Request){header("Origin", "https://evil.example"), basic("admin", "secret")}, 403},
		{"status with none given", "secret", "GET", "/api/v1/status", nil, 401},
		{"reload with none given", "secret", "POST", "/api/v1/reload", nil, 401},
		{"another site's reload", "", "POST", "/api/v1/reload", []func(*http.Request){header("Sec-Fetch-Site", "cross-site")}, 403},
		{"our own page", "", "POST", "/api/v1/calls/ann/return", []func(*http.Request){header("Sec-Fetch-Site", "same-origin")}, 202},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res := ask(server(t, office(t), tt.password), tt.method, tt.path, tt.change...)
			if res.StatusCode != tt.status {
				t.Fatalf("%d, want %d", res.StatusCode, tt.status)
			}
			if tt.status > 400 {
				if got := res.Header.Get("Content-Type"); got != "application/problem+json" {
					t.Errorf("content type %q", got)
				}
			}
			if got := res.Header.Get("WWW-Authenticate"); (got != "") != (tt.status == 401) {
				t.Errorf("challenge %q", got)
			}
			if res.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("content may be sniffed")
			}
		})
	}
}

type someRegistrations []Registration

func (r someRegistrations) Registrations() []Registration { return r }

func TestRegistrations(t *testing.T) {
	at := time.Date(2026, 11, 22, 19, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		list Registrations
		want string
	}{
		"none can be": {nil, "[]"},
		"none":        {someRegistrations{}, "[]"},
		"two": {someRegistrations{
			{AOR: "sip:701@pbx", Registrar: "sip:pbx", Extension: "701", State: "registered", Since: at, Expires: at, Next: at, Contact: "sip:701@10.0.0.1:5060"},
			{AOR: "sip:702@pbx", Registrar: "sip:pbx", Extension: "702", State: "failed", Since: at, Error: "403 Forbidden"},
		}, `[{"aor":"sip:701@pbx","registrar":"sip:pbx","extension":"701","state":"registered","since":"2026-11-22T19:00:00Z",` +
			`"expires_at":"2026-11-22T19:00:00Z","next_at":"2026-11-22T19:00:00Z","contact":"sip:701@10.0.0.1:5060"},` +
			`{"aor":"sip:702@pbx","registrar":"sip:pbx","extension":"702","state":"failed","since":"2026-11-22T19:00:00Z","error":"403 Forbidden"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Options{Registrations: c.list, Metrics: NewMetrics(prometheus.NewRegistry())})
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/api/v1/registrations", nil)
			s.Handler().ServeHTTP(w, r)
			if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != c.want {
				t.Errorf("%d %s\nwant %s", w.Code, got, c.want)
			}
		})
	}
}
