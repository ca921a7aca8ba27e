package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// faults are the lines of an error.
func faults(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// TestGoldenFaults: a file with many faults has all of them reported, by line.
func TestGoldenFaults(t *testing.T) {
	for _, name := range []string{"bad.yaml", "bad.toml", "bad.json"} {
		t.Run(name, func(t *testing.T) {
			golden, err := filepath.Abs(filepath.Join("testdata", name+".golden"))
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir("testdata")
			_, err = Load(name, nil)
			var all Faults
			if !errors.As(err, &all) {
				t.Fatalf("no faults but %v", err)
			}
			got := err.Error() + "\n"
			if strings.Contains(got, "geheim") {
				t.Error("a secret is shown")
			}
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(faults(errors.New(string(want))), faults(errors.New(got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	rows := []struct {
		name, text string
		want       []string // without "parkd.yaml:"
	}{
		{"syntax", "log:\n  level: [info\n", []string{"2: did not find expected ',' or ']'"}},
		{"not a table", "- a\n", []string{"1: a table of keys is expected, not a list"}},
		{"second document", "log: {}\n---\nlog: {}\n", []string{"2: a second YAML document; one file is one configuration"}},
		{"unknown key", "sips: {}\n", []string{"1: sips: unknown key, perhaps sip is meant"}},
		{"unknown key with dashes", "park:\n  Max-Calls: 7\n", []string{"2: park.Max-Calls: unknown key, perhaps max_calls is meant"}},
		{"unknown key in a user", "access:\n  users:\n    - {username: u, password: p, colour: red}\n", []string{"3: access.users[0].colour: unknown key"}},
		{"unknown key in an orbit", "orbits:\n  - extension: 701\n    timeout:\n      aftr: 1m\n", []string{"4: orbits[0].timeout.aftr: unknown key, perhaps after is meant"}},
		{"key without a value", "data_dir:\n", []string{`1: data_dir: has no value; "" is the empty text`}},
		{"key twice", "data_dir: a\ndata_dir: b\n", []string{"2: data_dir: is already set in line 1"}},
		{"text for a number", "park: {max_calls: \"5\"}\n", []string{"1: park.max_calls: a number is expected, not the text in quotes"}},
		{"fraction", "park: {max_calls: 1.5}\n", []string{`1: park.max_calls: "1.5" is not a whole number`}},
		{"octal", "park: {max_calls: 010}\n", []string{`1: park.max_calls: "010" is not a whole number`}},
		{"yes for true", "defaults: {enabled: yes}\n", []string{"1: defaults.enabled: true or false is expected, not text"}},
		{"list for text", "data_dir: [a]\n", []string{"1: data_dir: text is expected, not a list"}},
		{"text for a list", "sip: {listen: udp://:5060}\n", []string{"1: sip.listen: a list is expected, not text"}},
		{"table for a list", "orbits: {extension: 701}\n", []string{"1: orbits: a list of tables is expected, not a table"}},
		{"scalar for a table", "sip: 5060\n", []string{"1: sip: a table of keys is expected, not a number"}},
		{"duration without unit", "park: {keepalive: 30}\n", []string{"1: park.keepalive: 30 lacks a unit, as in 30s or 2m"}},
		{"duration out of range", "park: {keepalive: 48h}\n", []string{"1: park.keepalive: 48h is out of range, 1s to 24h"}},
		{"registers nothing", "sip:\n  register:\n    - {registrar: \"sip:pbx.example.com\", password: p}\n", []string{"3: sip.register[0].orbits: at least one extension is needed"}},
		{"registers nobody's extension", "sip:\n  register:\n    - {orbits: 200, registrar: \"sip:pbx.example.com\", password: p}\n", []string{"3: sip.register[0].orbits: 200 is neither an orbit nor a pool"}},
		{"registers with nobody", "sip: {register: [{orbits: 701, registrar: pbx.example.com, password: p}]}\n",
			[]string{`1: sip.register[0].registrar: "pbx.example.com" is not a URI such as sip:pbx.example.com or sip:pbx.example.com;transport=tcp`}},
		{"registers with a user", "sip: {register: [{orbits: 701, registrar: \"sip:a@pbx.example.com\", password: p}]}\n",
			[]string{`1: sip.register[0].registrar: "sip:a@pbx.example.com" is not a URI such as sip:pbx.example.com or sip:pbx.example.com;transport=tcp`}},
		{"registers without a password", "sip: {register: [{orbits: 701, registrar: \"sip:pbx.example.com\"}]}\n", []string{"1: sip.register[0].password: must not be empty"}},
		{"registers twice", "sip:\n  register:\n    - {orbits: 701-703, registrar: \"sip:pbx.example.com\", password: p}\n    - {orbits: 703, registrar: \"sip:PBX.example.com\", password: p}\n",
			[]string{"4: sip.register[1].username: 703@pbx.example.com is registered already, by sip.register[0] (line 3)"}},
		{"registers too briefly", "sip: {register: [{orbits: 701, registrar: \"sip:pbx.example.com\", password: p, expires: 5s, keepalive: 1s}]}\n",
			[]string{"1: sip.register[0].expires: 5s is out of range, 1m to 24h", "1: sip.register[0].keepalive: 1s is out of range, 5s to 1h"}},
		{"registers with what is ours to say", "sip: {register: [{orbits: 701, registrar: \"sip:pbx.example.com\", password: p, contact: \";expires=1\"}]}\n",
			[]string{"1: sip.register[0].contact: expires is set by parkd itself"}},
		{"registers with a line break", "sip: {register: [{orbits: 701, registrar: \"sip:pbx.example.com\", password: p, contact: \";q=\\\"a\\r\\nb\\\"\"}]}\n",
			[]string{"1: sip.register[0].contact: \";q=\\\"a\\r\\nb\\\"\" is not parameters of a Contact such as ;q=0.5"}},
		{"unknown way to shut down", "shutdown: wait\n", []string{`1: shutdown: "wait" is none of keep, drain, return`}},
		{"negative limit", "park: {max_calls: -1}\n", []string{"1: park.max_calls: -1 is out of range, 1 to 1000000"}},
		{"after outside the range", "orbits:\n - {extension: 701, timeout: {after: 10m}}\n", []string{"2: orbits[0].timeout.after: 10m is outside park.timeout_range, 30s to 5m"}},
		{"default outside a new range", "park: {timeout_range: [5m, 10m]}\n", []string{"1: defaults.timeout.after: 2m is outside park.timeout_range, 5m to 10m"}},
		{"unquoted leading zero", "orbits: [{extension: 0701}]\n", []string{`1: orbits[0].extension: 0701 has a leading zero: it must be quoted, "0701"`}},
		{"unquoted leading zero in a range", "orbits: [{extension: 0701-0709}]\n", []string{`1: orbits[0].extension: 0701-0709 has a leading zero: it must be quoted, "0701-0709"`}},
		{"extension missing", "orbits:\n  - name: Sales\n", []string{"2: orbits[0]: extension is missing"}},
		{"range backwards", "orbits: [{extension: 709-701}]\n", []string{"1: orbits[0].extension: 709-701 ends before it begins"}},
		{"range too long", "orbits: [{extension: 1-99999999}]\n", []string{"1: orbits[0].extension: 1-99999999 has more than 10000 extensions"}},
		{"range of different lengths", "orbits: [{extension: \"01-100\"}]\n", []string{"1: orbits[0].extension: 01-100: with leading zeros both ends need as many digits"}},
		{"extension twice", "orbits:\n- {extension: 701}\n- {extension: 701}\n", []string{"3: orbits[1].extension: 701 is already orbits[0] (line 2)"}},
		{"overlapping ranges", "orbits:\n- {extension: 700-799}\n- {extension: 750-760}\n", []string{
			"3: orbits[1].extension: 750 is already orbits[0] (line 2)",
			"3: orbits[1].extension: 751 is already orbits[0] (line 2)",
			"3: orbits[1].extension: 752 is already orbits[0] (line 2) (and 8 more)"}},
		{"orbit named as the list", "orbits: [{extension: orbits}]\n", []string{"1: orbits[0].extension: orbits is already the list of all orbits"}},
		{"code is an orbit", "park: {retrieve_codes: [\"*4\", \"701\"]}\n", []string{"1: park.retrieve_codes[1]: 701 is already orbits[0]"}},
		{"code and orbit are another orbit", "park: {retrieve_codes: [\"7\"]}\norbits: [{extension: \"01\"}, {extension: 701}]\n",
			[]string{"1: park.retrieve_codes[0]: 701 is already orbits[1] (line 2)"}},
		{"two codes mean the same", "park: {retrieve_codes: [\"*4\", \"*47\"]}\norbits: [{extension: \"01\"}, {extension: 701}]\n",
			[]string{"1: park.retrieve_codes[1]: *4701 is already the retrieve code *4 with orbit 701"}},
		{"no code", "park: {retrieve_codes: []}\n", []string{"1: park.retrieve_codes: at least one code is needed"}},
		{"empty code", "park: {retrieve_codes: [\"\"]}\n", []string{`1: park.retrieve_codes[0]: "" is not letters, digits and * # + . _ -`}},
		{"key of two", "defaults: {transfer: {key: \"12\"}}\n", []string{`1: defaults.transfer.key: "12" is not one of 0-9 * #`}},
		{"key that is a comment", "defaults:\n  transfer:\n    key: #\n", []string{`3: defaults.transfer.key: has no value; "" is the empty text`}},
		{"music without a file", "orbits:\n- {extension: 701}\n- {extension: 702, music: sales}\n", []string{"3: orbits[1].music: there is no file music/sales.wav"}},
		{"music outside its folder", "defaults: {music: ../x}\n", []string{`1: defaults.music: "../x" is not the name of a file without .wav`}},
		{"fault of the defaults, once", "defaults: {lamp: {state: on}}\norbits: [{extension: 701-709}]\n", []string{`1: defaults.lamp.state: "on" is none of early, confirmed`}},
		{"unknown identity", "defaults: {lamp: {identity: all}}\n", []string{`1: defaults.lamp.identity: "all" is none of full, number, none`}},
		{"phones without a pattern", "phones:\n- {state: early}\n", []string{"2: phones[0]: user_agent is missing"}},
		{"phones of any kind, or none", "phones: [{user_agent: \"\"}]\n", []string{`1: phones[0].user_agent: must not be empty; "." is any phone that says what it is`}},
		{"phones by no pattern", "phones: [{user_agent: \"(\"}]\n", []string{"1: phones[0].user_agent: not a regular expression: missing closing ): `(`"}},
		{"phones shown otherwise", "phones: [{user_agent: a, state: on, rendering: x, target: y, ids: some, presence: away}]\n", []string{
			`1: phones[0].state: "on" is none of early, confirmed`, `1: phones[0].rendering: "x" is none of pval, pvalue, none`,
			`1: phones[0].target: "y" is none of orbit, code`, `1: phones[0].ids: "some" is none of alias, none`,
			`1: phones[0].presence: "away" is none of busy, closed`}},
		{"fallback is an orbit", "defaults: {timeout: {fallback: \"701\"}}\n", []string{"1: defaults.timeout.fallback: 701 is orbits[0], where a call can't be sent to be answered"}},
		{"unknown action", "defaults: {timeout: {action: hangup}}\n", []string{`1: defaults.timeout.action: "hangup" is none of parker, fallback, keep`}},
		{"fallback without one", "defaults: {timeout: {fallback: \"200\"}}\norbits: [{extension: 701, timeout: {action: fallback, fallback: \"\"}}]\n",
			[]string{"2: orbits[0].timeout.action: fallback needs timeout.fallback, the extension to call"}},
		{"unknown placeholder", "return: {display: \"{orbit} {color}\"}\n", []string{"1: return.display: {color} is none of {orbit}, {name}, {caller}, {number}"}},
		{"placeholder that is left open", "return: {display: \"{orbit\"}\n", []string{"1: return.display: has a { without a } behind it"}},
		{"brace for nothing", "return: {display: \"orbit} {caller\"}\n", []string{"1: return.display: has a } without a { before it"}},
		{"display of two lines", "return: {display: \"a\\nb\"}\n", []string{"1: return.display: is longer than 256 bytes, or has control characters"}},
		{"header of two lines", "return: {alert_info: \"a\\r\\nX: y\"}\n", []string{"1: return.alert_info: is not the value of a header: at most 256 visible ASCII characters"}},
		{"password beyond loopback", "admin: {listen: \"0.0.0.0:8080\"}\n", []string{"1: admin.password: a password is required to listen beyond loopback (admin.listen is 0.0.0.0:8080)"}},
		{"tls without files", "sip:\n  listen:\n    - tls://:5061\n", []string{
			"3: sip.tls.cert: tls://:5061 needs a certificate", "3: sip.tls.key: tls://:5061 needs a private key"}},
		{"key without cert", "sip: {tls: {key: k.pem}}\n", []string{"1: sip.tls.cert: is missing beside sip.tls.key"}},
		{"no listener", "sip: {listen: []}\n", []string{"1: sip.listen: at least one listener is needed"}},
		{"keep-alives in a hurry", "sip: {nat_keepalive: 500ms}\n", []string{`1: sip.nat_keepalive: 500ms is out of range, 0 (never) or 1s to 1h`}},
		{"keep-alives of a negative interval", "sip: {nat_keepalive: -5s}\n", []string{`1: sip.nat_keepalive: -5s is out of range, 0 (never) or 1s to 1h`}},
		{"proxy that is no URI", "sip: {outbound_proxy: pbx.example.com}\n", []string{`1: sip.outbound_proxy: "pbx.example.com" is not a URI such as sip:pbx.example.com;lr`}},
		{"advertise with a port", "sip: {advertise: \"192.0.2.1:5060\"}\n", []string{`1: sip.advertise: "192.0.2.1:5060" is not an address or host name that can be reached (no port, no brackets)`}},
		{"credentials", "sip: {credentials: [{realm: r}]}\n", []string{
			"1: sip.credentials[0].username: must not be empty", "1: sip.credentials[0].password: must not be empty"}},
		{"users", "access: {users: [{username: u}, {username: u, ha1: x}]}\n", []string{
			"1: access.users[0]: exactly one of password and ha1 is needed",
			"1: access.users[1].username: u is there already, as access.users[0] (line 1)",
			"1: access.users[1].ha1: is not 32 (MD5) or 64 (SHA-256) hexadecimal digits"}},
		{"anyone may be called", "access: {return_users: \"\"}\n", []string{`1: access.return_users: must not be empty, which would let anybody be called; "^$" lets nobody`}},
		{"anyone may be called by a transfer", "access: {refer_users: \"\"}\n", []string{`1: access.refer_users: must not be empty, which would let anybody be called; "^$" lets nobody`}},
		{"host bits", "access: {trusted: [10.0.0.1/8]}\n", []string{"1: access.trusted[0]: 10.0.0.1/8 has bits to the right of its mask; the network is 10.0.0.0/8"}},
		{"marks of packets", "media: {dscp: 64}\n", []string{"1: media.dscp: 64 is out of range, 0 to 63"}},
		{"latch", "media: {latch: once}\n", []string{`1: media.latch: "once" is none of auto, always, never`}},
		{"list of strange orbits", "lists:\n- {name: reception, orbits: [701, 801, 700-701]}\n- {name: a b}\n", []string{
			"2: lists[0].orbits: 801 is not an orbit", "2: lists[0].orbits: 700 is not an orbit", "2: lists[0].orbits: 701 is in it more than once",
			`3: lists[1].name: "a b" is not a name (letters, digits and * # + . _ -)`, "3: lists[1].orbits: at least one orbit is needed"}},
		{"names of lists that mean something", "lists:\n- {name: \"702\", orbits: 701}\n- {name: desk, orbits: 701}\n- {name: desk, orbits: 702}\n- {name: orbits, orbits: 701}\n" +
			"defaults: {timeout: {fallback: desk}}\n", []string{
			"2: lists[0].name: 702 is already orbits[1]", "4: lists[2].name: desk is already lists[1] (line 3)",
			"5: lists[3].name: orbits is already the list of all orbits",
			"6: defaults.timeout.fallback: desk is lists[1] (line 3), where a call can't be sent to be answered"}},
		{"pool without orbits", "pools: [{extension: \"700\"}]\n", []string{"1: pools[0].orbits: at least one orbit is needed"}},
		{"pool with strange orbits", "pools:\n- {extension: \"700\", orbits: [701, 801, 701, 701]}\n", []string{
			"2: pools[0].orbits: 801 is not an orbit", "2: pools[0].orbits: 701 is in it more than once"}},
		{"pool on an orbit's extension", "pools: [{extension: \"701\", orbits: 702-703}]\n", []string{"1: pools[0].extension: 701 is already orbits[0]"}},
		{"pool picks otherwise", "pools: [{extension: \"700\", orbits: 701-710, pick: last}]\n", []string{
			`1: pools[0].pick: "last" is none of first, next, random, longest-free`}},
		{"pool that a code already means", "park: {retrieve_codes: [\"*4\", \"*47\"]}\npools: [{extension: \"700\", orbits: 701-710}, {extension: \"00\", orbits: 701-710}]\n",
			[]string{"1: park.retrieve_codes[1]: *4700 is already the retrieve code *4 with pool 700"}},
		{"overflows in a circle", "pools:\n- {extension: \"600\", orbits: 701, overflow: \"610\"}\n- {extension: \"610\", orbits: 702, overflow: \"620\"}\n" +
			"- {extension: \"620\", orbits: 703, overflow: \"610\"}\n- {extension: \"630\", orbits: 703, overflow: \"630\"}\n", []string{
			"3: pools[1].overflow: leads back to the pool it begins at: 610 > 620 > 610",
			"5: pools[3].overflow: leads back to the pool it begins at: 630 > 630"}},
		{"overflow into itself", "pools: [{extension: \"700\", orbits: 701-710, overflow: \"702\"}]\n", []string{
			"1: pools[0].overflow: 702 is one of the pool's orbits, which are taken by then"}},
		{"overflow that is no place", "pools: [{extension: \"700\", orbits: 701-709, overflow: \"*4710\"}, {extension: \"600\", orbits: 701, overflow: \"a b\"}]\n", []string{
			`1: pools[1].overflow: "a b" is not an extension (letters, digits and * # + . _ -)`,
			"1: pools[0].overflow: *4710 is the retrieve code *4 with orbit 710, where no call can be parked"}},
		{"fallback is a pool", "defaults: {timeout: {fallback: \"700\"}}\npools: [{extension: \"700\", orbits: 701-710}]\n", []string{
			"1: defaults.timeout.fallback: 700 is pools[0] (line 2), where a call can't be sent to be answered"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			_, err := Load(write(t, "parkd.yaml", row.text), nil)
			got := faults(err)
			for i := range got {
				got[i] = strings.TrimPrefix(strings.TrimPrefix(got[i], "parkd.yaml:"), " ")
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAccepted: values of later issues that mean nothing else than the defaults,
// and texts without quotes.
func TestAccepted(t *testing.T) {
	rows := map[string]string{
		"empty":                  "",
		"comments":               "# nothing\n",
		"latch":                  "media: {latch: never}",
		"srtp off":               "media: {srtp: off}",
		"srtp required":          "media: {srtp: required}",
		"memory":                 "store: {kind: memory}",
		"no lists, no pools":     "lists: []\npools: []",
		"a list":                 "lists: [{name: reception, orbits: [701, 705-707]}]",
		"unquoted level":         "log: {level: info}",
		"letters":                "orbits: [{extension: park-1}, {extension: +4930}]",
		"never end":              "park: {max_time: 0}",
		"key unquoted":           "defaults: {transfer: {key: 0}}",
		"admin off":              "admin: {listen: \"\"}",
		"admin with a password":  "admin: {listen: \":8080\", password: x}",
		"admin on localhost":     "admin: {listen: \"localhost:8080\"}",
		"secret of digits":       "admin: {password: 0123}",
		"music dir is not there": "media: {music_dir: /nowhere}",
		"tls":                    "sip: {listen: [\"tls://\"], tls: {cert: c, key: k, client_ca: a}}",
		"md5 and sha-256":        fmt.Sprintf("access: {users: [{username: a, ha1: %032x}, {username: b, ha1: %064x}]}", 1, 2),
		"crlf":                   "log:\r\n  level: debug\r\n",
		"byte order mark":        "\ufefflog: {level: debug}\n",
	}
	for name, text := range rows {
		t.Run(name, func(t *testing.T) {
			if _, err := Load(write(t, "parkd.yaml", text), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFaultsOutsideTheFile(t *testing.T) {
	t.Setenv("PARKD_MEDIA_PORTS", "all")
	t.Setenv("PARKD_SIP_LISTEN", "udp://:5060,ws://:80")
	t.Setenv("PARKD_LOG_LEVEL", "loud")
	t.Setenv("PARKD_PARK_MAX_CALLS", "0")
	path := write(t, "parkd.yaml", "media: {srtp: never}\nsip: {listen: [udp://:1]}\npark:\n  max_calls: 7\n")
	_, err := Load(path, flags(t, "--park-max-calls=many", "--store-kind=paper"))
	want := []string{
		`parkd.yaml:1: media.srtp: "never" is none of off, optional, required`,
		`PARKD_SIP_LISTEN: sip.listen[1]: "ws://:80" does not begin with udp://, tcp:// or tls://`,
		`PARKD_MEDIA_PORTS: media.ports: "all" is not a range of ports such as 10000-32767`,
		`--park-max-calls: park.max_calls: "many" is not a whole number`,
		`PARKD_LOG_LEVEL: log.level: "loud" is none of trace, debug, info, warn, error`,
		`PARKD_PARK_MAX_CALLS: park.max_calls: 0 is out of range, 1 to 1000000`,
		`--store-kind: store.kind: "paper" is none of bolt, memory`,
	}
	if diff := cmp.Diff(want, faults(err)); diff != "" {
		t.Error(diff)
	}
}

func TestFileFaults(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("dir.yaml", 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"none.yaml": "none.yaml: no such file or directory",
		"dir.yaml":  "dir.yaml: is a directory",
	} {
		if _, err := Load(path, nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

func TestHostileYAML(t *testing.T) {
	var b strings.Builder
	b.WriteString("a: &a [x]\n")
	for i := range 30 {
		prev := string(rune('a' + i%26))
		if i > 0 {
			prev = fmt.Sprintf("l%d", i)
		}
		fmt.Fprintf(&b, "l%d: &l%d [*%s, *%s, *%s, *%s]\n", i+1, i+1, prev, prev, prev, prev)
	}
	for name, text := range map[string]string{
		"laughs": b.String(),
		"deep":   "orbits: " + strings.Repeat("[", 100) + strings.Repeat("]", 100),
	} {
		if _, err := parse("x.yaml", []byte(text)); err == nil {
			t.Errorf("%s: read without a fault", name)
		}
	}
	if _, err := parse("x.json", []byte(strings.Repeat("[", 100)+strings.Repeat("]", 100))); err == nil {
		t.Error("deep JSON: read without a fault")
	}
}

func TestSecretsAreMasked(t *testing.T) {
	cfg := mustLoad(t, "parkd.yaml", `
sip: {credentials: [{username: u, password: geheim1}]}
access: {users: [{username: u, password: geheim2}, {username: v, ha1: 0123456789abcdef0123456789abcdef}]}
admin: {password: geheim3}
`)
	out, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for how, s := range map[string]string{
		"YAML": string(out), "%v": fmt.Sprintf("%v", cfg), "%+v": fmt.Sprintf("%+v", cfg), "%#v": fmt.Sprintf("%#v", cfg),
	} {
		if strings.Contains(s, "geheim") || strings.Contains(s, "0123456789abcdef") {
			t.Errorf("%s shows a secret:\n%s", how, s)
		}
	}
	if got := strings.Count(string(out), mask); got != 4 {
		t.Errorf("%d masks, want 4:\n%s", got, out)
	}
	if cfg.Admin.Password.Reveal() != "geheim3" {
		t.Error("the secret is lost")
	}
}

func TestWarnings(t *testing.T) {
	rows := []struct{ name, text, want string }{
		{"ports", "media: {ports: 10000-10999}", "media.ports: 10000-10999 has room for 500 streams, park.max_calls needs 10000"},
		{"open files", "park: {max_calls: 1000000}\nmedia: {ports: 1024-65535}", "park.max_calls: 1000000 calls need 1000200 open files"},
		{"not anchored", "access: {return_users: \"[0-9]+\"}", "access.return_users: without ^ and $"},
		{"not anchored, transfers", "access: {refer_users: \"[0-9]+\"}", "access.refer_users: without ^ and $"},
		{"trusts everybody", "access: {trusted: [0.0.0.0/0]}", "access.trusted: 0.0.0.0/0 trusts everybody"},
		{"strict router", "sip: {outbound_proxy: sip:pbx.example.com}", "sip.outbound_proxy: without ;lr"},
		{"no orbits", "orbits: []", "orbits: there are none"},
		{"limit of one call", "defaults: {max_calls: 3}", "orbits: 10 of them have max_calls but not allow_multiple"},
		{"nothing to keep calls in", "store: {kind: memory}", "shutdown: keep has nothing to keep calls in with store.kind: memory"},
		{"client ca", "sip: {tls: {client_ca: ca.pem}}", "sip.tls.client_ca: there is no tls://"},
		{"keys that are not hidden", "media: {srtp: required}", "media.srtp: its keys are in SDP"},
		{"no words", "media: {announcements: words-of-mine}", "media.announcements: there is no folder "},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			cfg := mustLoad(t, "parkd.yaml", row.text)
			if n, known := openFiles(); row.name == "open files" && (!known || n >= 1_000_200) {
				t.Skipf("this machine allows %d open files", n)
			}
			if all := strings.Join(cfg.Warnings(), "\n"); !strings.Contains(all, row.want) {
				t.Errorf("got %q", all)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		for _, text := range []string{"", "store: {kind: memory}\nshutdown: drain", "store: {kind: memory}\nshutdown: return"} {
			cfg := mustLoad(t, "parkd.yaml", "park: {max_calls: 10}\n"+text)
			if w := cfg.Warnings(); len(w) > 0 {
				t.Errorf("%q: %q", text, w)
			}
		}
	})
	t.Run("unknown variable", func(t *testing.T) {
		t.Setenv("PARKD_SIP_ADVERTIZE", "x")
		t.Setenv("PARKD_SERVICE_HOST", "x")
		if all := strings.Join(Default().Warnings(), "\n"); !strings.Contains(all, "PARKD_SIP_ADVERTIZE: no key") || strings.Contains(all, "SERVICE_HOST") {
			t.Errorf("got %q", all)
		}
	})
}

// FuzzLoad: whatever a file holds, Load gives a valid configuration or faults.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"testdata/bad.yaml", "testdata/bad.toml", "testdata/bad.json", "../../configs/parkd.yaml", "../../configs/internet.toml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(filepath.Ext(name), data)
	}
	f.Add(".yaml", []byte("a: &a {<<: *a}\n"))
	f.Add(".yaml", []byte("orbits: [{<<: [1], extension: 1-2}]\n"))
	f.Add(".toml", []byte("[[orbits]]\n[orbits.timeout]\nafter='1m'\n"))
	f.Add(".json", []byte(`{"orbits":[{"extension":1e3}]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, ext string, data []byte) {
		if ext != ".yaml" && ext != ".toml" && ext != ".json" {
			return
		}
		path := filepath.Join(dir, "parkd"+ext)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(path, nil)
		var all Faults
		if err != nil {
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("not faults: %v", err)
			}
			return
		}
		if err := cfg.Validate(); err != nil {
			t.Fatalf("loaded but not valid: %v", err)
		}
		if _, err := cfg.YAML(); err != nil {
			t.Fatalf("can't be printed: %v", err)
		}
	})
}
