package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// restartKeys are those of the contract.
var restartKeys = []string{"admin.listen", "data_dir", "log.format", "media.ports", "sip.listen", "store.kind"}

func TestChanged(t *testing.T) {
	const base = `
admin: {password: geheim}
access: {users: [{username: u, password: geheim}]}
orbits: [{extension: 701}, {extension: 702, name: Sales}, {extension: 703, timeout: {after: 1m}}]
`
	replace := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(base) }
	rows := []struct {
		name, text string
		keys       string
		restart    string
	}{
		{"nothing", base, "", ""},
		{"written otherwise", "log: {level: info}\nmedia: {codecs: [pcmu, PCMA, g722]}" + base, "", ""},
		{"a secret", replace("{password: geheim}", "{password: other}"), "admin.password", ""},
		{"a secret of a user", replace("u, password: geheim", "u, password: other"), "access.users", ""},
		{"live", "log: {level: debug}\nshutdown: drain" + base, "log.level shutdown", ""},
		{"at the next start", "log: {format: json}\ndata_dir: x\nstore: {kind: memory}\nmedia: {ports: 20000-20999}\nsip: {listen: [udp://:5061]}" +
			replace("admin: {", `admin: {listen: "127.0.0.1:81", `),
			strings.Join(restartKeys, " "), strings.Join(restartKeys, " ")},
		{"both", "data_dir: x\nlog: {level: warn}" + base, "data_dir log.level", "data_dir"},
		{"an orbit more", replace("orbits: [", "orbits: [{extension: 700}, "), "orbits.700", ""},
		{"an orbit less", replace("{extension: 701}, ", ""), "orbits.701", ""},
		{"an orbit for another", replace("extension: 701", "extension: 704"), "orbits.701 orbits.704", ""},
		{"an orbit's values", replace("name: Sales", "name: Shop, transfer: {enabled: true}, lamp: {press: never}"),
			"orbits.702.lamp.press orbits.702.name orbits.702.transfer.enabled", ""},
		{"another order", replace("{extension: 701}, {extension: 702, name: Sales}", "{extension: 702, name: Sales}, {extension: 701}"), "orbits", ""},
		{"phones", "phones: [{user_agent: ^Acme}]" + base, "phones", ""},
		{"who may retrieve", replace("access: {", "access: {retrieve_users: ^desk, "), "access.retrieve_users", ""},
		{"a default", "defaults: {allow_multiple: true}" + base, "defaults.allow_multiple", ""},
		{"a default that an orbit has its own of", "defaults: {timeout: {after: 90s}}" + base, "defaults.timeout.after", ""},
		{"a default, and an orbit's own value given up", "defaults: {timeout: {after: 90s}}" + replace(", timeout: {after: 1m}", ""),
			"defaults.timeout.after orbits.703.timeout.after", ""},
		{"a default, and an orbit that keeps the old", "defaults: {max_calls: 5}" + replace("name: Sales", "name: Sales, max_calls: 0"),
			"defaults.max_calls", ""},
	}
	old := mustLoad(t, "parkd.yaml", base)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			cfg := mustLoad(t, "parkd.yaml", row.text)
			got := Changed(&old, &cfg)
			if keys := strings.Join(got.Keys, " "); keys != row.keys {
				t.Errorf("changed %q, want %q", keys, row.keys)
			}
			if restart := strings.Join(got.Restart, " "); restart != row.restart {
				t.Errorf("restart %q, want %q", restart, row.restart)
			}
		})
	}
}

// A pattern that was compiled anew is the same.
func TestPhonesThatStayAreNoChange(t *testing.T) {
	const text = "phones: [{user_agent: ^Acme.*x$, state: early}, {user_agent: b}]"
	before, after := mustLoad(t, "parkd.yaml", text), mustLoad(t, "parkd.yaml", text)
	if got := Changed(&before, &after); len(got.Keys) != 0 {
		t.Errorf("changed %q", got.Keys)
	}
	if y, err := after.YAML(); err != nil || !strings.Contains(string(y), "user_agent: ^Acme.*x$\n") {
		t.Errorf("%v\n%s", err, y)
	}
}

