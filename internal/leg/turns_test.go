package leg

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"parkd/internal/dialog"
	"parkd/internal/orbit"
)

// switchboard writes down what its ports hear.
type switchboard struct {
	mu    sync.Mutex
	hears map[string]string // by port
}

func (s *switchboard) set(port, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hears[port] = what
}

type switched struct {
	silent
	board *switchboard
	name  string
}

func (p *switched) Play(tune string)             { p.board.set(p.name, tune) }
func (p *switched) Say(words []string, _ string) { p.board.set(p.name, strings.Join(words, " ")) }
func (p *switched) Join(peer Port) {
	other := peer.(*switched).name
	p.board.set(p.name, other)
	p.board.set(other, p.name)
}

// The effects of a few decisions about three legs wait in three queues, which are
// emptied in every order: what the legs hear then is what was decided last, and each
// knows who is its partner.
func TestNewestDecisionIsWhatIsHeard(t *testing.T) {
	for _, row := range []struct {
		name    string
		effects []orbit.Effect
		want    map[string]string
	}{
		{"music, then a bridge", []orbit.Effect{orbit.Play{Leg: "a", Music: "m"}, orbit.Bridge{Leg: "b", Peer: "a"}},
			map[string]string{"a": "b", "b": "a"}},
		{"a bridge, then music", []orbit.Effect{orbit.Bridge{Leg: "b", Peer: "a"}, orbit.Play{Leg: "a", Music: "m"}},
			map[string]string{"a": "m"}},
		{"parked, then a bridge", []orbit.Effect{orbit.Park{Leg: "a", Music: "m"}, orbit.Bridge{Leg: "b", Peer: "a"}},
			map[string]string{"a": "b", "b": "a"}},
		{"a bridge, music, another bridge", []orbit.Effect{orbit.Bridge{Leg: "b", Peer: "a"}, orbit.Play{Leg: "a", Music: "m"},
			orbit.Bridge{Leg: "c", Peer: "a"}}, map[string]string{"a": "c", "c": "a"}},
		{"words, two bridges, music", []orbit.Effect{orbit.Say{Leg: "c", Words: []string{"1"}}, orbit.Bridge{Leg: "b", Peer: "a"},
			orbit.Bridge{Leg: "a", Peer: "c"}, orbit.Play{Leg: "c", Music: "m"}}, map[string]string{"c": "m"}},
	} {
		for _, order := range [][]string{{"a", "b", "c"}, {"a", "c", "b"}, {"b", "a", "c"}, {"b", "c", "a"}, {"c", "a", "b"}, {"c", "b", "a"}} {
			t.Run(fmt.Sprint(row.name, ", ", order), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					wheel := dialog.NewWheel()
					defer wheel.Close()
					m := New(context.Background(), Options{Wheel: wheel})
					board := &switchboard{hears: map[string]string{}}
					held := map[string]chan struct{}{}
					for _, id := range order {
						l := &Leg{id: id, m: m, queue: dialog.NewQueue(dialog.QueueConfig{}), state: calling, port: &switched{board: board, name: id}}
						m.legs[id] = l
						wait := make(chan struct{})
						held[id] = wait
						l.post(func() { <-wait })
					}
					for _, e := range row.effects {
						m.Carry(e)
					}
					for _, id := range order {
						close(held[id])
						synctest.Wait()
					}
					for id, want := range row.want {
						if got := board.hears[id]; got != want {
							t.Errorf("%s hears %q, want %q", id, got, want)
						}
						if p := m.legs[id].partner; (p != nil) != slices.Contains(order, want) || p != nil && p.id != want {
							t.Errorf("%s has partner %v, want %q", id, p, want)
						}
					}
				})
			})
		}
	}
}
