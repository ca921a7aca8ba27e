package admin

import (
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"parkd/internal/orbit"
)

// maxReasons bounds the reasons of parkd_refused_total: they come from our own
// constants, and one more than anybody would write counts as "other".
const maxReasons = 100

// Figures is what is read when somebody asks for metrics. Each may be nil.
// None may block for long.
type Figures struct {
	Parked        func() int // calls in orbits
	Direct        func() int // calls whose media flows past parkd
	Subscriptions func() int
	Registrations func() map[string]int // by state: a few constants
	Sizes         func() map[string]int // what is held, by kind: a few constants
	RTP           func() RTP
	Journal       func() error // as Options.Health
}

// RTP is what the media engine has done since it started.
type RTP struct {
	In, Out uint64 // packets
	// Lateness of music: from when a packet was due to when it was sent.
	// Buckets: upper bound in seconds to how many were at most that.
	Late    uint64
	LateSum float64 // seconds
	Buckets map[float64]uint64
}

// Metrics are parkd's figures for Prometheus.
type Metrics struct {
	registry  *prometheus.Registry
	parks     prometheus.Counter
	retrieves prometheus.Counter
	returns   *prometheus.CounterVec
	refused   *prometheus.CounterVec
	notify    prometheus.Histogram
	appends   prometheus.Histogram
	reloads   *prometheus.CounterVec
	calls     prometheus.Gauge // restored
	subs      prometheus.Gauge // restored
	figures   atomic.Pointer[Figures]

	mu      sync.Mutex // leaf
	reasons map[string]bool
}

// NewMetrics registers the figures with a registry that nobody else registers
// the same with.
func NewMetrics(registry *prometheus.Registry) *Metrics {
	m := &Metrics{
		registry: registry,
		reasons:  map[string]bool{},
		parks: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parkd_parks_total", Help: "Calls parked."}),
		retrieves: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "parkd_retrieves_total", Help: "Parked calls joined with somebody who retrieved them."}),
		returns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parkd_returns_total", Help: "Returns of parked calls to their parkers, by result."}, []string{"result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parkd_refused_total", Help: "SIP requests refused, by reason."}, []string{"reason"}),
		notify: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "parkd_lamp_notify_seconds", Help: "From the change of a lamp to the 200 of its NOTIFY.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 32}}),
		appends: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "parkd_journal_append_seconds", Help: "From a decision to when it is on disk.",
			Buckets: []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "parkd_reloads_total", Help: "Reloads of the configuration, by result."}, []string{"result"}),
		calls: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parkd_restored_calls", Help: "Calls that the last start found in the journal and restored."}),
		subs: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "parkd_restored_subscriptions", Help: "Subscriptions that the last start found in the journal and restored."}),
	}
	for _, result := range []string{reloadApplied, reloadRefused} {
		m.reloads.WithLabelValues(result)
	}
	for _, result := range []string{"answered", "busy", "no_answer", "mailbox", "unconfirmed", "failed"} {
		m.returns.WithLabelValues(result)
	}
	m.figures.Store(&Figures{})
	registry.MustRegister(m.parks, m.retrieves, m.returns, m.refused, m.notify, m.appends, m.reloads, m.calls, m.subs, live{m})
	return m
}

// Read says where the figures come from that are read on demand.
func (m *Metrics) Read(f Figures) { m.figures.Store(&f) }

// Count counts what happened to a call.
func (m *Metrics) Count(e orbit.Event) {
	switch e.Kind {
	case orbit.KindParked:
		m.parks.Inc()
	case orbit.KindRetrieved:
		m.retrieves.Inc()
	}
	if result := e.Result(); result != "" {
		m.returns.WithLabelValues(result).Inc()
	}
}

// Refused counts a SIP request that was refused for a reason.
func (m *Metrics) Refused(reason string) {
	m.mu.Lock()
	if !m.reasons[reason] {
		if len(m.reasons) < maxReasons {
			m.reasons[reason] = true
		} else {
			reason = "other"
		}
	}
	m.mu.Unlock()
	m.refused.WithLabelValues(reason).Inc()
}

