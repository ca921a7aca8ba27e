package sipua

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"
)

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
	if e.sendsAtOnce(req, to) {
		if !e.enter(&e.sending) {
			return ErrClosed
		}
		defer e.sending.Done()
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
