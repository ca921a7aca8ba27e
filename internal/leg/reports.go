package leg

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/sipua"
)

// referLife is how long the implicit subscription of a REFER lasts at most. What
// it asks for comes to its end before (RFC 3515 2.4.4).
const referLife = 3 * time.Minute

// notifying is a dialog within which a REFER came.
type notifying interface {
	reply(req *sipua.Request, code int, headers ...sip.Header)
	contact() sip.Header
	// sendNotify sends a NOTIFY; answered tells whether it was taken.
	sendNotify(event, state, fragment string, answered func(taken bool))
	// after runs f on the queue of the dialog once d has passed.
	after(d time.Duration, f func()) *dialog.Timer
}

// reports is the implicit subscription of a REFER as its notifier has it (RFC 3515
// 2.4.4): NOTIFYs with what became of it, in order, one at a time. It ends by
// itself, whatever becomes of the dialog. Owned by the queue of the dialog.
type reports struct {
	request *sipua.Request // the REFER, as long as it is not answered
	within  notifying
	event   string // value of Event
	wanted  bool   // RFC 4488: else nobody is to be told
	until   time.Time
	expiry  *dialog.Timer // of one that was made shorter; nil = there is none
	open    bool          // the last NOTIFY is not due yet
	busy    bool          // one is not answered yet
	last    string
	queue   []notice
}

// noReports are those of a leg whose peer has sent no REFER, which are few: nothing
// changes in them.
var noReports reports

// notice is a NOTIFY to be sent: about which REFER, a fragment, and why it is the last
// one; "" = it is not.
type notice struct{ event, fragment, end string }

// begin takes a REFER that waits for a decision. numbered: RFC 3515 2.4.6 wants the
// events of all but the first one in a dialog to have an id. What is still to be said of
// an earlier one is said first.
func (r *reports) begin(within notifying, req *sipua.Request, numbered bool) {
	*r = reports{request: req, within: within, event: "refer", wanted: true, busy: r.busy, queue: r.queue}
	if numbered {
		r.event += ";id=" + strconv.FormatUint(uint64(sipua.CSeq(req.Request)), 10)
	}
	if v, ok := sipua.Header(req.Request, "refer-sub"); ok { // RFC 4488 4
		v, _, _ = strings.Cut(v, ";")
		r.wanted = !strings.EqualFold(strings.TrimSpace(v), "false")
	}
}

// under reports whether a REFER is under way: there is to be no other then.
func (r *reports) under() bool { return r.request != nil || r.open }

// refuse answers the REFER with an error; false if it has been answered.
func (r *reports) refuse(code int, headers ...sip.Header) bool {
	if r.request == nil {
		return false
	}
	r.within.reply(r.request, code, headers...)
	r.request = nil
	return true
}

// report passes a status on that is the REFER's so far, or in the end. The first
// one accepts it (RFC 3515 2.4.2).
func (r *reports) report(code int) {
	if r.request != nil {
		headers := []sip.Header{r.within.contact()}
		if !r.wanted {
			headers = append(headers, sip.NewHeader("Refer-Sub", "false"))
		}
		r.within.reply(r.request, sip.StatusAccepted, headers...)
		r.request, r.open, r.until = nil, r.wanted, time.Now().Add(referLife)
	}
	if !r.open {
		return
	}
	r.last = fmt.Sprintf("SIP/2.0 %d %s\r\n", code, sipua.Phrase(code))
	end := ""
	switch {
	case code >= 200:
		end = "noresource" // RFC 3515 2.4.7
	case r.left() <= 0: // somebody has asked for less time
		end = "timeout"
	}
	r.tell(end)
}

// close ends the subscription without another status, as when its dialog ends.
func (r *reports) close(reason string) {
	if r.open {
		r.tell(reason)
	}
}

func (r *reports) tell(end string) {
	if r.open = end == ""; !r.open {
		r.expiry.Stop()
	}
	r.queue = append(r.queue, notice{r.event, r.last, end})
	r.next()
}

// next sends the NOTIFY that is due.
func (r *reports) next() {
	if r.busy || len(r.queue) == 0 {
		return
	}
	n := r.queue[0]
	r.queue = r.queue[1:]
	state := sipua.SubscriptionState{State: "terminated", Reason: n.end, Expires: -1, RetryAfter: -1}
	if n.end == "" {
		state = sipua.SubscriptionState{State: "active", Expires: r.left(), RetryAfter: -1}
	}
	r.busy = true
	r.within.sendNotify(n.event, state.String(), n.fragment, func(taken bool) {
		r.busy = false
		if !taken { // RFC 6665 4.2.2: it ends the subscription, and nothing else (RFC 5057 5.1)
			if r.event == n.event {
				r.open = false
				r.expiry.Stop()
			}
			r.queue = slices.DeleteFunc(r.queue, func(m notice) bool { return m.event == n.event })
		}
		r.next()
	})
}

// telling reports whether the phone has not taken a NOTIFY yet.
func (r *reports) telling() bool { return r.busy || len(r.queue) > 0 }

// left is how many seconds the subscription has.
func (r *reports) left() int64 { return int64(time.Until(r.until).Round(time.Second) / time.Second) }

// subscribe takes a SUBSCRIBE that refreshes or ends the subscription (RFC 3515
// 2.4.4, RFC 6665 4.1.2).
func (r *reports) subscribe(to notifying, req *sipua.Request) {
	value, _ := sipua.Header(req.Request, "event")
	ev, err := sipua.ParseEvent(value)
	if err != nil || ev.Package != "refer" {
		to.reply(req, 489, sip.NewHeader("Allow-Events", sipua.Events+", refer"))
		return
	}
	if mine, _ := sipua.ParseEvent(r.event); !r.open || ev.ID != "" && ev.ID != mine.ID {
		to.reply(req, sip.StatusCallTransactionDoesNotExists)
		return
	}
	left, end := max(r.left(), 0), ""
	if value, ok := sipua.Header(req.Request, "expires"); ok {
		if n, err := sipua.ParseExpires(value); err == nil && int64(n) < left { // RFC 6665 4.2.1.1: never longer than asked for
			left, r.until = int64(n), time.Now().Add(time.Duration(n)*time.Second)
			r.expiry.Stop()
			r.expiry = to.after(time.Until(r.until), func() { r.close("timeout") }) // RFC 6665 4.2.1.4
		}
	}
	if left == 0 {
		end = "timeout"
	}
	to.reply(req, sip.StatusOK, to.contact(), sip.NewHeader("Expires", strconv.FormatInt(left, 10)))
	r.tell(end)
}

// setNotify fills a NOTIFY.
func setNotify(req *sip.Request, contact sip.Header, event, state, fragment string) {
	req.AppendHeader(contact)
	req.AppendHeader(sip.NewHeader("Event", event))
	req.AppendHeader(sip.NewHeader("Subscription-State", state))
	req.AppendHeader(sip.NewHeader("Content-Type", "message/sipfrag;version=2.0")) // RFC 3515 2.4.5
	req.SetBody([]byte(fragment))
}
