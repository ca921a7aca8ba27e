package sipua

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

func TestCancel(t *testing.T) {
	for _, row := range []struct {
		name  string
		delay time.Duration // of the CANCEL after the INVITE; negative: before it
		want  string        // the responses, by method and code
		told  bool          // the handler is told, or never sees the INVITE
	}{
		{"after the INVITE", 100 * time.Millisecond, "CANCEL 200, INVITE 487", true},
		{"at the same moment", 0, "CANCEL 200, INVITE 487", true},
		{"10 ms before", -10 * time.Millisecond, "CANCEL 200, INVITE 487", true},
		{"30 ms before", -30 * time.Millisecond, "CANCEL 481, INVITE 180", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var cancels, seen atomic.Int32
				var got atomic.Pointer[Request]
				e, p, _ := start(t, Options{}, func(e *Endpoint) {
					e.Handle("INVITE", func(r *Request) {
						seen.Add(1)
						r.Reply(180, "")
						r.OnCancel(func() { cancels.Add(1) })
						got.Store(r)
					})
				})
				invite, cancel := msg("INVITE", "sip:701@10.0.0.1", "c", 7), msg("CANCEL", "sip:701@10.0.0.1", "c", 7)
				if row.delay < 0 {
					invite, cancel = cancel, invite
				}
				p.send(invite)
				time.Sleep(row.delay.Abs())
				p.send(cancel)
				var list []string
				tags := map[string]bool{}
				for {
					m := p.read(100 * time.Millisecond)
					if m == nil {
						break
					}
					res := m.(*sip.Response)
					tags[ToTag(res)] = true
					if s := fmt.Sprintf("%s %d", res.CSeq().MethodName, res.StatusCode); !row.told || res.StatusCode != 180 {
						list = append(list, s)
					}
				}
				if s := strings.Join(list, ", "); s != row.want {
					t.Errorf("got %s, want %s", s, row.want)
				}
				if row.told && len(tags) != 1 { // RFC 3261 9.2
					t.Errorf("To tags %v, want one", tags)
				}
				if r := got.Load(); r != nil && row.told {
					if cancels.Load() != 1 {
						t.Errorf("told %d times", cancels.Load())
					}
					if err := r.Reply(200, ""); !errors.Is(err, ErrCancelled) {
						t.Errorf("200 after CANCEL: %v", err)
					}
				}
				if row.told {
					p.send(msg("ACK", "sip:701@10.0.0.1", "c", 7))
				} else if r := got.Load(); r != nil {
					r.Reply(486, "")
				}
				synctest.Wait()
				if n := len(e.cancels.live); n != 0 {
					t.Errorf("%d INVITEs kept", n)
				}
			})
		})
	}
}

// TestCancelTooLate: a CANCEL after the final response is answered 200 while
// the INVITE's transaction would last (RFC 3261 9.2), and again when repeated.
func TestCancelTooLate(t *testing.T) {
	for _, row := range []struct {
		name  string
		after time.Duration
		forgo bool // sipgo has no transaction of the INVITE any more
		code  int
	}{
		{"a moment later", time.Millisecond, false, 200},
		{"the transaction is gone already", time.Millisecond, true, 200},
		{"within 64*T1", kept - time.Second, false, 200},
		{"after 64*T1", kept, false, 481},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p, _ := start(t, Options{}, func(e *Endpoint) {
					e.Handle("INVITE", func(r *Request) {
						r.Reply(200, "")
						if row.forgo {
							r.tx.Terminate()
						}
					})
				})
				p.send(msg("INVITE", "sip:701@10.0.0.1", "late", 7))
				ok := p.response()
				time.Sleep(row.after)
				for range 2 {
					synctest.Wait() // a peer repeats itself after T1
					p.send(msg("CANCEL", "sip:701@10.0.0.1", "late", 7))
					res := p.response()
					if res.CSeq().MethodName != sip.CANCEL || res.StatusCode != row.code {
						t.Errorf("%s answered %d, want %d", res.CSeq().MethodName, res.StatusCode, row.code)
					}
					if row.code == 200 && ToTag(res) != ToTag(ok) {
						t.Error("another To tag")
					}
				}
				synctest.Wait()
				e.cancels.mu.Lock()
				defer e.cancels.mu.Unlock()
				if n := len(e.cancels.early) + len(e.cancels.live); n != 0 {
					t.Errorf("%d kept", n)
				}
			})
		})
	}
}

// TestCancelRace: 200 by the handler and CANCEL by the peer at one moment:
// exactly one of 200 and 487 is sent, and the handler is told which.
func TestCancelRace(t *testing.T) {
	won := [2]int{}
	for i := range 300 {
		synctest.Test(t, func(t *testing.T) {
			result := make(chan error, 1)
			_, p, _ := start(t, Options{}, func(e *Endpoint) {
				e.Handle("INVITE", func(r *Request) {
					time.Sleep(time.Millisecond)
					result <- r.Reply(200, "")
				})
			})
			p.send(msg("INVITE", "sip:701@10.0.0.1", fmt.Sprint("r", i), 1))
			time.Sleep(time.Millisecond)
			p.send(msg("CANCEL", "sip:701@10.0.0.1", fmt.Sprint("r", i), 1))
			err := <-result
			codes := map[int]bool{}
			for {
				m := p.read(5 * time.Second)
				if m == nil {
					break
				}
				if res := m.(*sip.Response); res.CSeq().MethodName == sip.INVITE && res.StatusCode >= 200 {
					codes[res.StatusCode] = true
				}
			}
			want := 200
			if errors.Is(err, ErrCancelled) {
				want = 487
				won[1]++
			} else {
				won[0]++
			}
			if len(codes) != 1 || !codes[want] {
				t.Fatalf("sent %v, handler was told %v", codes, err)
			}
		})
	}
	t.Logf("200 won %d times, CANCEL %d times", won[0], won[1])
}
