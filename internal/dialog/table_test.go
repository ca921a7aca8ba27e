package dialog

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// usage notes what it is given.
type usage struct {
	mu   sync.Mutex
	list []string
}

func (u *usage) Request(r *sipua.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.list = append(u.list, r.CSeq().Value())
}

func (u *usage) ACK(r *sipua.Request) { u.Request(r) }

func (u *usage) got(sep string) string {
	synctest.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Join(u.list, sep)
}

func within(t *testing.T, method string, seq uint32) *sipua.Request {
	return &sipua.Request{Request: parse[*sip.Request](t, fmt.Sprintf(`%s sip:us SIP/2.0
Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK%d
From: <sip:ann@y>;tag=a1
To: <sip:701@x>;tag=us
Call-ID: c1
CSeq: %d %s
Content-Length: 0`, method, seq, seq, method))}
}

func TestOrder(t *testing.T) {
	for _, row := range []struct {
		name string
		last uint32
		send string // CSeqs in order of arrival; a comma is 5 ms
		want string // in the dialog, 10 ms after the last; then after all
		then string
	}{
		{"in order", 1, "2 3 4", "2 3 4", "2 3 4"},
		{"two changed places", 1, "3 , 2", "2 3", "2 3"},
		{"backwards", 1, "5 4 3 2", "2 3 4 5", "2 3 4 5"},
		{"a gap waits 20 ms", 1, "2 5", "2", "2 5"},
		{"two gaps", 1, "9 5", "", "5 9"},
		{"an old one passes, to be refused", 5, "3", "3", "3"},
		{"the first of a dialog", 0, "1 2", "1 2", "1 2"},
		{"the first of a dialog, from where it likes", 0, "4711 4712", "", "4711 4712"},
		{"the first of a dialog, backwards", 0, "4712 4711", "", "4711 4712"},
		{"each waits its own time", 1, "3 , , , 9 , ,", "3", "3 9"},
		{"ACK does not wait", 1, "A1 3 , A1 2", "1 1 2 3", "1 1 2 3"},
		{"too many wait", 1, "3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19", "3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19", "3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := NewWheel()
				defer w.Close()
				table, u := NewTable(w), &usage{}
				if _, err := table.Add(ID{"c1", "us", "a1"}, row.last, NewQueue(QueueConfig{}), u); err != nil {
					t.Fatal(err)
				}
				for _, s := range strings.Fields(row.send) {
					var seq uint32
					switch {
					case s == ",":
						time.Sleep(5 * time.Millisecond)
						continue
					case s[0] == 'A':
						fmt.Sscan(s[1:], &seq)
						table.ACK(within(t, "ACK", seq))
						continue
					}
					fmt.Sscan(s, &seq)
					table.Request(within(t, "INFO", seq))
				}
				check := func(want string) {
					t.Helper()
					got := strings.NewReplacer(" INFO", "", " ACK", "").Replace(u.got(" "))
					if got != want {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				time.Sleep(5 * time.Millisecond)
				check(row.want)
				time.Sleep(100 * time.Millisecond)
				check(row.then)
			})
		})
	}
}

func TestTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWheel()
		defer w.Close()
		table := NewTable(w)
		q1, q2 := NewQueue(QueueConfig{}), NewQueue(QueueConfig{})
		half, full := &usage{}, &usage{}
		if _, err := table.Add(ID{"c1", "us", ""}, 0, q1, half); err != nil {
			t.Fatal(err)
		}
		table.Request(within(t, "UPDATE", 1)) // before the response that completes the dialog
		e, err := table.Add(ID{"c1", "us", "a1"}, 0, q1, full)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := table.Add(ID{"c1", "us", "a1"}, 0, q1, full); !errors.Is(err, ErrExists) {
			t.Error(err)
		}
		table.Request(within(t, "BYE", 1))
		synctest.Wait()
		e.SetQueue(q2)
		q1.Close()
		table.Request(within(t, "INFO", 2))
		if half.got(",") != "1 UPDATE" || full.got(",") != "1 BYE,2 INFO" {
			t.Error(half.got(","), full.got(","))
		}
		for _, row := range []struct {
			name string
			r    sipua.Replaces
			want bool
		}{
			{"to-tag is ours", sipua.Replaces{CallID: "c1", ToTag: "us", FromTag: "a1"}, true},
			{"turned round", sipua.Replaces{CallID: "c1", ToTag: "a1", FromTag: "us"}, false},
			{"another call", sipua.Replaces{CallID: "c2", ToTag: "us", FromTag: "a1"}, false},
			{"a peer without tags", sipua.Replaces{CallID: "c1", ToTag: "us", FromTag: "0"}, true},
		} {
			if _, ok := table.Replaced(row.r); ok != row.want {
				t.Errorf("%s: %v", row.name, ok)
			}
		}
		if table.Len() != 2 || e.Usage() != Usage(full) || e.ID().Remote != "a1" {
			t.Error(table.Len())
		}
		table.Remove(e.ID())
		table.Remove(e.ID())
		if _, ok := table.Find(e.ID()); ok {
			t.Error("still there")
		}
	})
}
