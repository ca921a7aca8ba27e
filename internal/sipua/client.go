package sipua

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Transaction is a client transaction, or several of them when challenges were
// answered.
type Transaction struct {
	e      *Endpoint
	to     Target
	f      func(*sip.Response, error)
	req    atomic.Pointer[sip.Request]
	flow   atomic.Pointer[Flow]
	cancel chan []sip.Header
	again  chan *sip.Response // repeated 2xx; what finds no room is repeated again
	stop   context.CancelFunc
}

// Request is the request as it was sent last, with the CSeq that counts.
func (t *Transaction) Request() *sip.Request { return t.req.Load() }

// Flow is the way that the request went; zero before it was sent.
func (t *Transaction) Flow() Flow {
	if f := t.flow.Load(); f != nil {
		return *f
	}
	return Flow{}
}

// Cancel asks the peer to give an INVITE up: CANCEL is sent once a provisional
// response has come (RFC 3261 9.1), with the headers given, as Reason (RFC
// 3326). The 487, or a 2xx that was faster, goes to the callback; without
// either within 64*T1 it gets ErrTimeout. Without effect on other requests and
// after a final response.
func (t *Transaction) Cancel(hdrs ...sip.Header) {
	select {
	case t.cancel <- hdrs:
	default: // it was asked already
	}
}

// Abandon ends the transaction without a word to the peer. The callback gets
// context.Canceled unless it had a final response.
func (t *Transaction) Abandon() { t.stop() }

// run carries the transaction through to its end.
func (t *Transaction) run(ctx context.Context) {
	defer t.stop()
	select {
	case <-t.e.ready:
	case <-ctx.Done():
		t.emit(nil, ctx.Err())
		return
	case <-t.e.done:
		t.emit(nil, ErrClosed)
		return
	}
	answered := map[string]bool{}
	for {
		req := t.req.Load()
		tx, l, err := t.e.begin(ctx, req, t.to, &t.flow)
		if err != nil {
			t.emit(nil, err)
			return
		}
		res := t.follow(ctx, tx, l, req)
		if res == nil {
			return
		}
		next, ok := t.e.authorize(req, res, answered)
		if !ok || !t.reseq(ctx, next) {
			t.emit(res, nil)
			return
		}
		t.req.Store(next)
	}
}

// reseq gives the retry its CSeq (RFC 3261 22.2: one higher).
func (t *Transaction) reseq(ctx context.Context, next *sip.Request) bool {
	old := next.CSeq()
	seq := old.SeqNo + 1
	if t.to.Reseq != nil {
		got := make(chan uint32, 1)
		t.to.Reseq(func(n uint32) {
			select {
			case got <- n:
			default:
			}
		})
		select {
		case seq = <-got:
		case <-ctx.Done():
			return false
		case <-t.e.done:
			return false
		case <-time.After(dialLimit): // the dialog is gone
			return false
		}
	}
	next.ReplaceHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: old.MethodName})
	return true
}

// emit calls the callback; a panic in it costs this transaction only.
func (t *Transaction) emit(res *sip.Response, err error) {
	defer t.e.recovered("response")
	t.f(res, err)
}

// follow passes responses on until the transaction ends. It returns a
// challenge, when that may be answered, instead of passing it on.
func (t *Transaction) follow(ctx context.Context, tx *sip.ClientTx, l *layer, req *sip.Request) *sip.Response {
	invite := req.IsInvite()
	tx.OnRetransmission(func(res *sip.Response) {
		select {
		case t.again <- res:
		default:
		}
	})
	var hdrs []sip.Header
	var given <-chan time.Time // 64*T1 after CANCEL
	proceeding, wanted, cancel := false, false, t.cancel
	for {
		if wanted && proceeding && given == nil {
			l.cancel(req, hdrs)
			given = time.After(sip.Timer_B) // RFC 3261 9.1
		}
		select {
		case res := <-tx.Responses():
			if res.IsProvisional() {
				proceeding = true
				t.emit(res, nil)
				continue
			}
			challenged := res.StatusCode == sip.StatusUnauthorized || res.StatusCode == sip.StatusProxyAuthRequired
			if challenged && !wanted {
				t.finish(tx, invite)
				return res
			}
			t.emit(res, nil)
			if invite && res.IsSuccess() {
				t.linger(ctx, tx)
				return nil
			}
			t.finish(tx, invite)
			return nil
		case hdrs = <-cancel:
			wanted, cancel = invite, nil
		case <-given:
			tx.Terminate()
			t.emit(nil, fmt.Errorf("%s after CANCEL: %w", req.Method, ErrTimeout))
			return nil
		case <-tx.Done():
			t.emit(nil, failure(req, tx.Err()))
			return nil
		case <-ctx.Done():
			tx.Terminate()
			t.emit(nil, ctx.Err())
			return nil
		case <-t.e.done:
			tx.Terminate()
			t.emit(nil, ErrClosed)
			return nil
		}
	}
}

