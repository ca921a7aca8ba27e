//go:build unix

package peers

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

//go:embed testdata/watcher.js
var watcherScript string

// nodeModules is where tools/peers.sh installs packages of npm.
func nodeModules() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "parkd-peers", "node_modules")
}

// nodeVersion is that of an installed package of npm, "" if there is none.
func nodeVersion(name string) string {
	var p struct{ Version string }
	data, err := os.ReadFile(filepath.Join(nodeModules(), name, "package.json"))
	if err != nil || json.Unmarshal(data, &p) != nil {
		return ""
	}
	return p.Version
}

// A strict is a subscriber by the npm package sip, which ends at the first message
// that is not to the letter.
type strict struct {
	*proc
	s *scene
}

// strict subscribes to an orbit, or a list, by a kind of document: dialog, presence,
// list.
func (s *scene) strict(host int, transport, kind, user, server string) *strict {
	s.Helper()
	name := kind + "-" + transport
	home := s.folder(name)
	script := s.write(watcherScript, name, "watcher.js")
	w := &strict{s: s, proc: s.start(name, home, false, "node", script, nodeModules(), server, s.ip(host), fmt.Sprint(sipPort), transport, kind, user)}
	w.expect(s, "SUBSCRIBED 600", 1)
	return w
}

// told waits for a NOTIFY that shows something.
func (w *strict) told(shows string) {
	w.s.Helper()
	w.expect(w.s, "NOTIFY "+shows+"\n", 1)
}

// leaves ends the subscription, and has seen no fault in all.
func (w *strict) leaves(shows string) {
	w.s.Helper()
	w.say(w.s, "end")
	w.told(shows + " timeout")
	w.s.eventually(w.ended, "%s ends", w.name)
	if w.code != 0 {
		w.s.Errorf("%s: code %d", w.name, w.code)
	}
}

// newStrictScene is newScene with the npm package sip.
func newStrictScene(t *testing.T, programs ...string) *scene {
	t.Helper()
	if !testing.Short() && nodeVersion("sip") == "" {
		lacks([]string{"npm sip"})
		t.Skip("left out: needs the npm package sip (tools/peers.sh installs it where there is npm)")
	}
	return newScene(t, append(programs, "node")...)
}

// A subscriber that takes nothing but what is to the letter sees the lamp go on and
// off, over UDP and TCP, and is told that its subscription has ended.
func TestStrictSubscriber(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		for _, row := range []struct{ kind, user, dark, lit string }{
			{"dialog", "701", "terminated", "early"},
			{"presence", "701", "free", "busy"},
		} {
			t.Run(row.kind+" over "+transport, func(t *testing.T) {
				s := newStrictScene(t, "sipp")
				s.shows("npm sip", readsStrictly)
				p := s.parkd(config{})
				w := s.strict(hostPhone, transport, row.kind, row.user, p.sip)
				w.told(row.dark + " active")
				caller := ann("701", p.sip, "")
				parked := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone + 1, to: p.sip, data: caller})
				w.told(row.lit + " active")
				p.remove(p.holds("701", 1).Calls[0].ID)
				parked.passes()
				w.expect(s, "NOTIFY "+row.dark+" active\n", 2)
				w.leaves(row.dark)
			})
		}
	}
}

// The same with an event list: full at first, then what has changed. On UDP all are
// named first, and told of one by one.
func TestStrictSubscriberOfAList(t *testing.T) {
	for transport, row := range map[string]struct {
		first []string
		dark  int // how often 702 is told dark by itself
		last  string
	}{
		"tcp": {[]string{"full 701 terminated, 702 terminated"}, 1, "full 701 terminated, 702 terminated"},
		"udp": {[]string{"full ", "partial 701 terminated", "partial 702 terminated"}, 2, "full "},
	} {
		t.Run(transport, func(t *testing.T) {
			s := newStrictScene(t, "sipp")
			s.shows("npm sip", readsStrictly)
			p := s.parkd(config{orbits: `[{extension: 701-702}]`})
			w := s.strict(hostPhone, transport, "list", "orbits", p.sip)
			for _, shows := range row.first {
				w.told(shows + " active")
			}
			parked := s.sipp(sippOptions{name: "ann", scenario: "parked", host: hostPhone + 1, to: p.sip, data: ann("702", p.sip, "")})
			w.told("partial 702 early active")
			p.remove(p.holds("702", 1).Calls[0].ID)
			parked.passes()
			w.expect(s, "NOTIFY partial 702 terminated active\n", row.dark)
			w.leaves(row.last)
		})
	}
}