// Every single key that changes is named, by that key and no other, and only those
// of the contract wait for a restart.
func TestChangedNamesEveryKey(t *testing.T) {
	old := Default()
	old.Admin.Password = "geheim" // so that it may listen anywhere
	for _, k := range leafKeys(reflect.ValueOf(old), "", nil) {
		t.Run(k.key, func(t *testing.T) {
			cfg := old
			target := leafOf(reflect.ValueOf(&cfg).Elem(), k.key)
			target.Set(reflect.ValueOf(another(t, target.Interface())))
			want := Changes{Keys: []string{k.key}}
			if slices.Contains(restartKeys, k.key) {
				want.Restart = want.Keys
			}
			if diff := cmp.Diff(want, Changed(&old, &cfg)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(want, Changed(&cfg, &old)); diff != "" {
				t.Errorf("the way back: %s", diff)
			}
		})
	}
}

// leafOf is the field that a dotted key names.
func leafOf(v reflect.Value, key string) reflect.Value {
	name, rest, more := strings.Cut(key, ".")
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("mapstructure") != name {
			continue
		}
		if more {
			return leafOf(v.Field(i), rest)
		}
		return v.Field(i)
	}
	panic(key)
}

// another is a value of the same type that is not the same.
func another(t *testing.T, v any) any {
	t.Helper()
	switch v := v.(type) {
	case string:
		return v + "x"
	case Secret:
		return v + "x"
	case bool:
		return !v
	case int:
		return v + 1
	case time.Duration:
		return v + 1
	case netip.Addr:
		return netip.MustParseAddr("192.0.2.1")
	case PortRange:
		return PortRange{v.Low, v.High - 1}
	case DurationRange:
		return DurationRange{v.Min, v.Max + 1}
	case *regexp.Regexp:
		return regexp.MustCompile(v.String() + "x")
	case []string:
		return append(slices.Clone(v), "x")
	case []netip.Prefix:
		return v[1:]
	case []Listen:
		return v[1:]
	}
	t.Fatalf("no other value for %T", v)
	return nil
}

// A listener in force keeps what it can't be without.
func TestLiveListeners(t *testing.T) {
	const tls = "sip: {listen: [tls://:5061], tls: {cert: %s.pem, key: %s.key}}\n"
	const open = "admin: {listen: \"%s:8080\", password: %q}\n"
	rows := []struct {
		name, old, new string
		keys, restart  string
	}{
		{"another certificate", fmt.Sprintf(tls, "a", "a"), fmt.Sprintf(tls, "b", "b"), "sip.tls.cert sip.tls.key", ""},
		{"no TLS any more", fmt.Sprintf(tls, "a", "a"), "", "sip.listen sip.tls.cert sip.tls.key", "sip.listen sip.tls.cert sip.tls.key"},
		{"TLS from now on", "", fmt.Sprintf(tls, "a", "a"), "sip.listen sip.tls.cert sip.tls.key", "sip.listen"},
		{"another password", fmt.Sprintf(open, "", "a"), fmt.Sprintf(open, "", "b"), "admin.password", ""},
		{"no password and no listener beyond loopback", fmt.Sprintf(open, "", "a"), fmt.Sprintf(open, "127.0.0.1", ""),
			"admin.listen admin.password", "admin.listen admin.password"},
		{"no HTTP and no password", fmt.Sprintf(open, "127.0.0.1", "a"), "admin: {listen: \"\"}", "admin.listen admin.password", "admin.listen"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			old, cfg := mustLoad(t, "parkd.yaml", row.old), mustLoad(t, "parkd.yaml", row.new)
			got := Changed(&old, &cfg)
			if keys, restart := strings.Join(got.Keys, " "), strings.Join(got.Restart, " "); keys != row.keys || restart != row.restart {
				t.Errorf("changed %q, restart %q; want %q, %q", keys, restart, row.keys, row.restart)
			}
			live := Live(&old, &cfg)
			if err := live.Validate(); err != nil {
				t.Errorf("what is in force is not valid: %v", err)
			}
		})
	}
}

