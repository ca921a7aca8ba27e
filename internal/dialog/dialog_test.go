package dialog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"parkd/internal/sipua"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse[T sip.Message](t *testing.T, text string) T {
	t.Helper()
	m, err := sip.ParseMessage([]byte(strings.ReplaceAll(strings.TrimSpace(text)+"\n\n", "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return m.(T)
}

const invite = `INVITE sip:701@10.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKp
%s
From: "Ann" <sip:ann@example.com>;tag=a1
To: <sip:701@example.com>
Call-ID: c1
CSeq: 7 INVITE
%s
Content-Length: 0`

var flow = sipua.Flow{Network: "udp", Local: netip.MustParseAddrPort("10.0.0.1:5060"), Remote: netip.MustParseAddrPort("10.0.0.9:5060")}

func incoming(t *testing.T, routes, contact string) *sipua.Request {
	return &sipua.Request{Request: parse[*sip.Request](t, fmt.Sprintf(invite, routes, contact)), Flow: flow}
}

func TestFromRequest(t *testing.T) {
	for _, row := range []struct {
		name, routes, contact string
		want                  Dialog
		err                   error
	}{
		{"no proxy", "Max-Forwards: 70", "Contact: <sip:ann@10.0.0.9:5070;transport=udp?Subject=x>",
			Dialog{Target: "sip:ann@10.0.0.9:5070;transport=udp"}, nil},
		{"behind NAT", "Max-Forwards: 70", "Contact: <sip:ann@192.168.0.4>",
			Dialog{Target: "sip:ann@192.168.0.4", NAT: true}, nil},
		{"a name for an address", "Max-Forwards: 70", "Contact: <sip:ann@phone.example.com>",
			Dialog{Target: "sip:ann@phone.example.com"}, nil},
		{"two proxies, in order", "Record-Route: <sip:p1;lr>, <sip:p2;lr>\nRecord-Route: <sip:p3;lr;x=1>", "Contact: <sip:ann@10.0.0.9>",
			Dialog{Target: "sip:ann@10.0.0.9", Routes: []string{"sip:p1;lr", "sip:p2;lr", "sip:p3;lr;x=1"}}, nil},
		{"behind a proxy, which is not NAT", "Via: SIP/2.0/UDP 192.168.0.4;branch=z9hG4bKq", "Contact: <sip:ann@192.168.0.4>",
			Dialog{Target: "sip:ann@192.168.0.4"}, nil},
		{"no Contact", "Max-Forwards: 70", "Subject: x", Dialog{}, ErrContact},
		{"bad Contact", "Max-Forwards: 70", "Contact: *", Dialog{}, ErrContact},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := FromRequest(incoming(t, row.routes, row.contact), "us")
			if !errors.Is(err, row.err) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			row.want.ID = ID{"c1", "us", "a1"}
			row.want.LocalURI, row.want.RemoteURI = "sip:701@example.com", "sip:ann@example.com"
			row.want.RemoteSeq, row.want.Flow = 7, flow
			if diff := cmp.Diff(row.want, d, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			b, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			var again Dialog
			if err := json.Unmarshal(b, &again); err != nil || !cmp.Equal(d, again, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })) {
				t.Errorf("JSON there and back: %v\n%s", err, b)
			}
		})
	}
}

