package sipua

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"
)

// Errors of the endpoint.
var (
	ErrCancelled = errors.New("cancelled by the caller")          // a CANCEL won: 487 has been sent
	ErrAnswered  = errors.New("already answered")                 // a final response was sent before
	ErrTimeout   = errors.New("no answer in time")                // RFC 3261 8.1.3.1: as 408
	ErrTransport = errors.New("could not be sent")                // RFC 3261 8.1.3.1: as 503
	ErrClosed    = errors.New("endpoint is shut down")            // after Shutdown
	ErrNoRoute   = errors.New("no listener can reach the peer")   // no socket of that kind
	ErrNoListen  = errors.New("an endpoint needs a listener")     // New without any
	errBadListen = errors.New("a listener needs a known network") // New
)

// Listener is one socket to serve. Exactly one of Packet and Stream is set;
// for tls, Stream accepts connections that are TLS already. The endpoint
// closes it at Shutdown.
type Listener struct {
	Network string // udp, tcp or tls
	Packet  net.PacketConn
	Stream  net.Listener
}

// Options are what an endpoint is made of; they do not change afterwards.
type Options struct {
	Listeners []Listener
	DialTLS   *tls.Config // for connections that the endpoint opens; nil = system roots
	Log       zerolog.Logger
	Settings  Settings

	// MaxConns bounds accepted TCP and TLS connections, each kind by itself;
	// 0 = 4096. One more is closed at once.
	MaxConns int
	// Known says whether a user exists, for OPTIONS (RFC 3261 11.2: 404);
	// nil = every user does.
	Known func(user string) bool
	// OnRefused is told of each refusal; reason is one of the Reason constants.
	OnRefused func(reason string)
}

// Settings may change while the endpoint runs, by Update.
type Settings struct {
	Advertise     string // host or host:port in Contact and Via; "" = the local address
	UserAgent     string // "parkd/1.2"
	Access        Access
	Credentials   []Credential
	OutboundProxy string  // URI; requests out of dialog to names go there
	Rate          float64 // new INVITEs and SUBSCRIBEs a second; 0 = no limit
	Burst         int     // how many at once
	PacketRate    float64 // UDP packets a second from one address; 0 = no limit
}

// Access says who is served.
type Access struct {
	Trusted []netip.Prefix // served without a password
	Realm   string
	Users   []User // digest for everybody else; none = 403
}

// User is someone who may authenticate. HA1 is MD5 (32 hex digits) or SHA-256
// (64 hex digits) of username:realm:password; it is used when Password is "".
type User struct{ Username, Password, HA1 string }

// Credential answers challenges to our own requests.
type Credential struct{ Realm, Username, Password string }

// Flow is the way a message came: the socket of ours and the peer's address.
type Flow struct {
	Network string         `json:"network"` // udp, tcp or tls
	Local   netip.AddrPort `json:"local"`   // of the UDP listener's socket, or of the connection
	Remote  netip.AddrPort `json:"remote"`
}

// Handler takes a request on a goroutine of its own and may return before it
// responds. It must not change the request's headers: the transaction layer
// reads them at any time.
type Handler func(*Request)

// Endpoint is a SIP endpoint over a set of listeners.
type Endpoint struct {
	opts     Options
	log      zerolog.Logger
	settings atomic.Pointer[settings]
	layers   []*layer // one for each UDP listener, one for all streams
	stream   *layer   // nil without a TCP or TLS listener
	secret   [32]byte // of the digest nonces

	handlers map[string]Handler // written before Serve only
	dialogs  Handler
	acks     Handler
	stray    func(*sip.Response)

	admit    bucket
	merged   merged
	cancels  cancels
	contacts contacts
	said     [saidContacts]atomic.Pointer[saidContact]
	noTCP    noTCP
	pings    pings
	peers    atomic.Pointer[map[netip.Addr]bool] // nil = none

	frozen    atomic.Bool
	ready     chan struct{} // closed when every UDP listener can send
	unready   atomic.Int32
	done      chan struct{}
	closeOnce sync.Once
	sending   sync.WaitGroup // client transactions
	sent      atomic.Int64   // how many of them there are
	served    atomic.Int64   // server transactions
	serving   sync.WaitGroup // listeners
	enterMu   sync.Mutex     // leaf: orders enter and Shutdown's wait
	ended     bool           // owned by enterMu
	floodLog  zerolog.Logger // a few lines a second
}

// settings are Settings with what is derived from them.
type settings struct {
	Settings
	access     access
	advertised advertised
	proxy      *sip.RouteHeader
}

var setGlobals sync.Once

// New makes an endpoint; Serve starts it.
func New(o Options) (*Endpoint, error) {
	if len(o.Listeners) == 0 {
		return nil, ErrNoListen
	}
	setGlobals.Do(func() {
		// sipgo keeps these for the whole process.
		sip.SetDefaultLogger(slog.New(quiet{zerolog.NewSlogHandler(o.Log)}))
		// RFC 3261 18.1.1 is obeyed here, by changing to TCP; never refuse to send.
		sip.UDPMTUSize = maxDatagram + 200
	})
	e := &Endpoint{
		opts: o, log: o.Log, handlers: map[string]Handler{},
		ready: make(chan struct{}), done: make(chan struct{}),
	}
	e.floodLog = o.Log.Sample(&zerolog.BurstSampler{Burst: 5, Period: time.Second})
	if e.opts.MaxConns <= 0 {
		e.opts.MaxConns = 4096
	}
	rand.Read(e.secret[:]) // never fails (crypto/rand)
	if err := e.Update(o.Settings); err != nil {
		return nil, err
	}
	for _, l := range o.Listeners {
		if err := e.addListener(l); err != nil {
			return nil, err
		}
	}
	if e.unready.Load() == 0 {
		close(e.ready)
	}
	return e, nil
}

