package kit

import (
	"strings"
	"testing"
	"time"

	"parkd/test/kit/phone"
)

func TestAServerIsCutWhereItIsToBe(t *testing.T) {
	for name, o := range map[string]struct {
		cut           Cut
		disk          time.Duration
		kept, arrived bool // a call is in the journal, and a response has reached the phone
	}{
		"before a batch":           {cut: Cut{On: Append, Side: Before}},
		"before a slow batch":      {cut: Cut{On: Append, Side: Before}, disk: 5 * time.Millisecond},
		"between batch and done":   {cut: Cut{On: Append, Side: Between}, kept: true},
		"as a slow batch is there": {cut: Cut{On: Append, Side: Between}, disk: 5 * time.Millisecond, kept: true},
		"after a batch":            {cut: Cut{On: Append, Side: After}, kept: true},
		"before an answer leaves":  {cut: Cut{On: Sent, Side: Before}, kept: true},
		"after an answer has left": {cut: Cut{On: Sent, Side: After}, kept: true, arrived: true},
		"before it is heard":       {cut: Cut{On: Received, Side: Before}},
		"once it is dealt with":    {cut: Cut{On: Received, Side: After}, kept: true, arrived: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.cut.Down = 100 * time.Millisecond
			seen := RunCut(t, Plan{Disk: o.disk, Cuts: []Cut{o.cut}}, func(s *Site) {
				alice := s.Phone("alice")
				c := alice.Invite("701", phone.Opts{})
				s.Wait(50 * time.Millisecond)
				all, err := s.Journal().Load("")
				if err != nil {
					s.T.Fatal(err)
				}
				kept := false
				for key := range all {
					kept = kept || strings.Contains(key, "/call/")
				}
				if kept != o.kept || len(c.Tx.All(200)) > 0 != o.arrived {
					s.T.Errorf("kept %v, %d answers", kept, len(c.Tx.All(200)))
				}
				if out := s.Outages(); len(out) != 1 || !out[0].Ready.IsZero() || out[0].Cut != o.cut {
					s.T.Errorf("outages: %+v", out)
				}
				s.Wait(100 * time.Millisecond)
				if out := s.Outages(); out[0].Ready.Sub(out[0].At) != o.cut.Down {
					s.T.Errorf("outages: %+v", out)
				}
				c.Expect(200)
				c.Ack()
				s.Wait(time.Second)
				c.Hangup()
			})
			if len(seen) != 2 {
				t.Errorf("%d servers", len(seen))
			}
		})
	}
}

func TestAServerThatWasCutWritesNothingMore(t *testing.T) {
	RunCut(t, Plan{}, func(s *Site) {
		c := s.Phone("alice").Call("701", phone.Opts{})
		s.Wait(time.Second)
		old := s.running()
		s.Crash(5 * time.Second)
		c.ExpectAlive() // although the old one has wound down
		select {
		case err := <-old.ended:
			old.ended <- err
		default:
			s.T.Error("the old server still runs")
		}
		c.Hangup()
	})
}
