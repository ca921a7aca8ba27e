package register

import (
	"slices"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
)

func response(headers ...string) *sip.Response {
	res := sip.NewResponse(200, "OK")
	for i := 0; i < len(headers); i += 2 {
		res.AppendHeader(sip.NewHeader(headers[i], headers[i+1]))
	}
	return res
}

const own = "<urn:uuid:00000000-0000-5000-8000-000000000001>"

func TestGranted(t *testing.T) {
	ours := sip.Uri{Scheme: "sip", User: "701", Host: "10.0.0.1", Port: 5060}
	for name, c := range map[string]struct {
		headers []string
		want    time.Duration
	}{
		"nothing":         {nil, time.Hour},
		"Expires":         {[]string{"Expires", "60"}, time.Minute},
		"our entry":       {[]string{"Contact", "<sip:701@10.0.0.1:5060>;expires=90", "Expires", "60"}, 90 * time.Second},
		"in a list":       {[]string{"Contact", `<sip:x@h>;expires=5, <sip:701@10.0.0.1:5060;ob>;expires=90`}, 90 * time.Second},
		"by instance":     {[]string{"Contact", `<sip:701@10.0.0.1:5060>;expires=5, <sip:a@203.0.113.9>;+sip.instance="` + own + `";expires=70`}, 70 * time.Second},
		"rewritten":       {[]string{"Contact", "<sip:701@203.0.113.9:1024>;expires=120"}, 2 * time.Minute},
		"only strangers":  {[]string{"Contact", "<sip:a@h>;expires=5, <sip:b@h>;expires=6"}, time.Hour},
		"more than asked": {[]string{"Contact", "<sip:701@10.0.0.1:5060>;expires=7200"}, time.Hour},
		"nonsense":        {[]string{"Contact", "<sip:701@10.0.0.1:5060>;expires=soon", "Expires", "later"}, time.Hour},
		"nothing granted": {[]string{"Contact", "<sip:701@10.0.0.1:5060>;expires=0"}, 0},
		"unreadable":      {[]string{"Contact", "<<<", "Expires", "60"}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			if got := granted(response(c.headers...), &ours, own, time.Hour); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		want   time.Duration
	}{
		"seconds": {"120", 2 * time.Minute}, "with a comment": {"120 (lunch)", 2 * time.Minute},
		"with a parameter": {"18;duration=3600", 18 * time.Second}, "a date": {"Sat, 1 Jan", 0}, "empty": {"", 0}, "negative": {"-1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := retryAfter(response("Retry-After", c.header)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if got := minExpires(response("Min-Expires", "99999999999")); got != 0 {
		t.Errorf("a Min-Expires of years is believed: %v", got)
	}
	if got := minExpires(response("Min-Expires", "7200")); got != 2*time.Hour {
		t.Errorf("Min-Expires: %v", got)
	}
	if got, want := routes(response("Service-Route", "<sip:a;lr>, <sip:b;lr>")), []string{"sip:a;lr", "sip:b;lr"}; !slices.Equal(got, want) {
		t.Errorf("Service-Route: %v", got)
	}
}

func TestPace(t *testing.T) {
	for _, roll := range []float64{0, 0.5, 0.999} {
		for failures, bound := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 5: 16 * time.Minute, 6: 30 * time.Minute, 1000: 30 * time.Minute} {
			if got := backoff(failures, 0, roll); got < bound/2 || got > bound {
				t.Errorf("after %d failures: %v, want %v to %v", failures, got, bound/2, bound)
			}
		}
		if got := backoff(1, 5*time.Minute, roll); got < 5*time.Minute || got > 331*time.Second+time.Second {
			t.Errorf("Retry-After of five minutes: %v", got)
		}
		if got := backoff(1, 1000*time.Hour, roll); got > 150*time.Hour {
			t.Errorf("Retry-After of weeks: %v", got)
		}
		for _, granted := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour} {
			got := refresh(granted, roll)
			if got < minRefresh || got >= granted && granted > minRefresh*2 {
				t.Errorf("granted %v, renewed after %v", granted, got)
			}
			if granted > 4*answerLimit && granted-got < answerLimit-time.Second {
				t.Errorf("granted %v, renewed after %v: too late for a second try", granted, got)
			}
		}
		if got := ping(25*time.Second, roll); got < 20*time.Second || got > 25*time.Second {
			t.Errorf("keep-alive after %v", got)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add("<sip:701@10.0.0.1:5060>;expires=90", "60", "5", "120 (x)", "<sip:a;lr>")
	f.Add(`"a" <sip:[::1]>;+sip.instance="<urn:uuid:1>"`, "", "-", "99999999999999999999", "<")
	ours := sip.Uri{Scheme: "sip", User: "701", Host: "10.0.0.1", Port: 5060}
	f.Fuzz(func(t *testing.T, contact, expires, least, after, route string) {
		res := response("Contact", contact, "Expires", expires, "Min-Expires", least, "Retry-After", after, "Service-Route", route)
		if d := granted(res, &ours, own, time.Hour); d < 0 || d > time.Hour {
			t.Errorf("granted %v", d)
		}
		if d := minExpires(res); d < 0 || d > maxMinExpires {
			t.Errorf("Min-Expires %v", d)
		}
		if d := retryAfter(res); d < 0 {
			t.Errorf("Retry-After %v", d)
		}
		if n := len(routes(res)); n > maxRoutes {
			t.Errorf("%d routes", n)
		}
		mapping(res)
		_ = refused(res).Error()
	})
}
