package sipua

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

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
			e.address(req, h, NewBranch())
			if err = h.layer.tpl.WriteMsg(req); err == nil {
				return nil
			}
			faults = append(faults, err)
			h.failed(err)
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