// finish ends a transaction after its final response. One of INVITE stays for
// Timer D, to acknowledge repetitions; others would only take up memory. Err
// waits until the state machine has set its timer, which Terminate stops.
func (t *Transaction) finish(tx *sip.ClientTx, invite bool) {
	if !invite {
		_ = tx.Err()
		tx.Terminate()
	}
}

// linger passes repeated 2xx on (RFC 3261 13.2.2.4, RFC 6026 7.2).
func (t *Transaction) linger(ctx context.Context, tx *sip.ClientTx) {
	for {
		select {
		case res := <-t.again:
			t.emit(res, nil)
		case <-tx.Done():
			return
		case <-ctx.Done():
			tx.Terminate()
			return
		case <-t.e.done:
			tx.Terminate()
			return
		}
	}
}

func failure(req *sip.Request, err error) error {
	if errors.Is(err, sip.ErrTransactionTimeout) {
		return fmt.Errorf("%s: %w", req.Method, ErrTimeout)
	}
	return fmt.Errorf("%s: %w: %w", req.Method, ErrTransport, err)
}

// begin starts a transaction over the first way that works.
func (e *Endpoint) begin(ctx context.Context, req *sip.Request, to Target, flow *atomic.Pointer[Flow]) (*sip.ClientTx, *layer, error) {
	list, err := e.hops(ctx, req, to)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", req.Method, ErrTransport, err)
	}
	complete(req, e.settings.Load().UserAgent)
	list = e.large(req, list)
	var faults []error
	for i, h := range list {
		e.address(req, h)
		f := h.flow()
		flow.Store(&f)
		dial, cancel := context.WithTimeout(ctx, dialLimit)
		tx, err := h.layer.txl.Request(dial, req)
		cancel()
		if err == nil { // else tx is a typed nil (sipgo trap 15)
			return tx, h.layer, nil
		}
		faults = append(faults, err)
		h.drop()
		if h.network == "tcp" && i+1 < len(list) && list[i+1].network == "udp" {
			e.noTCP.add(h.addr)
		}
		for req.RemoveHeader("Via") {
		}
	}
	return nil, nil, fmt.Errorf("%s: %w: %w", req.Method, ErrTransport, errors.Join(faults...))
}

func (h hop) flow() Flow {
	f := Flow{Network: h.network, Local: h.local}
	f.Remote, _ = netip.ParseAddrPort(h.addr)
	return f
}

// drop closes the connection of a hop that failed: half a message may stand
// in it.
func (h hop) drop() {
	if h.network == "udp" {
		return
	}
	if c, err := h.layer.tpl.GetConnection(h.network, h.addr); err == nil {
		c.Close()
	}
}

// complete adds the headers that every request has (RFC 3261 8.1.1).
func complete(req *sip.Request, agent string) {
	if req.MaxForwards() == nil {
		h := sip.MaxForwardsHeader(70)
		req.AppendHeader(&h)
	}
	if agent != "" && req.GetHeader("User-Agent") == nil {
		req.AppendHeader(sip.NewHeader("User-Agent", agent))
	}
	if req.ContentLength() == nil {
		req.SetBody(req.Body())
	}
	sanitize(req)
}

// address writes the Via for a hop and tells sipgo which socket to use: by the
// local address, to the letter, on UDP; by the remote one on streams.
func (e *Endpoint) address(req *sip.Request, h hop) {
	host, port := e.sentBy(h.flow())
	req.PrependHeader(&sip.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: strings.ToUpper(h.network), Host: host, Port: port,
		Params: sip.HeaderParams{{K: "branch", V: NewBranch()}, {K: "rport"}}, // RFC 3581 3
	})
	req.SetTransport(strings.ToUpper(h.network))
	req.SetDestination(h.addr)
	req.Laddr = sip.Addr{}
	if h.network == "udp" {
		req.Laddr = sip.Addr{IP: h.local.Addr().AsSlice(), Port: int(h.local.Port())}
	}
}

