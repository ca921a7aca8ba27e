package crash

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"parkd/test/live"
)

var update = flag.Bool("update", false, "have this parkd write the kept journal of its format anew")

// kept is where the journals are kept that released parkds have written, with what
// the API said of them. The newest is this parkd's own.
func kept(version string) string { return filepath.Join("testdata", "journal-"+version) }

const newest = "v2"

// upgraded is where the parkd was that wrote the kept journals. Its phones were
// on hosts of their own, where nobody is any more.
const upgraded = "127.99.99.1"

// outlast has calls stay for years.
const outlast = `
park: {max_time: 0}
defaults: {timeout: {enabled: false}}
orbits: [{extension: 701-702}, {extension: "703", allow_multiple: true}]
`

// This parkd reads what former ones wrote. The phones have gone since, which
// keep-alive will find.
func TestJournalsOfFormerVersionsAreRead(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"v1", newest} {
		t.Run(version, func(t *testing.T) { isRead(t, version) })
	}
}

func isRead(t *testing.T, version string) {
	s := newSiteAt(t, upgraded, outlast)
	if *update && version == newest {
		s.keep(version)
	}
	data, err := os.ReadFile(filepath.Join(kept(version), "parkd.db"))
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(s.journal()), 0o700))
	must(t, os.WriteFile(s.journal(), data, 0o600))
	text, err := os.ReadFile(filepath.Join(kept(version), "calls.json"))
	must(t, err)
	var want []held
	must(t, json.Unmarshal(text, &want))

	p := s.start() // an error in its log fails the test
	if got := s.calls(); !reflect.DeepEqual(got, want) || len(got) == 0 {
		t.Errorf("calls: %+v\nwant: %+v", got, want)
	}
	if l := p.says("restored", 0); l == nil || l.fields["calls"] != float64(len(want)) || l.fields["legs"] != float64(len(want)+1) {
		t.Errorf("restored: %+v", l)
	}
	// They are as good as any: somebody can fetch one.
	fetched := s.phone("bob").Dial("*4702", live.Offer{})
	s.until("the call is bridged", live.Patience, func() bool {
		for _, c := range s.calls() {
			if c.Orbit == "702" && c.State == "bridged" {
				return true
			}
		}
		return false
	})
	fetched.Bye()
}

// keep makes the kept journal: a bridged call, one that was parked directly,
// two parked by somebody in a queue, and watchers by UDP and TCP.
func (s *site) keep(version string) {
	s.Helper()
	s.start()
	at := func(n byte, name, network string) *live.Phone {
		return s.phoneOf(live.Options{Name: name, Network: network, Host: s.neighbour(n)})
	}
	ann, ben, cat, dan := at(11, "ann", "udp"), at(12, "ben", "udp"), at(13, "cat", "tcp"), at(14, "dan", "udp")
	bob, desk := at(15, "bob", "udp"), at(16, "desk", "tcp")
	for _, l := range []*live.Lamp{bob.Watch("702"), desk.Watch("703")} {
		l.Served()
	}
	calls := []*live.Call{
		ann.Park("701", bob, live.Offer{}), ben.Dial("702", live.Offer{Formats: "9"}),
		cat.Park("703", bob, live.Offer{Formats: "8"}), dan.Park("703", desk, live.Offer{}),
	}
	fetched := bob.Dial("*4701", live.Offer{})
	bothHear(calls[0], fetched)
	calls[1].Media.First(5)
	s.states("bridged", "parked", "parked", "parked")
	<-time.After(time.Second) // what is written after the ACK is there
	text, err := json.MarshalIndent(s.calls(), "", "\t")
	must(s.T, err)
	s.now.kill()
	data, err := os.ReadFile(s.journal())
	must(s.T, err)
	must(s.T, os.MkdirAll(kept(version), 0o755))
	must(s.T, os.WriteFile(filepath.Join(kept(version), "parkd.db"), data, 0o644))
	must(s.T, os.WriteFile(filepath.Join(kept(version), "calls.json"), append(text, '\n'), 0o644))
	for _, p := range s.phones {
		p.Close()
	}
}
