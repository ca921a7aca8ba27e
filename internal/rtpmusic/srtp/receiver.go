package srtp

import (
	"encoding/binary"
	"fmt"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// Receiver opens what a peer sends under one key.
type Receiver struct {
	ctx     *srtp.Context
	header  rtp.Header
	sources map[uint32]struct{} // whose packets have been opened
	reports map[uint32]struct{} // and whose RTCP

	// Until a packet has been opened: streams may have begun long ago.
	late  func() *srtp.Context // makes ctx anew; nil = they have not, or one was found
	tried int
}

const (
	replayWindow = 128 // packets (RFC 3711 3.3.2: at least 64)
	// maxSources bounds what a peer that changes its SSRC all the time takes of memory.
	maxSources = 256
	// lateRolls is how many roll overs are looked for of a stream that was joined late:
	// at 50 packets a second they are a day.
	lateRolls = 66
	lateTries = 16 // sources for which that is done in vain before the context is made anew
)

// NewReceiver makes a Receiver of a crypto-suite's name and a key with its salt.
// late: the peer may have sent under it for a long time, to a former process, and
// nobody knows how often its sequence numbers have rolled over (RFC 3711 3.3.1); they
// are searched for. Errors: ErrSuite, ErrKey.
func NewReceiver(suite string, key []byte, late bool) (*Receiver, error) {
	fresh := func() (*srtp.Context, error) {
		return context(suite, key, srtp.SRTPReplayProtection(replayWindow), srtp.SRTCPReplayProtection(replayWindow))
	}
	ctx, err := fresh()
	if err != nil {
		return nil, err
	}
	r := &Receiver{ctx: ctx, sources: make(map[uint32]struct{}, 1)}
	if late {
		r.late = func() *srtp.Context {
			ctx, _ := fresh() // as before
			return ctx
		}
	}
	return r, nil
}

// RTP opens a packet in place and returns it, shorter by its tag. b is of no more
// use after an error: ErrForged, ErrSources.
func (r *Receiver) RTP(b []byte) ([]byte, error) {
	if len(b) < 12 {
		return nil, ErrForged
	}
	ssrc := binary.BigEndian.Uint32(b[8:])
	_, known := r.sources[ssrc]
	if !known && len(r.sources) == maxSources {
		return nil, ErrSources
	}
	out, err := r.open(b, ssrc)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if !known {
		r.sources[ssrc] = struct{}{}
		r.late = nil
	}
	return out, nil
}

// open opens a packet, whose roll over counter may have to be found first.
func (r *Receiver) open(b []byte, ssrc uint32) ([]byte, error) {
	if r.late == nil {
		return r.ctx.DecryptRTP(b, b, &r.header)
	}
	if r.tried == lateTries { // nothing was opened: nothing is lost
		r.ctx, r.tried = r.late(), 0
	}
	r.tried++
	trial := make([]byte, len(b)) // AES-GCM wipes what does not fit
	var first error
	for roll := range uint32(lateRolls) {
		r.ctx.SetROC(ssrc, roll)
		out, err := r.ctx.DecryptRTP(trial[:0], b, &r.header)
		if err == nil {
			return out, nil
		}
		if roll == 0 {
			first = err
		}
	}
	return nil, first
}

// RTCP opens a compound of RTCP packets in place. b is of no more use after an
// error: ErrForged, ErrSources.
func (r *Receiver) RTCP(b []byte) ([]byte, error) {
	if len(b) < 8 {
		return nil, ErrForged
	}
	ssrc := binary.BigEndian.Uint32(b[4:])
	_, known := r.reports[ssrc]
	if !known && len(r.reports) == maxSources {
		return nil, ErrSources
	}
	out, err := r.ctx.DecryptRTCP(b, b, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if !known {
		if r.reports == nil {
			r.reports = make(map[uint32]struct{}, 1)
		}
		r.reports[ssrc] = struct{}{}
	}
	return out, nil
}
