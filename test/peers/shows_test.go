//go:build unix

package peers

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"

	"parkd/test/interop"
)

// resultsFile names the file that gets what the run has shown, for the tables
// of docs/interop.md; "" = none.
const resultsFile = "PARKD_INTEROP"

// A feature is a line of the table of calls.
type feature int

// The features, in the order of the table.
const (
	hearsMusic feature = iota
	transferred
	namesParker
	transfersBlind
	transfersAttended
	keepsWhenFull
	refersOutside
	changesByReinvite
	changesByUpdate
	fetchesByCode
	isCalledBack
	comesBack
	redirects
	notDisturbed
	confirms
	goesBackByRFC4733
	goesBackByINFO
	holdsWhileParked
	holdsWhileBridged
	keysByRFC4733
	talksDirectly
	isHandedOff
	transfersOn
	parksAgain
	parksAttended
	joinsTwo
	keysByINFO
	queues
	transcodes
	encrypts
	speaksSRTP
	rekeysSRTP
	authenticates
	asymmetric
	otherPort
	seesPresence
	readsStrictly
	pressesAtOnce
	isRefused
	reachesRegistered
	watchesRegistered
	takesAFreeOrbit
	isSentTheOrbit
	isTold
	outlivesParked
	outlivesBridged
	outlivesReturn
	features
)

var featureNames = [features]string{
	hearsMusic:        "calls an orbit and hears its music",
	transferred:       "is transferred to an orbit, parked, fetched, heard",
	namesParker:       "so transferred, says by whom (Referred-By)",
	transfersBlind:    "transfers a caller to an orbit, blind",
	transfersAttended: "transfers a caller to its own call at the orbit (Replaces)",
	keepsWhenFull:     "transfers to a full orbit, and keeps the caller",
	refersOutside:     "has a phone parked by REFER to the orbit, outside of a call",
	changesByReinvite: "a switch says who is on its call now, by re-INVITE: transferred",
	changesByUpdate:   "a switch says who is on its call now, by UPDATE: transferred",
	fetchesByCode:     "fetches by `*4701`, both hear each other, either ends both",
	isCalledBack:      "is called back by a return",
	comesBack:         "is given back to the parker by a return",
	redirects:         "is called by a return, and sends it on to another phone (302)",
	notDisturbed:      "is called by a return while in do-not-disturb: counts as busy, called again",
	confirms:          "is called by a return, and presses 1 to have the caller",
	goesBackByRFC4733: "goes back by the transfer key, RFC 4733",
	goesBackByINFO:    "goes back by the transfer key, INFO",
	holdsWhileParked:  "holds and resumes while parked",
	keysByINFO:        "sends keys to the other party, INFO",
	holdsWhileBridged: "holds and resumes while talking to whoever fetched, or was",
	talksDirectly:     "fetched or fetching with `retrieve: direct`: sound past parkd",
	isHandedOff:       "fetched or fetching with `retrieve: refer`: the call goes on without parkd",
	keysByRFC4733:     "sends keys to the other party, RFC 4733",
	transfersOn:       "transfers whom it has fetched to another phone, blind",
	parksAgain:        "transfers whom it has fetched to another orbit: parked again",
	parksAttended:     "transfers whom it has fetched to its own call at another orbit (Replaces)",
	joinsTwo:          "has fetched two callers, and transfers the one to the other (Replaces)",
	queues:            "two in one orbit, fetched in their order",
	transcodes:        "G.722 at one end, A-law at the other",
	encrypts:          "is parked and fetches over TLS",
	speaksSRTP:        "is parked and fetches by SRTP, and is heard by one who does not speak it",
	rekeysSRTP:        "so parked, hears whoever fetches after a `kill -9`, under a new key",
	authenticates:     "digest, and refused with a wrong password",
	asymmetric:        "sound from another port than in its SDP",
	otherPort:         "SUBSCRIBE from another port than in its Contact",
	seesPresence:      "sees an orbit become busy, and free again (presence)",
	readsStrictly:     "subscribes, to a list too, and takes nothing that is not to the letter",
	pressesAtOnce:     "two press at once: one has the call, one is refused",
	isRefused:         "refused before any answer: 404, 420, 423, 481, 486, 488, 489",
	reachesRegistered: "calls an orbit that has registered at kamailio with a password",
	watchesRegistered: "watches and presses an orbit that has registered at kamailio",
	takesAFreeOrbit:   "transfers a caller to a pool: parked at a free orbit",
	isSentTheOrbit:    "so transferring, is sent the orbit by MESSAGE",
	isTold:            "dials a pool, and hears which orbit it is",
	outlivesParked:    "parked while parkd is killed: music goes on",
	outlivesBridged:   "fetched while parkd is killed: both go on talking",
	outlivesReturn:    "parked while parkd is killed: still goes back",
}

// peerColumns are the programs that are phones.
var peerColumns = []string{"sipp", "baresip", "twinkle", "linphone", "npm sip"}

// shown is what the scenarios of this run have shown.
var shown struct {
	sync.Mutex
	calls   map[feature]map[string]ways
	lamps   map[string]ways // by dialect
	missing []string
}

