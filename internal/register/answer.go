package register

import (
	"fmt"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// maxMinExpires bounds what a 423 may ask for.
const maxMinExpires = 7 * 24 * time.Hour

// minExpires is what a 423 asks for (RFC 3261 10.2.8); 0 if it can't be used.
func minExpires(res *sip.Response) time.Duration {
	v, _ := sipua.Header(res, "min-expires")
	n, err := sipua.ParseExpires(v)
	if d := time.Duration(n) * time.Second; err == nil && d <= maxMinExpires {
		return d
	}
	return 0
}

// retryAfter is when a refusal says that another try is worth while (RFC 3261
// 20.33); 0 if it does not say.
func retryAfter(res *sip.Response) time.Duration {
	v, _ := sipua.Header(res, "retry-after")
	if i := strings.IndexAny(v, "(;"); i >= 0 {
		v = v[:i]
	}
	n, err := sipua.ParseExpires(v)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

// granted is for how long a 2xx registers our Contact (RFC 3261 10.2.4): what its
// own entry says, else the Expires header, else what was asked for. A registrar
// that does not list us at all has registered us all the same: some list nothing.
func granted(res *sip.Response, ours *sip.Uri, instance string, asked time.Duration) time.Duration {
	if e, ok := entry(sipua.Addrs(res, "contact"), ours, instance); ok {
		if v, ok := e.Params.Get("expires"); ok {
			if n, err := sipua.ParseExpires(v); err == nil {
				return seconds(n, asked)
			}
		}
	}
	if v, ok := sipua.Header(res, "expires"); ok {
		if n, err := sipua.ParseExpires(v); err == nil {
			return seconds(n, asked)
		}
	}
	return asked
}

// seconds is no more than was asked for: a registrar that grants more is renewed
// sooner than it needs.
func seconds(n uint32, asked time.Duration) time.Duration {
	return min(time.Duration(n)*time.Second, asked)
}

// entry finds our Contact in the list of a 2xx: by its instance, for there may be
// others of the same account, else by its address; the only one is ours, whatever
// a proxy has made of it.
func entry(list []sipua.NameAddr, ours *sip.Uri, instance string) (sipua.NameAddr, bool) {
	for _, e := range list {
		if v, ok := e.Params.Get("+sip.instance"); ok && v == instance {
			return e, true
		}
	}
	for _, e := range list {
		if e.URI.Host == ours.Host && e.URI.Port == ours.Port && sipua.UserOf(&e.URI) == sipua.UserOf(ours) {
			return e, true
		}
	}
	if len(list) == 1 {
		return list[0], true
	}
	return sipua.NameAddr{}, false
}

// mapping is where the peer saw a request of ours come from: received and rport
// of our Via (RFC 3581 4); "" if it does not say.
func mapping(res *sip.Response) string {
	via := res.Via()
	if via == nil {
		return ""
	}
	host, _ := sipua.URIParam(via.Params, "received")
	port, _ := sipua.URIParam(via.Params, "rport")
	if host == "" && port == "" {
		return ""
	}
	return host + " " + port
}

// routes are the Service-Route of a registrar (RFC 3608 5).
func routes(res *sip.Response) (list []string) {
	for _, n := range sipua.Addrs(res, "service-route") {
		if len(list) < maxRoutes {
			list = append(list, sipua.Clean(n.URI.String()))
		}
	}
	return list
}

// maxRoutes bounds what is kept of a Service-Route.
const maxRoutes = 8

// refusal is what is wrong with an answer other than 2xx.
type refusal struct {
	code  int
	after time.Duration // Retry-After
	text  string
}

func (r *refusal) Error() string { return r.text }

// refused reads a refusal. One that sends us elsewhere (3xx) is not followed: a
// registrar is who the configuration names.
func refused(res *sip.Response) *refusal {
	text := fmt.Sprintf("%d %s", res.StatusCode, sipua.Clean(res.Reason))
	if a, ok := sipua.Addr(res, "contact"); ok && res.StatusCode < 400 {
		text += ", to " + sipua.Clean(a.URI.String()) + ", is not followed"
	}
	return &refusal{code: res.StatusCode, after: retryAfter(res), text: text}
}
