package sipua

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"
)

// maxDatagram is the longest message that is read from or written to UDP.
const maxDatagram = 65535

// dialLimit bounds how long opening a TCP or TLS connection may take, and
// largeLimit the same where the peer did not ask for one, and gets a long datagram
// otherwise; writeLimit how long a stalled one may block a writer (sipgo trap 9).
const (
	dialLimit  = 2 * time.Second
	largeLimit = 500 * time.Millisecond
	writeLimit = 2 * time.Second
	idleLimit  = 2 * time.Hour // a subscription is refreshed every hour
	firstLimit = 30 * time.Second
)

// layer is one of sipgo's transport and transaction layers. Each UDP listener
// has its own, so that what it receives is answered from it whatever other
// listener the same peer uses; all streams share one.
type layer struct {
	e      *Endpoint
	tpl    *sip.TransportLayer
	txl    *sip.TransactionLayer
	packet *packetConn // nil for streams
	serve  []func() error
	closer []func() error
	conns  []*streamListener
	tcp    netip.AddrPort // listeners' addresses, of the stream layer
	tls    netip.AddrPort

	connect func(Flow) // of the stream layer; written before Serve only

	rejected  rejected
	exchanges *exchanges // nil for streams
	said      atomic.Pointer[saidBy]
}

func (e *Endpoint) addListener(l Listener) error {
	switch {
	case l.Network == "udp" && l.Packet != nil:
		n := e.newLayer()
		n.exchanges = newExchanges()
		n.packet = newPacketConn(n, l.Packet)
		n.exchanges.packet = n.packet
		e.unready.Add(1)
		n.serve = append(n.serve, func() error { return n.tpl.ServeUDP(n.packet) })
		n.closer = append(n.closer, n.packet.Close)
		e.layers = append(e.layers, n)
	case (l.Network == "tcp" || l.Network == "tls") && l.Stream != nil:
		if e.stream == nil {
			// The filter first: transports take over what is there before them.
			e.stream = e.newLayer(sip.WithTransportLayerReadFilter(e.pings.read), sip.WithTransportLayerTransports(sip.TransportsConfig{
				TCP: e.newTCP(), TLS: &sip.TransportTLS{TransportTCP: e.newTCP()},
			}))
			e.layers = append(e.layers, e.stream)
		}
		e.stream.addStream(l)
	default:
		return errBadListen
	}
	return nil
}

func (l *layer) addStream(s Listener) {
	w := newStreamListener(l.e, s)
	l.conns = append(l.conns, w)
	l.closer = append(l.closer, w.Close)
	if s.Network == "tls" {
		if !l.tls.IsValid() {
			l.tls = addrPort(s.Stream.Addr())
		}
		l.serve = append(l.serve, func() error { return l.tpl.ServeTLS(w) })
		return
	}
	if !l.tcp.IsValid() {
		l.tcp = addrPort(s.Stream.Addr())
	}
	l.serve = append(l.serve, func() error { return l.tpl.ServeTCP(w) })
}

func (e *Endpoint) newTCP() *sip.TransportTCP {
	return &sip.TransportTCP{
		ReadTimeout:  idleLimit,
		WriteTimeout: writeLimit,
		DialerCreate: func(local net.Addr) net.Dialer {
			d := net.Dialer{Timeout: dialLimit, Control: func(string, string, syscall.RawConn) error {
				if e.closed() { // a response whose connection Shutdown has closed
					return ErrClosed
				}
				return nil
			}}
			if a, ok := local.(*net.TCPAddr); ok && a != nil {
				d.LocalAddr = a
			}
			return d
		},
	}
}

func (e *Endpoint) newLayer(o ...sip.TransportLayerOption) *layer {
	log := slog.New(quiet{zerolog.NewSlogHandler(e.log)})
	l := &layer{e: e}
	parser := sip.NewParser(sip.WithHeadersParsers(tolerant()))
	o = append(o, sip.WithTransportLayerLogger(log))
	l.tpl = sip.NewTransportLayer(net.DefaultResolver, parser, e.opts.DialTLS, o...)
	l.tpl.OnMessage(l.receive) // before the transaction layer's: in order of arrival
	l.txl = sip.NewTransactionLayer(l.tpl,
		sip.WithTransactionLayerLogger(log),
		sip.WithTransactionLayerUnhandledResponseHandler(l.strayResponse),
		sip.WithTransactionLayerTerminateOnConnClose())
	l.txl.OnRequest(l.request)
	return l
}

// tolerant are sipgo's header parsers, changed so that a header that cannot
// be read stays in the message as text instead of dropping the message without
// an answer (RFC 3261 8.2.2: it gets its 400), and so that Refer-To and
// Referred-By are left to this package.
func tolerant() map[string]sip.HeaderParser {
	m := map[string]sip.HeaderParser{}
	for name, parse := range sip.DefaultHeadersParser() {
		if name == "refer-to" || name == "referred-by" {
			continue
		}
		m[name] = func(field []byte, text string) (sip.Header, error) {
			h, err := parse(field, text)
			if err != nil && err.Error() != "comma detected" { // sipgo's sign of a list
				return sip.NewHeader(string(field), text), nil
			}
			if c, ok := h.(*sip.CSeqHeader); ok { // sipgo takes one blank off, of any number (RFC 3261 25.1: LWS)
				c.MethodName = sip.RequestMethod(strings.Trim(string(c.MethodName), " \t"))
			}
			return h, err
		}
	}
	return m
}

func (l *layer) close() {
	for _, c := range l.closer {
		c()
	}
	l.txl.Close()
	// The pool of a UDP layer holds this one socket only, and stays: a message
	// that is on its way up would make sipgo open a new one in its place.
	if l.packet == nil {
		l.tpl.Close()
	}
	l.rejected.close()
}

// strayResponse takes a response that matches no transaction, or that receive
// has kept from its transaction.
func (l *layer) strayResponse(res *sip.Response) {
	defer l.e.recovered("stray response")
	if ack := l.rejected.ack(res); ack != nil {
		l.acknowledge(ack)
	}
	if cseq := res.CSeq(); cseq != nil && cseq.MethodName == repeated {
		return
	}
	if l.e.stray != nil && !l.e.closed() {
		l.e.stray(res)
	}
}

// flow says how a message came.
func (l *layer) flow(m sip.Message, conn sip.Connection) Flow {
	f := Flow{Network: strings.ToLower(m.Transport())}
	f.Remote, _ = netip.ParseAddrPort(m.Source())
	switch {
	case l.packet != nil:
		f.Local = l.packet.local
	case conn != nil:
		f.Local = addrPort(conn.LocalAddr())
	}
	return f
}

// addrPort reads a socket's address; v4-mapped addresses become v4.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	case nil:
		return ap
	default:
		ap, _ = netip.ParseAddrPort(a.String())
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// quiet passes sipgo's log lines on one step lower and without wire data: what
// it calls an error is mostly a peer's fault, and passwords are in the data.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, lower(level))
}

func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	n := slog.NewRecord(r.Time, lower(r.Level), r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key != "data" {
			n.AddAttrs(a)
		}
		return true
	})
	return q.Handler.Handle(ctx, n)
}

func (q quiet) WithAttrs(as []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(as)} }
func (q quiet) WithGroup(name string) slog.Handler    { return quiet{q.Handler.WithGroup(name)} }

func lower(l slog.Level) slog.Level {
	if l >= slog.LevelInfo {
		return slog.LevelDebug
	}
	return l - 4 // its debug lines are our trace
}

// counter is a figure that may be read at any time.
type counter = atomic.Uint64