// Update puts new settings in force, for messages from now on. An error
// leaves the old ones.
func (e *Endpoint) Update(s Settings) error {
	n := &settings{Settings: s}
	var err error
	if n.advertised, err = parseAdvertise(s.Advertise); err != nil {
		return fmt.Errorf("advertise %q: %w", s.Advertise, err)
	}
	if s.OutboundProxy != "" {
		a, err := ParseNameAddr(s.OutboundProxy)
		if err != nil {
			return fmt.Errorf("outbound proxy %q: %w", s.OutboundProxy, err)
		}
		if _, ok := URIParam(a.URI.UriParams, "lr"); !ok {
			a.URI.UriParams = append(a.URI.UriParams, sip.HeaderKV{K: "lr"}) // RFC 3261 8.1.2
		}
		n.proxy = &sip.RouteHeader{Address: a.URI}
	}
	n.access = newAccess(s.Access)
	e.settings.Store(n)
	e.admit.set(s.Rate, s.Burst)
	return nil
}

// Handle registers the handler of requests with that method outside dialogs,
// before Serve. Methods without one are answered by the endpoint.
func (e *Endpoint) Handle(method string, h Handler) { e.handlers[method] = h }

// HandleInDialog registers the handler of all requests with a To tag, except
// ACK and CANCEL. They are not asked for a password: whoever knows both tags
// belongs to the dialog, and one that matches none gets 481.
func (e *Endpoint) HandleInDialog(h Handler) { e.dialogs = h }

// HandleACK registers the handler of ACKs: for 2xx and, harmlessly, for other
// final responses too. It runs in the reading loop, in the order of arrival,
// and must not block.
func (e *Endpoint) HandleACK(h Handler) { e.acks = h }

// HandleStray registers the handler of responses that match no transaction,
// such as a 2xx that comes later than 64*T1 or after a restart.
func (e *Endpoint) HandleStray(f func(*sip.Response)) { e.stray = f }

// Ready is closed when requests can be sent.
func (e *Endpoint) Ready() <-chan struct{} { return e.ready }

// Serve serves all listeners until ctx ends or Shutdown is called, then shuts
// the endpoint down. It returns the first listener's fault, or nil; ErrClosed after
// Shutdown.
func (e *Endpoint) Serve(ctx context.Context) error {
	errs := make(chan error, len(e.opts.Listeners))
	if e.closed() {
		return ErrClosed
	}
	for _, l := range e.layers {
		for _, serve := range l.serve {
			if !e.enter(&e.serving) { // Shutdown has come between two of them
				break
			}
			go func() {
				defer e.serving.Done()
				errs <- serve()
			}()
		}
	}
	var err error
	select {
	case <-ctx.Done():
	case <-e.done:
	case err = <-errs:
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
	}
	e.Shutdown()
	return err
}

// Shutdown ends what the endpoint is sending, closes listeners, connections
// and transactions, and waits for what it started. Nothing is refused or
// drained here: whoever owns the calls does that before. It may be called
// again, but not from a handler or callback, for which it waits.
func (e *Endpoint) Shutdown() {
	e.closeOnce.Do(func() {
		e.enterMu.Lock()
		e.ended = true
		e.enterMu.Unlock()
		close(e.done)
		// A sender that finds its socket gone would have sipgo open another
		// one; so the senders end first.
		for _, l := range e.layers {
			if l.exchanges != nil {
				l.exchanges.close()
			}
		}
		e.sending.Wait()
		for _, l := range e.layers {
			l.close()
		}
		e.cancels.close()
	})
	e.serving.Wait()
}

// Freeze takes in nothing any more, while what was taken in before may still be
// answered: packets stay where they are, for whoever has the sockets next, or are
// sent again by their senders. Shutdown follows.
func (e *Endpoint) Freeze() {
	e.frozen.Store(true)
	for _, l := range e.layers {
		if l.packet != nil {
			_ = l.packet.SetReadDeadline(time.Now()) // wakes the reader; not every socket can
		}
		for _, s := range l.conns {
			if d, ok := s.Listener.(interface{ SetDeadline(time.Time) error }); ok {
				_ = d.SetDeadline(time.Now())
			}
		}
	}
}

// Frozen says whether Freeze was called: what was taken in just before, and is not
// served any more, need not be refused, since its sender sends it to the next process.
func (e *Endpoint) Frozen() bool { return e.frozen.Load() }

// enter counts a goroutine that Shutdown waits for; false = it has begun.
func (e *Endpoint) enter(g *sync.WaitGroup) bool {
	e.enterMu.Lock()
	defer e.enterMu.Unlock()
	if e.ended {
		return false
	}
	g.Add(1)
	return true
}

// spawn runs f, which sends, on a goroutine that Shutdown waits for.
func (e *Endpoint) spawn(f func()) bool {
	if !e.enter(&e.sending) {
		return false
	}
	e.sent.Add(1)
	go func() {
		defer e.sending.Done()
		defer e.sent.Add(-1)
		f()
	}()
	return true
}

func (e *Endpoint) closed() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// after runs f once d has passed unless the endpoint is shut down.
func (e *Endpoint) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() {
		if !e.closed() {
			f()
		}
	})
}
