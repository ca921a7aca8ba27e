package sipua

import (
	"testing"
	"testing/synctest"
	"time"
)

// A volley sends in order what is in it, once, and each exchange goes its own way from
// there.
func TestVolley(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, _ := start(t, Options{}, nil)
		var v Volley
		var askers [3]asker
		var list [3]*Exchange
		for i := range askers {
			x, b := draft(t, e, &askers[i], 0)
			list[i] = x
			v.Add(x, b)
		}
		p.silence(10 * time.Second)
		v.Send()
		if v.Len() != 0 {
			t.Errorf("%d are left", v.Len())
		}
		for i, code := range []int{200, 481, 0} {
			req := p.request()
			if text, _ := branchOf(req); text != string(list[i].branch.append(nil)) {
				t.Errorf("the one that came as %d is another one", i)
			}
			if code != 0 {
				p.respond(req, code)
			}
		}
		askers[0].want(t, "200 of 5")
		askers[1].want(t, "481 of 5")
		if text, _ := branchOf(p.request()); text != string(list[2].branch.append(nil)) { // Timer E
			t.Error("not the one without an answer comes again")
		}
		list[2].Stop()
		p.silence(40 * time.Second)
		askers[2].want(t, "")
	})
}

// An exchange that is stopped before its volley goes is not sent, and nobody else gets
// the room of its message before.
func TestVolleyWithoutTheStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a, b asker
		e, p, _ := start(t, Options{}, nil)
		x, xs := draft(t, e, &a, 0)
		y, ys := draft(t, e, &b, 0)
		var v Volley
		v.Add(x, xs)
		v.Add(y, ys)
		x.Stop()
		if x.room == nil {
			t.Error("its room is free while the volley has its message")
		}
		v.Send()
		if x.room != nil {
			t.Error("its room is not free after the volley")
		}
		p.respond(p.request(), 200)
		p.silence(40 * time.Second)
		a.want(t, "")
		b.want(t, "200 of 5")
	})
}

// What cannot be sent is told to whoever asked, and keeps nobody else from being sent.
func TestVolleyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a asker
		e, p, _ := start(t, Options{}, nil)
		var v Volley
		x, b := draft(t, e, &a, 0)
		v.Add(x, b)
		e.Shutdown()
		v.Send()
		a.want(t, "closed")
		p.silence(time.Second)
	})
}
