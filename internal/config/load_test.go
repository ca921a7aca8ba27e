package config

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the golden files anew")

// same compares configurations by value.
var same = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b *regexp.Regexp) bool { return a.String() == b.String() }),
}

// write puts a file into a fresh folder that is then the working directory.
func write(t *testing.T, name, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func mustLoad(t *testing.T, name, text string, args ...string) Config {
	t.Helper()
	cfg, err := Load(write(t, name, text), flags(t, args...))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return cfg
}

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	set := pflag.NewFlagSet("parkd", pflag.ContinueOnError)
	Flags(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestReferenceIsDefault(t *testing.T) {
	data, err := os.ReadFile("../../configs/parkd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := mustLoad(t, "parkd.yaml", string(data))
	want := Default()
	want.File = "parkd.yaml"
	if diff := cmp.Diff(want, got, same); diff != "" {
		t.Errorf("configs/parkd.yaml is not Default() (-default +file):\n%s", diff)
	}
}

// TestReferenceHasEveryKey: a key that is missing in the reference would still
// have its default.
func TestReferenceHasEveryKey(t *testing.T) {
	data, err := os.ReadFile("../../configs/parkd.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := newChecker("parkd.yaml")
	root, err := parse("parkd.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	c.table(root, reflect.TypeFor[Config](), "")
	for _, k := range leafKeys(reflect.ValueOf(Default()), "", nil) {
		if _, ok := c.at[k.key]; !ok {
			t.Errorf("%s is missing", k.key)
		}
	}
	for _, key := range []string{"orbits", "lists", "pools", "sip.credentials", "access.users"} {
		if _, ok := c.at[key]; !ok {
			t.Errorf("%s is missing", key)
		}
	}
}

func TestSamplesLoad(t *testing.T) {
	files, err := filepath.Glob("../../configs/*.*")
	if err != nil || len(files) < 3 {
		t.Fatalf("samples: %v %v", files, err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			cfg, err := Load(f, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := cfg.Validate(); err != nil {
				t.Errorf("Validate after Load: %v", err)
			}
		})
	}
}

func TestNoFileIsDefault(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("STATE_DIRECTORY", "")
	if search() != "" {
		t.Skip("this machine has a parkd of its own: /etc/parkd/parkd.yaml")
	}
	got, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got, same); diff != "" {
		t.Error(diff)
	}
	if err := Default().Validate(); err != nil {
		t.Errorf("Default is not valid: %v", err)
	}
}

func TestSearchFindsWorkingDirectory(t *testing.T) {
	write(t, "parkd.yaml", "data_dir: found\n")
	cfg, err := Load("", nil)
	if err != nil || cfg.DataDir != "found" || cfg.File != "parkd.yaml" {
		t.Errorf("got %q from %q, %v", cfg.DataDir, cfg.File, err)
	}
}

func TestPrecedence(t *testing.T) {
	const file = "sip: {advertise: file.example.com}\n"
	rows := []struct {
		name, file, env string
		args            []string
		want            string
	}{
		{"default", "", "", nil, ""},
		{"file beats default", file, "", nil, "file.example.com"},
		{"environment beats file", file, "env.example.com", nil, "env.example.com"},
		{"flag beats environment", file, "env.example.com", []string{"--sip-advertise=flag.example.com"}, "flag.example.com"},
		{"flag beats default", "", "", []string{"--sip-advertise=flag.example.com"}, "flag.example.com"},
		{"a flag empties", file, "", []string{"--sip-advertise="}, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv("PARKD_SIP_ADVERTISE", row.env)
			cfg := mustLoad(t, "parkd.yaml", row.file, row.args...)
			if cfg.SIP.Advertise != row.want {
				t.Errorf("got %q, want %q", cfg.SIP.Advertise, row.want)
			}
		})
	}
}

func TestEnvironmentOfEveryType(t *testing.T) {
	for name, value := range map[string]string{
		"PARKD_SIP_LISTEN":          "udp://127.0.0.1:5070, tcp://[::1]:5071",
		"PARKD_ACCESS_TRUSTED":      "192.0.2.0/24,2001:db8::1",
		"PARKD_MEDIA_PORTS":         "20000-20100",
		"PARKD_MEDIA_CODECS":        "g722",
		"PARKD_MEDIA_ADDRESS":       "192.0.2.9",
		"PARKD_PARK_TIMEOUT_RANGE":  "1s,10m",
		"PARKD_PARK_MAX_CALLS":      "7",
		"PARKD_DEFAULTS_ENABLED":    "false",
		"PARKD_ADMIN_PASSWORD":      "geheim",
		"PARKD_ACCESS_RETURN_USERS": "^2..$",
		"PARKD_DATA_DIR":            "/srv/parkd",
		"PARKD_SHUTDOWN":            "return",
	} {
		t.Setenv(name, value)
	}
	cfg := mustLoad(t, "parkd.yaml", "orbits: [{extension: 801}]")
	want := Default()
	want.File = "parkd.yaml"
	want.SIP.Listen = []Listen{{"udp", netip.MustParseAddr("127.0.0.1"), 5070}, {"tcp", netip.MustParseAddr("::1"), 5071}}
	want.Access.Trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}
	want.Access.ReturnUsers = regexp.MustCompile("^2..$")
	want.Media.Ports = PortRange{20000, 20100}
	want.Media.Codecs = []string{"G722"}
	want.Media.Address = netip.MustParseAddr("192.0.2.9")
	want.Park.TimeoutRange = DurationRange{time.Second, 10 * time.Minute}
	want.Park.MaxCalls = 7
	want.Defaults.Enabled = false
	want.Admin.Password = "geheim"
	want.DataDir = "/srv/parkd"
	want.Shutdown = "return"
	want.Orbits = []Orbit{{Extension: "801", Options: want.Defaults}}
	if diff := cmp.Diff(want, cfg, same); diff != "" {
		t.Error(diff)
	}
}

func TestStateDirectory(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "/var/lib/parkd:/var/lib/other")
	if cfg := mustLoad(t, "parkd.yaml", ""); cfg.DataDir != "/var/lib/parkd" {
		t.Errorf("got %q", cfg.DataDir)
	}
	if cfg := mustLoad(t, "parkd.yaml", "data_dir: mine"); cfg.DataDir != "mine" {
		t.Errorf("the file does not beat systemd: %q", cfg.DataDir)
	}
}

func TestOrbitsAreResolved(t *testing.T) {
	cfg := mustLoad(t, "parkd.yaml", `
defaults: {music: default, timeout: {after: 90s, fallback: "200"}, transfer: {enabled: true}}
orbits:
  - {extension: 701, name: Sales, timeout: {after: 1m, ring: 20s}, lamp: {state: confirmed}}
  - extension: 702-704
    transfer: {enabled: false, key: 5}
  - {extension: "0801-0802", enabled: false}
`)
	base := Default().Defaults
	base.Timeout.After, base.Timeout.Fallback, base.Transfer.Enabled = 90*time.Second, "200", true
	sales := base
	sales.Timeout.After, sales.Timeout.Ring, sales.Lamp.State = time.Minute, 20*time.Second, "confirmed"
	keyed := base
	keyed.Transfer = Transfer{Key: "5"}
	off := base
	off.Enabled = false
	want := []Orbit{
		{Extension: "701", Name: "Sales", Options: sales},
		{Extension: "702", Options: keyed}, {Extension: "703", Options: keyed}, {Extension: "704", Options: keyed},
		{Extension: "0801", Options: off}, {Extension: "0802", Options: off},
	}
	if diff := cmp.Diff(want, cfg.Orbits); diff != "" {
		t.Error(diff)
	}
}

func TestBuiltinOrbitsTakeDefaults(t *testing.T) {
	cfg := mustLoad(t, "parkd.yaml", "defaults: {allow_multiple: true}")
	if len(cfg.Orbits) != 10 || cfg.Orbits[9].Extension != "710" || !cfg.Orbits[9].AllowMultiple {
		t.Errorf("got %+v", cfg.Orbits)
	}
	if cfg := mustLoad(t, "parkd.yaml", "orbits: []"); len(cfg.Orbits) != 0 {
		t.Errorf("an empty list is not empty: %+v", cfg.Orbits)
	}
}

// TestFormatsAgree: the same configuration as YAML, TOML and JSON.
func TestFormatsAgree(t *testing.T) {
	want := mustLoad(t, "parkd.yaml", `
sip: {listen: ["udp://127.0.0.1:5060"], credentials: [{username: u, password: p}]}
park: {max_calls: 12, timeout_range: [10s, 1h]}
orbits:
  - &first {extension: 701, name: "Größe \"1\"", timeout: {after: 30s}}
  - {<<: *first, extension: 702}
`)
	for name, text := range map[string]string{
		"parkd.toml": `
park = { max_calls = 12, timeout_range = ["10s", "1h"] }
[sip]
listen = ["udp://127.0.0.1:5060"]
[[sip.credentials]]
username = "u"
password = "p"
[[orbits]]
extension = 701
name = "Größe \"1\""
timeout.after = "30s"
[[orbits]]
extension = "702"
name = 'Größe "1"'
[orbits.timeout]
after = "30s"
`,
		"parkd.json": `{
	"sip": {"listen": ["udp://127.0.0.1:5060"], "credentials": [{"username": "u", "password": "p"}]},
	"park": {"max_calls": 12, "timeout_range": ["10s", "1h"]},
	"orbits": [{"extension": 701, "name": "Gr\u00f6\u00dfe \"1\"", "timeout": {"after": "30s"}},
	           {"extension": "702", "name": "Größe \"1\"", "timeout": {"after": "30s"}}]
}`,
	} {
		t.Run(name, func(t *testing.T) {
			got := mustLoad(t, name, text)
			got.File = want.File
			if diff := cmp.Diff(want, got, same); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPathsAreRelativeToFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tunes"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tunes/sales.wav", "parkd.yaml"} {
		text := ""
		if name == "parkd.yaml" {
			text = "sip: {tls: {cert: c.pem, key: /k.pem}}\nmedia: {music_dir: tunes, announcements: words}\ndefaults: {music: sales}\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := Load(filepath.Join(dir, "parkd.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{cfg.SIP.TLS.Cert, cfg.SIP.TLS.Key, cfg.Media.MusicDir, cfg.Media.Announcements}; !cmp.Equal(got,
		[]string{filepath.Join(dir, "c.pem"), "/k.pem", filepath.Join(dir, "tunes"), filepath.Join(dir, "words")}) {
		t.Errorf("got %q", got)
	}
}

func TestYAMLLoadsAgain(t *testing.T) {
	cfg := mustLoad(t, "parkd.yaml", `
media: {address: "2001:db8::7"}
access: {return_users: "^[^#:]+$"}
orbits: [{extension: "0701-0702", name: "true"}, {extension: 703, description: "a: b # c", transfer: {key: "#"}}]
`)
	out, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again := mustLoad(t, "parkd.yaml", string(out))
	if diff := cmp.Diff(cfg, again, same); diff != "" {
		t.Errorf("%s\n%s", diff, out)
	}
}

func TestListenerAddress(t *testing.T) {
	rows := map[string]string{
		"udp://:5060": ":5060", "tls://": ":5061", "tcp://192.0.2.1": "192.0.2.1:5060",
		"tcp://[2001:db8::1]": "[2001:db8::1]:5060", "udp://[::]:0": "[::]:0",
	}
	for in, want := range rows {
		l, err := parseListen(in)
		if err != nil || l.Address() != want {
			t.Errorf("%s: %q, %v; want %q", in, l.Address(), err, want)
		}
	}
	for _, bad := range []string{"", "udp:5060", "udp://:x", "udp://:70000", "udp://::1:5060", "udp://[192.0.2.1]:1", "ws://:80", "udp://localhost:5060"} {
		if l, err := parseListen(bad); err == nil {
			t.Errorf("%q is taken for %+v", bad, l)
		}
	}
}

func TestPortPairs(t *testing.T) {
	for r, want := range map[PortRange]int{
		{10000, 32767}: 11384, {10000, 10001}: 1, {10000, 10000}: 0, {10000, 10002}: 1, {10001, 10004}: 1, {65534, 65535}: 1, {20, 10}: 0,
	} {
		if got := r.Pairs(); got != want {
			t.Errorf("%s: %d, want %d", r, got, want)
		}
	}
}

func TestFlagsHideSecrets(t *testing.T) {
	set := flags(t)
	if set.Lookup("admin-password") != nil {
		t.Error("a password can be given on the command line")
	}
	var visible []string
	set.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			visible = append(visible, f.Name)
		}
	})
	if len(visible) != len(shown) {
		t.Errorf("shown are %s", strings.Join(visible, " "))
	}
}

func TestAdminURL(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", ":8080": "http://127.0.0.1:8080", "0.0.0.0:1": "http://127.0.0.1:1",
		"[::]:1": "http://[::1]:1", "localhost:1": "http://localhost:1", "": "",
	} {
		if got := (Admin{Listen: in}).URL(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
