package register

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/sipua"
)

// binding keeps one account registered. Its goroutine owns all but status.
type binding struct {
	m       *Manager
	account Account
	callID  string // of all REGISTERs of the account (RFC 3261 10.2.4)
	tag     string
	seq     uint32
	change  chan Account  // another value of the account
	leave   chan struct{} // closed: un-register and end
	done    chan struct{} // closed at the end

	plain    bool          // without outbound, which somebody on the way can't do
	expires  time.Duration // asked for: more than the account's after a 423
	failures int           // in a row
	flow     sipua.Flow    // the way that the registrar reaches us by; zero = none
	contact  sip.Uri
	seen     string    // where the registrar saw us come from
	until    time.Time // registered until; zero = not

	// Guarded by m.mu:
	wanted Account
	status Status
	remote netip.AddrPort // where the last REGISTER went
}

// run registers, and again, until the account is not wanted any more.
func (b *binding) run(ctx context.Context, start time.Duration) {
	defer close(b.done)
	next := time.Now().Add(start)
	for {
		b.m.plan(b, next)
		wait := time.Until(next)
		alive := b.nextPing()
		select {
		case <-ctx.Done():
			return
		case <-b.leave:
			b.unregister(ctx)
			return
		case b.account = <-b.change:
			b.expires, b.failures, b.plain = b.account.Expires, 0, false
			next = time.Now()
		case <-time.After(min(wait, alive)):
			if alive < wait {
				if err := b.ping(ctx); err != nil && ctx.Err() == nil {
					b.lost(err)
					next = time.Now().Add(time.Duration(roll() * float64(lostSpread)))
				}
				continue
			}
			next = time.Now().Add(b.register(ctx))
		}
	}
}

// lostSpread is over what time registrations begin anew whose common connection
// was lost.
const lostSpread = 2 * time.Second

// forever is how long there is no keep-alive to send.
const forever = 365 * 24 * time.Hour

func (b *binding) nextPing() time.Duration {
	if b.until.IsZero() || !b.flow.Remote.IsValid() {
		return forever
	}
	return ping(b.account.Keepalive, roll())
}

// lost: the registrar can't reach us by the way that it knows (RFC 5626 4.4.1).
func (b *binding) lost(err error) {
	b.flow, b.seen = sipua.Flow{}, ""
	b.until = time.Time{}
	b.m.failed(b, fmt.Errorf("way to the registrar lost: %w", err))
}

// register sends a REGISTER and says after how long the next one is to go out.
func (b *binding) register(ctx context.Context) time.Duration {
	release, err := b.m.enter(ctx)
	if err != nil {
		return forever
	}
	defer release()
	res, err := b.send(ctx, b.expires)
	if ctx.Err() != nil {
		return forever
	}
	if err == nil && res.StatusCode == sip.StatusIntervalToBrief && minExpires(res) > b.expires {
		b.expires = minExpires(res) // RFC 3261 10.2.8
		res, err = b.send(ctx, b.expires)
	}
	if err == nil && res.StatusCode == firstHopLacksOutbound && !b.plain {
		b.plain = true
		res, err = b.send(ctx, b.expires)
	}
	if err == nil && !res.IsSuccess() {
		err = refused(res)
	}
	if err == nil {
		if err = b.accepted(res); err == nil {
			b.failures = 0
			return refresh(time.Until(b.until), roll())
		}
	}
	b.failures++
	var r *refusal
	wait := time.Duration(0)
	if errors.As(err, &r) {
		wait = r.after
	}
	if time.Now().After(b.until) {
		b.until, b.flow = time.Time{}, sipua.Flow{}
	}
	b.m.failed(b, err)
	return backoff(b.failures, wait, roll())
}

// firstHopLacksOutbound: RFC 5626 11.6.
const firstHopLacksOutbound = 439

var errNothing = errors.New("registered for no time at all")

// accepted takes a 2xx.
func (b *binding) accepted(res *sip.Response) error {
	d := granted(res, &b.contact, b.m.o.Instance, b.expires)
	if d <= 0 {
		return errNothing
	}
	b.until = time.Now().Add(d)
	if b.flow.Network != "udp" {
		if remote, err := netip.ParseAddrPort(res.Source()); err == nil {
			b.flow.Remote = remote // of the connection, which a name had to be resolved for
		}
	}
	b.seen = mapping(res)
	b.m.registered(b, routes(res))
	return nil
}