// ways is how a thing went without and with a proxy; "" = not tried.
type ways struct{ direct, proxied string }

const works = "yes"

// note enters what has happened; a failure outweighs all else.
func (w *ways) note(proxied bool, what string) {
	at := &w.direct
	if proxied {
		at = &w.proxied
	}
	if *at != interop.Failed {
		*at = what
	}
}

// cell is a way in the table of calls.
func (w ways) cell() string {
	switch {
	case w.direct == w.proxied:
		return w.direct
	case w.proxied == "" && w.direct == works:
		return "direct"
	case w.proxied == "":
		return w.direct
	case w.direct == "" && w.proxied == works:
		return "proxied"
	}
	return "direct: " + cmp.Or(w.direct, "-") + ", proxied: " + w.proxied
}

// shows says that a scenario, if it passes, shows that a peer can do something.
func (s *scene) shows(peer string, can ...feature) {
	for _, f := range can {
		s.showsThat(peer, f, works)
	}
}

// showsThat is shows where something else happens than one would wish.
func (s *scene) showsThat(peer string, f feature, what string) {
	s.atEnd(what, func(what string) {
		if shown.calls == nil {
			shown.calls = map[feature]map[string]ways{}
		}
		if shown.calls[f] == nil {
			shown.calls[f] = map[string]ways{}
		}
		w := shown.calls[f][peer]
		w.note(s.proxied, what)
		shown.calls[f][peer] = w
	})
}

// showsLamp says that a scenario shows that a dialect is understood.
func (s *scene) showsLamp(d *dialect) {
	s.atEnd(works, func(what string) {
		if shown.lamps == nil {
			shown.lamps = map[string]ways{}
		}
		w := shown.lamps[d.name]
		w.note(s.proxied, what)
		shown.lamps[d.name] = w
	})
}

// atEnd enters something when the scenario is over.
func (s *scene) atEnd(what string, enter func(what string)) {
	s.Cleanup(func() {
		if s.Failed() {
			what = interop.Failed
		}
		shown.Lock()
		defer shown.Unlock()
		enter(what)
	})
}

// lacks notes programs that are not there.
func lacks(programs []string) {
	shown.Lock()
	defer shown.Unlock()
	for _, p := range programs {
		if !slices.Contains(shown.missing, p) {
			shown.missing = append(shown.missing, p)
		}
	}
}

// report writes what was shown, if it is wanted.
func report() error {
	path := os.Getenv(resultsFile)
	if path == "" {
		return nil
	}
	shown.Lock()
	defer shown.Unlock()
	if len(shown.calls)+len(shown.lamps)+len(shown.missing) == 0 {
		return nil
	}
	slices.Sort(shown.missing)
	data, err := json.Marshal(interop.Report{Tables: []interop.Table{programTable(), lampTable(), callTable()}, Missing: shown.missing})
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// callTable is peer by feature. The lock is held.
func callTable() interop.Table {
	t := interop.Table{Name: "calls", Head: "what a phone does", Columns: peerColumns}
	for f := range features {
		row := interop.Row{Name: featureNames[f], Cells: map[string]string{}}
		for peer, w := range shown.calls[f] {
			row.Cells[peer] = w.cell()
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// lampTable is dialect by way. The lock is held.
func lampTable() interop.Table {
	t := interop.Table{Name: "lamps", Head: "dialect", Columns: []string{"transport", "press", "direct", "behind kamailio"}}
	for i := range dialects {
		d := &dialects[i]
		row := interop.Row{Name: d.name, Cells: map[string]string{}}
		if w, ok := shown.lamps[d.name]; ok {
			transport, how := d.traits()
			maps.Copy(row.Cells, map[string]string{"transport": transport, "press": how, "direct": w.direct, "behind kamailio": w.proxied})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// programTable is what was tried. Elsewhere than on Debian and Ubuntu nobody
// knows the versions.
func programTable() interop.Table {
	t := interop.Table{Name: "programs", Head: "program", Columns: []string{"version"}, Loose: true}
	for _, p := range [][2]string{
		{"sipp", "sip-tester"}, {"baresip", "baresip-core"}, {"twinkle", "twinkle-console"}, {"linphone (`linphonec`)", "linphone-cli"}, {"kamailio", "kamailio"},
	} {
		out, _ := exec.Command("dpkg-query", "-W", "-f", "${Version}", p[1]).Output() // not there, not known
		row := interop.Row{Name: p[0], Cells: map[string]string{}}
		if v := upstream.FindString(strings.TrimPrefix(string(out), "1:")); v != "" {
			row.Cells["version"] = v
		}
		t.Rows = append(t.Rows, row)
	}
	sip := interop.Row{Name: "npm `sip`", Cells: map[string]string{}}
	if v := nodeVersion("sip"); v != "" {
		sip.Cells["version"] = v
	}
	t.Rows = append(t.Rows, sip)
	return t
}

// upstream is the part of a package's version that its makers gave.
var upstream = regexp.MustCompile(`^[0-9]+(\.[0-9]+)*`)