// Notified takes the time from a lamp's change to the 200 of its NOTIFY.
func (m *Metrics) Notified(d time.Duration) { m.notify.Observe(d.Seconds()) }

// Appended takes the time from a decision to when it was durable.
func (m *Metrics) Appended(d time.Duration) { m.appends.Observe(d.Seconds()) }

// Results of a reload.
const (
	reloadApplied = "applied"
	reloadRefused = "refused"
)

// Reloaded counts a reload; err is why it was refused.
func (m *Metrics) Reloaded(err error) {
	result := reloadApplied
	if err != nil {
		result = reloadRefused
	}
	m.reloads.WithLabelValues(result).Inc()
}

// Restored takes what this start restored from the journal.
func (m *Metrics) Restored(calls, subscriptions int) {
	m.calls.Set(float64(calls))
	m.subs.Set(float64(subscriptions))
}

func (m *Metrics) handler(l zerolog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: log.New(complaints{l}, "", 0), ErrorHandling: promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, Timeout: 10 * time.Second,
	})
}

// live collects the figures that are read on demand.
type live struct{ m *Metrics }

var (
	parkedDesc     = prometheus.NewDesc("parkd_parked_calls", "Calls in orbits now.", nil, nil)
	sizesDesc      = prometheus.NewDesc("parkd_held", "What is held for calls, lamps and messages, by kind: 0 when there are none.", []string{"kind"}, nil)
	directDesc     = prometheus.NewDesc("parkd_direct_calls", "Calls whose media flows past parkd now.", nil, nil)
	subsDesc       = prometheus.NewDesc("parkd_subscriptions", "Subscriptions to lamps now.", nil, nil)
	registeredDesc = prometheus.NewDesc("parkd_registrations", "Registrations with hosted PBXs, by state.", []string{"state"}, nil)
	rtpDesc        = prometheus.NewDesc("parkd_rtp_packets_total", "RTP packets, by direction.", []string{"direction"}, nil)
	faultDesc      = prometheus.NewDesc("parkd_journal_fault", "Whether the journal is behind what was decided: 1 = it is.", nil, nil)
	lateDesc       = prometheus.NewDesc("parkd_rtp_late_seconds", "From when a packet of music was due to when it was sent.", nil, nil)
)

// Describe implements prometheus.Collector.
func (live) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{parkedDesc, directDesc, subsDesc, registeredDesc, sizesDesc, rtpDesc, lateDesc, faultDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l live) Collect(ch chan<- prometheus.Metric) {
	f := l.m.figures.Load()
	if f.Parked != nil {
		ch <- prometheus.MustNewConstMetric(parkedDesc, prometheus.GaugeValue, float64(f.Parked()))
	}
	if f.Direct != nil {
		ch <- prometheus.MustNewConstMetric(directDesc, prometheus.GaugeValue, float64(f.Direct()))
	}
	if f.Subscriptions != nil {
		ch <- prometheus.MustNewConstMetric(subsDesc, prometheus.GaugeValue, float64(f.Subscriptions()))
	}
	if f.Registrations != nil {
		for state, n := range f.Registrations() {
			ch <- prometheus.MustNewConstMetric(registeredDesc, prometheus.GaugeValue, float64(n), state)
		}
	}
	if f.Sizes != nil {
		for kind, n := range f.Sizes() {
			ch <- prometheus.MustNewConstMetric(sizesDesc, prometheus.GaugeValue, float64(n), kind)
		}
	}
	if f.Journal != nil {
		fault := 0.0
		if f.Journal() != nil {
			fault = 1
		}
		ch <- prometheus.MustNewConstMetric(faultDesc, prometheus.GaugeValue, fault)
	}
	if f.RTP != nil {
		rtp := f.RTP()
		ch <- prometheus.MustNewConstMetric(rtpDesc, prometheus.CounterValue, float64(rtp.In), "in")
		ch <- prometheus.MustNewConstMetric(rtpDesc, prometheus.CounterValue, float64(rtp.Out), "out")
		ch <- prometheus.MustNewConstHistogram(lateDesc, rtp.Late, rtp.LateSum, rtp.Buckets)
	}
}
