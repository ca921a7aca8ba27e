package sipua

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
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
	for try := 0; ; try++ {
		req := t.req.Load()
		tx, l, err := t.e.begin(ctx, req, t.to, tryBranch(t.to.Branch, try), &t.flow)
		if err != nil {
			t.emit(nil, err)
			return
		}
		res := t.follow(ctx, tx, l, req)
		if res == nil {
			return
		}
		next, ok := t.e.authorize(req, res, t.to.Credentials, answered)
		if !ok || !t.reseq(ctx, next) || ctx.Err() != nil { // given up: a newer one may be on its way
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
	defer l.rejected.end(req)
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
		var err error
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return t.final(ctx, tx, req, res, wanted)
			}
			proceeding = true
			t.emit(res, nil)
			continue
		case hdrs = <-cancel:
			wanted, cancel = req.IsInvite(), nil
			continue
		case <-given:
			err = fmt.Errorf("%s after CANCEL: %w", req.Method, ErrTimeout)
		case <-tx.Done():
			err = failure(req, tx.Err())
		case <-ctx.Done():
			err = ctx.Err()
		case <-t.e.done:
			err = ErrClosed
		}
		tx.Terminate()
		t.emit(nil, err)
		return nil
	}
}

// final passes a final response on, or returns it when it is a challenge that
// may be answered.
func (t *Transaction) final(ctx context.Context, tx *sip.ClientTx, req *sip.Request, res *sip.Response, cancelled bool) *sip.Response {
	if Challenges(res.StatusCode) && !cancelled {
		finish(tx, req)
		return res
	}
	t.emit(res, nil)
	if req.IsInvite() && res.IsSuccess() {
		t.linger(ctx, tx)
	} else {
		finish(tx, req)
	}
	return nil
}

// finish ends a transaction after its final response: it would only take up
// memory, since layer.rejected knows what it has to acknowledge again. Err waits
// until the state machine has set the timer that it needs on UDP, which
// Terminate stops.
func finish(tx *sip.ClientTx, req *sip.Request) {
	if !sip.IsReliable(req.Transport()) {
		_ = tx.Err()
	}
	tx.Terminate()
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
func (e *Endpoint) begin(ctx context.Context, req *sip.Request, to Target, branch string, flow *atomic.Pointer[Flow]) (*sip.ClientTx, *layer, error) {
	list, err := e.hops(ctx, req, to)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w: %w", req.Method, ErrTransport, err)
	}
	complete(req, e.settings.Load().UserAgent)
	list = e.large(req, to, list)
	var faults []error
	for i, h := range list {
		e.address(req, h, branch)
		f := h.flow()
		flow.Store(&f)
		if req.IsInvite() && h.layer.packet != nil {
			h.layer.rejected.begin(req)
		}
		tx, err := e.dial(ctx, h, req)
		if err == nil { // else tx is a typed nil (sipgo trap 15)
			return tx, h.layer, nil
		}
		faults = append(faults, err)
		h.layer.rejected.end(req)
		h.failed(err)
		if h.network == "tcp" && i+1 < len(list) && list[i+1].network == "udp" {
			e.noTCP.add(h.addr)
		}
		for req.RemoveHeader("Via") {
		}
	}
	return nil, nil, fmt.Errorf("%s: %w: %w", req.Method, ErrTransport, errors.Join(faults...))
}

// dial starts a transaction; opening a connection ends after 2 s or less, and at
// Shutdown.
func (e *Endpoint) dial(ctx context.Context, h hop, req *sip.Request) (*sip.ClientTx, error) {
	l, limit := h.layer, dialLimit
	if h.large {
		limit = largeLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	if l.packet == nil {
		go func() {
			select {
			case <-e.done:
				cancel()
			case <-ended:
			}
		}()
	}
	return l.txl.Request(ctx, req)
}

func (h hop) flow() Flow {
	f := Flow{Network: h.network, Local: h.local}
	f.Remote, _ = netip.ParseAddrPort(h.addr)
	return f
}

// failed closes the connection of a hop that failed: half a message may stand in
// it. When none could be opened, one that is there is another, which the peer has
// opened meanwhile.
func (h hop) failed(err error) {
	var op *net.OpError
	if h.network == "udp" || errors.As(err, &op) && op.Op == "dial" {
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
func (e *Endpoint) address(req *sip.Request, h hop, branch string) {
	host, port := e.sentBy(h.flow())
	req.PrependHeader(&sip.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: strings.ToUpper(h.network), Host: host, Port: port,
		Params: sip.HeaderParams{{K: "branch", V: branch}, {K: "rport"}}, // RFC 3581 3
	})
	req.SetTransport(strings.ToUpper(h.network))
	req.SetDestination(h.addr)
	req.Laddr = sip.Addr{}
	if h.network == "udp" {
		req.Laddr = sip.Addr{IP: h.local.Addr().AsSlice(), Port: int(h.local.Port())}
	}
}

// NewTag, NewBranch and NewCallID make random identifiers (RFC 3261 19.3,
// 8.1.1.7, 8.1.1.4).
func NewTag() string    { return strings.ToLower(rand.Text()) }
func NewBranch() string { return sip.RFC3261BranchMagicCookie + NewTag() }
func NewCallID() string { return NewTag() }
