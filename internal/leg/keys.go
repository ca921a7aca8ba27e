package leg

import (
	"fmt"
	"mime"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/orbit"
	"parkd/internal/sipua"
)

// The media types of keys in INFO: of old, and everywhere (RFC 6086 has no package
// for them).
const (
	dtmfRelay = "application/dtmf-relay"
	dtmf      = "application/dtmf"
)

// usualPress is how long a key is pressed of which nobody says how long.
const usualPress = 160 * time.Millisecond

// infos are INFOs by CSeq.
type infos map[uint32]*sipua.Request

// keyPatience is how long the other end has to say what became of a key: less than
// whoever sent it waits.
const keyPatience = 10 * time.Second

// info takes keys that come by INFO. It is answered when it is known what became of
// the key: here, or at the other end of a bridged call.
func (l *Leg) info(req *sipua.Request) {
	key, ok := infoKey(req.Request)
	switch {
	case ok && len(l.infos) >= maxWaiting:
		l.reply(req, sip.StatusInternalServerError, sip.NewHeader("Retry-After", "1"))
	case ok:
		key.Leg, key.Info = l.id, sipua.CSeq(req.Request)
		if l.infos == nil {
			l.infos = infos{}
		}
		l.infos[key.Info] = req
		l.after(keyPatience, func() { l.keyTaken(key.Info, sip.StatusRequestTimeout) })
		l.m.tell(key)
	case len(req.Body()) == 0: // a probe
		l.reply(req, sip.StatusOK)
	default:
		l.reply(req, sip.StatusUnsupportedMediaType, sip.NewHeader("Accept", dtmfRelay+", "+dtmf))
	}
}

// keyTaken answers the INFO that brought a key.
func (l *Leg) keyTaken(info uint32, code int) {
	if req := l.infos[info]; req != nil {
		delete(l.infos, info)
		l.reply(req, code)
	}
}

// passKey has the peer know of a key that was pressed at the other end: by INFO, as
// it came, and where the peer does not take that, as telephone-event. One that came
// as telephone-event has been relayed already, if the peer takes those.
func (l *Leg) passKey(k orbit.Key) {
	done := func(code int) {
		if from := l.m.find(k.Leg); from != nil && k.Info != 0 {
			from.post(func() { from.keyTaken(k.Info, code) })
		}
	}
	named, said := l.able.allows(sip.INFO)
	switch {
	case l.state != confirmed:
		done(sip.StatusTemporarilyUnavailable)
	case k.Info == 0 && (!named || l.agreed == nil || l.agreed.Event.PT != 0):
	case named || !said:
		l.sendInfo(k, done)
	default:
		l.pressEvent(k, sip.StatusUnsupportedMediaType, done)
	}
}

// sendInfo passes a key on by INFO.
func (l *Leg) sendInfo(k orbit.Key, done func(code int)) {
	req, err := l.dialog.NewRequest(sip.INFO)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no info possible")
		done(sip.StatusInternalServerError)
		return
	}
	kind, body := dtmfRelay, fmt.Sprintf("Signal=%c\r\nDuration=%d\r\n", k.Digit, pressed(k).Milliseconds())
	if k.Short {
		kind, body = dtmf, string(k.Digit)
	}
	req.AppendHeader(sip.NewHeader("Content-Type", kind))
	req.SetBody([]byte(body))
	l.send(req, func(res *sip.Response, err error) {
		switch {
		case err != nil:
			l.life.doubt = true
			done(sip.StatusRequestTimeout)
		case res.StatusCode < 200:
		case res.StatusCode < 300, k.Info == 0:
			done(res.StatusCode)
		case res.StatusCode == sip.StatusCallTransactionDoesNotExists && l.state == confirmed:
			done(res.StatusCode)
			l.lost("peer does not know the call") // RFC 3261 12.2.1.2
		default:
			l.pressEvent(k, res.StatusCode, done)
		}
	})
}

// pressEvent sends a key as telephone-event (RFC 4733). Where that cannot be done,
// refused says why the other way was not taken. Who is sent media past us expects no
// packets of ours.
func (l *Leg) pressEvent(k orbit.Key, refused int, done func(code int)) {
	if l.state == confirmed && l.local.Elsewhere.IsZero() && l.port.Press(k.Digit, pressed(k)) {
		refused = sip.StatusOK
	}
	done(refused)
}

// pressed is for how long a key was pressed.
func pressed(k orbit.Key) time.Duration {
	if k.Long <= 0 {
		return usualPress
	}
	return k.Long
}

// infoKey reads the key out of an INFO body: "Signal=5" and "Duration=160" (ms) in
// dtmf-relay, the bare key in dtmf; some phones send 10 and 11 for * and #.
func infoKey(msg sip.Message) (k orbit.Key, ok bool) {
	kind, _ := sipua.Header(msg, "content-type")
	kind, _, _ = mime.ParseMediaType(kind)
	body := string(msg.Body())
	switch kind {
	case dtmfRelay:
		for line := range strings.Lines(body) {
			name, value, _ := strings.Cut(line, "=")
			value = strings.TrimSpace(value)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "signal":
				k.Digit, ok = keyOf(value)
			case "duration":
				if ms, err := strconv.ParseUint(value, 10, 16); err == nil {
					k.Long = time.Duration(ms) * time.Millisecond
				}
			}
		}
	case dtmf:
		k.Short = true
		if _, value, found := strings.Cut(body, "="); found { // "d=5"
			body = value
		}
		k.Digit, ok = keyOf(body)
	}
	return k, ok
}

func keyOf(s string) (byte, bool) {
	switch s = strings.ToUpper(strings.TrimSpace(s)); s {
	case "10", "STAR":
		return '*', true
	case "11", "POUND":
		return '#', true
	}
	if len(s) == 1 && strings.Contains("0123456789*#ABCD", s) {
		return s[0], true
	}
	return 0, false
}
