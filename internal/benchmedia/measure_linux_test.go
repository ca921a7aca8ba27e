package benchmedia

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// small is a measurement of few calls.
var small = Options{Ports: [2]uint16{20000, 20999}, Calls: 20, Time: 2 * time.Second}

func TestMeasure(t *testing.T) {
	for _, silent := range []bool{false, true} {
		o := small
		o.Silent = silent
		r, err := Measure(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		// How many are fine depends on who else is here.
		if r.Calls < 0 || r.Calls > o.Calls || len(r.Steps) == 0 || r.Steps[0].Calls != o.Calls || r.Silent != silent {
			t.Errorf("%+v", r)
		}
		s := r.Steps[0]
		if s.Packet <= 0 || s.Busy <= 0 || s.Missing < 0 || s.Missing > 1 || r.FloorCalls != o.Calls || r.FloorPacket <= 0 || r.FloorRatio <= 0 {
			t.Errorf("%+v", r)
		}
		if r.Memory <= 0 || r.Memory > 100 || r.PortPairs != 500 || r.OpenFiles == 0 {
			t.Errorf("%+v", r)
		}
		if s.Fine && (r.Calls != o.Calls || r.Limit != "asked for") {
			t.Errorf("all that were asked for are fine: %+v", r)
		}
	}
}

func TestMeasureWithFewPorts(t *testing.T) {
	o := small
	o.Ports, o.Calls = [2]uint16{21000, 21009}, 0
	r, err := Measure(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.PortPairs != 5 || r.Steps[0].Calls > 5 || r.Steps[0].Fine && r.Limit != "ports" {
		t.Errorf("%+v", r)
	}
	o.Ports = [2]uint16{21001, 21001}
	if _, err := Measure(t.Context(), o); err == nil {
		t.Error("calls without a port")
	}
}

// Interrupted early there is nothing to tell, later there is.
func TestMeasureEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Measure(ctx, small); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	begin := time.Now()
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	o := small
	o.Time = time.Hour
	if _, err := Measure(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("it ended after %v", took)
	}
}

func TestStep(t *testing.T) {
	var late Lateness
	late.add(time.Millisecond, 1000)
	s := step(20, Sent{Packets: 1000, Took: time.Second, CPU: 5 * time.Millisecond, Late: late})
	if want := (Step{Calls: 20, Packet: 5, Busy: 0.005, Late: s.Late, Fine: true}); s != want || s.Late > 1 {
		t.Errorf("%+v, want %+v", s, want)
	}
	if s := step(20, Sent{Packets: 990, Took: time.Second, Late: late}); s.Fine || s.Missing < 0.009 {
		t.Errorf("a hundredth is missing: %+v", s)
	}
	late.add(20*time.Millisecond, 10)
	if s := step(20, Sent{Packets: 1010, Took: time.Second, Late: late}); s.Fine {
		t.Errorf("a hundredth is late by 20 ms: %+v", s)
	}
}

func TestReport(t *testing.T) {
	r := Report{Calls: 2000, Limit: "load", Cores: 2, OpenFiles: 20000, PortPairs: 11384, FloorCalls: 1000, FloorPacket: 4.3, FloorRatio: 0.6, Memory: 1.3,
		Steps: []Step{{Calls: 2000, Packet: 2.5, Busy: 0.25, Late: 2, Fine: true}, {Calls: 4000, Packet: 2.5, Busy: 1.9, Late: 30, Missing: 0.2}}}
	var b strings.Builder
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"This machine (2 cores) carries the media of 2000 parked calls while all callers talk.\n",
		"2000   2.50 µs", "0.00 %    fine", "20.00 %   too many", "ratio to it is 0.60", "Open files allow 19800 calls, media.ports 11384",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "Do not trust") {
		t.Error("it was not disturbed")
	}
	r.Disturbed, r.Limit, r.Silent = true, "open files", true
	b.Reset()
	if err := r.Write(&b); err != nil || !strings.Contains(b.String(), "no caller talks,\nand more if") || !strings.Contains(b.String(), "Do not trust") {
		t.Errorf("%v\n%s", err, b.String())
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"calls":2000`) || !strings.Contains(string(text), `"cpu_us":2.5`) {
		t.Errorf("%v %s", err, text)
	}
}