// send sends a REGISTER and waits for its final answer; expires 0 takes the
// registration back.
func (b *binding) send(ctx context.Context, expires time.Duration) (*sip.Response, error) {
	flow, err := b.m.o.Endpoint.Towards(ctx, b.account.Registrar)
	if err != nil {
		return nil, err
	}
	if b.flow.Network == flow.Network && b.flow.Network != "udp" && b.flow.Remote.IsValid() && b.m.o.Endpoint.Connected(b.flow) {
		flow = b.flow // RFC 5626 4.4: over the same flow while it stands
	}
	req, err := b.request(flow, expires)
	if err != nil {
		return nil, err
	}
	to := sipua.Target{Flow: flow, URI: b.account.Registrar, Credentials: b.account.Credentials(), Reseq: func(use func(uint32)) {
		b.seq++ // send waits: nobody else does that meanwhile
		use(b.seq)
	}}
	if flow.Network == "udp" {
		to.Addr = flow.Remote.String()
	}
	b.m.reach(b, flow.Remote)
	res, err := b.m.ask(ctx, req, to)
	if err == nil {
		b.flow = flow
	}
	return res, err
}

// request builds a REGISTER (RFC 3261 10.2).
func (b *binding) request(flow sipua.Flow, expires time.Duration) (*sip.Request, error) {
	var registrar, aor sip.Uri
	if err := sip.ParseUri(b.account.Registrar, &registrar); err != nil {
		return nil, fmt.Errorf("registrar %q: %w", b.account.Registrar, err)
	}
	if err := sip.ParseUri(b.account.AOR, &aor); err != nil {
		return nil, fmt.Errorf("address of record %q: %w", b.account.AOR, err)
	}
	registrar.UriParams = nil // how it is reached is not whom it is for
	if b.account.Domain != "" {
		registrar.Host, registrar.Port = b.account.Domain, 0
	}
	req := sip.NewRequest(sip.REGISTER, registrar)
	b.seq++
	callID := sip.CallIDHeader(b.callID)
	req.AppendHeader(&sip.FromHeader{Address: aor, Params: sip.HeaderParams{{K: "tag", V: b.tag}}})
	req.AppendHeader(&sip.ToHeader{Address: aor})
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: b.seq, MethodName: sip.REGISTER})
	contact := b.m.o.Endpoint.Contact(b.account.User, flow)
	b.contact = contact.Address
	// RFC 5626 4.1, 4.2: who we are, over restarts, and which of our ways this is.
	who, supported := fmt.Sprintf(`;+sip.instance="%s";reg-id=1`, b.m.o.Instance), "path, outbound" // RFC 3327 5.1
	if b.plain {
		who, supported = fmt.Sprintf(`;+sip.instance="%s"`, b.m.o.Instance), "path"
	}
	req.AppendHeader(sip.NewHeader("Contact", "<"+contact.Address.String()+">"+who+b.account.Contact))
	req.AppendHeader(sip.NewHeader("Expires", strconv.Itoa(int(expires/time.Second))))
	req.AppendHeader(sip.NewHeader("Supported", supported))
	req.AppendHeader(b.m.o.Endpoint.Allow())
	return req, nil
}

// unregister takes the registration back, once (RFC 3261 10.2.2).
func (b *binding) unregister(ctx context.Context) {
	if b.until.IsZero() {
		return
	}
	release, err := b.m.enter(ctx)
	if err != nil {
		return
	}
	defer release()
	res, err := b.send(ctx, 0)
	ev := b.m.o.Log.Info().Str("aor", b.account.AOR).Str("registrar", b.account.Registrar)
	switch {
	case err != nil:
		ev.Err(err).Msg("registration not taken back")
	case !res.IsSuccess():
		ev.Err(refused(res)).Msg("registration not taken back")
	default:
		ev.Msg("registration taken back")
	}
}

var errMoved = errors.New("the registrar sees another address of ours")

// ping asks whether the way to the registrar still is there: by CRLF over a
// connection (RFC 5626 3.5.1), over UDP by OPTIONS, whose answer also tells
// whether a NAT has given us another address (RFC 5626 4.4.2 has STUN say that).
func (b *binding) ping(ctx context.Context) error {
	if b.flow.Network != "udp" {
		return b.m.o.Endpoint.Ping(ctx, b.flow)
	}
	var registrar sip.Uri
	if err := sip.ParseUri(b.account.Registrar, &registrar); err != nil {
		return err
	}
	registrar.UriParams = nil
	var aor sip.Uri
	if err := sip.ParseUri(b.account.AOR, &aor); err != nil {
		return err
	}
	req := sip.NewRequest(sip.OPTIONS, registrar)
	callID := sip.CallIDHeader(sipua.NewCallID())
	req.AppendHeader(&sip.FromHeader{Address: aor, Params: sip.HeaderParams{{K: "tag", V: sipua.NewTag()}}})
	req.AppendHeader(&sip.ToHeader{Address: registrar})
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.OPTIONS})
	res, err := b.m.ask(ctx, req, sipua.Target{Flow: b.flow, Addr: b.flow.Remote.String(), Credentials: b.account.Credentials()})
	if err != nil {
		return err
	}
	if seen := mapping(res); b.seen != "" && seen != "" && seen != b.seen {
		return errMoved
	}
	return nil
}