// cancel sends a CANCEL for an INVITE that is under way (RFC 3261 9.1), to
// where that went; its own answer means nothing.
func (l *layer) cancel(invite *sip.Request, hdrs []sip.Header) {
	c := sip.NewRequest(sip.CANCEL, *invite.Recipient.Clone())
	c.AppendHeader(invite.Via().Clone())
	sip.CopyHeaders("Route", invite, c)
	maxForwards := sip.MaxForwardsHeader(70)
	c.AppendHeader(&maxForwards)
	for _, h := range []sip.Header{invite.From(), invite.To(), invite.CallID()} {
		c.AppendHeader(sip.HeaderClone(h))
	}
	c.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: sip.CANCEL})
	for _, h := range hdrs {
		c.AppendHeader(h)
	}
	c.SetBody(nil)
	sanitize(c)
	c.SetTransport(invite.Transport())
	c.SetDestination(invite.Destination())
	c.Laddr = invite.Laddr
	l.e.spawn(func() {
		tx, err := l.txl.Request(context.Background(), c)
		if err != nil {
			l.e.log.Debug().Err(err).Msg("CANCEL not sent")
			return
		}
		defer tx.Terminate()
		for {
			select {
			case res := <-tx.Responses():
				if !res.IsProvisional() {
					_ = tx.Err()
					return
				}
			case <-tx.Done():
				return
			case <-l.e.done:
				return
			}
		}
	})
}

func (e *Endpoint) send(req *sip.Request, to Target) error {
	deliver := func() error {
		list, err := e.hops(context.Background(), req, to)
		if err != nil {
			return fmt.Errorf("%s: %w: %w", req.Method, ErrTransport, err)
		}
		complete(req, e.settings.Load().UserAgent)
		var faults []error
		for _, h := range list {
			e.address(req, h)
			if err = h.layer.tpl.WriteMsg(req); err == nil {
				return nil
			}
			faults = append(faults, err)
			h.drop()
			for req.RemoveHeader("Via") {
			}
		}
		return fmt.Errorf("%s: %w: %w", req.Method, ErrTransport, errors.Join(faults...))
	}
	if e.closed() {
		return ErrClosed
	}
	if e.sendsAtOnce(req, to) {
		return deliver()
	}
	if !e.spawn(func() {
		if err := deliver(); err != nil {
			e.log.Warn().Err(err).Str("call_id", CallID(req)).Msg("ACK not sent")
		}
	}) {
		return ErrClosed
	}
	return nil
}

// sendsAtOnce says whether sending needs neither DNS nor a connection.
func (e *Endpoint) sendsAtOnce(req *sip.Request, to Target) bool {
	if to.Flow.Network == "tcp" || to.Flow.Network == "tls" {
		return false
	}
	if to.Addr != "" {
		_, err := netip.ParseAddrPort(to.Addr)
		return err == nil
	}
	uri := req.Recipient
	if to.URI != "" {
		if sip.ParseUri(to.URI, &uri) != nil {
			return false
		}
	} else if r := req.Route(); r != nil {
		uri = r.Address
	}
	_, err := ParseHost(uri.Host)
	return err == nil && transportOf(&uri, to.Flow.Network) == "udp"
}

func (e *Endpoint) sendResponse(res *sip.Response, f Flow) error {
	sanitize(res)
	res.SetTransport(strings.ToUpper(f.Network))
	l, addr := e.stream, f.Remote.String()
	if f.Network == "udp" {
		l = e.udpLayer(f, f.Remote.Addr())
	}
	if l == nil {
		return fmt.Errorf("%d: %w: %w", res.StatusCode, ErrTransport, ErrNoRoute)
	}
	if l.packet != nil {
		res.SetDestination(viaDestination(res, f))
		addr = string(l.packet.self)
	}
	c, err := l.tpl.GetConnection(f.Network, addr)
	if err != nil {
		return fmt.Errorf("%d: %w: %w", res.StatusCode, ErrTransport, err)
	}
	defer c.TryClose()
	if err := c.WriteMsg(res); err != nil {
		return fmt.Errorf("%d: %w: %w", res.StatusCode, ErrTransport, err)
	}
	return nil
}

// viaDestination is where a response goes over UDP (RFC 3261 18.2.2, RFC 3581
// 4): the address that the request came from, and the port of its Via unless
// that has rport.
func viaDestination(res *sip.Response, f Flow) string {
	via := res.Via()
	if via == nil {
		return f.Remote.String()
	}
	if _, ok := URIParam(via.Params, "rport"); ok {
		return f.Remote.String()
	}
	port := via.Port
	if port == 0 {
		port = sip.DefaultUdpPort
	}
	return netip.AddrPortFrom(f.Remote.Addr(), uint16(port)).String()
}

// NewTag, NewBranch and NewCallID make random identifiers (RFC 3261 19.3,
// 8.1.1.7, 8.1.1.4).
func NewTag() string    { return strings.ToLower(rand.Text()) }
func NewBranch() string { return sip.RFC3261BranchMagicCookie + NewTag() }
func NewCallID() string { return NewTag() }
