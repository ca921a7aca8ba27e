package leg

import (
	"github.com/emiago/sipgo/sip"

	"parkd/internal/orbit"
)

// place gives a party that is the orbit its URI: at our domain, or where the peer
// reaches us.
func (l *Leg) place(p orbit.Party) orbit.Party {
	uri := l.m.o.Endpoint.Contact(l.user, l.dialog.Flow).Address
	if domains := l.m.policy.Load().Domains; len(domains) > 0 {
		uri = sip.Uri{Scheme: "sip", User: uri.User, Host: domains[0]}
	}
	p.URI = bare(uri)
	return p
}

// message sends a text (RFC 3428 4). What becomes of it is only logged: whoever is
// sent it may not take any.
func (l *Leg) message(e orbit.Message) {
	log := l.log.With().Str("target", e.Target).Logger()
	to, err := l.m.route(e.Target, l.dialog)
	if err != nil {
		log.Warn().Err(err).Msg("message not possible")
		return
	}
	req := sip.NewRequest(sip.MESSAGE, to.uri)
	begin(req, l.place(e.From), maxHops) // a request of our own
	req.AppendHeader(sip.NewHeader("Content-Type", "text/plain;charset=UTF-8"))
	req.SetBody([]byte(e.Text))
	l.m.o.Endpoint.Request(l.m.ctx, req, to.target, func(res *sip.Response, err error) {
		switch {
		case err != nil:
			log.Warn().Err(err).Msg("message not delivered")
		case res.StatusCode >= 300:
			log.Warn().Int("code", res.StatusCode).Msg("message refused")
		case res.StatusCode >= 200:
			log.Info().Msg("parker told the orbit")
		}
	})
}