func TestFromResponse(t *testing.T) {
	req := parse[*sip.Request](t, `INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx
From: "Park \"1\"" <sip:701@example.com>;tag=us
To: <sip:bob@example.com>
Call-ID: c2
CSeq: 3 INVITE
Content-Length: 0`)
	for _, row := range []struct {
		name, status, lines, target string
		routes                      []string
		err                         error
	}{
		{"200", "200 OK", "Contact: <sip:bob@10.0.0.7>\nRecord-Route: <sip:p2;lr>\nRecord-Route: <sip:p1;lr>", "sip:bob@10.0.0.7", []string{"sip:p1;lr", "sip:p2;lr"}, nil},
		{"180 with no Contact", "180 Ringing", "Subject: x", "sip:bob@example.com", nil, nil},
		{"200 with no Contact", "200 OK", "Subject: x", "", nil, ErrContact},
	} {
		t.Run(row.name, func(t *testing.T) {
			res := parse[*sip.Response](t, "SIP/2.0 "+row.status+`
Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx
From: <sip:701@example.com>;tag=us
To: <sip:bob@example.com>;tag=b1
Call-ID: c2
CSeq: 4 INVITE
`+row.lines+"\nContent-Length: 0")
			d, err := FromResponse(req, res, flow)
			if !errors.Is(err, row.err) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			if d.ID != (ID{"c2", "us", "b1"}) || d.Target != row.target || !cmp.Equal(d.Routes, row.routes) || d.LocalSeq != 4 || d.RemoteSeq != 0 || d.LocalName != `Park "1"` {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestNewRequest(t *testing.T) {
	base := Dialog{ID: ID{"c1", "us", "a1"}, LocalURI: "sip:701@x", RemoteURI: "sip:ann@y", LocalName: `a"b`, Target: "sip:ann@10.0.0.9:5070", LocalSeq: 9, Flow: flow}
	for _, row := range []struct {
		name   string
		routes []string
		uri    string
		want   []string // Route
		next   string   // hop
	}{
		{"no route", nil, "sip:ann@10.0.0.9:5070", nil, "sip:ann@10.0.0.9:5070"},
		{"loose", []string{"sip:p1;lr", "sip:p2;lr"}, "sip:ann@10.0.0.9:5070", []string{"<sip:p1;lr>", "<sip:p2;lr>"}, "sip:p1;lr"},
		{"strict", []string{"sip:p1", "sip:p2;lr"}, "sip:p1", []string{"<sip:p2;lr>", "<sip:ann@10.0.0.9:5070>"}, "sip:p1"},
		{"lr with a value", []string{"sip:p1;LR=on"}, "sip:ann@10.0.0.9:5070", []string{"<sip:p1;LR=on>"}, "sip:p1;LR=on"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := base
			d.Routes = row.routes
			req, err := d.NewRequest(sip.BYE)
			if err != nil {
				t.Fatal(err)
			}
			if got := req.Recipient.String(); got != row.uri {
				t.Errorf("R-URI %s", got)
			}
			if got := sipua.Headers(req, "route"); !cmp.Equal(got, row.want) {
				t.Errorf("Route %v", got)
			}
			if d.LocalSeq != 10 || sipua.CSeq(req) != 10 || sipua.FromTag(req) != "us" || sipua.ToTag(req) != "a1" || sipua.CallID(req) != "c1" {
				t.Errorf("identity:\n%s", req)
			}
			if got := d.To(); got.URI != row.next || got.Flow != flow || got.Addr != "" {
				t.Errorf("target %+v", got)
			}
			ack, err := d.NewACK(8)
			if err != nil || sipua.CSeq(ack) != 8 || d.LocalSeq != 10 || ack.Method != sip.ACK || ack.CSeq().MethodName != sip.ACK {
				t.Errorf("ACK: %v\n%s", err, ack)
			}
			if !cmp.Equal(d.Routes, row.routes) {
				t.Error("the route set was changed")
			}
			if strings.Contains(req.String(), `"a"b"`) {
				t.Error("a display name that ends early")
			}
		})
	}
	nat := base
	nat.NAT = true
	if got := nat.To().Addr; got != "10.0.0.9:5060" {
		t.Error(got)
	}
	bad := base
	bad.Target = ""
	if _, err := bad.NewRequest(sip.BYE); !errors.Is(err, ErrURI) || bad.LocalSeq != 9 {
		t.Errorf("%v, LocalSeq %d", err, bad.LocalSeq)
	}
	noTag := base
	noTag.Remote = ""
	if req, err := noTag.NewRequest(sip.BYE); err != nil || strings.Contains(req.To().Value(), "tag") {
		t.Error("a tag where the peer has none")
	}
}

func TestReceive(t *testing.T) {
	other := sipua.Flow{Network: "udp", Local: flow.Local, Remote: netip.MustParseAddrPort("10.0.0.9:6000")}
	for _, row := range []struct {
		name, method, contact string
		seq                   int
		err                   error
		target                string
		last                  uint32
	}{
		{"re-INVITE moves the target", "INVITE", "Contact: <sip:ann@10.0.0.10>", 8, nil, "sip:ann@10.0.0.10", 8},
		{"UPDATE moves it", "UPDATE", "Contact: <sip:ann@10.0.0.10>", 20, nil, "sip:ann@10.0.0.10", 20},
		{"INFO does not", "INFO", "Contact: <sip:ann@10.0.0.10>", 8, nil, "sip:ann@10.0.0.9", 8},
		{"no Contact", "INVITE", "Subject: x", 8, nil, "sip:ann@10.0.0.9", 8},
		{"the same CSeq", "INFO", "Subject: x", 7, nil, "sip:ann@10.0.0.9", 7},
		{"an old CSeq", "INVITE", "Contact: <sip:ann@10.0.0.10>", 6, ErrOldCSeq, "sip:ann@10.0.0.9", 7},
		{"ACK", "ACK", "Contact: <sip:ann@10.0.0.10>", 6, nil, "sip:ann@10.0.0.9", 7},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := FromRequest(incoming(t, "Max-Forwards: 70", "Contact: <sip:ann@10.0.0.9>"), "us")
			if err != nil {
				t.Fatal(err)
			}
			text := strings.NewReplacer("INVITE", row.method, "CSeq: 7", fmt.Sprintf("CSeq: %d", row.seq)).Replace(fmt.Sprintf(invite, "Max-Forwards: 70", row.contact))
			before := d
			err = d.Receive(&sipua.Request{Request: parse[*sip.Request](t, text), Flow: other})
			if !errors.Is(err, row.err) || d.Target != row.target || d.RemoteSeq != row.last {
				t.Errorf("%v, %s, %d", err, d.Target, d.RemoteSeq)
			}
			if err != nil && !cmp.Equal(d, before, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })) {
				t.Error("a refusal changed the dialog")
			}
		})
	}
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		var panics, overflows int
		q := NewQueue(QueueConfig{Limit: 4, Overflow: func() { overflows++ }, Panic: func(any, []byte) { panics++ }})
		block := make(chan struct{})
		q.Post(func() { <-block })
		synctest.Wait()
		for i := range 4 {
			if err := q.Post(func() {
				if i == 1 {
					panic("as asked")
				}
				got = append(got, i)
			}); err != nil {
				t.Error(err)
			}
		}
		for range 2 {
			if err := q.Post(func() {}); !errors.Is(err, ErrFull) {
				t.Error(err)
			}
		}
		close(block)
		synctest.Wait()
		if fmt.Sprint(got) != "[0 2 3]" || panics != 1 || overflows != 1 {
			t.Error(got, panics, overflows)
		}
		q.Post(func() { q.Close(); got = append(got, 9) })
		q.Post(func() { got = append(got, 10) })
		synctest.Wait()
		if fmt.Sprint(got) != "[0 2 3 9]" {
			t.Error(got)
		}
		if err := q.Post(func() {}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// TestQueueOrder: many posters, each in order, never two at a time.
func TestQueueOrder(t *testing.T) {
	q := NewQueue(QueueConfig{Limit: 100000})
	last, count := map[int]int{}, 0 // owned by the queue
	var wg sync.WaitGroup
	for p := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				q.Post(func() {
					if last[p] != i {
						t.Errorf("poster %d: %d after %d", p, i, last[p])
					}
					last[p], count = i+1, count+1
				})
			}
		})
	}
	wg.Wait()
	done := make(chan int)
	q.Post(func() { done <- count })
	if n := <-done; n != 16000 {
		t.Error(n)
	}
}

