package presence

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/internal/sipua"
)

// What the last NOTIFY says, and that it is the last, whatever ends a subscription
// (RFC 6665 4.1.3, 4.4.3).
func TestReasons(t *testing.T) {
	serve := func(b *bed, prefix string, users ...sipua.User) {
		if err := b.n.o.Endpoint.Update(sipua.Settings{Access: sipua.Access{Trusted: []netip.Prefix{netip.MustParsePrefix(prefix)}, Users: users}}); err != nil {
			b.t.Fatal(err)
		}
		b.n.Recheck()
	}
	ann := sipua.User{Username: "ann", Password: "one"}
	end := func(b *bed) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		b.n.End(ctx)
	}
	for name, row := range map[string]struct {
		do   func(*bed, *phone)
		want string // "" = it goes on
	}{
		"not refreshed":           {func(b *bed, p *phone) { pass(time.Hour) }, "timeout"},
		"unsubscribed":            {func(b *bed, p *phone) { p.subscribe("sip:701@192.0.2.1", "Expires: 0") }, "timeout"},
		"the orbit is gone":       {func(b *bed, p *phone) { b.remove("701") }, "noresource"},
		"gone, and back":          {func(b *bed, p *phone) { b.remove("701"); b.park("701", "ann") }, "noresource"},
		"gone, nobody refreshes":  {func(b *bed, p *phone) { pass(59 * time.Minute); b.remove("701"); pass(time.Minute) }, "noresource"},
		"a password is asked now": {func(b *bed, p *phone) { serve(b, "10.0.0.0/8", ann) }, "deactivated"},
		"not served any more":     {func(b *bed, p *phone) { serve(b, "10.0.0.0/8") }, "rejected"},
		"still served":            {func(b *bed, p *phone) { serve(b, "192.0.2.0/24") }, ""},
		"the user is gone":        {func(b *bed, p *phone) { b.n.index.all()[0].rec.By = "bob"; serve(b, "10.0.0.0/8", ann) }, "rejected"},
		"the user is there still": {func(b *bed, p *phone) { b.n.index.all()[0].rec.By = "ann"; serve(b, "10.0.0.0/8", ann) }, ""},
		"the server ends":         {func(b *bed, p *phone) { end(b) }, "probation;retry-after=5"},
		"another of that phone":   {func(b *bed, p *phone) { p.callID, p.toTag = "another", ""; p.subscribe("sip:701@192.0.2.1") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			journaled(t, func(b *bed) {
				p := b.watch("192.0.2.9:5060")
				first := p.last()
				row.do(b, p)
				pass(time.Second)
				told := len(p.got())
				last := p.last()
				b.park("701", "eve")
				pass(time.Minute)
				if row.want == "" {
					if n := p.last(); !strings.HasPrefix(n.state, "active") || n.shown != "eve" || b.n.Len() != 1 {
						t.Errorf("%+v", n)
					}
					return
				}
				if last.state != "terminated;reason="+row.want || last.req.CallID().Value() != first.req.CallID().Value() {
					t.Errorf("%+v", last)
				}
				if len(p.got()) != told || b.n.Len() != 0 || len(b.disk.records()) != 0 {
					t.Errorf("%d told after the end, %d subscriptions, %d records", len(p.got())-told, b.n.Len(), len(b.disk.records()))
				}
			})
		})
	}
}

// Whoever is served no more learns nothing with the last NOTIFY (RFC 6665 6.1).
func TestTheRejectedLearnNothing(t *testing.T) {
	bubble(t, func(b *bed) {
		b.park("701", "ann")
		p, l := b.watch("192.0.2.9:5060"), b.listed("192.0.2.10:5060", "all")
		if p.last().shown != "ann" {
			t.Fatalf("%+v", p.last())
		}
		access := sipua.Access{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
		if err := b.n.o.Endpoint.Update(sipua.Settings{Access: access}); err != nil {
			t.Fatal(err)
		}
		b.n.Recheck()
		pass(time.Second)
		if n := p.last(); n.state != "terminated;reason=rejected" || n.shown != "" {
			t.Errorf("%+v", n)
		}
		if n, r := l.last(), l.rolls(""); n.state != "terminated;reason=rejected" || r[len(r)-1].String() != fmt.Sprintf("full %d:", len(r)-1) {
			t.Errorf("%s, %v", n.state, r)
		}
	})
}

// The end of the server waits for its watchers, not for those who are silent, and
// takes nobody in meanwhile.
func TestEndOfTheServer(t *testing.T) {
	bubble(t, func(b *bed) {
		quick := b.watch("192.0.2.9:5060")
		slow, silent := b.watch("192.0.2.10:5060"), b.watch("192.0.2.11:5060")
		slow.answers(func(n notice, _ int) (int, string) {
			time.AfterFunc(300*time.Millisecond, func() { slow.respond(n.req, 200, "", slow.serverAddr()) })
			return 0, ""
		})
		ended := make(chan time.Duration, 1)
		end := func() {
			start := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			b.n.End(ctx)
			ended <- time.Since(start)
		}
		silent.answers(func(notice, int) (int, string) { return 0, "" })
		go end()
		synctest.Wait()
		late := b.phone("192.0.2.12:5060")
		late.subscribe("sip:701@192.0.2.1")
		synctest.Wait()
		if r := late.reply(); r.StatusCode != 480 || value(r, "Retry-After") != "5" {
			t.Errorf("%s", r)
		}
		if took := <-ended; took != time.Second {
			t.Errorf("waited %v for a silent one", took)
		}
		for _, p := range []*phone{quick, slow, silent} {
			if n := p.last(); n.state != "terminated;reason=probation;retry-after=5" {
				t.Errorf("%+v", n)
			}
		}
		go end() // with nobody there
		if took := <-ended; took != 0 {
			t.Errorf("waited %v for nobody", took)
		}
	})
}
