package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"parkd/internal/orbit"
)

// used are metrics that have seen everything, with this fault of the journal.
func used(fault error) *Metrics {
	m := NewMetrics(prometheus.NewRegistry())
	m.Read(Figures{
		Parked:        func() int { return 7 },
		Direct:        func() int { return 5 },
		Subscriptions: func() int { return 42 },
		Registrations: func() map[string]int { return map[string]int{"failed": 3, "registered": 0} },
		Sizes:         func() map[string]int { return map[string]int{"legs": 9, "timers": 0} },
		Journal:       func() error { return fault },
		RTP: func() RTP {
			return RTP{In: 100, Out: 5000, Late: 3, LateSum: .004, Buckets: map[float64]uint64{.001: 1, .002: 2}}
		},
	})
	m.Count(orbit.Event{Kind: orbit.KindParked})
	m.Count(orbit.Event{Kind: orbit.KindParked})
	m.Count(orbit.Event{Kind: orbit.KindRetrieved})
	m.Count(orbit.Event{Kind: orbit.KindReturned})
	m.Count(orbit.Event{Kind: orbit.KindKept, Detail: "answered 486"})
	m.Count(orbit.Event{Kind: orbit.KindEnded})
	m.Refused("full")
	m.Notified(3 * time.Millisecond)
	m.Appended(700 * time.Microsecond)
	m.Reloaded(nil)
	m.Reloaded(nil)
	m.Reloaded(errors.New("faulty"))
	m.Restored(12, 34)
	return m
}

func TestMetricsNames(t *testing.T) {
	families, err := used(nil).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	want := "parkd_direct_calls parkd_held parkd_journal_append_seconds parkd_journal_fault parkd_lamp_notify_seconds parkd_parked_calls parkd_parks_total " +
		"parkd_refused_total parkd_registrations parkd_reloads_total parkd_restored_calls parkd_restored_subscriptions parkd_retrieves_total " +
		"parkd_returns_total parkd_rtp_late_seconds parkd_rtp_packets_total parkd_subscriptions"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("metrics are\n%s\nwant\n%s", got, want)
	}
}

func TestMetricsPage(t *testing.T) {
	s := server(t, office(t), "")
	s.o.Metrics = used(nil)
	s.http.Handler = s.Handler()
	res := ask(s, http.MethodGet, "/metrics")
	page := "\n" + body(t, res) + "\n"
	for _, line := range []string{
		"parkd_parked_calls 7", "parkd_direct_calls 5", "parkd_parks_total 2", "parkd_retrieves_total 1", "parkd_subscriptions 42",
		`parkd_returns_total{result="answered"} 1`, `parkd_returns_total{result="busy"} 1`, `parkd_returns_total{result="no_answer"} 0`,
		`parkd_refused_total{reason="full"} 1`, `parkd_lamp_notify_seconds_bucket{le="0.005"} 1`,
		`parkd_rtp_packets_total{direction="in"} 100`, `parkd_rtp_packets_total{direction="out"} 5000`,
		`parkd_rtp_late_seconds_bucket{le="0.002"} 2`, `parkd_rtp_late_seconds_count 3`,
		`parkd_journal_append_seconds_bucket{le="0.0005"} 0`, `parkd_journal_append_seconds_bucket{le="0.001"} 1`,
		`parkd_journal_fault 0`, `parkd_reloads_total{result="applied"} 2`, `parkd_reloads_total{result="refused"} 1`,
		`parkd_held{kind="legs"} 9`, `parkd_registrations{state="failed"} 3`, `parkd_registrations{state="registered"} 0`, `parkd_held{kind="timers"} 0`, "parkd_restored_calls 12", "parkd_restored_subscriptions 34",
	} {
		if !strings.Contains(page, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
	s.o.Metrics = used(errors.New("disk full"))
	s.http.Handler = s.Handler()
	if page := body(t, ask(s, http.MethodGet, "/metrics")); !strings.Contains(page, "\nparkd_journal_fault 1\n") {
		t.Error("a fault of the journal is not shown")
	}
}

// Before anything is there to be read, and with reasons without end.
func TestMetricsBounds(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	for i := range 3 * maxReasons {
		m.Refused(fmt.Sprint("reason ", i))
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if n := len(f.GetMetric()); f.GetName() == "parkd_refused_total" && n != maxReasons+1 {
			t.Errorf("%d reasons", n)
		}
	}
}