func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWheel()
		defer w.Close()
		q := NewQueue(QueueConfig{})
		start := time.Now()
		var mu sync.Mutex
		fired := map[time.Duration]time.Duration{}
		note := func(d time.Duration, since time.Time) func() {
			return func() {
				mu.Lock()
				defer mu.Unlock()
				fired[d] = time.Since(since)
			}
		}
		waits := []time.Duration{-1, 0, time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, time.Second,
			5120 * time.Millisecond, 5130 * time.Millisecond, time.Minute, time.Hour}
		for _, d := range waits {
			w.After(d, q, note(d, start))
		}
		stopped := w.After(time.Second, q, func() { t.Error("a stopped timer ran") })
		if !stopped.Stop() || stopped.Stop() {
			t.Error("Stop")
		}
		var none *Timer
		if none.Stop() {
			t.Error("a nil timer was stopped")
		}
		time.Sleep(2 * time.Hour)
		for _, d := range waits {
			mu.Lock()
			got, ok := fired[d]
			mu.Unlock()
			if late := got - max(d, 0); !ok || late < 0 || late > 20*time.Millisecond {
				t.Errorf("%v: after %v (%v)", d, got, ok)
			}
		}
		// Later timers, after the wheel slept for good.
		begin := time.Now()
		w.After(30*time.Millisecond, q, note(1, begin))
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if fired[1] < 30*time.Millisecond || fired[1] > 50*time.Millisecond {
			t.Error(fired[1])
		}
	})
}

// TestWheelStopOnQueue: a timer that is due, but has not run, can be stopped
// by what runs before it on its queue.
func TestWheelStopOnQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWheel()
		q := NewQueue(QueueConfig{})
		var tm *Timer
		q.Post(func() {
			tm = w.After(10*time.Millisecond, q, func() { t.Error("it ran") })
			time.Sleep(time.Second) // it has been posted meanwhile
			if !tm.Stop() {
				t.Error("Stop says that it ran")
			}
		})
		time.Sleep(2 * time.Second)
		late := w.After(time.Hour, q, func() { t.Error("ran after Close") })
		w.Close()
		w.Close()
		w.After(0, q, func() { t.Error("ran after Close") })
		late.Stop()
		time.Sleep(2 * time.Hour)
	})
}

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

func BenchmarkWheel(b *testing.B) {
	w := NewWheel()
	defer w.Close()
	q := NewQueue(QueueConfig{})
	for range 100000 {
		w.After(time.Hour, q, func() {})
	}
	for b.Loop() {
		w.After(time.Minute, q, func() {}).Stop()
	}
}

func BenchmarkQueue(b *testing.B) {
	q := NewQueue(QueueConfig{})
	done := make(chan struct{})
	for b.Loop() {
		q.Post(func() { done <- struct{}{} })
		<-done
	}
}