// someConfig draws a configuration out of few values, so that two are often alike.
func someConfig(t *rapid.T, label string) Config {
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label+what) }
	c := Default()
	c.Log = Log{pick("level", "info", "debug"), pick("format", "auto", "json")}
	c.DataDir = pick("data", "a", "b")
	c.Store.Kind = pick("store", "bolt", "memory")
	c.Media.Ports.High = rapid.SampledFrom([]uint16{32767, 20001}).Draw(t, label+"ports")
	c.Admin = Admin{pick("admin", "127.0.0.1:80", ":80"), Secret(pick("password", "geheim", "geheim2"))}
	c.Access.ReturnUsers = regexp.MustCompile(pick("return", "^a$", "^b$"))
	c.Return.Display = pick("display", "{caller}", "{orbit}")
	c.Defaults.Music = pick("music", "default", "sales")
	c.Defaults.Timeout.Ring = rapid.SampledFrom([]time.Duration{time.Second, time.Minute}).Draw(t, label+"ring")
	c.Orbits = nil
	for _, ext := range rapid.Permutation([]string{"701", "702", "703"}).Draw(t, label+"order")[:rapid.IntRange(0, 3).Draw(t, label+"orbits")] {
		o := Orbit{Extension: ext, Name: pick("name", "", "n"), Options: c.Defaults}
		if rapid.Bool().Draw(t, label+"own") {
			o.Music = pick("own music", "default", "sales")
		}
		c.Orbits = append(c.Orbits, o)
	}
	return c
}

// Keys are none exactly if the configurations are the same; what is live and what
// waits for a restart are together the new configuration.
func TestChangedProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, cfg := someConfig(t, "old "), someConfig(t, "new ")
		got := Changed(&old, &cfg)
		if alike := cmp.Equal(old, cfg, same); alike != (len(got.Keys) == 0) {
			t.Fatalf("alike: %v, but changed %q", alike, got.Keys)
		}
		if !slices.IsSorted(got.Keys) || !slices.IsSorted(got.Restart) || len(slices.Compact(slices.Clone(got.Keys))) != len(got.Keys) {
			t.Fatalf("not sorted, or twice: %q", got)
		}
		live := Live(&old, &cfg)
		now, later := Changed(&old, &live), Changed(&live, &cfg)
		if len(now.Restart) != 0 {
			t.Fatalf("%q are in force without the restart they need", now.Restart)
		}
		if !slices.Equal(later.Keys, got.Restart) {
			t.Fatalf("%q wait for a restart, not %q", later.Keys, got.Restart)
		}
		both := append(now.Keys, later.Keys...)
		if slices.Sort(both); !slices.Equal(both, got.Keys) {
			t.Fatalf("%q now and %q later are not %q", now.Keys, later.Keys, got.Keys)
		}
		if strings.Contains(fmt.Sprint(got), "geheim") {
			t.Fatal("a secret is shown")
		}
	})
}

// manyOrbits is a large configuration.
func manyOrbits(name string) Config {
	c := Default()
	c.Orbits = nil
	for i := range 10_000 {
		c.Orbits = append(c.Orbits, Orbit{Extension: fmt.Sprint(10_000 + i), Name: name, Options: c.Defaults})
	}
	return c
}

func BenchmarkChanged(b *testing.B) {
	old, cfg := manyOrbits("a"), manyOrbits("b")
	for b.Loop() {
		if n := len(Changed(&old, &cfg).Keys); n != 10_000 {
			b.Fatal(n)
		}
	}
}
