package sdp

import "testing"

func TestWish(t *testing.T) {
	tests := []struct {
		name, rest string
		want       Direction
	}{
		{"nothing said", "m=audio 4000 RTP/AVP 0", SendRecv},
		{"sendonly", "m=audio 4000 RTP/AVP 0\na=sendonly", SendOnly},
		{"recvonly", "m=audio 4000 RTP/AVP 0\na=recvonly", RecvOnly},
		{"inactive", "m=audio 4000 RTP/AVP 0\na=inactive", Inactive},
		{"0.0.0.0", "m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0", SendOnly},
		{"0.0.0.0, recvonly", "m=audio 4000 RTP/AVP 0\nc=IN IP4 0.0.0.0\na=recvonly", Inactive},
		{"port 0", "m=audio 0 RTP/AVP 0", Inactive},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustParse(t, offer(tt.rest)).Wish(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// What a description does not say, for ours left no room for it, is as it was before.
func TestWishAfter(t *testing.T) {
	tests := []struct{ told, says, before, want Direction }{
		{SendRecv, SendRecv, Inactive, SendRecv},
		{SendRecv, SendOnly, SendRecv, SendOnly},
		{SendRecv, Inactive, SendRecv, Inactive},
		{SendOnly, RecvOnly, SendRecv, SendRecv},
		{SendOnly, RecvOnly, SendOnly, SendRecv},
		{SendOnly, RecvOnly, RecvOnly, RecvOnly},
		{SendOnly, Inactive, SendRecv, SendOnly},
		{SendOnly, SendRecv, RecvOnly, SendRecv}, // an offer, then: somebody resumes
		{Inactive, SendRecv, Inactive, SendRecv},
		{Inactive, SendOnly, Inactive, SendOnly},
		{RecvOnly, SendOnly, SendRecv, SendRecv},
		{RecvOnly, Inactive, SendRecv, RecvOnly},
		{Inactive, Inactive, SendRecv, SendRecv},
		{Inactive, Inactive, SendOnly, SendOnly},
	}
	for _, tt := range tests {
		r := mustParse(t, offer("m=audio 4000 RTP/AVP 0\na="+tt.says.String()))
		if got := r.WishAfter(tt.told, tt.before); got != tt.want {
			t.Errorf("told %v, says %v, before %v: got %v, want %v", tt.told, tt.says, tt.before, got, tt.want)
		}
	}
}

// far is the media of another party.
var far = Elsewhere{Addr: ap("192.0.2.77:5004"), Codec: pcma, Event: Event{96, 8000}}

func TestOfferOfAnothersMedia(t *testing.T) {
	l := here
	l.Previous = Offer(l, nil)
	l.Elsewhere, l.Direction = far, SendOnly
	r := mustParse(t, string(Offer(l, nil)))
	if r.Addr != far.Addr || len(r.Codecs) != 1 || r.Codecs[0] != pcma || r.Event != far.Event || r.Direction != SendOnly {
		t.Errorf("offered %+v", r)
	}
	// RFC 3264 8: o= is as before but for its version.
	if want := (Origin{"-", "7", "2", "IN IP4 192.0.2.1"}); r.Origin != want {
		t.Errorf("o= %v, want %v", r.Origin, want)
	}
	l.Previous = Offer(l, nil)
	agreed, err := mustParse(t, offer("m=audio 4000 RTP/AVP 8 101\na=rtpmap:101 telephone-event/8000")).Accept(l)
	if err != nil || agreed.RecvEvent.PT != 96 || agreed.Event.PT != 101 {
		t.Errorf("agreed %+v, %v", agreed, err)
	}
	l.Elsewhere.Addr = ap("0.0.0.0:5004")
	if b := Offer(l, nil); b != nil {
		t.Errorf("an address that nobody can send to is offered: %s", b)
	}
}

func TestAnswerWithAnothersMedia(t *testing.T) {
	l := here
	l.Elsewhere = far
	const events = "\na=rtpmap:101 telephone-event/8000"
	tests := []struct {
		name, rest string
		addr       string
		event      uint8
		codec      Codec
	}{
		{"the same codec", "m=audio 4000 RTP/AVP 0 8 101" + events, "192.0.2.77:5004", 96, pcma},
		{"no events wanted", "m=audio 4000 RTP/AVP 8", "192.0.2.77:5004", 0, pcma},
		{"another codec: ours", "m=audio 4000 RTP/AVP 0 101" + events, "192.0.2.1:10000", 101, pcmu},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body, agreed, err := mustParse(t, offer(tt.rest)).Answer(l, "PCMA")
			if err != nil {
				t.Fatal(err)
			}
			r := mustParse(t, string(body))
			if r.Addr != ap(tt.addr) || r.Event.PT != tt.event || agreed.RecvEvent.PT != tt.event || agreed.Codec != tt.codec {
				t.Errorf("answered %+v, agreed %+v", r, agreed)
			}
			if agreed.Remote != ap("192.0.2.9:4000") {
				t.Errorf("sends to %v", agreed.Remote)
			}
		})
	}
}

// RFC 3264 8.3.2: a number keeps its meaning.
func TestNumbersThatMeanSomethingElse(t *testing.T) {
	before := Offer(here, nil)
	for _, tt := range []struct {
		name string
		e    Elsewhere
		want bool
	}{
		{"others", far, true},
		{"the same", Elsewhere{far.Addr, pcmu, Event{101, 8000}}, true},
		{"no events", Elsewhere{far.Addr, pcmu, Event{}}, true},
		{"codec where events were", Elsewhere{far.Addr, Codec{"PCMU", 101, 8000}, Event{}}, false},
		{"codec where another was", Elsewhere{far.Addr, Codec{"PCMU", 8, 8000}, Event{}}, false},
		{"events where a codec was", Elsewhere{far.Addr, pcmu, Event{9, 8000}}, false},
	} {
		if got := tt.e.Fits(before); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if far.Fits([]byte("nonsense")) {
		t.Error("fits into nonsense")
	}
}
